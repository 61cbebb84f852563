"""How the classes lie at the end of a run: two of one person, one of two people, verified people who were trained on.

pairs    of classes whose weights are nearest: how the images of the two compare with the images of each
groups   two within a class: how its images compare within them and between them
own      how near images come to their class weight, for a choice of classes: what is hard is split, or holds two
known    for people of a verified set: how near their mean comes to a class weight, beside people trained on
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from angulus.data import Source, select
from angulus.embeddings import EmbeddingSet
from angulus.errors import DataError
from angulus.extract import embed
from angulus.heads import MarginHead, SeparateHeads
from angulus.models import EmbeddingModel
from angulus.training.recording.class_weights import weights_of
from angulus.training.recording.trained_people import TrainedPeople, rows_of_classes, unit_rows

MOST_CLASSES = 20_000
PAIRS, CLASSES, IMAGES = 16, 48, 24
BLOCK = 2048
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
HARD = (0.1, 0.25, 0.5)
"""Shares of the classes, by their own cosine, of which the bound is noted."""


def class_facts(
    model: EmbeddingModel,
    head: MarginHead | SeparateHeads,
    train: Source,
    verified: dict[str, EmbeddingSet],
    people: TrainedPeople,
    device: torch.device,
    hardest: Sequence[int] = (),
) -> dict[str, Any]:
    """Nothing where other processes hold some of the classes. Of more than 20,000 the largest are looked at.

    hardest: classes that were far from their weight in training, which are looked at beside a seeded choice.
    """
    order = np.argsort(-people.sizes, kind="stable")[:MOST_CLASSES]
    looked = np.sort(order)
    weights = weights_of(head, looked)
    if weights is None or len(looked) < 3:
        return {"looked_at": 0}
    nearest, cosines = nearest_rows(weights, device)
    facts: dict[str, Any] = {
        "looked_at": len(looked),
        "nearest": np.quantile(cosines, SHARES).tolist(),
        "known": {name: known_facts(found, weights) for name, found in verified.items()},
    }
    trained = known_of_trained(model, train, people, weights, looked, device)
    facts["known"]["trained people"] = trained
    pairs = closest_pairs(nearest, cosines)
    drawn = drawn_classes(people.sizes[looked])
    asked = np.flatnonzero(np.isin(looked, np.asarray(hardest, dtype=np.int64)))
    classes = np.unique(np.concatenate([[k for a, b, _ in pairs for k in (a, b)], drawn, asked]).astype(np.int64))
    rows, labels = rows_of_classes(train, looked[classes], IMAGES, np.random.default_rng(0))
    found = unit_rows(np.asarray(embed(model, select(train, rows), flip=False, device=device).embeddings))
    units = {int(k): found[labels == looked[k]] for k in classes}
    own = {k: float((some @ weights[k]).mean()) for k, some in units.items()}
    if len(drawn):
        facts["own"] = np.quantile([own[int(k)] for k in drawn], HARD).tolist()
    facts["pairs"] = [pair_facts(a, b, cos, units, own, looked) for a, b, cos in pairs if a in units and b in units]
    facts["groups"] = sorted(
        ({"class": int(looked[k]), "own": own[k], **group_facts(some)} for k, some in units.items() if len(some) >= 6),
        key=lambda one: -one["parted"],
    )
    return facts


def nearest_rows(weights: NDArray[np.float32], device: torch.device) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The nearest other row of each, and its cosine. weights: directions [c, d]."""
    rows = torch.from_numpy(weights).to(device)
    places, cosines = [], []
    for start in range(0, len(rows), BLOCK):
        products = rows[start : start + BLOCK] @ rows.T
        products[torch.arange(len(products)), torch.arange(start, start + len(products))] = -2.0
        best = products.max(1)
        places.append(best.indices.cpu().numpy())
        cosines.append(best.values.cpu().numpy())
    return np.concatenate(places), np.concatenate(cosines)


def closest_pairs(nearest: NDArray[np.int64], cosines: NDArray[np.float32]) -> list[tuple[int, int, float]]:
    """Pairs of classes, each the nearest of the other, the closest first."""
    mutual = [k for k in range(len(nearest)) if nearest[nearest[k]] == k and k < nearest[k]]
    mutual.sort(key=lambda k: -float(cosines[k]))
    return [(k, int(nearest[k]), float(cosines[k])) for k in mutual[:PAIRS]]


def drawn_classes(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """A seeded choice of classes with six images or more."""
    return np.random.default_rng(0).permutation(np.flatnonzero(sizes >= 6))[:CLASSES]


def pair_facts(
    a: int,
    b: int,
    cosine: float,
    units: dict[int, NDArray[np.float32]],
    own: dict[int, float],
    looked: NDArray[np.int64],
) -> dict[str, Any]:
    """The mean cosine of images of two classes within them and across.

    mixed: the share of their images whose nearest other image is of the other class; half of them where the two are one
    person whose images the network does not know by heart.
    """
    within = [within_of(units[k]) for k in (a, b) if len(units[k]) > 1]
    return {
        "classes": [int(looked[a]), int(looked[b])],
        "images": [len(units[a]), len(units[b])],
        "weights": cosine,
        "across": float((units[a] @ units[b].T).mean()),
        "within": float(np.mean(within)) if within else None,
        "mixed": mixed_share(units[a], units[b]),
        "own": [own[a], own[b]],
    }


def mixed_share(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    units = np.concatenate([left, right])
    products = units @ units.T
    np.fill_diagonal(products, -2.0)
    is_left = np.arange(len(units)) < len(left)
    return float((is_left[products.argmax(1)] != is_left).mean())


def within_of(units: NDArray[np.float32]) -> float:
    """The mean cosine over pairs of different images."""
    products = units @ units.T
    return float((products.sum() - np.trace(products)) / (len(units) * (len(units) - 1)))


def group_facts(units: NDArray[np.float32]) -> dict[str, Any]:
    """The two groups into which images of a class fall. parted: how much more alike pairs within are than across."""
    sides = two_groups(units)
    left, right = units[sides], units[~sides]
    if min(len(left), len(right)) < 2:
        return {"images": len(units), "parted": 0.0, "smaller": min(len(left), len(right))}
    within, across = (within_of(left) + within_of(right)) / 2, float((left @ right.T).mean())
    smaller = min(len(left), len(right))
    return {
        "images": len(units),
        "parted": within - across,
        "within": within,
        "across": across,
        "smaller": smaller,
    }


def two_groups(units: NDArray[np.float32], rounds: int = 20) -> NDArray[np.bool_]:
    """[n] the side of each in two groups of directions, begun at the pair that is least alike."""
    products = units @ units.T
    a, b = np.unravel_index(np.argmin(products), products.shape)
    sides = products[a] >= products[b]
    for _ in range(rounds):
        if sides.all() or not sides.any():
            break
        centres = unit_rows(np.stack([units[sides].mean(0), units[~sides].mean(0)]))
        moved = units @ centres[0] >= units @ centres[1]
        if (moved == sides).all():
            break
        sides = moved
    return sides


def known_of_trained(
    model: EmbeddingModel,
    train: Source,
    people: TrainedPeople,
    weights: NDArray[np.float32],
    looked: NDArray[np.int64],
    device: torch.device,
) -> dict[str, Any]:
    """The same for people who are trained on, to compare with."""
    if people.source is None:
        return {}
    units = np.asarray(embed(model, people.source, flip=False, device=device).embeddings)
    found = EmbeddingSet(embeddings=units, labels=people.labels, identities=tuple(train.identities))
    return known_facts(found, weights)


def known_facts(found: EmbeddingSet, weights: NDArray[np.float32]) -> dict[str, Any]:
    """How near the mean directions of people come to a class weight: quantiles, and those who come nearest."""
    units = unit_rows(np.asarray(found.embeddings, dtype=np.float32))
    if found.labels is None:
        raise DataError("people can only be compared by their labels")
    labels = np.asarray(found.labels)
    numbers, places = np.unique(labels, return_inverse=True)
    means = np.zeros((len(numbers), units.shape[1]), dtype=np.float32)
    np.add.at(means, places, units)
    best = np.concatenate(
        [(part @ weights.T).max(1) for part in np.array_split(unit_rows(means), len(means) // BLOCK + 1)]
    )
    names = found.identities or ()
    top = np.argsort(-best, kind="stable")[:8]
    return {
        "people": len(numbers),
        "nearest": np.quantile(best, SHARES).tolist(),
        "highest": [[names[int(numbers[k])] if names else str(numbers[k]), float(best[k])] for k in top],
        "all": np.sort(best)[::-1][:200].tolist(),
    }
