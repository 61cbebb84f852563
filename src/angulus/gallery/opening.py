"""A gallery's engine by the place it is at: a folder, a database, or a server of Qdrant.

gallery/                                     a folder: SQLite, and a matrix beside it
postgresql://user@host/database?schema=NAME  PostgreSQL with pgvector; each schema is a gallery ("angulus")
qdrant:/folder/NAME  qdrant:memory/NAME  qdrant+http://host:6333/NAME  qdrant+https://...   a collection of Qdrant
"""

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from angulus.errors import GalleryError
from angulus.gallery.engines import PATIENCE, Engine
from angulus.gallery.folder.row_matrix import Storage
from angulus.gallery.folder.row_scan import ScanPlan
from angulus.gallery.folder.sqlite_engine import SqliteEngine, create_folder, discard_folder
from angulus.gallery.folder.sqlite_file import FILE

_POSTGRES = ("postgresql://", "postgres://")
_QDRANT = ("qdrant:", "qdrant+")


def open_engine(
    place: str | Path,
    *,
    create: bool = False,
    dim: int | None = None,
    search: str = "exact",
    storage: Storage | None = None,
    key: bytes | str | None = None,
    plan: ScanPlan | None = None,
    patience: float = PATIENCE,
    facts: Mapping[str, Any] | None = None,
) -> Engine:
    """Open the engine at a place, or create it.

    create: make an empty gallery of `dim` dimensions first; refused where there is one.
    search: "exact", or an index of faiss such as "faiss:HNSW32" over the same people (folders); for PostgreSQL "exact"
    or "hnsw".  storage: "float16" or "int8" rows in the matrix; None: as the gallery has it, float16 in a new one.
    key: 32 bytes or 64 hexadecimal digits: an encrypted gallery (folders).  plan: how the matrix is gone through; None:
    chosen by timing.  patience: seconds to wait for another process that is changing it.
    facts: settings of a new gallery, see `Gallery.set_facts`.
    Raises GalleryError where there is no gallery, one already, or an option that the engine does not have.
    """
    text = str(place)
    if not text.strip():
        raise GalleryError('a gallery must have a place, got ""; name a folder, such as people.gallery')
    if create and dim is None:
        raise GalleryError("a new gallery must be told its dimensions (dim), those of the model's vectors")
    if text.startswith(_POSTGRES + _QDRANT):
        _refuse_options(text, key=key, storage=storage, plan=plan)
        engine = _open_server(text, dim if create else None, search, patience)
        if create and facts:
            engine.set_facts(facts)
        return engine
    if re.match(r"[a-z+]{2,}://", text):
        raise GalleryError(f"a gallery is a folder, postgresql://..., qdrant:... or qdrant+http(s)://..., got {text!r}")
    return _open_folder(Path(place), create, dim, search, storage, key, plan, patience, facts)


def _open_server(place: str, dim: int | None, search: str, patience: float) -> Engine:
    if place.startswith(_POSTGRES):
        from angulus.gallery.servers.postgres_engine import PostgresEngine

        return PostgresEngine(place, dim=dim, search=search, patience=patience)
    _refuse_options(place, search=None if search == "exact" else search)
    from angulus.gallery.servers.qdrant_engine import QdrantEngine

    return QdrantEngine(place, dim=dim)


def _open_folder(
    folder: Path,
    create: bool,
    dim: int | None,
    search: str,
    storage: Storage | None,
    key: bytes | str | None,
    plan: ScanPlan | None,
    patience: float,
    facts: Mapping[str, Any] | None,
) -> SqliteEngine:
    index = None
    if search.startswith("faiss:"):
        from angulus.gallery.folder.faiss_search import FaissIndex

        index = FaissIndex(search.removeprefix("faiss:"))
    elif search != "exact":
        raise GalleryError(f'search must be "exact" or "faiss:" and the name of an index, got {search!r}')
    if not create:
        if not (folder / FILE).exists():
            raise GalleryError(f"there is no gallery in {folder}; make one with: angulus gallery create {folder}")
        engine = SqliteEngine(folder, key=key, index=index, plan=plan, patience=patience)
        if storage is not None and engine.storage != storage:
            engine.set_storage(storage)
        return engine
    with _gone_on_failure(folder):
        create_folder(folder, dim or 0, storage=storage or "float16", key=key, patience=patience, facts=facts)
        try:
            return SqliteEngine(folder, key=key, index=index, plan=plan, patience=patience)
        except BaseException:  # such as a disk with room for the database and none for the matrix
            discard_folder(folder)
            raise


@contextmanager
def _gone_on_failure(folder: Path) -> Generator[None, None, None]:
    """A folder that is made in the block is taken away again where the block fails and leaves it empty."""
    was_there = folder.exists()
    try:
        yield
    except BaseException:
        if not was_there:
            with suppress(OSError):
                folder.rmdir()
        raise


def _refuse_options(place: str, **options: object) -> None:
    for name, value in options.items():
        if value is not None:
            raise GalleryError(f"{name} must not be given for {place.split(':')[0]}: it is for galleries in folders")
