"""Parts of recordings: which part a share names, and how a source gives it without reading the rest."""

from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from angulus.data.examples import Source
from angulus.speech.pictures import USUAL_RATE


@runtime_checkable
class ReadsParts(Protocol):
    """A source of recordings that reads a part of one without the rest."""

    def read_part(self, index: int, share: float, length: int) -> NDArray[Any]: ...


def rate_of(source: Any) -> int:
    """Samples a second of what a source gives, whatever view of recordings it is; the usual ones where it is silent."""
    while source is not None:
        for place in (source, getattr(source, "content", None)):
            rate = getattr(place, "rate", None)
            if isinstance(rate, int):
                return rate
        members = getattr(source, "members", None)
        source = next(iter(members.values())) if members else getattr(source, "source", None)
    return USUAL_RATE


def place_of(share: float, total: int, length: int) -> int:
    """Where a part begins in a recording that is at least as long.  share: in [0, 1)."""
    return int(share * (total - length + 1))


def part_of(recording: NDArray[Any], share: float, length: int) -> NDArray[Any]:
    """The part [length, ...] of a recording [t, ...] that `share` names; the whole recording where it is shorter."""
    if len(recording) <= length:
        return recording
    begin = place_of(share, len(recording), length)
    return recording[begin : begin + length]


def read_part(source: Source, index: int, share: float, length: int) -> NDArray[Any]:
    """The same of a recording of a source, with as little reading as it can do."""
    if isinstance(source, ReadsParts):
        return source.read_part(index, share, length)
    return part_of(source.read(index), share, length)
