"""Sets of images that are looked at: opened in any layout, scanned, and put through a model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from angulus.cli.inputs.models_and_images import FittedImages, OpenModel, edited, fit_of_first
from angulus.cli.options import Fit, device_named
from angulus.cli.terminal import image_progress
from angulus.data import FolderSource, Source, open_source
from angulus.data.formats.catalogue import format_of
from angulus.embeddings import EmbeddingSet
from angulus.errors import AngulusError
from angulus.inspection import Contents, readable_part


def opened_set(path: Path, edits: Sequence[Path] = ()) -> Source:
    """The images at a path as they are stored; folders without an image are listed in the account."""
    if format_of(path) == "folder":
        return edited(FolderSource.open(path, on_empty="skip"), edits)
    return edited(open_source(path), edits)


def folder_to_write(out: Path) -> None:
    """Raises AngulusError where the results could not be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AngulusError(f"--out must be a folder, and {out} cannot be one: {error.strerror or error}") from error


def embedded(
    opened: OpenModel,
    source: Source,
    contents: Contents,
    *,
    fit: Fit,
    batch_size: int | None,
    device: str,
    quiet: bool,
) -> tuple[EmbeddingSet, NDArray[np.float32]]:
    """The embeddings of the readable images, and unit vectors [n, d] of all, zeros for those that are unreadable."""
    from angulus.extract import embed

    part, rows = readable_part(source, contents)
    size = (opened.model.input.height, opened.model.input.width)
    fit = opened.fit if fit == "auto" and opened.fit else fit
    fitted = FittedImages(source=part, size=size, fit=fit_of_first(part, size, fit))
    with image_progress(quiet=quiet) as progress:
        found = embed(
            opened.model, fitted, batch_size=batch_size, flip=True, device=device_named(device), progress=progress
        )
    unit = found.unit("sum")
    if len(rows) == len(source):
        return found, unit
    vectors = np.zeros((len(source), unit.shape[1]), np.float32)
    vectors[rows] = unit
    return found, vectors
