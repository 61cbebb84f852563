"""Which examples to use: views on a source by identity, and pairs of examples to verify on.

A view never changes its source: labels are numbered anew from 0 in the old order of the identities. Whether an
identity goes to training or to test depends on a hash of its name and the seed alone, so that adding people never
moves others:

    u(name) = sha256(seed, name) as a number in [0, 1);   part = the first whose cumulative fraction exceeds u
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import Account, Drop, Source, account_of, bytes_of, read_images, stamp_of
from angulus.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class Subset:
    """Some examples of `source`: example i is `source[indices[i]]`, labelled anew."""

    source: Source
    indices: NDArray[np.int64]
    labels: NDArray[np.int64]
    identities: list[str]
    keys: list[str]
    account: Account

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, index: int) -> NDArray[np.uint8]:
        """Pixels [height, width, 3] of one example."""
        return self.source.read(int(self.indices[index]))

    def read_many(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Pixels [n, 3, height, width]; as fast as the source gives them."""
        return read_images(self.source, self.indices[indices])

    def read_bytes(self, index: int) -> bytes | None:
        """The encoded image, where the source holds one."""
        return bytes_of(self.source, int(self.indices[index]))

    def stamp(self, index: int, *, times: bool) -> str | None:
        """What the source says of this example."""
        return stamp_of(self.source, int(self.indices[index]), times=times)


def select(source: Source, indices: NDArray[np.int64], *drops: Drop) -> Subset:
    """The examples at `indices`, in that order; identities without an example vanish, the others keep their order.

    `drops` says why the rest was left out; without it the account says "not selected".
    """
    chosen = np.asarray(indices, dtype=np.int64)
    old_labels, labels = np.unique(source.labels[chosen], return_inverse=True)
    names = [source.identities[int(label)] for label in old_labels]
    left_out = Drop.of(
        "not selected", (), images=len(source) - len(chosen), identities=len(source.identities) - len(names)
    )
    account = account_of(source).after(*(drops or (left_out,)), images=len(chosen), identities=len(names))
    root, rows = (source.source, source.indices[chosen]) if isinstance(source, Subset) else (source, chosen)
    return Subset(
        source=root,
        indices=rows,
        labels=labels.astype(np.int64),
        identities=names,
        keys=[source.keys[int(index)] for index in chosen],
        account=account,
    )


def subset(
    source: Source,
    *,
    identities: Iterable[str] | None = None,
    exclude: Iterable[str] = (),
    min_images: int = 1,
    max_images_per_identity: int | None = None,
    max_identities: int | None = None,
    seed: int = 0,
) -> Subset:
    """The part of a source that meets every condition; what to keep within a limit is drawn by name and seed.

    Args:
        source: where the examples are.
        identities: the only names to use; None uses all. An unknown name is an error.
        exclude: names to leave out; unknown names are ignored, so that one list serves many sets.
        min_images: identities with fewer images are left out.
        max_images_per_identity: at most so many images of each identity.
        max_identities: at most so many identities.
        seed: another seed keeps others within the limits.
    """
    for name, value in (("max_images_per_identity", max_images_per_identity), ("max_identities", max_identities)):
        if value is not None and value < 1:
            raise DataError(f"{name} must be at least 1, got {value}")
    view = select(source, np.arange(len(source)))
    if identities is not None:
        view = _only(view, _known(view, identities), "not among the chosen names")
    excluded = frozenset(exclude)
    view = _only(view, [name not in excluded for name in view.identities], "excluded by name")
    counts = np.bincount(view.labels, minlength=len(view.identities))
    noun = "image" if min_images == 1 else "images"
    view = _only(view, counts >= min_images, f"fewer than {min_images} {noun}")
    if max_identities is not None:
        rank = np.argsort(np.argsort([position(name, seed) for name in view.identities]))
        view = _only(view, rank < max_identities, f"beyond {max_identities} identities")
    if max_images_per_identity is not None:
        view = _at_most(view, max_images_per_identity, seed)
    if not len(view):
        raise DataError("no example is left:\n" + "\n".join(view.account.lines()))
    return view


def split_identities(source: Source, fractions: Mapping[str, float], *, seed: int = 0) -> dict[str, Subset]:
    """Parts without a common identity, for example {"train": 0.7, "test": 0.3}; one view for each name.

    A part holds about its fraction of the identities (each is placed on its own), the same on every machine. Fractions
    that sum to less than 1 leave identities out. Raises DataError when they sum to more or a part stays empty.
    """
    total = sum(fractions.values())
    if not fractions or min(fractions.values()) <= 0 or total > 1 + 1e-9:
        raise DataError(f"fractions must be positive and sum to at most 1, got {dict(fractions)}")
    bounds = np.cumsum(list(fractions.values()))
    bounds[-1] = 1.0 if abs(total - 1) <= 1e-9 else bounds[-1]
    part_of = np.searchsorted(bounds, [position(name, seed) for name in source.identities], side="right")
    parts: dict[str, Subset] = {}
    for part, name in enumerate(fractions):
        parts[name] = _only(source, part_of == part, f"not in the part {name}")
        if not len(parts[name]):
            raise DataError(
                f"the part {name} ({fractions[name]:g} of {len(source.identities)} identities) is empty; "
                "use more identities, a larger fraction or another seed"
            )
    return parts


def drop_shared(source: Source, names: Iterable[str]) -> Subset:
    """Leave out identities whose name is among `names`, ignoring case and taking " ", "-" and "_" as equal."""
    others = {folded_name(name) for name in names}
    keep = [folded_name(name) not in others for name in source.identities]
    return _only(source, keep, "name shared with the other set")


def position(name: str, seed: int) -> float:
    """Where a name falls in [0, 1): a hash of name and seed, independent of every other name."""
    digest = hashlib.sha256(f"{seed}:{name}".encode("utf-8", "surrogateescape")).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def folded_name(name: str) -> str:
    """A name without regard to case, and with " ", "-" and "_" taken as equal."""
    return re.sub(r"[\s_-]+", "_", name.strip()).casefold()


def _known(source: Source, names: Iterable[str]) -> list[bool]:
    wanted = frozenset(names)
    unknown = sorted(wanted - frozenset(source.identities))
    if unknown:
        raise DataError(f"{len(unknown)} chosen identities are not in the data: {', '.join(unknown[:5])}")
    return [name in wanted for name in source.identities]


def _only(source: Source, keep: Sequence[bool] | NDArray[np.bool_], reason: str) -> Subset:
    mask = np.asarray(keep, dtype=bool)
    kept = mask[source.labels] if len(source) else np.zeros(0, dtype=bool)
    names = [name for name, wanted in zip(source.identities, mask, strict=True) if not wanted]
    drop = Drop.of(reason, names, images=int((~kept).sum()), identities=len(names))
    return select(source, np.flatnonzero(kept), drop)


def _at_most(source: Subset, limit: int, seed: int) -> Subset:
    place = np.array([position(key, seed) for key in source.keys])
    order = np.lexsort((place, source.labels))
    starts = np.searchsorted(source.labels[order], source.labels[order], side="left")
    chosen = np.sort(order[np.arange(len(order)) - starts < limit])
    dropped = len(source) - len(chosen)
    return select(source, chosen, Drop.of(f"beyond {limit} images per identity", (), images=dropped))
