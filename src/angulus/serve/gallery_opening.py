"""The gallery that a service is started with: made where it is missing, and refused where it is of another network."""

from pathlib import Path

from angulus.errors import ServiceError
from angulus.gallery import Gallery, KeyedRotation, open_engine
from angulus.gallery.gallery import ARTEFACT
from angulus.runtime.bundles import Bundle
from angulus.serve.roster import Roster


def open_roster(
    place: str | Path,
    bundle: Bundle,
    *,
    key: bytes | None = None,
    transform: KeyedRotation | None = None,
    search: str = "exact",
) -> Roster:
    """A gallery for a bundle; a folder without one gets one.

    key: of an encrypted gallery.  transform: that its vectors go through.  search: how templates are searched.
    Raises GalleryError where it cannot be opened, ServiceError where its vectors are of another artefact.
    """
    artefact = bundle.artefact
    dim = artefact.dim if transform is None else transform.keep
    is_new = "://" not in str(place) and not str(place).startswith("qdrant:") and _is_empty(Path(place))
    engine = open_engine(place, create=is_new, dim=dim if is_new else None, key=key, search=search)
    try:
        gallery = Gallery(engine, transform)
    except BaseException:
        engine.close()
        raise
    stored = gallery.facts().get(ARTEFACT)
    if stored is None and not gallery.engine.count():
        gallery.set_facts({ARTEFACT: artefact.name})
    elif stored is not None and stored != artefact.name:
        gallery.close()
        raise ServiceError(
            f"{place} holds vectors of another artefact ({str(stored)[:12]}, the bundle has {artefact.name[:12]}),"
            " whose scores mean nothing here: take its bundle, or enrol the photos into a new gallery"
        )
    if gallery.dim != artefact.dim:
        gallery.close()
        raise ServiceError(f"{place} takes vectors of {gallery.dim} dimensions, the bundle gives {artefact.dim}")
    return Roster(gallery)


def _is_empty(folder: Path) -> bool:
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
