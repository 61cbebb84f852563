"""What speaks for and against the label of each image: angles to the centers of its own class and of the others.

For image i with label y, unit embedding x (image plus mirrored image) and unit centers w_jk:

    own[i, k]      w_yk . x                    the cosine to each center of the own class
    other[i]       max over j != y, k of w_jk . x     and which class that is
    chance[i, k]   w_zk . x for a class z != y drawn at random: what a wrong label looks like
    agreement[i]   the cosine between the embeddings of the image and of its mirror image

Classes are taken in blocks, so that [n, c x k] is never whole; images in chunks that are kept on the disk, so that a
large set is embedded once and an interrupted pass goes on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from angulus.array_files import read_arrays, write_arrays
from angulus.data import Source, select
from angulus.embeddings import EmbeddingSet
from angulus.errors import DataError
from angulus.extract import embed
from angulus.models import EmbeddingModel
from angulus.purification.centers import Centers, dominant_centers
from angulus.whole_files import reason_of, remedy_of, write_beside

CHUNK = 16384
BLOCK = 65536  # centers at a time
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """Of n images: labels int64 [n], own float32 [n, k], other int64 [n], a class; other_cos, agreement float32 [n].

    by_chance int64 [n], a class drawn at random, and chance float32 [n, k], the cosines to its centers.
    other and by_chance are -1, and their cosines -1, where there is one class alone.
    """

    labels: NDArray[np.int64]
    own: NDArray[np.float32]
    other: NDArray[np.int64]
    other_cos: NDArray[np.float32]
    by_chance: NDArray[np.int64]
    chance: NDArray[np.float32]
    agreement: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def nearest(self) -> NDArray[np.int64]:
        """[n] the nearest center of the own class."""
        return self.own.argmax(axis=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Angles:
    """The evidence in degrees, n images: to the dominant and to the nearest own center, and to the nearest other class.

    views_angle: between image and mirrored image.
    chance_angle, chance_nearest: the same to the dominant and the nearest center of a class drawn at random.
    chance_is_other: bool [n], whether that class is the nearest other one.
    is_dominant: bool [n], whether the nearest own center is the dominant one.
    dominant: int64 [c], counts: int64 [c, k], how many images are nearest to each center.
    """

    dominant_angle: NDArray[np.float64]
    nearest_angle: NDArray[np.float64]
    other_angle: NDArray[np.float64]
    views_angle: NDArray[np.float64]
    chance_angle: NDArray[np.float64]
    chance_nearest: NDArray[np.float64]
    chance_is_other: NDArray[np.bool_]
    is_dominant: NDArray[np.bool_]
    dominant: NDArray[np.int64]
    counts: NDArray[np.int64]


def angles_of(evidence: Evidence, classes: int) -> Angles:
    """Degrees from cosines, and the dominant center of each class."""
    subcenters = evidence.own.shape[1]
    dominant, counts = dominant_centers(evidence.labels, evidence.nearest, classes, subcenters)
    own_dominant = dominant[evidence.labels]
    return Angles(
        dominant_angle=degrees(evidence.own[np.arange(len(evidence)), own_dominant]),
        nearest_angle=degrees(evidence.own.max(axis=1)),
        other_angle=degrees(evidence.other_cos),
        views_angle=degrees(evidence.agreement),
        chance_angle=degrees(evidence.chance[np.arange(len(evidence)), dominant[evidence.by_chance]]),
        chance_nearest=degrees(evidence.chance.max(axis=1)),
        chance_is_other=evidence.by_chance == evidence.other,
        is_dominant=evidence.nearest == own_dominant,
        dominant=dominant,
        counts=counts,
    )


def degrees(cosines: NDArray[np.floating]) -> NDArray[np.float64]:
    """Angles in degrees."""
    return np.rad2deg(np.arccos(np.clip(np.asarray(cosines, dtype=np.float64), -1.0, 1.0)))


@torch.inference_mode()
def weigh(embeddings: EmbeddingSet, centers: Centers, *, block: int = BLOCK, seed: int = 0) -> Evidence:
    """The evidence of labelled embeddings, whose labels number the classes of `centers`.

    block: centers at a time.  seed: of the classes drawn at random.

    Raises DataError where dimensions differ.
    """
    if embeddings.dim != centers.directions.shape[-1]:
        raise DataError(
            f"embeddings must have the dimension of the centers, {centers.directions.shape[-1]}, got {embeddings.dim}; "
            "use network and head of one run"
        )
    assert embeddings.labels is not None
    labels = np.asarray(embeddings.labels, dtype=np.int64)
    units = torch.from_numpy(embeddings.unit(embeddings.usual_view))
    by_chance = drawn_classes(labels, len(centers.directions), seed)
    other, other_cos = nearest_other(units, torch.from_numpy(labels), centers.directions, block)
    return Evidence(
        labels=labels,
        own=to_centers(units, centers, labels),
        other=other.numpy(),
        other_cos=other_cos.numpy(),
        by_chance=by_chance,
        chance=np.where(by_chance[:, None] < 0, np.float32(-1), to_centers(units, centers, by_chance)),
        agreement=agreement_of(embeddings),
    )


def to_centers(units: Tensor, centers: Centers, labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """The cosines [n, k] of unit embeddings to the centers of one class each."""
    return torch.einsum("nd,nkd->nk", units, centers.directions[torch.from_numpy(labels)]).numpy()


def drawn_classes(labels: NDArray[np.int64], classes: int, seed: int) -> NDArray[np.int64]:
    """A class other than the own for each image, evenly drawn; -1 where there is no other."""
    if classes < 2:
        return np.full(len(labels), -1, dtype=np.int64)
    return (labels + np.random.default_rng(seed).integers(1, classes, size=len(labels))) % classes


def nearest_other(units: Tensor, labels: Tensor, directions: Tensor, block: int) -> tuple[Tensor, Tensor]:
    """The class other than the own whose nearest center is nearest, and its cosine; -1 for none. [n] each."""
    classes, subcenters, _ = directions.shape
    best = torch.full((len(units),), -1.0)
    which = torch.full((len(units),), -1, dtype=torch.int64)
    step = max(1, block // subcenters)
    for start in range(0, classes, step):
        part = directions[start : start + step]
        cosines = (units @ part.flatten(0, 1).T).unflatten(1, (len(part), subcenters)).amax(dim=2)
        here = (labels >= start) & (labels < start + len(part))
        cosines[here.nonzero()[:, 0], labels[here] - start] = -2.0
        top, place = cosines.max(dim=1)
        better = top > best
        best[better], which[better] = top[better], place[better] + start
    return which, best


def agreement_of(embeddings: EmbeddingSet) -> NDArray[np.float32]:
    """[n] the cosine between image and mirrored image; 1 where mirrored images were not embedded."""
    if embeddings.flipped is None:
        return np.ones(len(embeddings), dtype=np.float32)
    norms = np.linalg.norm(embeddings.embeddings, axis=1) * np.linalg.norm(embeddings.flipped, axis=1)
    products = np.einsum("nd,nd->n", embeddings.embeddings, embeddings.flipped)
    return (products / np.maximum(norms, np.finfo(np.float32).tiny)).astype(np.float32)


def gather(
    model: EmbeddingModel,
    source: Source,
    centers: Centers,
    *,
    folder: Path | None = None,
    flip: bool = True,
    device: str | torch.device = "cpu",
    progress: Progress | None = None,
) -> Evidence:
    """Embed every image of a source and weigh it; chunks of the work are kept in `folder`, where one is given.

    centers: of the identities of the source, in their order.
    """
    parts = []
    for start in range(0, len(source), CHUNK):
        stop = min(start + CHUNK, len(source))
        file = None if folder is None else folder / f"{start:010d}-{stop:010d}.npz"
        found = None if file is None else read_part(file)
        if found is None:
            rows = np.arange(start, stop)
            view = select(source, rows)
            shown = None if progress is None else _shifted(progress, start, len(source))
            embeddings = embed(model, view, flip=flip, device=device, progress=shown)
            numbered = EmbeddingSet(
                embeddings=embeddings.embeddings, flipped=embeddings.flipped, labels=np.asarray(source.labels)[rows]
            )
            found = weigh(numbered, centers, seed=start)
            if file is not None:
                write_part(file, found)
        parts.append(found)
    return joined(parts)


def joined(parts: Sequence[Evidence]) -> Evidence:
    """Chunks one after the other."""
    return Evidence(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Evidence)})


def read_part(file: Path) -> Evidence | None:
    """A chunk that was kept, or None."""
    if not file.exists():
        return None
    try:
        stored = read_arrays(file)
        return Evidence(**{f.name: stored[f.name] for f in fields(Evidence)})
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{file} cannot be read: {error}; remove it, and this part is made anew") from error


def write_part(file: Path, part: Evidence) -> None:
    """Keep a chunk, whole or not at all."""
    arrays = {f.name: getattr(part, f.name) for f in fields(Evidence)}

    def write(partial: Path) -> None:
        with partial.open("wb") as out:
            write_arrays(out, arrays)

    try:
        write_beside(file, write)
    except OSError as error:
        raise DataError(
            f"{file} could not be written: {reason_of(error)}; what is finished is kept, {remedy_of(error)} and give "
            "the same command again"
        ) from error


def _shifted(progress: Progress, start: int, total: int) -> Progress:
    return lambda done, _: progress(start + done, total)
