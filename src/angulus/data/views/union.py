"""Several sets of images as one: the examples of the first set, then those of the second, and so on.

An example is called set/key; who is who is said by a `Joined` (see `angulus.data.views.identity_matching`). Every
set is read as it is, and the images of all must come in one size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import (
    MAX_EXAMPLES_SHOWN,
    Account,
    ReadsInto,
    Source,
    account_of,
    bytes_of,
    different_sizes,
    read_images,
    stamp_of,
)
from angulus.data.index.rows import rows_at
from angulus.data.parts import read_part
from angulus.data.views.identity_matching import Joined
from angulus.data.views.split import Subset
from angulus.errors import DataError


@dataclass(frozen=True, eq=False)
class JoinedKeys(Sequence[str]):
    """The keys of several sets, "set/key", made when asked for."""

    members: Mapping[str, Source]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.ends[-1])

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        number = int(np.searchsorted(self.ends, place, side="right"))
        name, member = list(self.members.items())[number]
        return f"{name}/{member.keys[place - int(self.ends[number]) + len(member)]}"


@dataclass(frozen=True, kw_only=True)
class UnionAccount(Account):
    """members: the account of each set, by name.  shared: the people that several sets have, the first few by name."""

    members: dict[str, Account]
    shared: int = 0
    shared_names: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """What is kept in all, what each set brings, and what was dropped after they were joined."""
        kept, *drops = super().lines()
        members = [f"  {line}" for name, member in self.members.items() for line in named(name, member.lines())]
        more = ", ..." if self.shared > len(self.shared_names) else ""
        shared = f"  {self.shared:,} people are in several sets ({', '.join(self.shared_names)}{more})"
        return [kept, *members, *([shared] if self.shared else []), *drops]

    def as_dict(self) -> dict[str, Any]:
        members = {name: member.as_dict() for name, member in self.members.items()}
        shared = {"shared": self.shared, "shared_names": list(self.shared_names)}
        return {**super().as_dict(), "members": members, **shared}


def named(name: str, lines: list[str]) -> list[str]:
    return [f"{name}, {lines[0]}", *lines[1:]]


@dataclass(frozen=True, kw_only=True, eq=False)
class UnionSource:
    """Several sets as one source. Build it with `UnionSource.of`."""

    members: dict[str, Source]
    identities: list[str]
    labels: NDArray[np.int64]
    account: Account

    @staticmethod
    def of(members: Mapping[str, Source], joined: Joined) -> "UnionSource":
        """The sets under their names. joined: what `join` or `keep_apart` made of the names of their identities.

        Raises DataError for a name with a slash, since keys begin with it, and where no set is given.
        """
        if not members:
            raise DataError("a union needs at least 1 set, got 0")
        for name in members:
            if not name or "/" in name:
                raise DataError(f"the name of a set must be a word without a slash, got {name!r}")
        labels = [joined.labels[name][np.asarray(member.labels)] for name, member in members.items()]
        shared = joined.shared()
        account = UnionAccount(
            origin=f"{' and '.join(members)} together",
            images=sum(map(len, labels)),
            identities=len(joined.identities),
            members={name: account_of(member) for name, member in members.items()},
            shared=len(shared),
            shared_names=tuple(shared[:MAX_EXAMPLES_SHOWN]),
        )
        return UnionSource(
            members=dict(members),
            identities=list(joined.identities),
            labels=np.concatenate(labels).astype(np.int64),
            account=account,
        )

    @cached_property
    def ends(self) -> NDArray[np.int64]:
        """[number of sets], where each set ends among the examples."""
        return np.cumsum([len(member) for member in self.members.values()], dtype=np.int64)

    @property
    def keys(self) -> JoinedKeys:
        """[n] names of the images, "set/key"."""
        return JoinedKeys(self.members, self.ends)

    def __len__(self) -> int:
        return len(self.labels)

    def sets(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """[n], the number of the set that each example is from."""
        return np.searchsorted(self.ends, indices, side="right").astype(np.int64)

    def locate(self, index: int) -> tuple[str, Source, int]:
        """The set of an example: its name, itself, and the place of the example in it."""
        number = int(np.searchsorted(self.ends, index, side="right"))
        name, member = list(self.members.items())[number]
        return name, member, index - int(self.ends[number]) + len(member)

    def read(self, index: int) -> NDArray[Any]:
        """One example."""
        _, member, place = self.locate(index)
        return member.read(place)

    def read_into(self, index: int, out: NDArray[np.uint8] | None) -> NDArray[Any]:
        """The same, decoded straight to `out` [height, width, 3] where its set can do that."""
        _, member, place = self.locate(index)
        while isinstance(member, Subset):
            member, place = member.source, int(rows_at(member.rows, np.array([place]))[0])
        return member.read_into(place, out) if isinstance(member, ReadsInto) else member.read(place)

    def read_part(self, index: int, share: float, length: int) -> NDArray[Any]:
        """A part of a recording."""
        _, member, place = self.locate(index)
        return read_part(member, place, share, length)

    def read_many(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Pixels [n, 3, height, width]; each set is asked once. Raises DataError where two sets differ in size."""
        if not len(indices):
            raise DataError("a batch needs at least 1 image, got 0")
        sets = self.sets(indices)
        images: NDArray[np.uint8] | None = None
        first = 0
        for number, member in enumerate(self.members.values()):
            rows = np.flatnonzero(sets == number)
            if not len(rows):
                continue
            found = read_images(member, indices[rows] - (self.ends[number] - len(member)))
            if images is None:
                images, first = np.empty((len(indices), *found.shape[1:]), dtype=np.uint8), int(rows[0])
            if found.shape[1:] != images.shape[1:]:
                shapes = [(*some.shape[2:], some.shape[1]) for some in (images, found)]
                raise different_sizes(self, int(indices[first]), shapes[0], int(indices[rows[0]]), shapes[1])
            images[rows] = found
        assert images is not None
        return images

    def read_bytes(self, index: int) -> bytes | None:
        """The encoded image, where its set holds one."""
        _, member, place = self.locate(index)
        return bytes_of(member, place)

    def stamp(self, index: int, *, times: bool) -> str | None:
        """What the set says of this example; None where no set says anything."""
        name, member, place = self.locate(index)
        said = stamp_of(member, place, times=times)
        return f"{name}:{said}" if said is not None or self._is_stamped else None

    @cached_property
    def _is_stamped(self) -> bool:
        return any(len(member) and stamp_of(member, 0, times=False) for member in self.members.values())
