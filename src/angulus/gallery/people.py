"""Who is enrolled: people, their photos, and the one template that a search compares.

    template = sum of the photos' unit vectors, scaled to length 1

Vectors are float32 [d] of length 1. Engines store them as float16; what is read back is scaled to length 1 again.
"""

import re
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from angulus.errors import GalleryError

LONGEST_NAME, LONGEST_NOTE, MOST_PHOTOS, MOST_DIMENSIONS = 200, 2000, 10_000, 8192
OF_LENGTH_1 = 1e-3
_ID = re.compile(r"[0-9a-f]{8,64}")
_DIGEST = re.compile(r"([0-9a-f]{64})?")
_INVISIBLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_CONTROL = {"Cc", "Cs", "Zl", "Zp"}
_INVISIBLE = {*_CONTROL, "Cf"}
_NOT_SHOWN = {
    *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0),
    *(*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)),
}  # joiners, fillers and selectors of other categories: with them two names look the same


@dataclass(frozen=True, kw_only=True, eq=False)
class EnrolledPhoto:
    """vector: float32 [d], length 1.  digest: SHA-256 of the photo's bytes, or "".  added: UTC, ISO 8601."""

    id: str
    vector: NDArray[np.float32]
    digest: str
    added: str
    note: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Person:
    """name: what users see, one person each.  template: float32 [d], pooled from the photos.  added: UTC, ISO 8601."""

    id: str
    name: str
    photos: tuple[EnrolledPhoto, ...]
    template: NDArray[np.float32]
    added: str
    note: str = ""


def template_of(vectors: Sequence[NDArray] | NDArray) -> NDArray[np.float32]:
    """The mean of unit vectors [n, d], scaled to length 1: float32 [d].

    Raises GalleryError where a vector is none of length 1, or where the mean is zero.
    """
    vectors = checked_vectors(vectors)
    if not len(vectors):
        raise GalleryError("a template needs at least one vector, got none; give a photo")
    mean = vectors.mean(axis=0, dtype=np.float64)
    length = float(np.linalg.norm(mean))
    if length < 1e-6:
        raise GalleryError("the vectors of one person must not cancel each other, and their mean is zero; check them")
    return (mean / length).astype(np.float32)


def checked_vectors(vectors: Sequence[NDArray] | NDArray, dim: int | None = None) -> NDArray[np.float32]:
    """float32 [n, d] of length 1, exactly as far as float32 can say.

    Raises GalleryError for other shapes, another dim, values that are not finite, or lengths other than 1 (0.001).
    """
    try:
        found = np.atleast_2d(np.asarray(vectors, dtype=np.float32))
    except (TypeError, ValueError) as error:
        raise GalleryError(f"vectors must be numbers [n, d] of one length, got {type(vectors).__name__}") from error
    if found.ndim != 2 or not 1 <= found.shape[1] <= MOST_DIMENSIONS:
        raise GalleryError(f"vectors must have the shape [n, d], d from 1 to {MOST_DIMENSIONS}, got {found.shape}")
    if dim is not None and found.shape[1] != dim:
        raise GalleryError(f"vectors of this gallery must have {dim} dimensions, got {found.shape[1]}; use its model")
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    wrong = ~(np.abs(lengths - 1) <= OF_LENGTH_1)  # also where it is not a number
    if wrong.any():
        length = float(lengths[wrong][0])
        raise GalleryError(f"vectors must be finite and have length 1, got one of length {length:.4g}; normalise them")
    return found / lengths


def checked_name(name: str) -> str:
    """A name as it is stored: composed Unicode, without blanks around it. Raises GalleryError for what is none."""
    name = unicodedata.normalize("NFC", str(name)).strip()
    if not 1 <= len(name) <= LONGEST_NAME:
        raise GalleryError(f"a name must have 1 to {LONGEST_NAME} characters, got {len(name)}")
    for sign in name:
        if unicodedata.category(sign) in _INVISIBLE or ord(sign) in _NOT_SHOWN:
            raise GalleryError(
                f"a name must have no control or invisible characters, got U+{ord(sign):04X}; leave it out"
            )
    return name


def name_taken(name: str) -> GalleryError:
    """What is said of a name that somebody else has."""
    return GalleryError(
        f"each name must be of one person, and {name!r} is enrolled already; add to that person, or choose another name"
    )


def checked_person(person: Person, dim: int) -> Person:
    """The person if all of it can be stored in a gallery of `dim` dimensions, else GalleryError."""
    ids = [person.id, *(photo.id for photo in person.photos)]
    if any(not _ID.fullmatch(each) for each in ids) or len(set(ids)) != len(ids):
        raise GalleryError("ids must be 8 to 64 hexadecimal digits, each once in a person; let the gallery give them")
    if checked_name(person.name) != person.name:
        raise GalleryError(f"a name must be stored as checked_name gives it, got {person.name!r}")
    if not 1 <= len(person.photos) <= MOST_PHOTOS:
        raise GalleryError(f"a person must have 1 to {MOST_PHOTOS:,} photos, got {len(person.photos):,}")
    for photo in person.photos:
        checked_digest(photo.digest)
    for note in (person.note, *(photo.note for photo in person.photos)):
        checked_note(note)
    for added in (person.added, *(photo.added for photo in person.photos)):
        checked_date(added)
    checked_vectors(person.template, dim)
    checked_vectors([photo.vector for photo in person.photos], dim)
    return person


def checked_digest(digest: str) -> str:
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise GalleryError(f'a digest must be the 64 hexadecimal digits of a SHA-256, or "", got {digest!r:.80}')
    return digest


def checked_note(note: str) -> str:
    """A note as it is stored, lines ended by newlines. Raises GalleryError for what is none."""
    if not isinstance(note, str) or len(note) > LONGEST_NOTE:
        raise GalleryError(f"a note must be text of at most {LONGEST_NOTE:,} characters; shorten it")
    note = note.replace("\r\n", "\n")
    for sign in note:
        if sign != "\n" and unicodedata.category(sign) in _CONTROL:
            raise GalleryError(f"a note must have no control characters, got U+{ord(sign):04X}; leave it out")
    return note


def shown(text: str) -> str:
    """A text as it can be printed in one line: what would move or colour a terminal's output is written as escapes."""
    return "".join(
        sign.encode("unicode_escape").decode("ascii") if unicodedata.category(sign) in _INVISIBLE else sign
        for sign in text
    )


def checked_date(added: str) -> str:
    try:
        datetime.fromisoformat(added)
    except (TypeError, ValueError):
        raise GalleryError(f"a date must be ISO 8601, such as 2026-11-21T10:00:00+00:00, got {added!r:.80}") from None
    return added


def new_id() -> str:
    """32 random hexadecimal digits."""
    return secrets.token_hex(16)


def now() -> str:
    """The present time, UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def stored_bytes(vector: NDArray) -> bytes:
    """A vector as engines store it: float16, little-endian."""
    return np.asarray(vector).astype("<f2").tobytes()


def vectors_from(blobs: Sequence[bytes], dim: int) -> NDArray[np.float32]:
    """float32 [n, d] of length 1 from stored bytes. Raises GalleryError where one has another length or is damaged."""
    if any(len(blob) != 2 * dim for blob in blobs):
        wrong = next(len(blob) for blob in blobs if len(blob) != 2 * dim)
        raise GalleryError(f"a stored vector must have {2 * dim} bytes, got {wrong}; the gallery is damaged")
    found = np.frombuffer(b"".join(blobs), dtype="<f2").reshape(len(blobs), dim).astype(np.float32)
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    if not np.all(np.abs(lengths - 1) < 0.05):
        raise GalleryError("a stored vector must have length 1; the gallery is damaged: restore a copy of it")
    return found / lengths
