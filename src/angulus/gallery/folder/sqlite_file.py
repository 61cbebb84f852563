"""The SQLite file that holds a gallery: its tables, and how a file of a stranger is opened.

    facts     settings; names that begin with a dot are the engine's own
    people    one row each; `row` is also the row of the matrix, `changed` the number of the last change
    photos    in the order of `place`
    templates, vectors   by the row of the person and by the slot of the photo
    holes, free_slots    rows of removed people and when they were removed, and slots: overwritten, to be used again
    changes   the last changes, each with a random token

SQLite moves the rows of a table that grows in its middle and leaves copies in unused parts of pages, where overwriting
does not reach them. So rows of templates and vectors are of one size, added at the end alone and never deleted.
Only a file whose tables are exactly these is opened: no triggers, views or expressions of others are ever run.
"""

import os
import secrets
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from angulus.errors import GalleryError
from angulus.files import BoundedReader
from angulus.whole_files import clear_partials_of, glob_escaped, reason_of

FILE = "gallery.db"
FORMAT, APPLICATION = 1, 0x416E6761
TABLES = (
    "CREATE TABLE facts (name TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL) STRICT",
    "CREATE TABLE people (row INTEGER PRIMARY KEY NOT NULL, id TEXT UNIQUE NOT NULL, name_key BLOB UNIQUE NOT NULL, "
    "name BLOB NOT NULL, note BLOB NOT NULL, added TEXT NOT NULL, changed INTEGER NOT NULL) STRICT",
    "CREATE INDEX people_changed ON people (changed)",
    "CREATE TABLE photos (number INTEGER PRIMARY KEY NOT NULL, person INTEGER NOT NULL REFERENCES people (row), "
    "place INTEGER NOT NULL, id TEXT NOT NULL, slot INTEGER NOT NULL, digest BLOB NOT NULL, digest_key BLOB, "
    "added TEXT NOT NULL, note BLOB NOT NULL) STRICT",
    "CREATE INDEX photos_person ON photos (person, place)",
    "CREATE INDEX photos_digest ON photos (digest_key) WHERE digest_key IS NOT NULL",
    "CREATE TABLE templates (row INTEGER PRIMARY KEY NOT NULL, content BLOB NOT NULL) STRICT",
    "CREATE TABLE vectors (slot INTEGER PRIMARY KEY NOT NULL, content BLOB NOT NULL) STRICT",
    "CREATE TABLE free_slots (slot INTEGER PRIMARY KEY NOT NULL) STRICT",
    "CREATE TABLE holes (row INTEGER PRIMARY KEY NOT NULL, changed INTEGER NOT NULL) STRICT",
    "CREATE INDEX holes_changed ON holes (changed)",
    "CREATE TABLE changes (number INTEGER PRIMARY KEY NOT NULL, token BLOB NOT NULL) STRICT",
)
_MAGIC = b"SQLite format 3\0"
_LONGEST = 2**24  # bytes of one value


def can_write(path: Path) -> bool:
    """Whether this process may change a gallery's file, and make the files that SQLite has beside it."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def connect(path: Path, patience: float, *, to_write: bool = True) -> sqlite3.Connection:
    """A connection that trusts nothing in the file, flushes at every commit and overwrites what is deleted.

    to_write: False for a file that cannot be changed; nothing is made beside it.
    """
    with told(path, patience):
        return _linked(path, patience, "mode=rw" if to_write else _read_mode(path))


def _linked(path: Path, patience: float, mode: str) -> sqlite3.Connection:
    """mode: never rwc, so that a file that went away is not made anew."""
    link = sqlite3.connect(
        f"{path.resolve().as_uri()}?{mode}", uri=True, timeout=patience, isolation_level=None,
        check_same_thread=False, cached_statements=64,
    )  # fmt: skip
    link.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
    link.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 1)  # VACUUM takes one
    for setting in (
        "trusted_schema=OFF", "cell_size_check=ON", "foreign_keys=ON", "secure_delete=ON", "synchronous=FULL",
        "temp_store=MEMORY", "mmap_size=0",
    ):  # fmt: skip
        link.execute(f"PRAGMA {setting}").fetchall()
    return link


def _read_mode(path: Path) -> str:
    """A log that has something in it must be read too; without one SQLite would still want to make one."""
    log = path.with_name(f"{path.name}-wal")
    return "mode=ro" if log.exists() and log.stat().st_size else "mode=ro&immutable=1"


def create_file(path: Path, facts: dict[str, bytes], patience: float) -> None:
    """Make a gallery's file, whole or not at all. Raises GalleryError where there is something already."""
    if path.exists() and path.stat().st_size:
        raise GalleryError(f"{path.parent} holds a gallery already; open it, or name another folder")
    try:
        path.parent.mkdir(0o700, parents=True, exist_ok=True)
        clear_partials_of(path)
        partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.{os.getpid()}.partial")
        os.close(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            with told(path, patience):
                _fill(partial, facts, patience)
            _put_in_place(partial, path)
        finally:
            for left in path.parent.glob(f"{glob_escaped(partial.name)}*"):
                left.unlink(missing_ok=True)
    except OSError as error:
        raise GalleryError(f"{path} cannot be made: {reason_of(error)}; name another folder") from error


def _fill(path: Path, facts: dict[str, bytes], patience: float) -> None:
    link = _linked(path, patience, "mode=rw")
    try:
        link.execute("PRAGMA journal_mode=MEMORY").fetchall()  # no file beside it, and none is needed yet
        link.execute("BEGIN IMMEDIATE")
        for table in TABLES:
            link.execute(table)
        link.executemany("INSERT INTO facts VALUES (?, ?)", facts.items())
        link.execute("INSERT INTO changes VALUES (1, ?)", [os.urandom(8)])
        link.execute(f"PRAGMA application_id={APPLICATION}")
        link.execute(f"PRAGMA user_version={FORMAT}")
        link.execute("COMMIT")
        link.execute("PRAGMA journal_mode=WAL").fetchall()
    finally:
        link.close()


def _put_in_place(partial: Path, path: Path) -> None:
    """Give a file its name, unless another process was faster. Raises OSError and GalleryError."""
    try:
        os.link(partial, path)
    except FileExistsError:
        if path.stat().st_size:
            raise GalleryError(f"another process made a gallery in {path.parent} meanwhile; open it") from None
        partial.replace(path)
    except OSError:  # a file system without second names
        partial.replace(path)
    partial.unlink(missing_ok=True)  # a file with two names is not opened


def check_file(path: Path) -> None:
    """Raise GalleryError where there is no SQLite file, before SQLite sees it."""
    try:
        with BoundedReader(path) as file:
            begin = file.read(len(_MAGIC))
    except OSError as error:
        raise GalleryError(
            f"{path.parent} is no gallery: {path.name} in it cannot be read ({error.strerror or error}); "
            "name a folder made by angulus gallery create"
        ) from error
    if begin != _MAGIC:
        raise GalleryError(f"{path} is no gallery: it is not an SQLite file; name a folder that holds one")


def check_tables(link: sqlite3.Connection, path: Path, *, to_write: bool = True) -> None:
    """Raise GalleryError where a file's tables are not exactly those of a gallery of this format."""
    with told(path, 0):
        application = link.execute("PRAGMA application_id").fetchone()[0]
        version = link.execute("PRAGMA user_version").fetchone()[0]
        count = link.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        found = link.execute("SELECT substr(sql, 1, 2000) FROM sqlite_schema WHERE sql IS NOT NULL LIMIT 100")
        tables = {sql for (sql,) in found.fetchall()}
    if application != APPLICATION:
        raise GalleryError(f"{path} is no gallery: it is an SQLite file of something else; name another folder")
    if version != FORMAT:
        raise GalleryError(f"{path} must be a gallery of format {FORMAT}, and is of {version}; use its own version")
    if tables != set(TABLES) or count > 100:
        raise GalleryError(f"{path} has other tables, views or triggers than a gallery; it is not opened")
    if to_write and link.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        link.execute("PRAGMA journal_mode=WAL").fetchall()


@contextmanager
def told(path: Path, patience: float) -> Generator[None, None, None]:
    """What SQLite says, as a sentence."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise GalleryError(
                f"another process has been changing {path.parent} for {patience:g} s; wait for it, and try again"
            ) from error
        if code == sqlite3.SQLITE_FULL:
            raise GalleryError(f"{path} cannot be written: the disk is full; nothing was changed") from error
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR):
            raise GalleryError(f"{path} cannot be read or written: {error}; nothing was changed") from error
        raise GalleryError(f"{path} is damaged, or no gallery: {error}; restore a copy of it") from error
