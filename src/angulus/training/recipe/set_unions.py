"""Several data sets as one in a recipe: who is who, who is trained on, and how the sets are mixed in a batch."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from angulus.data import MixedSampler, Source, Subset, UnionSource, join, keep_apart, read_people, select
from angulus.data.views.identity_matching import check_people
from angulus.data.views.label_corrections import Relabelled
from angulus.errors import DataError
from angulus.training.datasets import UnionData
from angulus.training.recipe.identity_rules import chosen, edited, split


@dataclass(frozen=True, kw_only=True, eq=False)
class Mixture:
    """How the training images of several sets share the batches.

    names: of the sets.  sets: [n], the number of the set of each image.  weights: of the sets in a batch.
    classes: the classes of each set, one set after the other, where each has a head of its own; else None.
    loss_weights: factors of the losses of separate heads.
    """

    names: tuple[str, ...]
    sets: NDArray[np.int64]
    weights: tuple[float, ...]
    classes: tuple[range, ...] | None
    loss_weights: tuple[float, ...]

    def sampler(self, batch_size: int, seed: int) -> MixedSampler:
        return MixedSampler(sets=self.sets, weights=self.weights, batch_size=batch_size, seed=seed)


def united(data: UnionData, raw: Mapping[str, Source]) -> UnionSource | Subset:
    """The sets as one, each with its own rules about identities, then those of the union.

    raw: the sets as they are, without any rule. In a union with separate heads the rules of the union are applied to
    every set by the names that it uses itself; a table of people uses the names that a set has after its edits.
    """
    raw = {name: edited_set(data, name, source) for name, source in raw.items()}
    people = None
    if data.join not in ("names", "separate"):
        path = Path(data.join).expanduser()
        people = read_people(path)
        check_people(path, people, {name: source.identities for name, source in raw.items()})
    members = {name: kept(data, name, source) for name, source in raw.items()}
    names = {name: member.identities for name, member in members.items()}
    if data.is_separate:
        return UnionSource.of(members, keep_apart(names))
    joined = join(names, people=people, spelling=data.spelling, numbers_are_names=data.numbers_are_names)
    return chosen(UnionSource.of(members, joined), data.identities)


def edited_set(data: UnionData, name: str, source: Source) -> Source:
    with told_of(name):
        return edited(source, data.sets[name].identities)


def kept(data: UnionData, name: str, source: Source) -> Subset:
    """What the other rules of a set keep of it."""
    with told_of(name):
        own = chosen(source, replace(data.sets[name].identities, edits=()), fewest=1)
        return chosen(own, data.identities) if data.is_separate else own


@contextmanager
def told_of(name: str) -> Generator[None, None, None]:
    """What is wrong with data in here is said to be so in this set."""
    try:
        yield
    except DataError as error:
        raise DataError(f"data.sets.{name}: {error}") from error


def split_apart(whole: UnionSource, data: UnionData) -> dict[str, Subset]:
    """The parts of a union with separate heads. A name goes to the same part in every set that has it."""
    own = replace(whole, identities=[name.partition("/")[2] for name in whole.identities])
    parts = split(own, data.identities)
    return {name: select(whole, part.indices) for name, part in parts.items()}


def mixture_of(data: UnionData, train: Subset) -> Mixture | None:
    """How the images that are trained on are mixed; None where they are shuffled as one set.

    Raises DataError where a set has nobody to train on, or a separate head would have one class.
    """
    if not data.is_separate and not data.weights:
        return None
    union = union_of(train)
    names = tuple(union.members)
    sets = union.sets(train.indices)
    labels = [np.unique(train.labels[sets == number]) for number in range(len(names))]
    for name, found in zip(names, labels, strict=True):
        least = 2 if data.is_separate else 1
        if len(found) < least:
            raise DataError(
                f"the set {name} has {len(found)} identities to train on and needs at least {least}; give it more, or "
                "a larger share in data.identities.parts, or leave it out"
            )
    counts = np.bincount(sets, minlength=len(names)).tolist()
    by_image = dict(zip(names, counts, strict=True)) if not data.weights else {}
    return Mixture(
        names=names,
        sets=sets,
        weights=tuple(float(by_image.get(name, data.weights.get(name, 1.0))) for name in names),
        classes=tuple(range(int(some[0]), int(some[-1]) + 1) for some in labels) if data.is_separate else None,
        loss_weights=tuple(data.loss_weights.get(name, 1.0) for name in names),
    )


def largest_head(mixture: Mixture | None) -> int | None:
    """Classes of the largest of separate heads; None where there is one head."""
    if mixture is None or mixture.classes is None:
        return None
    return max(len(classes) for classes in mixture.classes)


def union_of(view: Subset) -> UnionSource:
    """The union that a view is one of, whatever edits gave its images other names."""
    source = view.source.source if isinstance(view.source, Relabelled) else view.source
    assert isinstance(source, UnionSource)
    return source


def by_set(source: Source, names: tuple[str, ...]) -> dict[str, Subset]:
    """The images of each set of a union whose people were kept apart; sets without any are left out."""
    owners = np.array([name.partition("/")[0] for name in source.identities])
    rows = {name: np.flatnonzero(owners[source.labels] == name) for name in names}
    return {name: select(source, some) for name, some in rows.items() if len(some)}
