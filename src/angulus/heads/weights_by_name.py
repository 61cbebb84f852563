"""Class weights that are taken over from another head by the names of the identities.

An identity of the same name keeps its weights, a new one keeps those that it has in the new head, one that is no longer
there is dropped, and several old ones can be joined into one. Pure tensors and names; a head may be divided.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from angulus.heads.head import MarginHead
from angulus.heads.strategies.cosine import unit


@dataclass(frozen=True, eq=False)
class NamedWeights:
    """names: c identities in class order.  weight: [c, d] or [c, k, d].  bias: [c] or None."""

    names: Sequence[str]
    weight: Tensor
    bias: Tensor | None = None


@dataclass(frozen=True)
class TakenOver:
    """What became of the classes of two heads, by name; the same on all processes."""

    kept: tuple[str, ...]
    merged: tuple[str, ...]
    new: tuple[str, ...]
    dropped: tuple[str, ...]


@torch.no_grad()
def take_over(
    head: MarginHead, names: Sequence[str], old: NamedWeights, merged: Mapping[str, Sequence[str]] | None = None
) -> TakenOver:
    """Give the classes of a head the weights, and the bias, of the old classes of their names.

    names: of all classes of the head, in order.  merged: {new name: old names}; the row is the mean of the unit
    directions of the old rows, as long as these are on average, for each sub-center of its own.

    Raises ValueError where names or shapes do not fit.
    """
    merged = merged or {}
    check_fit(head, names, old)
    check_merged(names, old.names, merged)
    places = {name: place for place, name in enumerate(old.names)}
    sources = [sources_of(name, places, merged) for name in names]
    pairs = [(number, rows) for number, rows in enumerate(sources[head.classes.start : head.classes.stop]) if rows]
    copy(head.weight, old.weight, pairs, joined_directions)
    if head.bias is not None and old.bias is not None:
        copy(head.bias, old.bias, pairs, lambda rows: rows.mean(dim=0))
    used = {row for rows in sources for row in rows}
    named = list(zip(names, sources, strict=True))
    return TakenOver(
        kept=tuple(name for name, rows in named if rows and name not in merged),
        merged=tuple(name for name in names if name in merged),
        new=tuple(name for name, rows in named if not rows),
        dropped=tuple(name for name, place in places.items() if place not in used),
    )


def sources_of(name: str, places: Mapping[str, int], merged: Mapping[str, Sequence[str]]) -> tuple[int, ...]:
    """The old classes from which one begins: none for a new one."""
    if name in merged:
        return tuple(places[old] for old in merged[name])
    return (places[name],) if name in places else ()


def copy(into: Tensor, old: Tensor, pairs: list[tuple[int, tuple[int, ...]]], join: Callable[[Tensor], Tensor]) -> None:
    """Rows of `into` from the rows of `old`: copied where there is one, else joined."""
    single = [(number, rows[0]) for number, rows in pairs if len(rows) == 1]
    if single:
        mine, theirs = (torch.tensor(numbers) for numbers in zip(*single, strict=True))
        into[mine.to(into.device)] = old[theirs.to(old.device)].to(into.device, into.dtype)
    for number, rows in pairs:
        if len(rows) > 1:
            into[number] = join(old[list(rows)]).to(into.device, into.dtype)


def joined_directions(rows: Tensor) -> Tensor:
    """[m, d] or [m, k, d] to [d] or [k, d]: the mean direction with the mean length."""
    length = torch.linalg.vector_norm(rows, dim=-1, keepdim=True).mean(dim=0)
    return unit(unit(rows).mean(dim=0)) * length


def check_fit(head: MarginHead, names: Sequence[str], old: NamedWeights) -> None:
    if len(names) != head.num_classes or len(old.names) != len(old.weight):
        raise ValueError(
            f"there must be a name for each class: {len(names)} names for {head.num_classes} classes, "
            f"{len(old.names)} names for {len(old.weight)} old ones"
        )
    if old.weight.shape[-1] != head.embedding_dim:
        raise ValueError(
            f"embedding_dim must be that of the old class weights, {old.weight.shape[-1]}, got {head.embedding_dim}"
        )
    subcenters = old.weight.shape[1] if old.weight.ndim == 3 else 1
    if subcenters != head.subcenters:
        raise ValueError(f"subcenters must be those of the old class weights, {subcenters}, got {head.subcenters}")


def check_merged(names: Sequence[str], olds: Sequence[str], merged: Mapping[str, Sequence[str]]) -> None:
    known, known_before = set(names), set(olds)
    for name, joined in merged.items():
        if name not in known:
            raise ValueError(f"merged: {name!r} is no identity of the training data{did_you_mean(name, names)}")
        for old in joined:
            if old not in known_before:
                raise ValueError(f"merged: {name!r} joins {old!r}, which is no old identity{did_you_mean(old, olds)}")


def did_you_mean(name: str, known: Sequence[str]) -> str:
    found = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {found[0]}?" if found else ""
