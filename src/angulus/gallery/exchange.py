"""Everybody of a gallery in one file that any program reads, and back: JSON lines.

    {"format": "angulus gallery 1", "dim": 512, "people": 2, "transform": null, "facts": {...}}
    {"name": "Ann", "added": "...", "note": "", "photos": [{"vector": "<base64 of float16, little-endian>",
                                                            "digest": "<SHA-256>", "added": "...", "note": ""}]}
    ...
    {"end": true, "people": 2}

The file is as secret as the gallery: it is not encrypted, also where the gallery is. Ids are given anew on reading.
"""

import base64
import binascii
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from angulus.errors import GalleryError
from angulus.files import BoundedReader
from angulus.gallery.gallery import ARTEFACT, TRANSFORM, Gallery
from angulus.gallery.people import (
    MOST_PHOTOS,
    EnrolledPhoto,
    Person,
    checked_name,
    checked_note,
    new_id,
    stored_bytes,
    template_of,
    vectors_from,
)
from angulus.json_files import parse_json
from angulus.whole_files import reason_of, write_beside

FORMAT = "angulus gallery 1"
_LONGEST_LINE = 2**26


def export_people(gallery: Gallery, path: str | Path) -> int:
    """Write everybody to a file that its owner alone can read, whole or not at all; how many they are.

    Raises GalleryError where it cannot be written.
    """
    count = 0

    def write(partial: Path) -> None:
        nonlocal count
        facts = gallery.facts()
        head = {"format": FORMAT, "dim": gallery.engine.dim, "transform": facts.pop(TRANSFORM, None), "facts": facts}
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(json.dumps(head) + "\n")
            for person in gallery.people():
                file.write(json.dumps(_written(person)) + "\n")
                count += 1
            file.write(json.dumps({"end": True, "people": count}) + "\n")
            file.flush()
            os.fsync(file.fileno())

    try:
        write_beside(Path(path), write)
    except OSError as error:
        raise GalleryError(f"{path} cannot be written: {reason_of(error)}; name another file") from error
    return count


def import_people(gallery: Gallery, path: str | Path) -> int:
    """Enrol everybody of a file as one change; how many they are. Facts stay those of the gallery.

    Raises GalleryError, and nothing is changed, where the file is none of these, is cut short, has vectors of another
    size, transform or artefact, or names somebody who is enrolled already.
    """
    try:
        with BoundedReader(path) as file:
            lines = _lines(file, path)
            head = next(lines, None)
            if not isinstance(head, dict) or head.get("format") != FORMAT:
                raise GalleryError(f"{path} must begin with the format {FORMAT!r}; it is no export of a gallery")
            if head.get("dim") != gallery.engine.dim or head.get("transform") != gallery.facts().get(TRANSFORM):
                raise GalleryError(
                    f"{path} must have vectors of {gallery.engine.dim} dimensions in the gallery's own transform, and "
                    "has others; import it into a gallery that was made like the one it comes from"
                )
            _check_artefact(gallery, head.get("facts"), path)
            return _enrol(gallery, lines, path)
    except OSError as error:
        raise GalleryError(f"{path} cannot be read: {error.strerror or error}") from error


def _check_artefact(gallery: Gallery, facts: Any, path: str | Path) -> None:
    if not isinstance(facts, dict | None):
        raise GalleryError(f"{path} must begin with the facts of a gallery, and they are no object; it is damaged")
    theirs, ours = (facts or {}).get(ARTEFACT), gallery.facts().get(ARTEFACT)
    if theirs is not None and ours is not None and theirs != ours:
        raise GalleryError(
            f"{path} must have vectors of the gallery's artefact {str(ours)[:12]!r}, and has those of "
            f"{str(theirs)[:12]!r}, which cannot be compared; enrol the people anew from their photos"
        )


def _enrol(gallery: Gallery, lines: Iterator[Any], path: str | Path) -> int:
    count = 0
    with gallery.engine.writing():
        for line in lines:
            if isinstance(line, dict) and line.get("end") is True:
                if line.get("people") != count or next(lines, None) is not None:
                    raise GalleryError(f"{path} must end after the {count} people it holds; it is damaged")
                return count
            gallery.engine.put(_read(line, gallery.engine.dim, f"{path}, line {count + 2}"))
            count += 1
        raise GalleryError(f"{path} must end with a line that says so; it is cut short")


def _lines(file: BoundedReader, path: str | Path) -> Iterator[Any]:
    number = 0
    while line := file.readline(_LONGEST_LINE):
        number += 1
        try:
            yield parse_json(line)
        except ValueError as error:
            raise GalleryError(f"line {number} of {path} must be JSON: {error}") from error


def _written(person: Person) -> dict[str, Any]:
    photos = [
        {
            "vector": base64.b64encode(stored_bytes(photo.vector)).decode("ascii"),
            "digest": photo.digest,
            "added": photo.added,
            "note": photo.note,
        }
        for photo in person.photos
    ]
    return {"name": person.name, "added": person.added, "note": person.note, "photos": photos}


def _read(line: Any, dim: int, where: str) -> Person:
    """A person from a line; the engine checks the rest when it puts it."""
    try:
        photos = line["photos"]
        if not isinstance(photos, list) or not 1 <= len(photos) <= MOST_PHOTOS:
            raise GalleryError(f"photos must be a list of 1 to {MOST_PHOTOS:,}")
        blobs = [base64.b64decode(photo["vector"], validate=True) for photo in photos]
        vectors = vectors_from(blobs, dim)
        return Person(
            id=new_id(),
            name=checked_name(line["name"]),
            photos=tuple(
                EnrolledPhoto(
                    id=new_id(),
                    vector=vector,
                    digest=photo["digest"],
                    added=photo["added"],
                    note=checked_note(photo["note"]),
                )
                for photo, vector in zip(photos, vectors, strict=True)
            ),
            template=template_of(np.asarray(vectors)),
            added=line["added"],
            note=checked_note(line["note"]),
        )
    except (KeyError, TypeError, binascii.Error, ValueError) as error:
        reason = f"has no {error}" if isinstance(error, KeyError) else str(error)
        raise GalleryError(f"{where} is no person of a gallery: {reason}") from error
