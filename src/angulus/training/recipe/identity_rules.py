"""The rules of a recipe about identities, applied to a data set: which are used, and which part each belongs to."""

from pathlib import Path

from angulus.data import Source, Subset, apply_edits, read_edits, subset
from angulus.errors import DataError
from angulus.training.datasets import Identities

FEWEST = 2
"""Images of an identity that is used, unless a recipe says otherwise."""


def chosen(source: Source, rules: Identities, fewest: int = FEWEST) -> Subset:
    """The images that the rules keep. fewest: of an identity, where the rules leave it open."""
    return subset(
        edited(source, rules),
        exclude=excluded(rules),
        min_images=fewest if rules.min_images is None else rules.min_images,
        max_images_per_identity=rules.max_images,
        seed=rules.split_seed,
    )


def edited(source: Source, rules: Identities) -> Source:
    """The images with the changes of the rules made, which come before anything else."""
    return apply_edits(source, [read_edits(path) for path in rules.edits]) if rules.edits else source


def excluded(rules: Identities) -> tuple[str, ...]:
    """All names that a data set leaves out."""
    if rules.exclude_from is None:
        return rules.exclude
    return (*rules.exclude, *read_names(rules.exclude_from))


def read_names(path: Path) -> tuple[str, ...]:
    """Names of identities: the sub-folders of a folder, or the lines of a text file."""
    if path.is_dir():
        return tuple(sorted(entry.name for entry in path.iterdir() if entry.is_dir()))
    if not path.exists():
        raise DataError(f"exclude_from must be a folder of identities or a text file of names; {path} does not exist")
    return tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())


def used_parts(rules: Identities) -> dict[str, float]:
    """The shares of the parts that have any."""
    # a part with the share 0 has no identity, which splitting refuses
    return {name: share for name, share in rules.parts.items() if share > 0}
