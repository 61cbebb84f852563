"""Photos that are enrolled or searched for: looked at, a few at a time, and handed to the gallery."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from angulus.errors import ConfigError, GalleryError
from angulus.files import read_regular
from angulus.gallery.enrolment import Enrolment
from angulus.gallery.gallery import Gallery
from angulus.runtime import Recognizer, SeenPhoto
from angulus.runtime.verification import described

TOGETHER = 16


@dataclass(frozen=True, kw_only=True)
class Enrolled:
    """What came of a person: the enrolment, or None and why; and the photos that were looked at."""

    name: str
    photos: tuple[SeenPhoto, ...]
    enrolment: Enrolment | None
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        done = {} if self.enrolment is None else self.enrolment.as_dict()
        problem = {"problem": self.problem} if self.problem else {}
        return {"name": self.name, "photos": [described(photo) for photo in self.photos], **done, **problem}


def looked_at(recognizer: Recognizer, photos: Sequence[Path], *, crops: bool = False) -> Iterator[SeenPhoto]:
    """Every photo. Raises ConfigError for one that is not there."""
    for photo in photos:
        if not photo.is_file():
            raise ConfigError(f"{photo} is {'a folder' if photo.is_dir() else 'not there'}; name a photo")
    for start in range(0, len(photos), TOGETHER):
        part = photos[start : start + TOGETHER]
        yield from recognizer.take_crops(part) if crops else recognizer.look_at(part)


def enrolled(
    gallery: Gallery,
    recognizer: Recognizer,
    people: Mapping[str, Sequence[Path]],
    *,
    crops: bool,
    alike: float | None,
    refuse_alike: bool,
    progress: Callable[[int, int | None], None] | None = None,
) -> list[Enrolled]:
    """Enrol everybody, one after the other; one who cannot be enrolled stops nobody else, unless there is no other."""
    threshold = recognizer.bundle.threshold
    least = alike if alike is not None else None if threshold is None else threshold.value
    found = []
    for number, (name, photos) in enumerate(people.items(), start=1):
        try:
            found.append(_enrolled(gallery, recognizer, name, photos, crops, least, refuse_alike))
        except GalleryError as error:
            if len(people) == 1:
                raise
            found.append(Enrolled(name=name, photos=(), enrolment=None, problem=str(error)))
        if progress is not None:
            progress(number, len(people))
    return found


def _enrolled(
    gallery: Gallery,
    recognizer: Recognizer,
    name: str,
    photos: Sequence[Path],
    crops: bool,
    alike: float | None,
    refuse_alike: bool,
) -> Enrolled:
    seen = tuple(looked_at(recognizer, photos, crops=crops))
    usable = [(photo.face, path) for photo, path in zip(seen, photos, strict=True) if photo.face is not None]
    if not usable:
        return Enrolled(name=name, photos=seen, enrolment=None, problem="no photo has a face that can be enrolled")
    done = gallery.add(
        name,
        np.stack([face.vector for face, _ in usable]),
        digests=[hashlib.sha256(read_regular(path)).hexdigest() for _, path in usable],
        look_alike=alike,
        refuse_look_alikes=refuse_alike,
    )
    return Enrolled(name=name, photos=seen, enrolment=done)
