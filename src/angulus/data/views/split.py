"""Which examples to use: views on a source by identity, and pairs of examples to verify on.

A view never changes its source: labels are numbered anew from 0 in the old order of the identities. Whether an
identity goes to training or to test depends on a hash of its name and the seed:

    u(name) = sha256(seed, name) as a number in [0, 1);   part = the first whose cumulative fraction exceeds u

so that adding people never moves others. Where the shares are to be exact (`shares`), the order of the hashes decides
and people who come or go may move a few at the borders.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import (
    Account,
    Drop,
    Source,
    account_of,
    bytes_of,
    columns_of,
    labels_of,
    noun_of,
    read_images,
    stamp_of,
    stamps_of,
    will_need,
)
from angulus.data.index.groups import counts_of
from angulus.data.index.rows import (
    Picked,
    Ranges,
    Rows,
    block_of,
    blocks,
    encoded_at,
    kept_rows,
    rows_at,
    smallest,
    taken_rows,
)
from angulus.data.parts import read_part
from angulus.data.views.shares import Shares, exact_parts, is_exact
from angulus.errors import DataError
from angulus.plain_numbers import counted

_SPREAD = 4
_Value = TypeVar("_Value", np.bool_, np.uint8, np.uint16)


@dataclass(frozen=True, kw_only=True, eq=False)
class Subset:
    """Some examples of `source`: example i is `source[rows[i]]`, labelled anew. Build it with the functions below.

    Keys, names and labels are looked up when asked for, so that a view on millions of images is small. A view of a
    view is one of the first source.
    """

    source: Source
    rows: Rows
    classes: NDArray[np.integer]
    """[c], the labels in `source` of the identities that are left, in ascending order."""
    counts: NDArray[np.int64]
    """[c], images of each identity."""
    account: Account

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def identities(self) -> Sequence[str]:
        """Names of the identities that are left."""
        return Picked(self.source.identities, self.classes)

    @property
    def keys(self) -> Sequence[str]:
        """[n] names of the images."""
        return Picked(self.source.keys, self.rows)

    @property
    def indices(self) -> NDArray[np.int64]:
        """[n], positions in `source`; an array of all, which `rows_at(view.rows, places)` does without."""
        return block_of(self.rows, 0, len(self))

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """[n], positions in `identities`; an array of all, which `labels_of` does without."""
        pieces = [self.labels_of(np.arange(begin, end)) for begin, end in blocks(len(self))]
        return np.concatenate(pieces) if pieces else np.empty(0, dtype=np.int64)

    @property
    def columns(self) -> dict[str, NDArray[Any]]:
        """What the source says of these examples besides, [n] values by name."""
        return {name: values[self.indices] for name, values in columns_of(self.source).items()}

    def labels_of(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Labels [n] of the examples at `indices` [n]."""
        labels = labels_of(self.source, rows_at(self.rows, indices))
        return labels if self._numbers is None else self._numbers[labels].astype(np.int64)

    @cached_property
    def _numbers(self) -> NDArray[np.integer] | None:
        # the label here of every label of the source; None where all are the same
        total = len(self.source.identities)
        if len(self.classes) == total:
            return None
        numbers = np.zeros(total, dtype=np.min_scalar_type(len(self.classes)))
        numbers[self.classes] = np.arange(len(self.classes))
        return numbers

    def read(self, index: int) -> NDArray[Any]:
        """Pixels [height, width, 3] of one example."""
        return self.source.read(self._row(index))

    def read_part(self, index: int, share: float, length: int) -> NDArray[Any]:
        """A part of a recording."""
        return read_part(self.source, self._row(index), share, length)

    def read_many(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Pixels [n, 3, height, width]; as fast as the source gives them."""
        return read_images(self.source, rows_at(self.rows, indices))

    def read_bytes(self, index: int) -> bytes | None:
        """The encoded image, where the source holds one."""
        return bytes_of(self.source, self._row(index))

    def stamp(self, index: int, *, times: bool) -> str | None:
        """What the source says of this example."""
        return stamp_of(self.source, self._row(index), times=times)

    def stamps(self, indices: NDArray[np.int64], *, times: bool) -> bytes | None:
        """The same of many examples."""
        return stamps_of(self.source, rows_at(self.rows, indices), times=times)

    def will_need(self, begin: int, end: int) -> None:
        """Have the source fetch these examples, where they lie near each other."""
        rows = block_of(self.rows, begin, end)
        if len(rows) and int(np.ptp(rows)) < _SPREAD * len(rows):
            will_need(self.source, int(rows.min()), int(rows.max()) + 1)

    def _row(self, index: int) -> int:
        return int(rows_at(self.rows, np.array([range(len(self))[index]]))[0])


def select(source: Source, indices: NDArray[np.int64], *drops: Drop) -> Subset:
    """The examples at `indices`, in that order; identities without an example vanish, the others keep their order.

    `drops` says why the rest was left out; without it the account says "not selected".
    """
    view, chosen = _whole(source), np.asarray(indices, dtype=np.int64)
    counts = np.zeros(len(view.classes), dtype=np.int64)
    for begin, end in blocks(len(chosen)):
        counts += np.bincount(view.labels_of(chosen[begin:end]), minlength=len(counts))
    left = np.flatnonzero(counts)
    left_out = Drop.of(
        "not selected", (), images=len(source) - len(chosen), identities=len(source.identities) - len(left)
    )
    return Subset(
        source=view.source,
        rows=taken_rows(view.rows, chosen),
        classes=view.classes[left],
        counts=counts[left],
        account=account_of(source).after(*(drops or (left_out,)), images=len(chosen), identities=len(left)),
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
    view = _whole(source)
    if identities is not None:
        view = _only(view, _known(view, identities), "not among the chosen names")
    if excluded := frozenset(exclude):
        view = _only(view, [name not in excluded for name in view.identities], "excluded by name")
    view = _only(view, view.counts >= min_images, f"fewer than {counted(min_images, noun_of(source))}")
    if max_identities is not None:
        rank = np.argsort(np.argsort(positions(view.identities, seed)))
        view = _only(view, rank < max_identities, f"beyond {max_identities} identities")
    if max_images_per_identity is not None:
        view = _at_most(view, max_images_per_identity, seed)
    if not len(view):
        raise DataError("no example is left:\n" + "\n".join(view.account.lines()))
    return view


def split_identities(
    source: Source, fractions: Mapping[str, float], *, seed: int = 0, shares: Shares = "by_name", fewest: int = 1
) -> dict[str, Subset]:
    """Parts without a common identity, for example {"train": 0.7, "test": 0.3}; one view for each name.

    Fractions that sum to less than 1 leave identities out. The parts are the same on every machine.

    Args:
        source: what is divided.
        fractions: of the identities, by the name of the part.
        seed: another seed makes other parts.
        shares: "by_name" places each identity on its own, so that a part holds about its fraction and more identities
            never move others; "exact" rounds to whole identities; "auto" is exact below 1,000 identities.
        fewest: identities of a part at least, where shares are exact.

    Raises DataError when the fractions sum to more than 1 or a part stays empty.
    """
    total = sum(fractions.values())
    if not fractions or min(fractions.values()) <= 0 or total > 1 + 1e-9:
        raise DataError(f"fractions must be positive and sum to at most 1, got {dict(fractions)}")
    bounds = np.cumsum(list(fractions.values()))
    bounds[-1] = 1.0 if abs(total - 1) <= 1e-9 else bounds[-1]
    view = _whole(source)
    place = np.zeros(len(view.classes)) if bounds[0] == 1.0 else positions(view.identities, seed)
    if bounds[0] != 1.0 and is_exact(shares, len(view.classes)):
        part_of = exact_parts(place, list(fractions.values()), fewest)
    else:
        part_of = np.searchsorted(bounds, place, side="right").astype(np.uint16)
    images = _by_image(view, part_of)
    parts: dict[str, Subset] = {}
    for part, name in enumerate(fractions):
        parts[name] = _kept(view, part_of == part, f"not in the part {name}", images == part)
        if not len(parts[name]):
            raise DataError(
                f"the part {name} ({fractions[name]:g} of {len(view.classes)} identities) is empty with "
                f"data.identities.parts {wished(fractions)} and split_seed {seed}: add identities, or change the "
                "shares or the seed"
            )
    return parts


def wished(fractions: Mapping[str, float]) -> str:
    """The shares in words: (train: 0.8, test: 0.2)."""
    return f"({', '.join(f'{name}: {share:g}' for name, share in fractions.items())})"


def join_parts(source: Source, parts: Sequence[Subset]) -> Subset:
    """The identities of several parts of one source (`split_identities`), in the order of the source."""
    view = _whole(source)
    return _only(view, np.isin(view.classes, np.concatenate([part.classes for part in parts])), "in other parts")


def drop_shared(source: Source, names: Iterable[str]) -> Subset:
    """Leave out identities whose name is among `names`, ignoring case and taking " ", "-" and "_" as equal."""
    others = {folded_name(name) for name in names}
    view = _whole(source)
    keep = [folded_name(name) not in others for name in view.identities]
    return _only(view, keep, "name shared with the other set")


def position(name: str, seed: int) -> float:
    """Where a name falls in [0, 1): a hash of name and seed, independent of every other name."""
    return float(positions([name], seed)[0])


def positions(names: Sequence[str], seed: int) -> NDArray[np.float64]:
    """The same for many names [n]."""
    start, sha256 = f"{seed}:".encode(), hashlib.sha256
    place = np.empty(len(names), dtype=np.float64)
    for begin, end in blocks(len(names)):
        texts = encoded_at(names, np.arange(begin, end))
        digests = b"".join([sha256(start + text).digest()[:8] for text in texts])
        place[begin:end] = (np.frombuffer(digests, dtype=">u8") >> np.uint64(11)) / 2**53
    return place


def folded_name(name: str) -> str:
    """A name without regard to case, and with " ", "-" and "_" taken as equal."""
    return re.sub(r"[\s_-]+", "_", name.strip()).casefold()


def _known(view: Subset, names: Iterable[str]) -> list[bool]:
    wanted = frozenset(names)
    unknown = sorted(wanted - frozenset(view.identities))
    if unknown:
        raise DataError(f"{len(unknown)} chosen identities are not in the data: {', '.join(unknown[:5])}")
    return [name in wanted for name in view.identities]


def _whole(source: Source) -> Subset:
    """All examples of a source as a view; identities without an example vanish."""
    if isinstance(source, Subset):
        return source
    counts = counts_of(source)
    present = np.flatnonzero(counts)
    return Subset(
        source=source,
        rows=Ranges.whole(len(source)),
        classes=smallest(present, len(counts)),
        counts=counts[present],
        account=account_of(source).after(
            Drop.of("without an image", (), identities=len(counts) - len(present)),
            images=len(source),
            identities=len(present),
        ),
    )


def _by_image(view: Subset, values: NDArray[_Value]) -> NDArray[_Value]:
    """The value [c] of an identity for every image [n]."""
    of_source = np.zeros(len(view.source.identities), dtype=values.dtype)
    of_source[view.classes] = values
    found = np.empty(len(view), dtype=values.dtype)
    for begin, end in blocks(len(view)):
        found[begin:end] = of_source[labels_of(view.source, block_of(view.rows, begin, end))]
    return found


def _only(view: Subset, keep: Sequence[bool] | NDArray[np.bool_], reason: str) -> Subset:
    mask = np.asarray(keep, dtype=bool)
    return view if mask.all() else _kept(view, mask, reason, _by_image(view, mask))


def _kept(view: Subset, mask: NDArray[np.bool_], reason: str, images: NDArray[np.bool_]) -> Subset:
    # mask [c] and images [n] say the same
    gone, counts = np.flatnonzero(~mask), view.counts[mask]
    left, total = len(counts), int(counts.sum())
    drop = Drop.of(reason, Picked(view.identities, gone), images=len(view) - total, identities=len(gone))
    return Subset(
        source=view.source,
        rows=kept_rows(view.rows, images),
        classes=view.classes[mask],
        counts=counts,
        account=view.account.after(drop, images=total, identities=left),
    )


def _at_most(view: Subset, limit: int, seed: int) -> Subset:
    many = np.flatnonzero(_by_image(view, view.counts > limit))  # only their keys are hashed
    if not len(many):
        return view
    labels = view.labels_of(many)
    order = np.lexsort((positions(Picked(view.keys, many), seed), labels))
    labels = labels[order]
    beyond = np.arange(len(order)) - np.searchsorted(labels, labels, side="left") >= limit
    keep = np.ones(len(view), dtype=bool)
    keep[many[order[beyond]]] = False
    return Subset(
        source=view.source,
        rows=kept_rows(view.rows, keep),
        classes=view.classes,
        counts=np.minimum(view.counts, limit),
        account=view.account.after(
            Drop.of(f"beyond {counted(limit, view.account.noun)} per identity", (), images=int(beyond.sum())),
            images=len(view) - int(beyond.sum()),
            identities=len(view.classes),
        ),
    )
