"""Sets of images or recordings that are looked at: opened in any layout, scanned, and put through a model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from angulus.cli.inputs.models_and_images import FittedImages, OpenModel, fit_of_first
from angulus.cli.options import Edits, EmbeddingUse, Said, Usual
from angulus.cli.terminal import image_progress
from angulus.data import FolderSource, Source, open_source
from angulus.data.examples import noun_of
from angulus.data.formats.catalogue import format_of
from angulus.embeddings import EmbeddingSet
from angulus.errors import AngulusError, DataError
from angulus.inference.given_images import content_for
from angulus.inspection import Contents, Seen, readable_part, scan, typical_spectrum
from angulus.inspection.looks import FEATURES, PHOTOS, RECORDINGS, look_of
from angulus.models import InputSpec, Spec


def opened_set(path: Path, edits: Edits = Usual.edits, model: OpenModel | None = None) -> Source:
    """What lies at a path as it is stored; folders without an example are listed in the account.

    model: recordings are read at the rate of one for speech. Raises DataError where it takes something else.
    """
    spec = None if model is None else model.model.input
    content = None if spec is None or isinstance(spec, InputSpec) else content_for(spec)
    if format_of(path) == "folder":
        source: Source = FolderSource.open(path, on_empty="skip", content=content)
    else:
        source = open_source(path, content=content)
    if spec is not None:
        _check_taken(path, source, spec)
    return edits.applied(source)


def _check_taken(path: Path, source: Source, spec: Spec) -> None:
    look = look_of(source)
    if isinstance(spec, InputSpec):
        fits = look is PHOTOS
    else:
        fits = look is (FEATURES if spec.content == "features" else RECORDINGS)
    if not fits:
        held = "stored features" if look is FEATURES else look.words.many
        raise DataError(f"{path} holds {held}, and the model takes {spec.describe()}; name another model, or none")


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
    """The embeddings of the readable examples, and unit vectors [n, d] of all, zeros for those that are unreadable."""
    from angulus.extract import embed

    part, rows = readable_part(source, contents)
    pictured = contents.look is PHOTOS
    if pictured:
        size = (opened.model.image_input().height, opened.model.image_input().width)
        part = FittedImages(source=part, size=size, fit=fit_of_first(part, size, opened.fitting(use.fit)))
    with image_progress(quiet=said.quiet, of=contents.look.words.many) as progress:
        found = embed(
            *(opened.model, part), batch_size=use.batch_size, flip=pictured, device=use.place(), progress=progress
        )
    unit = found.unit(found.usual_view)
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
        with image_progress(quiet=said.quiet, doing="looking", of=f"{noun_of(source)}s") as progress:
            contents = scan(source, typical, progress=progress)
        vectors = None
        if opened is not None:
            found, vectors = embedded(opened, source, contents, use, said)
        seen.append(Seen(source=source, contents=contents, vectors=vectors))
    return seen, found
