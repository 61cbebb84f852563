"""Images through the original and through the artefact: both kinds of vectors, from crops that are read once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from angulus.data.examples import Source
from angulus.data.loading.workers import read_batch
from angulus.embeddings.directions import unit_rows
from angulus.errors import BundleError
from angulus.inference.networks import torch_network
from angulus.models import EmbeddingModel
from angulus.models.folding import folded
from angulus.runtime.preparation import Crops

Vectors = NDArray[np.float32]
Compute = Callable[[Crops], Vectors]
"""Crops uint8 [n, h, w, 3] -> vectors of length 1 [n, d]."""
Progress = Callable[[int, int | None], None]
BATCH = 32
MADE_UP = 64
"""Pictures that are compared where the user gives none."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BothVectors:
    """Vectors [n, d] of the same images before and after, and whose they are (None: nobody in particular)."""

    before: Vectors
    after: Vectors
    labels: NDArray[np.int64] | None

    @property
    def people(self) -> int:
        """How many people there are."""
        return 0 if self.labels is None else len(np.unique(self.labels))


def original(model: EmbeddingModel, *, mirror: bool, raw: bool = False) -> Compute:
    """The network in torch, float32, as `angulus embed` runs it; mirror: the raw embeddings of both views are added.

    raw: embeddings as they are, and not of length 1.
    """
    # a copy: the model may be on a GPU, or in training
    network = torch_network(folded(model).cpu(), torch.device("cpu"))

    def compute(crops: Crops) -> Vectors:
        images = torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2)
        with torch.inference_mode():
            prepared = model.input.prepare(images)
            found = network(prepared)
            if mirror:
                found = found + network(prepared.flip(-1))
        unit, norms = unit_rows(found.numpy())
        if not np.isfinite(norms).all() or not (norms > 0).all():
            raise BundleError("the model gives an embedding without a direction (NaN, infinity or zero); train it anew")
        return (found.numpy() if raw else unit).astype(np.float32)

    return compute


def both_vectors(
    source: Source,
    before: Compute,
    after: Compute,
    *,
    check: Callable[[Crops, Sequence[str]], None] | None = None,
    progress: Progress | None = None,
) -> BothVectors:
    """All images of a source through both. check: called with images and their names before they are used.

    Raises DataError for an image that cannot be read, and what `check` raises.
    """
    found: tuple[list[Vectors], list[Vectors]] = ([], [])
    for start in range(0, len(source), BATCH):
        crops = crops_of(source, start, start + BATCH)
        if check is not None:
            check(crops, source.keys[start : start + BATCH])
        for vectors, compute in zip(found, (before, after), strict=True):
            vectors.append(compute(crops))
        if progress is not None:
            progress(min(start + BATCH, len(source)), len(source))
    if not found[0]:
        raise BundleError("there must be at least one image to compare with, got none")
    labels = np.asarray(source.labels) if has_people(source) else None
    return BothVectors(before=np.concatenate(found[0]), after=np.concatenate(found[1]), labels=labels)


def has_people(source: Source) -> bool:
    """Whether a source says who is shown; loose files are of nobody in particular, all under one name."""
    return bool(len(source.identities)) and list(source.identities) != ["unknown"]


def crops_of(source: Source, begin: int, end: int) -> Crops:
    """Images begin to end of a source, uint8 [n, h, w, 3]."""
    rows = np.arange(begin, min(end, len(source)), dtype=np.int64)
    return np.ascontiguousarray(read_batch(source, rows).permute(0, 2, 3, 1).numpy())


def made_up_crops(height: int, width: int) -> Crops:
    """Pictures of nothing, the same every time."""
    return np.random.default_rng(0).integers(0, 256, (MADE_UP, height, width, 3), dtype=np.uint8)
