"""A gallery in PostgreSQL with pgvector: a schema of its own, float16 vectors, searched in full or through HNSW.

    postgresql://user@host/database?schema=NAME

Below some thousand people every template is gone through; above, and where "hnsw" was asked for, an index of
neighbours proposes candidates, which are scored exactly in float32 from the stored templates. Who is removed is gone
for every query; the server's files hold the old row until VACUUM and new rows overwrite it: encrypt its disk.
"""

import threading
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import numpy as np
from numpy.typing import NDArray

from angulus.errors import GalleryError
from angulus.gallery.engines import (
    PAGE,
    PATIENCE,
    Closing,
    Hit,
    candidates_for,
    checked_facts,
    checked_most,
    checked_queries,
    place_after,
)
from angulus.gallery.people import MOST_DIMENSIONS, Person, checked_name
from angulus.gallery.servers.postgres_people import TABLES, PeopleTables, half_vector, unit_vectors
from angulus.json_files import parse_json

SCHEMA = "angulus"
FORMAT = "angulus gallery 1"
EXACT_BELOW = 5_000
_MOST_READERS, _MOST_INDEXED = 8, 4000


class PostgresEngine(Closing):
    """A gallery in a schema of a database.

    dim: make it first, for vectors of so many dimensions; None: open it.  search: "exact", or "hnsw", which makes an
    index where there is none.  ef_search: candidates that HNSW keeps on its way, 1 to 1000: more find more and take
    longer.  exact_below: people, below which everybody is gone through.
    Raises GalleryError where the package, the server or the gallery is missing.
    """

    def __init__(
        self,
        address: str,
        *,
        dim: int | None = None,
        search: str = "exact",
        ef_search: int = 200,
        exact_below: int = EXACT_BELOW,
        patience: float = PATIENCE,
    ) -> None:
        try:
            import pgvector.psycopg
            import psycopg
            import psycopg.sql
        except ImportError:
            raise GalleryError(
                "a gallery in PostgreSQL needs the packages psycopg and pgvector, which are not installed: "
                "pip install 'angulus[postgres]'"
            ) from None
        if search not in ("exact", "hnsw"):
            raise GalleryError(f'search in PostgreSQL must be "exact" or "hnsw", got {search!r:.80}')
        if not 1 <= ef_search <= 1000:
            raise GalleryError(f"ef_search must be 1 to 1000, got {ef_search}")
        self._psycopg, self._vectors = psycopg, pgvector.psycopg
        self._sql: Any = psycopg.sql
        self._address, self.schema = _parted(address)
        self._tables = PeopleTables(self._sql, self.schema)
        self.search_by, self.ef_search, self.exact_below, self.patience = search, ef_search, exact_below, patience
        self._lock, self._depth, self._holder, self._closed = threading.RLock(), 0, 0, False
        self._readers: list[Any] = []
        with self._told():
            self._writer = psycopg.connect(self._address, autocommit=True)
        try:
            with self._told():
                if dim is not None:
                    self._create(dim)
                self._check()
                self._vectors.register_vector(self._writer)
                if search == "hnsw":
                    self._make_index()
        except BaseException:
            self.close()
            raise

    def _create(self, dim: int) -> None:
        if not 1 <= dim <= MOST_DIMENSIONS:
            raise GalleryError(f"a gallery must have 1 to {MOST_DIMENSIONS} dimensions, got {dim}")
        with self._writer.transaction():
            if self._writer.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [self.schema]).fetchone():
                raise GalleryError(f"the database has a schema {self.schema!r} already; open it, or name another")
            self._writer.execute("CREATE EXTENSION IF NOT EXISTS vector")
            self._tables.run(self._writer, "CREATE SCHEMA {}")
            for table in TABLES:
                self._tables.run(self._writer, table)
            self._tables.run(
                self._writer, "INSERT INTO {}.facts VALUES ('.format', %s), ('.dim', %s)", [FORMAT, str(dim)]
            )

    def _check(self) -> None:
        table = self._writer.execute("SELECT to_regclass(%s)", [f'"{self.schema}".facts']).fetchone()
        found = None
        if table and table[0]:
            found = self._tables.run(self._writer, "SELECT value FROM {}.facts WHERE name = '.format'").fetchone()
        if found is None or found[0] != FORMAT:
            raise GalleryError(f"there is no gallery in the schema {self.schema!r} of this database; create it first")

    def _make_index(self) -> None:
        """By the size of vectors, so that another size gets another index."""
        dim = self._dim(self._writer)
        if dim > _MOST_INDEXED:
            raise GalleryError(f"an index of PostgreSQL takes at most {_MOST_INDEXED} dimensions, got {dim}; use exact")
        name = self._sql.Identifier(f"people_hnsw_{dim}")
        self._writer.execute(
            self._sql.SQL(
                "CREATE INDEX IF NOT EXISTS {} ON {}.people USING hnsw ((template::halfvec({})) halfvec_ip_ops) "
                "WHERE vector_dims(template) = {}"  # else rows that this very change removes are in its way
            ).format(name, self._sql.Identifier(self.schema), self._sql.Literal(dim), self._sql.Literal(dim))
        )

    # ------------------------------------------------------------------------------------------ connections

    @contextmanager
    def _told(self) -> Generator[None, None, None]:
        try:
            yield
        except self._psycopg.errors.LockNotAvailable as error:
            raise GalleryError(
                f"another process has been changing the gallery {self.schema!r} for {self.patience:g} s; try again"
            ) from error
        except self._psycopg.Error as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise GalleryError(f"the database of the gallery {self.schema!r} answered: {first}") from error

    @contextmanager
    def _reading(self) -> Generator[Any, None, None]:
        with self._told():
            if self._depth and self._holder == threading.get_ident():
                yield self._writer
                return
            self._check_open()
            try:
                link = self._readers.pop()
            except IndexError:
                link = self._psycopg.connect(self._address, autocommit=True)
                self._vectors.register_vector(link)
            try:
                with link.transaction():
                    link.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    yield link
            finally:
                if len(self._readers) < _MOST_READERS and not self._closed and not link.closed:
                    self._readers.append(link)
                else:
                    link.close()

    @contextmanager
    def writing(self) -> Generator[None, None, None]:
        """See `Engine.writing`."""
        with self._lock, self._told():
            self._check_open()
            if self._depth:
                yield
                return
            with self._writer.transaction():
                wait = self._sql.Literal(f"{max(1, round(1000 * self.patience))}ms")
                self._writer.execute(self._sql.SQL("SET LOCAL lock_timeout = {}").format(wait))
                self._writer.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [self.schema])
                self._depth, self._holder = 1, threading.get_ident()
                try:
                    yield
                finally:
                    self._depth = 0

    def _check_open(self) -> None:
        if self._closed:
            raise GalleryError(f"the gallery {self.schema!r} was closed; open it again")

    # ------------------------------------------------------------------------------------------ facts

    @property
    def kind(self) -> str:
        return f"PostgreSQL with pgvector ({self.search_by}), schema {self.schema}"

    @property
    def dim(self) -> int:
        with self._reading() as link:
            return self._dim(link)

    def _dim(self, link: Any) -> int:
        found = self._tables.run(link, "SELECT value FROM {}.facts WHERE name = '.dim'").fetchone()
        if found is None or not found[0].isdecimal() or not 1 <= int(found[0]) <= MOST_DIMENSIONS:
            raise GalleryError(f"the gallery {self.schema!r} does not say how many dimensions it has; it is damaged")
        return int(found[0])

    def facts(self) -> dict[str, Any]:
        """See `Engine.facts`."""
        with self._reading() as link:
            rows = self._tables.run(link, "SELECT name, value FROM {}.facts WHERE left(name, 1) <> '.'").fetchall()
        return {name: parse_json(value) for name, value in rows}

    def set_facts(self, facts: Mapping[str, Any]) -> None:
        """See `Engine.set_facts`."""
        texts = checked_facts(facts)
        if any(name.startswith(".") for name in texts):
            raise GalleryError("a fact's name must not begin with a dot; choose another name")
        with self.writing():
            for name, text in texts.items():
                self._tables.run(self._writer, "DELETE FROM {}.facts WHERE name = %s", [name])
                if text is not None:
                    self._tables.run(self._writer, "INSERT INTO {}.facts VALUES (%s, %s)", [name, text])

    # ------------------------------------------------------------------------------------------ changes

    def put(self, person: Person) -> None:
        """See `Engine.put`."""
        self.put_many([person])

    def put_many(self, people: Iterable[Person]) -> None:
        """See `Engine.put_many`; some hundred go to the server at once."""
        everybody = iter(people)
        with self.writing():
            dim = self._dim(self._writer)
            while part := list(islice(everybody, PAGE)):
                self._tables.put(self._writer, part, dim)

    def drop(self, person_id: str) -> bool:
        """See `Engine.drop`; what the server does with the old row is its own."""
        with self.writing():
            return bool(self._tables.run(self._writer, "DELETE FROM {}.people WHERE id = %s", [person_id]).rowcount)

    def resize(self, dim: int) -> None:
        """See `Engine.resize`."""
        if not 1 <= dim <= MOST_DIMENSIONS:
            raise GalleryError(f"a gallery must have 1 to {MOST_DIMENSIONS} dimensions, got {dim}")
        with self.writing():
            old = self._sql.Identifier(self.schema, f"people_hnsw_{self._dim(self._writer)}")
            self._writer.execute(self._sql.SQL("DROP INDEX IF EXISTS {}").format(old))
            self._tables.run(self._writer, "DELETE FROM {}.people")
            self._tables.run(self._writer, "UPDATE {}.facts SET value = %s WHERE name = '.dim'", [str(dim)])
            if self.search_by == "hnsw":
                self._make_index()

    # ------------------------------------------------------------------------------------------ people

    def get(self, person_id: str) -> Person | None:
        """See `Engine.get`."""
        with self._reading() as link:
            return next(iter(self._tables.read(link, "id = %s", [person_id], self._dim(link))), None)

    def named(self, name: str) -> Person | None:
        """See `Engine.named`."""
        with self._reading() as link:
            return next(iter(self._tables.read(link, "name = %s", [name], self._dim(link))), None)

    def page(self, after: str, most: int) -> tuple[list[Person], str | None]:
        """See `Engine.page`."""
        first, most = place_after(after), checked_most(most)
        with self._reading() as link:
            numbers = self._tables.run(
                link, "SELECT number FROM {}.people WHERE number > %s ORDER BY number LIMIT %s", [first, most + 1]
            ).fetchall()
            if not numbers:
                return [], None
            last = numbers[:most][-1][0]
            found = self._tables.read(link, "number > %s AND number <= %s", [first, last], self._dim(link))
        return found, str(last) if len(numbers) > most else None

    def holders(self, digest: str) -> list[str]:
        """See `Engine.holders`."""
        with self._reading() as link:
            rows = self._tables.run(
                link,
                "SELECT DISTINCT number, people.id FROM {}.photos JOIN {}.people ON person = number "
                "WHERE digest = %s AND digest <> '' ORDER BY number LIMIT 100",
                [digest],
            )
            return [ident for _, ident in rows.fetchall()]

    def count(self) -> int:
        """See `Engine.count`."""
        with self._reading() as link:
            return self._tables.run(link, "SELECT count(*) FROM {}.people").fetchone()[0]

    def photo_count(self) -> int:
        """See `Engine.photo_count`."""
        with self._reading() as link:
            return self._tables.run(link, "SELECT count(*) FROM {}.photos").fetchone()[0]

    def sizes(self) -> dict[int, int]:
        """See `Engine.sizes`."""
        each = "(SELECT count(*) AS photos FROM {}.photos GROUP BY person) AS each"
        with self._reading() as link:
            return dict(self._tables.run(link, f"SELECT photos, count(*) FROM {each} GROUP BY photos").fetchall())

    # ------------------------------------------------------------------------------------------ search

    def search(self, queries: NDArray[np.float32], k: int) -> list[list[Hit]]:
        """See `Engine.search`."""
        with self._reading() as link:
            dim = self._dim(link)
            queries = checked_queries(queries, k, dim)
            self._choose_way(link)
            return [self._searched(link, query, k, dim) for query in queries]

    def _choose_way(self, link: Any) -> None:
        """Through the index or through everybody, for this transaction."""
        first = "SELECT count(*) FROM (SELECT 1 FROM {}.people LIMIT %s) AS first"
        people = self._tables.run(link, first, [self.exact_below]).fetchone()[0]
        by_index = self.search_by == "hnsw" and people >= self.exact_below
        settings = {"enable_indexscan": by_index, "enable_seqscan": not by_index}
        for name, value in settings.items():
            link.execute("SELECT set_config(%s, %s, true)", [name, "on" if value else "off"])
        if by_index:
            link.execute("SELECT set_config('hnsw.ef_search', %s, true)", [str(self.ef_search)])

    def _searched(self, link: Any, query: NDArray[np.float32], k: int, dim: int) -> list[Hit]:
        statement = self._sql.SQL(
            "SELECT id, name, template FROM {schema}.people WHERE vector_dims(template) = {dim} "
            "ORDER BY template::halfvec({dim}) <#> %s::halfvec({dim}) LIMIT %s"
        ).format(schema=self._sql.Identifier(self.schema), dim=self._sql.Literal(dim))
        rows = link.execute(statement, [half_vector(query), candidates_for(k)]).fetchall()
        if not rows:
            return []
        scores = (unit_vectors([row[2] for row in rows], dim) @ query).tolist()
        best = sorted(range(len(rows)), key=lambda place: -scores[place])[:k]
        return [Hit(person_id=rows[place][0], name=checked_name(rows[place][1]), score=scores[place]) for place in best]

    def memory(self) -> int:
        """Bytes of the people and of their index on the server."""
        with self._reading() as link:
            table = f'"{self.schema}".people'
            return link.execute("SELECT pg_total_relation_size(%s::regclass)", [table]).fetchone()[0]

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            self._closed = True
            for link in [*self._readers, self._writer]:
                link.close()
            self._readers.clear()


def _parted(address: str) -> tuple[str, str]:
    """The address as libpq takes it, and the schema in it. Raises GalleryError for a schema that is none."""
    parts = urlsplit(address)
    options = dict(parse_qsl(parts.query))
    schema = options.pop("schema", SCHEMA)
    if not (1 <= len(schema) <= 63 and schema.replace("_", "a").isalnum() and schema.isascii()):
        raise GalleryError(f"schema must have 1 to 63 letters, digits and _, got {schema!r:.80}")
    return urlunsplit(parts._replace(query=urlencode(options))), schema
