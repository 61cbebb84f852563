"""The rules of a recipe about identities, applied to a data set: which are used, and which part each belongs to."""

import logging
from collections.abc import Sequence
from pathlib import Path

from angulus.data import Source, Subset, account_of, apply_edits, read_edits, split_identities, subset
from angulus.data.examples import noun_of
from angulus.errors import DataError
from angulus.plain_numbers import several
from angulus.text_files import read_entries
from angulus.training.datasets import Identities

logger = logging.getLogger(__name__)

FEWEST = 2
"""Images of an identity that is used, unless a recipe says otherwise."""

FEWEST_HELD_OUT = 2
"""People of a part, where shares are exact: fewer can neither be verified nor told apart."""


def chosen(source: Source, rules: Identities, fewest: int = FEWEST) -> Subset:
    """The images that the rules keep. fewest: of an identity, where the rules leave it open."""
    used, out = edited(source, rules), excluded(rules)
    report_unknown(out, source, used)
    least = fewest if rules.min_images is None else rules.min_images
    try:
        return subset(
            used, exclude=out, min_images=least, max_images_per_identity=rules.max_images, seed=rules.split_seed
        )
    except DataError as error:
        many = several(noun_of(source))
        raise DataError(
            f"{error}\nadd {many} or loosen the rules of data.identities (to learn and to verify takes two {many} of a "
            f"person; min_images is {least})"
        ) from error


def edited(source: Source, rules: Identities) -> Source:
    """The images with the changes of the rules made, which come before anything else."""
    return apply_edits(source, [read_edits(path) for path in rules.edits]) if rules.edits else source


def report_unknown(out: Sequence[str], *sources: Source) -> None:
    """Say which of the names that are to be left out stand for nobody in any of these sets."""
    names = frozenset(out)
    unknown = names.difference(*(source.identities for source in sources)) if names else names
    if unknown:
        first = ", ".join(repr(name) for name in dict.fromkeys(out) if name in unknown)
        logger.warning(
            "exclude: %d of %d names stand for no identity of %s and leave nobody out: %s",
            *(len(unknown), len(names), account_of(sources[0]).origin, shortened(first)),
        )


def shortened(text: str, most: int = 100) -> str:
    return text if len(text) <= most else f"{text[:most].rpartition(',')[0]}, ..."


def excluded(rules: Identities) -> tuple[str, ...]:
    """All names that a data set leaves out."""
    if rules.exclude_from is None:
        return rules.exclude
    return (*rules.exclude, *read_names(rules.exclude_from))


def read_names(path: Path | str) -> tuple[str, ...]:
    """Names of identities: the sub-folders of a folder, or the lines of a text file."""
    path = Path(path)
    if path.is_dir():
        return tuple(sorted(entry.name for entry in path.iterdir() if entry.is_dir()))
    if not path.exists():
        raise DataError(f"exclude_from must be a folder of identities or a text file of names; {path} does not exist")
    return tuple(read_entries(path, DataError, "list of names"))


def split(source: Source, rules: Identities, *, by_name: bool = False) -> dict[str, Subset]:
    """The parts of a set, without a common identity. by_name: where `auto` is to place each identity on its own."""
    shares = "by_name" if by_name and rules.shares == "auto" else rules.shares
    return split_identities(source, used_parts(rules), seed=rules.split_seed, shares=shares, fewest=FEWEST_HELD_OUT)


def used_parts(rules: Identities) -> dict[str, float]:
    """The shares of the parts that have any."""
    # a part with the share 0 has no identity, which splitting refuses
    return {name: share for name, share in rules.parts.items() if share > 0}
