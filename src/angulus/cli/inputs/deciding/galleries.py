"""Galleries that a command names: made, opened with their keys, and their threshold at their size."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from angulus.cli.options import GalleryUse
from angulus.errors import ConfigError, GalleryError
from angulus.gallery.ciphers import read_key
from angulus.gallery.gallery import ARTEFACT, FPIR, TRANSFORM, Gallery, wanted_fpir
from angulus.gallery.opening import open_engine
from angulus.gallery.transforms import KeyedRotation
from angulus.runtime import Bundle

if TYPE_CHECKING:
    from angulus.runtime.identification import SearchPoint


@contextmanager
def created(
    place: str, bundle: Path, use: GalleryUse, *, fpir: float, storage: Literal["float16", "int8"] | None
) -> Generator[Gallery, None, None]:
    """A new gallery for the vectors of a bundle."""
    known = Bundle(bundle)
    known.for_photos()
    rotation = None if use.transform_key_file is None else rotation_of(use.transform_key_file, known.artefact.dim)
    dim = known.artefact.dim if rotation is None else rotation.keep
    facts: dict[str, Any] = {ARTEFACT: known.artefact.name, FPIR: fpir}
    if rotation is not None:
        facts[TRANSFORM] = rotation.as_dict()
    with Gallery(open_engine(place, create=True, dim=dim, storage=storage, key=use.key(), facts=facts), rotation) as it:
        yield it


@contextmanager
def opened(place: str, bundle: Bundle | None, use: GalleryUse) -> Generator[Gallery, None, None]:
    """A gallery that is there. bundle: that it is used with. Raises GalleryError where it is of another."""
    engine = open_engine(place, key=use.key(), search=use.search)
    try:
        # the dimensions that a rotation takes are those of the vectors: what it keeps is stored
        dim = engine.dim if bundle is None else bundle.artefact.dim
        transform = None if use.transform_key_file is None else rotation_of(use.transform_key_file, dim)
        found = Gallery(engine, transform)
        kept = found.facts().get(ARTEFACT)
        if bundle is not None and kept != bundle.artefact.name:
            raise GalleryError(
                f"the gallery {place} holds vectors of another artefact ({str(kept)[:12]}, the bundle's is"
                f" {bundle.artefact.name[:12]}), which cannot be compared; enrol the people anew with this bundle"
            )
        yield found
    finally:
        engine.close()


def rotation_of(key_file: Path, dim: int) -> KeyedRotation:
    """The transform whose key is in a file."""
    return KeyedRotation(read_key(key_file), dim)


def search_point_of(
    gallery: Gallery, bundle: Bundle, *, fpir: float | None = None, threshold: float | None = None
) -> "SearchPoint":
    """The threshold of a search at the gallery's size. Raises ConfigError where a rate and a threshold are given."""
    from angulus.runtime.identification import search_point

    if fpir is not None and threshold is not None:
        raise ConfigError("give --fpir or --threshold, not both")
    wanted = None if threshold is not None else fpir if fpir is not None else wanted_fpir(gallery.facts())
    searches = None if bundle.curves is None else bundle.curves.searches
    return search_point(searches, gallery.engine.sizes(), fpir=wanted, threshold=threshold)


def people_to_enrol(folder: Path) -> dict[str, list[Path]]:
    """Photos by the names of the sub-folders that they are in. Raises ConfigError."""
    from angulus.faces.photos import list_photos

    found: dict[str, list[Path]] = {}
    for key in list_photos(folder):
        name, inner, _ = key.partition("/")
        if not inner:
            raise ConfigError(f"{folder / key} is in no sub-folder; --people takes one sub-folder of photos a person")
        found.setdefault(name, []).append(folder / key)
    return found
