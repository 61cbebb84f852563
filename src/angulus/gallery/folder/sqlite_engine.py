"""A gallery in a folder: SQLite holds the truth, and a matrix beside it is what is searched.

    gallery.db        people and photos; every change is flushed before it is acknowledged (WAL, synchronous=FULL)
    gallery.matrix    the templates as rows, mapped into memory; derived, and made again when in doubt

A search goes through the matrix (or an index of faiss) for candidates and scores those exactly in float32 from the
stored templates. Any number of processes may search and change a gallery at once; writers wait for each other.
A removed person is overwritten in the database, in its log and in the matrix; what a disk keeps of freed blocks, and
copies of the folder, are beyond it. With a key all names, notes, digests and vectors are stored encrypted, and the
matrix is in memory alone; so it is where the folder cannot be written, which is then read as it was when it was opened.
"""

import logging
import os
import sqlite3
import threading
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.errors import GalleryError
from angulus.gallery.ciphers import WRONG_KEY, Cipher, cipher_for
from angulus.gallery.engines import (
    PATIENCE,
    Closing,
    Hit,
    candidates_for,
    checked_facts,
    checked_most,
    checked_queries,
    place_after,
)
from angulus.gallery.folder.row_matrix import STORAGES, Change, HeldMatrix, Layout, MappedMatrix, RowIndex, Storage
from angulus.gallery.folder.row_scan import ScanPlan
from angulus.gallery.folder.sqlite_file import FILE, can_write, check_file, check_tables, connect, create_file, told
from angulus.gallery.folder.sqlite_people import PeopleTables, Templates, forget_vectors, highest_row, removed
from angulus.gallery.people import MOST_DIMENSIONS, Person, checked_person
from angulus.json_files import parse_json

logger = logging.getLogger(__name__)

MATRIX = "gallery.matrix"
_KEPT_CHANGES = 1000
_QUERIES_AT_ONCE, _MOST_READERS = 256, 8
_MOST_TIMES = 64  # what the rows of a matrix may take, of what the database takes
_OPENED = b"the key opens this gallery"


def create_folder(
    folder: Path,
    dim: int,
    *,
    storage: Storage = "float16",
    key: bytes | str | None = None,
    patience: float = PATIENCE,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Make an empty gallery, with its facts or not at all.

    Raises GalleryError where the folder holds one, or cannot be written.
    """
    if not 1 <= dim <= MOST_DIMENSIONS:
        raise GalleryError(f"a gallery must have 1 to {MOST_DIMENSIONS} dimensions, got {dim}")
    if storage not in STORAGES:
        raise GalleryError(f"storage must be one of {', '.join(STORAGES)}, got {storage}")
    cipher = cipher_for(key)
    kept = {".dim": str(dim).encode(), ".storage": storage.encode(), ".gallery": os.urandom(16)}
    if cipher.is_secret:
        kept[".check"] = cipher.seal(_OPENED, "check", "")
    for name, text in checked_facts(facts or {}).items():
        if text is not None:
            kept[_plain_name(name)] = cipher.seal(text.encode(), "fact", name)
    create_file(folder / FILE, kept, patience)


def discard_folder(folder: Path) -> None:
    """Take away the files of a gallery that nobody has used yet."""
    for name in (FILE, f"{FILE}-wal", f"{FILE}-shm", MATRIX, Path(MATRIX).with_suffix(".lock")):
        with suppress(OSError):
            (folder / name).unlink(missing_ok=True)


def _plain_name(name: str) -> str:
    if name.startswith("."):
        raise GalleryError("a fact's name must not begin with a dot; choose another name")
    return name


class SqliteEngine(Closing):
    """A gallery in a folder, opened.

    key: of an encrypted gallery.  index: what proposes candidates; None: the matrix, exactly gone through.
    plan: how the matrix is gone through; None: chosen by timing.  patience: seconds to wait for another writer.
    Raises GalleryError where the folder holds no gallery, or the key does not open it.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        key: bytes | str | None = None,
        index: RowIndex | None = None,
        plan: ScanPlan | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self.folder, self.patience = Path(folder), patience
        self._path = self.folder / FILE
        check_file(self._path)
        self._can_write = can_write(self._path)
        self._writer = self._connected()
        self._readers: list[sqlite3.Connection] = []
        self._closed = False
        self._lock, self._catching = threading.RLock(), threading.Lock()
        self._depth, self._holder, self._change = 0, 0, 0
        self._removes = self._resized = False
        try:
            with told(self._path, patience):
                check_tables(self._writer, self._path, to_write=self._can_write)
                self._cipher = self._checked_cipher(key)
            self._tables = PeopleTables(self._cipher)
            in_memory = self._cipher.is_secret or not self._can_write
            self._index = index or (
                HeldMatrix(plan) if in_memory else MappedMatrix(self.folder / MATRIX, plan, patience)
            )
            self._catch_up()
        except BaseException:
            self.close()
            raise

    def _checked_cipher(self, key: bytes | str | None) -> Cipher:
        cipher = cipher_for(key)
        check = self._own_facts(self._writer).get(".check")
        if check is not None and not cipher.is_secret:
            raise GalleryError(f"{self.folder} is an encrypted gallery; give its key")
        if check is None and cipher.is_secret:
            raise GalleryError(f"{self.folder} is not encrypted, and a key was given; leave the key out")
        try:
            if check is not None and cipher.open(check, "check", "") != _OPENED:
                raise GalleryError(WRONG_KEY)
        except GalleryError:
            raise GalleryError(WRONG_KEY) from None
        return cipher

    # ------------------------------------------------------------------------------------------ connections

    def _connected(self) -> sqlite3.Connection:
        return connect(self._path, self.patience, to_write=self._can_write)

    @contextmanager
    def _reading(self) -> Generator[sqlite3.Connection, None, None]:
        """A connection that sees one state of the gallery within the block: that of this thread's own changes."""
        if self._depth and self._holder == threading.get_ident():
            with told(self._path, self.patience):
                yield self._writer
            return
        self._check_open()
        try:
            link = self._readers.pop()
        except IndexError:
            link = self._connected()
        try:
            with told(self._path, self.patience):
                link.execute("BEGIN")
                try:
                    yield link
                finally:
                    link.execute("COMMIT")
        finally:
            if len(self._readers) < _MOST_READERS and not self._closed:
                self._readers.append(link)
            else:
                link.close()

    @contextmanager
    def writing(self) -> Generator[None, None, None]:
        """See `Engine.writing`."""
        with self._lock:
            self._check_writable()
            if not self._depth:
                with told(self._path, self.patience):
                    self._writer.execute("BEGIN IMMEDIATE")
                self._holder, self._change = threading.get_ident(), 0
                self._removes = self._resized = False
            self._depth += 1
            try:
                with told(self._path, self.patience):
                    yield
                    if self._depth == 1:
                        self._writer.execute("COMMIT")
            except BaseException:
                if self._depth == 1 and self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise
            finally:
                self._depth -= 1
            if not self._depth and self._removes:
                self._overwrite()

    def _overwrite(self) -> None:
        """Zero what was removed in the matrix, and empty the log, which holds older pages of the database."""
        try:
            self._catch_up()
            if self._resized:
                self.compact()
            matrix = self.folder / MATRIX
            if not isinstance(self._index, MappedMatrix) and matrix.exists() and not self._cipher.is_secret:
                self._catch_up(MappedMatrix(matrix, patience=self.patience))
            with told(self._path, self.patience):
                waits = self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except GalleryError as error:
            raise GalleryError(
                f"the change was made, but not all of what was removed could be overwritten yet: {error}"
            ) from error
        if waits:
            logger.warning(
                "%s is being read: removed vectors stay in its log until the next removal, or until all close it",
                self.folder,
            )

    def _check_writable(self) -> None:
        self._check_open()
        if not self._can_write:
            raise GalleryError(f"{self.folder} must be writable to be changed, and is not; make it so, open again")

    def _check_open(self) -> None:
        if self._closed:
            raise GalleryError(f"the gallery {self.folder} was closed; open it again")

    # ------------------------------------------------------------------------------------------ facts

    @staticmethod
    def _own_facts(link: sqlite3.Connection) -> dict[str, bytes]:
        rows = link.execute("SELECT name, value FROM facts WHERE name LIKE '.%' LIMIT 100")
        return {name: bytes(value) for name, value in rows.fetchall()}

    def _layout(self, link: sqlite3.Connection) -> Layout:
        own = self._own_facts(link)
        try:
            dim, storage, gallery = int(own[".dim"]), own[".storage"].decode("ascii"), own[".gallery"]
        except (KeyError, ValueError):
            dim, storage, gallery = 0, "", b""
        if not 1 <= dim <= MOST_DIMENSIONS or storage not in STORAGES or len(gallery) != 16:
            raise GalleryError(f"{self._path} does not say what its vectors are; it is damaged: restore a copy of it")
        return Layout(dim=dim, storage=STORAGES[STORAGES.index(storage)], gallery=gallery)

    @property
    def kind(self) -> str:
        with self._reading() as link:
            layout = self._layout(link)
        sealed = ", encrypted" if self._cipher.is_secret else ""
        return f"SQLite and {type(self._index).__name__} ({layout.storage}{sealed})"

    @property
    def dim(self) -> int:
        with self._reading() as link:
            return self._layout(link).dim

    @property
    def storage(self) -> Storage:
        """The type of number that the matrix has."""
        with self._reading() as link:
            return self._layout(link).storage

    @property
    def plan(self) -> ScanPlan | None:
        """How the matrix is gone through, once it was chosen."""
        return getattr(self._index, "plan", None)

    def facts(self) -> dict[str, Any]:
        """See `Engine.facts`."""
        with self._reading() as link:
            rows = link.execute("SELECT name, value FROM facts WHERE name NOT LIKE '.%' LIMIT 1000").fetchall()
        try:
            return {name: parse_json(self._cipher.open(value, "fact", name)) for name, value in rows}
        except ValueError as error:
            raise GalleryError(f"a fact in {self._path} cannot be read: {error}; restore a copy of it") from error

    def set_facts(self, facts: Mapping[str, Any]) -> None:
        """See `Engine.set_facts`."""
        texts = checked_facts(facts)
        for name in texts:
            _plain_name(name)
        with self.writing():
            for name, text in texts.items():
                self._writer.execute("DELETE FROM facts WHERE name = ?", [name])
                if text is not None:
                    self._set(name, self._cipher.seal(text.encode(), "fact", name))

    def set_storage(self, storage: Storage) -> None:
        """Have the rows of the matrix in another type of number from now on."""
        if storage not in STORAGES:
            raise GalleryError(f"storage must be one of {', '.join(STORAGES)}, got {storage}")
        with self.writing():
            self._set(".storage", storage.encode())

    def _set(self, name: str, value: bytes) -> None:
        self._writer.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", [name, value])

    # ------------------------------------------------------------------------------------------ changes

    def put(self, person: Person) -> None:
        """See `Engine.put`."""
        with self.writing():
            checked_person(person, self._layout(self._writer).dim)
            self._removes |= self._tables.put(self._writer, person, self._numbered())

    def _numbered(self) -> int:
        """The number of the change that this transaction makes."""
        if not self._change:
            link = self._writer
            self._change = link.execute("SELECT max(number) + 1 FROM changes").fetchone()[0]
            link.execute("INSERT INTO changes VALUES (?, ?)", [self._change, os.urandom(8)])
            link.execute("DELETE FROM changes WHERE number <= ?", [self._change - _KEPT_CHANGES])
        return self._change

    def put_many(self, people: Iterable[Person]) -> None:
        """See `Engine.put_many`."""
        with self.writing():
            for person in people:
                self.put(person)

    def drop(self, person_id: str) -> bool:
        """See `Engine.drop`."""
        with self.writing():
            if self.get(person_id) is None:
                return False
            self._removes = True
            return self._tables.drop(self._writer, person_id, self._numbered())

    def resize(self, dim: int) -> None:
        """See `Engine.resize`."""
        if not 1 <= dim <= MOST_DIMENSIONS:
            raise GalleryError(f"a gallery must have 1 to {MOST_DIMENSIONS} dimensions, got {dim}")
        with self.writing():
            self._numbered()
            self._set(".dim", str(dim).encode())
            forget_vectors(self._writer)
            self._removes = self._resized = True

    def compact(self) -> None:
        """Write the database anew, without what it no longer needs: names and dates of removed people among it.

        Takes as long as copying it, and as much room. Vectors of removed people are overwritten when they are removed.
        """
        with self._lock, told(self._path, self.patience):
            self._check_writable()
            self._writer.execute("VACUUM")
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    # ------------------------------------------------------------------------------------------ people

    def get(self, person_id: str) -> Person | None:
        """See `Engine.get`."""
        with self._reading() as link:
            return self._tables.one(link, self._layout(link).dim, ident=person_id)

    def named(self, name: str) -> Person | None:
        """See `Engine.named`."""
        with self._reading() as link:
            return self._tables.one(link, self._layout(link).dim, name=name)

    def page(self, after: str, most: int) -> tuple[list[Person], str | None]:
        """See `Engine.page`."""
        first, most = place_after(after), checked_most(most)
        with self._reading() as link:
            return self._tables.page(link, self._layout(link).dim, first, most)

    def holders(self, digest: str) -> list[str]:
        """See `Engine.holders`."""
        with self._reading() as link:
            return self._tables.holders(link, digest)

    def count(self) -> int:
        """See `Engine.count`."""
        with self._reading() as link:
            return link.execute("SELECT count(*) FROM people").fetchone()[0]

    def photo_count(self) -> int:
        """See `Engine.photo_count`."""
        with self._reading() as link:
            return link.execute("SELECT count(*) FROM photos").fetchone()[0]

    def sizes(self) -> dict[int, int]:
        """See `Engine.sizes`."""
        each = "SELECT count(*) AS photos FROM photos GROUP BY person"
        with self._reading() as link:
            return dict(link.execute(f"SELECT photos, count(*) FROM ({each}) GROUP BY photos").fetchall())

    # ------------------------------------------------------------------------------------------ search

    def search(self, queries: NDArray[np.float32], k: int) -> list[list[Hit]]:
        """See `Engine.search`."""
        self._check_open()
        queries = checked_queries(queries, k, self.dim)
        self._catch_up()
        found: list[list[Hit]] = []
        for start in range(0, len(queries), _QUERIES_AT_ONCE):
            part = queries[start : start + _QUERIES_AT_ONCE]
            found += self._scored(part, self._index.candidates(part, candidates_for(k)) + 1, k)
        return found

    def _scored(self, queries: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> list[list[Hit]]:
        """The best k by exact cosines of candidates [q, c]: rows of the database, 0 for none."""
        with self._reading() as link:
            found = self._tables.templates(link, np.unique(rows[rows > 0]), self._layout(link).dim)
        if found.vectors.shape[1] != queries.shape[1]:
            raise GalleryError("the vectors of this gallery were issued again meanwhile; open it again")
        place = {row: number for number, row in enumerate(found.rows)}
        hits = []
        for query, mine in zip(queries, rows.tolist(), strict=True):
            places = [place[row] for row in dict.fromkeys(mine) if row in place]
            scores = (found.vectors[places] @ query).tolist()
            best = sorted(zip(scores, places, strict=True), reverse=True)[:k]
            hits.append([self._hit(found, place, score) for score, place in best])
        return hits

    def _hit(self, found: Templates, place: int, score: float) -> Hit:
        ident = found.ids[place]
        return Hit(person_id=ident, name=self._tables.name(found.names[place], ident), score=score)

    def _catch_up(self, index: RowIndex | None = None) -> None:
        """Have the index show the newest change, which another process may have made."""
        index = index or self._index
        with self._reading() as link:
            layout, newest = self._layout(link), self._newest(link)
        if index.shows(layout) == newest:
            return
        # first the lock, then the state: so nobody puts back what a faster one has written
        with self._catching, index.exclusive(), self._reading() as link:
            layout, newest = self._layout(link), self._newest(link)
            since = self._known(link, index.shows(layout), newest)
            if since is None:
                index.reset(layout)
            if since != newest:
                self._copy_changes(link, index, 0 if since is None else since.number, layout.dim)
                index.settle(newest)

    @staticmethod
    def _newest(link: sqlite3.Connection) -> Change:
        found = link.execute("SELECT number, token FROM changes ORDER BY number DESC LIMIT 1").fetchone()
        if found is None or not 0 < found[0] < 2**62 or len(found[1]) != 8:
            raise GalleryError("the gallery does not say which change is its last; it is damaged: restore a copy of it")
        return Change(number=found[0], token=bytes(found[1]))

    @staticmethod
    def _known(link: sqlite3.Connection, shown: Change | None, newest: Change) -> Change | None:
        """The change that an index shows, if it is one of this gallery's past."""
        if shown is None or shown.number > newest.number:
            return None
        found = link.execute("SELECT token FROM changes WHERE number = ?", [shown.number]).fetchone()
        return shown if found and bytes(found[0]) == shown.token else None

    def _copy_changes(self, link: sqlite3.Connection, index: RowIndex, since: int, dim: int) -> None:
        rows, held = highest_row(link), sum(path.stat().st_size for path in self.folder.glob(f"{FILE}*"))
        if rows * dim > _MOST_TIMES * held + 2**26:
            raise GalleryError(f"{self._path} claims {rows:,} rows, more than fit in it; it is damaged")
        index.reserve(rows)
        for rows, vectors in self._tables.changed(link, since, dim):
            index.update(rows - 1, vectors)
        index.forget(removed(link, since) - 1)

    def memory(self) -> int:
        """See `Engine.memory`."""
        return self._index.memory()

    def close(self) -> None:
        """Let go of the files; searches that still run end first or with an error."""
        with self._lock:
            self._closed = True
            for link in [*self._readers, self._writer]:
                link.close()
            self._readers.clear()
            if hasattr(self, "_index"):
                self._index.close()
