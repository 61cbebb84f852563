"""Sets of images that are looked at: opened in any layout, scanned, and put through a model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from angulus.cli.inputs.models_and_images import FittedImages, OpenModel, fit_of_first
from angulus.cli.options import Edits, EmbeddingUse, Said, Usual
from angulus.cli.terminal import image_progress
from angulus.data import FolderSource, Source, open_source
from angulus.data.formats.catalogue import format_of
from angulus.embeddings import EmbeddingSet
from angulus.errors import AngulusError
from angulus.inspection import Contents, Seen, readable_part, scan, typical_spectrum


def opened_set(path: Path, edits: Edits = Usual.edits) -> Source:
    """The images at a path as they are stored; folders without an image are listed in the account."""
    if format_of(path) == "folder":
        return edits.applied(FolderSource.open(path, on_empty="skip"))
    return edits.applied(open_source(path))


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
    use: EmbeddingUse,
    said: Said,
) -> tuple[EmbeddingSet, NDArray[np.float32]]:
    """The embeddings of the readable images, and unit vectors [n, d] of all, zeros for those that are unreadable."""
    from angulus.extract import embed

    part, rows = readable_part(source, contents)
    size = (opened.model.image_input().height, opened.model.image_input().width)
    fitted = FittedImages(source=part, size=size, fit=fit_of_first(part, size, opened.fitting(use.fit)))
    with image_progress(quiet=said.quiet) as progress:
        found = embed(
            *(opened.model, fitted), batch_size=use.batch_size, flip=True, device=use.place(), progress=progress
        )
    unit = found.unit("sum")
    if len(rows) == len(source):
        return found, unit
    vectors = np.zeros((len(source), unit.shape[1]), np.float32)
    vectors[rows] = unit
    return found, vectors


def seen_sets(
    sources: Sequence[Source], opened: OpenModel | None, use: EmbeddingUse, said: Said
) -> tuple[list[Seen], EmbeddingSet | None]:
    """Sets that are to be compared, looked at and embedded where a model is at hand; the last one's embeddings."""
    typical = typical_spectrum(*sources)
    seen, found = [], None
    for source in sources:
        with image_progress(quiet=said.quiet, doing="looking") as progress:
            contents = scan(source, typical, progress=progress)
        vectors = None
        if opened is not None:
            found, vectors = embedded(opened, source, contents, use, said)
        seen.append(Seen(source=source, contents=contents, vectors=vectors))
    return seen, found
