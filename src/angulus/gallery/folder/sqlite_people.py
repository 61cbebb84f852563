"""How people lie in the tables of an SQLite file: written and read through a connection, sealed by a cipher.

Every function takes the connection, and with it the transaction, from its caller.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.errors import GalleryError
from angulus.gallery.ciphers import Cipher
from angulus.gallery.people import EnrolledPhoto, Person, checked_name, name_taken, stored_bytes, vectors_from

_READ_AT_ONCE, _ROWS_AT_ONCE = 256, 4096


@dataclass(frozen=True, kw_only=True)
class Templates:
    """People found by row: rows, ids and sealed names, and their templates float32 [n, d]."""

    rows: list[int]
    ids: list[str]
    names: list[bytes]
    vectors: NDArray[np.float32]


class PeopleTables:
    """cipher: seals names, notes, digests and vectors."""

    def __init__(self, cipher: Cipher) -> None:
        self.cipher = cipher

    # ------------------------------------------------------------------------------------------ written

    def put(self, link: Connection, person: Person, change: int) -> bool:
        """Insert or replace a checked person; whether one was replaced. Raises GalleryError for a taken name."""
        key = self.cipher.finder(person.name)
        if link.execute("SELECT 1 FROM people WHERE name_key = ? AND id <> ?", [key, person.id]).fetchone():
            raise name_taken(person.name)
        sealed = [
            key,
            self.cipher.seal(person.name.encode(), "name", person.id),
            self.cipher.seal(person.note.encode(), "note", person.id),
            person.added,
            change,
        ]
        found = link.execute("SELECT row FROM people WHERE id = ?", [person.id]).fetchone()
        if found:
            row = found[0]
            link.execute("UPDATE people SET name_key=?, name=?, note=?, added=?, changed=? WHERE row=?", [*sealed, row])
            self._release_photos(link, row)
        else:
            row = _free_row(link)
            link.execute("INSERT INTO people VALUES (?, ?, ?, ?, ?, ?, ?)", [row, person.id, *sealed])
        template = self.cipher.seal(stored_bytes(person.template), "template", person.id)
        link.execute("INSERT INTO templates VALUES (?, ?) ON CONFLICT (row) DO UPDATE SET content = excluded.content",
                     [row, template])  # fmt: skip
        self._put_photos(link, row, person)
        return bool(found)

    def _put_photos(self, link: Connection, row: int, person: Person) -> None:
        seal = self.cipher.seal
        for place, photo in enumerate(person.photos):
            where = f"{person.id}/{photo.id}"
            slot = _slot_with(link, seal(stored_bytes(photo.vector), "vector", where))
            link.execute(
                "INSERT INTO photos (person, place, id, slot, digest, digest_key, added, note) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    row,
                    place,
                    photo.id,
                    slot,
                    seal(photo.digest.encode(), "digest", where),
                    self.cipher.finder(photo.digest) if photo.digest else None,
                    photo.added,
                    seal(photo.note.encode(), "photo note", where),
                ],
            )

    def drop(self, link: Connection, ident: str, change: int) -> bool:
        """Remove a person and overwrite the vectors; False where there is none."""
        found = link.execute("SELECT row FROM people WHERE id = ?", [ident]).fetchone()
        if not found:
            return False
        self._release_photos(link, found[0])
        link.execute("UPDATE templates SET content = zeroblob(length(content)) WHERE row = ?", found)
        link.execute("DELETE FROM people WHERE row = ?", found)
        link.execute("INSERT INTO holes VALUES (?, ?)", [found[0], change])
        return True

    @staticmethod
    def _release_photos(link: Connection, row: int) -> None:
        slots = link.execute("SELECT slot FROM photos WHERE person = ?", [row]).fetchall()
        link.executemany("UPDATE vectors SET content = zeroblob(length(content)) WHERE slot = ?", slots)
        link.executemany("INSERT INTO free_slots VALUES (?)", slots)
        link.execute("DELETE FROM photos WHERE person = ?", [row])

    # ------------------------------------------------------------------------------------------ read

    def one(self, link: Connection, dim: int, *, ident: str | None = None, name: str | None = None) -> Person | None:
        """The person of an id, or of a name."""
        if ident is not None:
            found = self._read(link, dim, "people.id = ?", [ident])
        else:
            found = self._read(link, dim, "people.name_key = ?", [self.cipher.finder(name or "")])
        return next(iter(found), None)

    def page(self, link: Connection, dim: int, after: int, most: int) -> tuple[list[Person], str | None]:
        """The next people in the order of rows, and the row of the last; None where no more follow."""
        wanted = "SELECT row FROM people WHERE row > ? ORDER BY row LIMIT ?"
        rows = [row for (row,) in link.execute(wanted, [after, most + 1])]
        found: list[Person] = []
        for start in range(0, min(len(rows), most), _READ_AT_ONCE):
            part = rows[start : min(start + _READ_AT_ONCE, most)]
            found += self._read(link, dim, "people.row >= ? AND people.row <= ?", [part[0], part[-1]])
        return found, str(rows[most - 1]) if len(rows) > most else None

    def _read(self, link: Connection, dim: int, where: str, values: Sequence[Any]) -> list[Person]:
        """where: of this module, never of a user."""
        rows = link.execute(
            "SELECT people.row, id, name, note, added, content FROM people JOIN templates USING (row) "
            f"WHERE {where} ORDER BY people.row LIMIT {_READ_AT_ONCE}",
            values,
        ).fetchall()
        photos: dict[int, list[tuple]] = defaultdict(list)
        for row, *photo in link.execute(
            "SELECT person, id, content, digest, added, note FROM photos JOIN vectors USING (slot) "
            f"WHERE person IN ({_marks(rows)}) ORDER BY person, place",
            [row[0] for row in rows],
        ):
            photos[row].append(tuple(photo))
        return [self._person(row, photos[row[0]], dim) for row in rows]

    def _person(self, row: tuple, photos: list[tuple], dim: int) -> Person:
        unseal = self.cipher.open
        _, ident, name, note, added, template = row
        places = [f"{ident}/{photo[0]}" for photo in photos]
        blobs = [unseal(photo[1], "vector", place) for photo, place in zip(photos, places, strict=True)]
        vectors = vectors_from([unseal(template, "template", ident), *blobs], dim)
        return Person(
            id=ident,
            name=self.name(name, ident),
            note=_text(unseal(note, "note", ident)),
            added=added,
            template=vectors[0],
            photos=tuple(
                EnrolledPhoto(
                    id=photo[0],
                    vector=vector,
                    digest=_text(unseal(photo[2], "digest", place)),
                    added=photo[3],
                    note=_text(unseal(photo[4], "photo note", place)),
                )
                for photo, place, vector in zip(photos, places, vectors[1:], strict=True)
            ),
        )

    def name(self, sealed: bytes, ident: str) -> str:
        """A stored name. Raises GalleryError for one that could not have been enrolled."""
        return checked_name(_text(self.cipher.open(sealed, "name", ident)))

    def holders(self, link: Connection, digest: str) -> list[str]:
        """Ids of the people who have a photo of this digest, at most 100."""
        rows = link.execute(
            "SELECT DISTINCT people.id FROM photos JOIN people ON photos.person = people.row "
            "WHERE digest_key = ? ORDER BY people.row LIMIT 100",
            [self.cipher.finder(digest)],
        )
        return [ident for (ident,) in rows.fetchall()]

    def templates(self, link: Connection, rows: NDArray[np.int64], dim: int) -> Templates:
        """Those of the rows that are somebody's."""
        found: list[tuple] = []
        for start in range(0, len(rows), 500):
            part = rows[start : start + 500].tolist()
            found += link.execute(
                "SELECT people.row, id, name, content FROM people JOIN templates USING (row) "
                f"WHERE people.row IN ({_marks(part)})",
                part,
            ).fetchall()
        vectors = self._opened([(row[1], row[3]) for row in found], dim)
        rows_, ids, names = [row[0] for row in found], [row[1] for row in found], [row[2] for row in found]
        return Templates(rows=rows_, ids=ids, names=names, vectors=vectors)

    def changed(
        self, link: Connection, since: int, dim: int
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Rows and templates of the people who were put after a change."""
        found = link.execute(
            "SELECT people.row, id, content FROM people JOIN templates USING (row) WHERE changed > ?", [since]
        )
        while part := found.fetchmany(_ROWS_AT_ONCE):
            if min(row[0] for row in part) < 1:
                raise GalleryError("rows of people must be 1 and higher; the gallery is damaged: restore a copy of it")
            yield np.array([row[0] for row in part], dtype=np.int64), self._opened([row[1:] for row in part], dim)

    def _opened(self, templates: list[tuple[str, bytes]], dim: int) -> NDArray[np.float32]:
        blobs = [self.cipher.open(content, "template", ident) for ident, content in templates]
        return vectors_from(blobs, dim) if blobs else np.empty((0, dim), dtype=np.float32)


def removed(link: Connection, since: int) -> NDArray[np.int64]:
    """Rows of the people who were dropped after a change, and whose rows are nobody's."""
    return np.array(
        [row for (row,) in link.execute("SELECT row FROM holes WHERE changed > ?", [since])], dtype=np.int64
    )


def highest_row(link: Connection) -> int:
    """The highest row that is or was somebody's; 0 for none."""
    rows = [link.execute(f"SELECT max(row) FROM {table}").fetchone()[0] for table in ("people", "templates")]
    return max(row or 0 for row in rows)


def forget_vectors(link: Connection) -> None:
    """Delete all vectors, for vectors of another size to come; every person must be put again."""
    for table in ("photos", "vectors", "free_slots", "templates", "holes"):
        link.execute(f"DELETE FROM {table}")


def _free_row(link: Connection) -> int:
    hole = link.execute("SELECT min(row) FROM holes").fetchone()[0]
    if hole is None:
        return highest_row(link) + 1
    link.execute("DELETE FROM holes WHERE row = ?", [hole])
    return hole


def _slot_with(link: Connection, content: bytes) -> int:
    slot = link.execute("SELECT min(slot) FROM free_slots").fetchone()[0]
    if slot is None:
        return link.execute("INSERT INTO vectors (content) VALUES (?)", [content]).lastrowid or 0
    link.execute("DELETE FROM free_slots WHERE slot = ?", [slot])
    link.execute("UPDATE vectors SET content = ? WHERE slot = ?", [content, slot])
    return slot


def _marks(values: Sequence[Any]) -> str:
    return ",".join("?" * len(values))


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise GalleryError("a stored text must be UTF-8; the gallery is damaged: restore a copy of it") from None
