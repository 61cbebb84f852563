"""How people lie in the tables of a schema of PostgreSQL: written and read through a connection.

Every function takes the connection, and with it the transaction, from its caller.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.gallery.people import EnrolledPhoto, Person, checked_name, checked_person, name_taken, vectors_from

TABLES = (
    "CREATE TABLE {}.facts (name text PRIMARY KEY, value text NOT NULL)",
    "CREATE TABLE {}.people (number bigserial PRIMARY KEY, id text UNIQUE NOT NULL, name text UNIQUE NOT NULL, "
    "note text NOT NULL, added text NOT NULL, template halfvec NOT NULL)",
    "CREATE TABLE {}.photos (person bigint NOT NULL REFERENCES {}.people (number) ON DELETE CASCADE, "
    "place integer NOT NULL, id text NOT NULL, vector halfvec NOT NULL, digest text NOT NULL, added text NOT NULL, "
    "note text NOT NULL, PRIMARY KEY (person, place))",
    "CREATE INDEX ON {}.photos (digest) WHERE digest <> ''",
)


class PeopleTables:
    """Of one schema.  sql: the module psycopg.sql."""

    def __init__(self, sql: Any, schema: str) -> None:
        self._sql, self.schema = sql, schema

    def run(self, link: Any, text: str, values: Sequence[Any] = ()) -> Any:
        """text: of this package, {} in it is the schema."""
        identifier = self._sql.Identifier(self.schema)
        return link.execute(self._sql.SQL(text).format(*[identifier] * text.count("{}")), values)

    def put(self, link: Any, people: list[Person], dim: int) -> None:
        """Insert or replace people. Raises GalleryError for a name that somebody else has."""
        for person in people:
            checked_person(person, dim)
        ids = {person.name: person.id for person in people}
        held = self.run(link, "SELECT name, id FROM {}.people WHERE name = ANY(%s)", [list(ids)]).fetchall()
        taken = next((name for name, ident in held if ids[name] != ident), None)
        if len(people) > 1 and (taken is not None or not len(people) == len(ids) == len(set(ids.values()))):
            for person in people:  # one may take a name that another before it has given up
                self.put(link, [person], dim)
        elif taken is not None:
            raise name_taken(taken)
        else:
            self._write(link, people)

    def _write(self, link: Any, people: list[Person]) -> None:
        """Who is enrolled already keeps the number."""
        numbers = dict(
            self.run(
                link,
                "DELETE FROM {}.people WHERE id = ANY(%s) RETURNING id, number",
                [[person.id for person in people]],
            ).fetchall()
        )
        fresh = [person.id for person in people if person.id not in numbers]
        given = "SELECT nextval(pg_get_serial_sequence(%s, 'number')) FROM generate_series(1, %s)"
        drawn = link.execute(given, [f'"{self.schema}".people', len(fresh)]).fetchall()
        numbers |= {ident: row[0] for ident, row in zip(fresh, drawn, strict=True)}
        self._copy(
            link,
            "people (number, id, name, note, added, template)",
            ("int8", "text", "text", "text", "text", "halfvec"),
            (
                (numbers[each.id], each.id, each.name, each.note, each.added, half_vector(each.template))
                for each in people
            ),
        )
        self._copy(
            link,
            "photos (person, place, id, vector, digest, added, note)",
            ("int8", "int4", "text", "halfvec", "text", "text", "text"),
            (
                (numbers[each.id], place, photo.id, half_vector(photo.vector), photo.digest, photo.added, photo.note)
                for each in people
                for place, photo in enumerate(each.photos)
            ),
        )

    def _copy(self, link: Any, table: str, types: Sequence[str], rows: Iterable[tuple]) -> None:
        """Add rows to a table of this module."""
        statement = self._sql.SQL(f"COPY {{}}.{table} FROM STDIN WITH (FORMAT BINARY)")
        with (
            link.cursor() as cursor,
            cursor.copy(statement.format(self._sql.Identifier(self.schema))) as copy,
        ):
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)

    def read(self, link: Any, where: str, values: Sequence[Any], dim: int) -> list[Person]:
        """People who meet a condition, which is this package's and never a user's."""
        rows = self.run(
            link,
            f"SELECT number, id, name, note, added, template FROM {{}}.people WHERE {where} ORDER BY number",
            values,
        ).fetchall()
        photos: dict[int, list[tuple]] = defaultdict(list)
        for number, *photo in self.run(
            link,
            "SELECT person, id, vector, digest, added, note FROM {}.photos WHERE person = ANY(%s) "
            "ORDER BY person, place",
            [[row[0] for row in rows]],
        ).fetchall():
            photos[number].append(tuple(photo))
        return [_person(row, photos[row[0]], dim) for row in rows]


def half_vector(vector: NDArray[np.float32]) -> Any:
    """As PostgreSQL takes it, in float16."""
    from pgvector import HalfVector

    return HalfVector(np.asarray(vector, dtype=np.float16))


def unit_vectors(templates: Sequence[Any], dim: int) -> NDArray[np.float32]:
    """Stored templates as float32 [n, dim] of length 1."""
    return vectors_from([each.to_numpy().astype("<f2").tobytes() for each in templates], dim)


def _person(row: tuple, photos: list[tuple], dim: int) -> Person:
    _, ident, name, note, added, template = row
    vectors = unit_vectors([template, *(photo[1] for photo in photos)], dim)
    return Person(
        id=ident,
        name=checked_name(name),
        note=note,
        added=added,
        template=vectors[0],
        photos=tuple(
            EnrolledPhoto(id=photo[0], vector=vector, digest=photo[2], added=photo[3], note=photo[4])
            for photo, vector in zip(photos, vectors[1:], strict=True)
        ),
    )
