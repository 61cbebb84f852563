"""A gallery in a collection of Qdrant: the way beyond one machine.

    qdrant:memory/NAME  qdrant:/folder/NAME      within this process, for trials
    qdrant+http://host:6333/NAME                 a server, which shards, replicates and holds int8 by its own settings

A person is a point: the template as its vector, names, dates and photos' vectors as its payload. What the server
proposes is scored again in float32 from the stored templates. A change is acknowledged when the server has it (wait);
there are no changes of several people that are one, and names are kept apart within this process alone: let one process
enrol. The key of a server is taken from the variable QDRANT_API_KEY.
"""

import base64
import binascii
import os
import re
import threading
import uuid
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.errors import GalleryError
from angulus.gallery.engines import (
    PAGE,
    Closing,
    Hit,
    UnknownPlaceError,
    candidates_for,
    checked_facts,
    checked_most,
    checked_queries,
)
from angulus.gallery.people import (
    MOST_DIMENSIONS,
    MOST_PHOTOS,
    EnrolledPhoto,
    Person,
    checked_name,
    checked_person,
    checked_vectors,
    name_taken,
    stored_bytes,
    vectors_from,
)
from angulus.json_files import parse_json

FORMAT = "angulus gallery 1"
KEY = "QDRANT_API_KEY"
_PLACE = re.compile(r"(?:qdrant:(memory|/.*|\./.*)|qdrant\+(https?://[^/]+))/([A-Za-z0-9_-]{1,64})")
_FACTS = str(uuid.UUID(int=0))


class QdrantEngine(Closing):
    """A gallery in a collection. dim: make it first; None: open it.

    Raises GalleryError where the package, the server or the gallery is missing.
    """

    def __init__(self, place: str, *, dim: int | None = None) -> None:
        try:
            import qdrant_client
            import qdrant_client.models
        except ImportError:
            raise GalleryError(
                "a gallery in Qdrant needs the package qdrant-client, which is not installed: "
                "pip install 'angulus[qdrant]'"
            ) from None
        match = _PLACE.fullmatch(place)
        if match is None:
            raise GalleryError(
                "a gallery in Qdrant is qdrant:memory/NAME, qdrant:/folder/NAME or qdrant+http://host:6333/NAME, "
                f"got {place!r:.200}"
            )
        local, address, self.collection = match.groups()
        self.models: Any = qdrant_client.models
        self._lock, self._is_local = threading.RLock(), local is not None
        with self._told():
            if local is None:
                self._client: Any = qdrant_client.QdrantClient(url=address, api_key=os.environ.get(KEY))
            elif local == "memory":
                self._client = qdrant_client.QdrantClient(location=":memory:")
            else:
                self._client = qdrant_client.QdrantClient(path=local)
            try:
                if dim is not None:
                    self._create(dim)
                self._stored = self._own()
            except BaseException:
                self._client.close()
                raise

    def _create(self, dim: int) -> None:
        if not 1 <= dim <= MOST_DIMENSIONS:
            raise GalleryError(f"a gallery must have 1 to {MOST_DIMENSIONS} dimensions, got {dim}")
        if self._client.collection_exists(self.collection):
            raise GalleryError(f"there is a collection {self.collection!r} already; open it, or name another")
        size = self.models.VectorParams(size=dim, distance=self.models.Distance.DOT)
        self._client.create_collection(self.collection, vectors_config=size)
        if not self._is_local:  # which has none
            for field in ("kind", "person", "name", "digests"):
                self._client.create_payload_index(self.collection, field, field_schema="keyword", wait=True)
            self._client.create_payload_index(self.collection, "photo_count", field_schema="integer", wait=True)
        self._put_facts({"format": FORMAT, "dim": dim, "facts": {}})

    def _own(self) -> dict[str, Any]:
        """What the gallery says of itself."""
        found = []
        if self._client.collection_exists(self.collection):
            found = self._client.retrieve(self.collection, [_FACTS], with_payload=True)
        own = found[0].payload if found else {}
        dim = own.get("dim")
        if own.get("format") != FORMAT or not isinstance(dim, int) or not 1 <= dim <= MOST_DIMENSIONS:
            raise GalleryError(f"there is no gallery in the collection {self.collection!r}; create it first")
        return own

    def _put_facts(self, own: dict[str, Any]) -> None:
        vector = [0.0] * own["dim"]  # a point must have one; searches pass it over by its kind
        point = self.models.PointStruct(id=_FACTS, vector=vector, payload={"kind": "facts", **own})
        self._client.upsert(self.collection, [point], wait=True)

    @contextmanager
    def _told(self) -> Generator[None, None, None]:
        try:
            yield
        except GalleryError:
            raise
        except Exception as error:  # the client raises what its transports raise
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise GalleryError(f"Qdrant answered for the gallery: {first:.300}") from error

    @contextmanager
    def writing(self) -> Generator[None, None, None]:
        """Other threads of this process wait; what the block did before an error stays done."""
        with self._lock:
            yield

    @property
    def kind(self) -> str:
        return f"Qdrant ({'in this process' if self._is_local else 'server'}), collection {self.collection}"

    @property
    def dim(self) -> int:
        return self._stored["dim"]

    def facts(self) -> dict[str, Any]:
        """See `Engine.facts`."""
        with self._told():
            return {name: parse_json(text) for name, text in self._own()["facts"].items()}

    def set_facts(self, facts: Mapping[str, Any]) -> None:
        """See `Engine.set_facts`."""
        texts = checked_facts(facts)
        with self._lock, self._told():
            own = self._own()
            kept = {name: text for name, text in {**own["facts"], **texts}.items() if text is not None}
            self._put_facts({"format": FORMAT, "dim": own["dim"], "facts": kept})

    # ------------------------------------------------------------------------------------------ changes

    def put(self, person: Person) -> None:
        """See `Engine.put`."""
        self.put_many([person])

    def put_many(self, people: Iterable[Person]) -> None:
        """`put` for each, some hundred in a request."""
        everybody = iter(people)
        with self._lock:
            while part := list(islice(everybody, PAGE)):
                with self._told():
                    self._put(part)

    def _put(self, people: list[Person]) -> None:
        for person in people:
            checked_person(person, self.dim)
        ids = {person.name: person.id for person in people}
        twice = next((person.name for person in people if ids[person.name] != person.id), None)
        taken = self._taken(ids) if twice is None else twice
        if twice is None and len(people) > 1 and (taken is not None or len(set(ids.values())) < len(people)):
            for person in people:  # one may take a name that another before it has given up
                self._put([person])
        elif taken is not None:
            raise name_taken(taken)
        else:
            self._client.upsert(self.collection, [self._point(person) for person in people], wait=True)

    def _taken(self, ids: dict[str, str]) -> str | None:
        """A name that somebody else has than the one of this id."""
        names = self.models.FieldCondition(key="name", match=self.models.MatchAny(any=list(ids)))
        points = self._client.scroll(
            self.collection, scroll_filter=self._people(names), limit=len(ids), with_payload=["person", "name"]
        )[0]
        held = [(point.payload["person"], point.payload["name"]) for point in points]
        return next((name for ident, name in held if ids[name] != ident), None)

    def _point(self, person: Person) -> Any:
        photos = [
            {
                "id": photo.id,
                "vector": base64.b64encode(stored_bytes(photo.vector)).decode("ascii"),
                "digest": photo.digest,
                "added": photo.added,
                "note": photo.note,
            }
            for photo in person.photos
        ]
        payload = {
            "kind": "person",
            "person": person.id,
            "name": person.name,
            "note": person.note,
            "added": person.added,
            "photos": photos,
            "photo_count": len(photos),
            "digests": sorted({photo.digest for photo in person.photos} - {""}),
        }
        template = vectors_from([stored_bytes(person.template)], self.dim)[0]  # as every engine stores it
        return self.models.PointStruct(id=_point_id(person.id), vector=template.tolist(), payload=payload)

    def drop(self, person_id: str) -> bool:
        """See `Engine.drop`; what the server does with the old point is its own."""
        with self._lock, self._told():
            if self.get(person_id) is None:
                return False
            selector = self.models.PointIdsList(points=[_point_id(person_id)])
            self._client.delete(self.collection, points_selector=selector, wait=True)
        return True

    def resize(self, dim: int) -> None:
        """Raises GalleryError for another size, which a collection cannot have."""
        if dim != self.dim:
            raise GalleryError(
                f"a collection of Qdrant keeps its {self.dim} dimensions, and {dim} were asked for; "
                "create another gallery, and enrol into it"
            )

    # ------------------------------------------------------------------------------------------ people

    def get(self, person_id: str) -> Person | None:
        """See `Engine.get`."""
        with self._told():
            found = self._client.retrieve(self.collection, [_point_id(person_id)], with_payload=True, with_vectors=True)
            return self._person(found[0]) if found else None

    def named(self, name: str) -> Person | None:
        """See `Engine.named`."""
        found = self._matching("name", name, 1)
        return self._person(found[0]) if found else None

    def holders(self, digest: str) -> list[str]:
        """See `Engine.holders`."""
        return [point.payload["person"] for point in self._matching("digests", digest, 100)] if digest else []

    def _matching(self, field: str, value: str, limit: int) -> list[Any]:
        match = self.models.FieldCondition(key=field, match=self.models.MatchValue(value=value))
        with self._told():
            return self._client.scroll(
                self.collection, scroll_filter=self._people(match), limit=limit, with_payload=True, with_vectors=True
            )[0]

    def _people(self, *also: Any) -> Any:
        kind = self.models.FieldCondition(key="kind", match=self.models.MatchValue(value="person"))
        return self.models.Filter(must=[kind, *also])

    def page(self, after: str, most: int) -> tuple[list[Person], str | None]:
        """See `Engine.page`; the order is that of the points' ids."""
        if after and not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", after):
            raise UnknownPlaceError(after)
        most = checked_most(most)
        with self._told():
            points, following = self._client.scroll(
                self.collection, scroll_filter=self._people(), limit=most, offset=after or None, with_vectors=True
            )
        return [self._person(point) for point in points], None if following is None else str(following)

    def _person(self, point: Any) -> Person:
        found = point.payload
        try:
            vectors = vectors_from(
                [base64.b64decode(photo["vector"], validate=True) for photo in found["photos"]], self.dim
            )
            return Person(
                id=found["person"],
                name=checked_name(found["name"]),
                note=found["note"],
                added=found["added"],
                template=self._template(point),
                photos=tuple(
                    EnrolledPhoto(
                        id=photo["id"], vector=vector, digest=photo["digest"], added=photo["added"], note=photo["note"]
                    )
                    for photo, vector in zip(found["photos"], vectors, strict=True)
                ),
            )
        except (KeyError, TypeError, binascii.Error) as error:
            raise GalleryError(f"a point of the collection {self.collection!r} is no person: {error!r:.200}") from error

    def _template(self, point: Any) -> NDArray[np.float32]:
        return checked_vectors([point.vector], self.dim)[0]

    def count(self) -> int:
        """See `Engine.count`."""
        with self._told():
            return self._client.count(self.collection, count_filter=self._people(), exact=True).count

    def photo_count(self) -> int:
        """See `Engine.photo_count`."""
        return sum(photos * people for photos, people in self.sizes().items())

    def sizes(self) -> dict[int, int]:
        """See `Engine.sizes`."""
        with self._told():
            found = self._client.facet(
                self.collection, key="photo_count", facet_filter=self._people(), limit=MOST_PHOTOS, exact=True
            )
        return {hit.value: hit.count for hit in found.hits}

    # ------------------------------------------------------------------------------------------ search

    def search(self, queries: NDArray[np.float32], k: int) -> list[list[Hit]]:
        """See `Engine.search`."""
        queries = checked_queries(queries, k, self.dim)
        requests = [
            self.models.QueryRequest(
                query=query.tolist(), filter=self._people(), limit=candidates_for(k), with_payload=["person", "name"],
                with_vector=True,
            )
            for query in queries
        ]  # fmt: skip
        with self._told():
            answers = self._client.query_batch_points(self.collection, requests) if requests else []
        return [self._best(query, answer.points, k) for query, answer in zip(queries, answers, strict=True)]

    def _best(self, query: NDArray[np.float32], points: list[Any], k: int) -> list[Hit]:
        if not points:
            return []
        scores = (np.stack([self._template(point) for point in points]) @ query).tolist()
        best = sorted(range(len(points)), key=lambda place: -scores[place])[:k]
        return [
            Hit(
                person_id=points[place].payload["person"],
                name=checked_name(points[place].payload["name"]),
                score=scores[place],
            )
            for place in best
        ]

    def memory(self) -> int:
        """Bytes of the templates, float32; what the server adds is not known here."""
        return 4 * self.dim * self.count()

    def close(self) -> None:
        """Close the client."""
        self._client.close()


def _point_id(person_id: str) -> str:
    """A UUID, as Qdrant wants it."""
    if re.fullmatch(r"[0-9a-f]{32}", person_id):
        return str(uuid.UUID(hex=person_id))
    return str(uuid.uuid5(uuid.UUID(int=1), person_id))
