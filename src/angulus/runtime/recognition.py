"""From a photo to the vector of a face on it: found, chosen, cut out, judged, embedded."""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from angulus.errors import BundleError, FacesError
from angulus.faces.detectors.catalogue import DetectorChoice
from angulus.faces.detectors.detection import Detector, Face, Photo
from angulus.faces.detectors.landmark_lists import ListedLandmarks
from angulus.faces.face_choice import Rule, choose
from angulus.faces.image_warp import warp
from angulus.faces.photos import decoded, read_photo
from angulus.faces.similarity_transform import scale_of, similarity
from angulus.runtime.bundles import Bundle
from angulus.runtime.detection import open_detector
from angulus.runtime.embedder import Embedder, Vectors
from angulus.runtime.networks import RuntimeChoice
from angulus.runtime.preparation import Crops
from angulus.runtime.quality import is_usable, remarks_on

Given = str | Path | bytes | Photo
"""A photo: a path, the bytes of an image file, or pixels uint8 [h, w, 3], RGB."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SeenFace:
    """A face of a photo, ready to be compared.

    vector: float32 [d] of length 1.  crop: uint8 [h, w, 3].  face: box and landmarks, None for a crop that was given.
    number, found: which of how many, best score first.  reason: why this one.  remarks: what makes it less sure.
    """

    vector: NDArray[np.float32]
    crop: NDArray[np.uint8]
    face: Face | None
    number: int
    found: int
    reason: str
    remarks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class SeenPhoto:
    """A photo and its faces, the one that is meant first; none where `problem` says why.

    name: of the file, or "photo".  height, width: pixels.
    """

    name: str
    height: int
    width: int
    faces: tuple[SeenFace, ...]
    problem: str = ""

    @property
    def face(self) -> SeenFace | None:
        """The face that is meant."""
        return self.faces[0] if self.faces else None


class Recognizer:
    """A bundle, opened: photos in, vectors out. Calls may come from several threads.

    detector: another one than the bundle's.  choose: which face of several is meant.  runtime, threads: as `Embedder`.
    """

    def __init__(
        self,
        bundle: Bundle | str | Path,
        *,
        detector: DetectorChoice | None = None,
        choose: Rule = "prominent",
        runtime: RuntimeChoice = "auto",
        threads: int = 1,
    ) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle(bundle)
        self.template = self.bundle.for_photos().crop_template()
        self.embedder = Embedder(self.bundle, runtime=runtime, threads=threads)
        self._rule, self._choice = choose, detector
        self._lock = threading.Lock()
        self._detector: Detector | ListedLandmarks | None = None

    def look(self, photo: Given, *, name: str | None = None, rule: Rule | None = None) -> SeenPhoto:
        """The faces of one photo. A photo that cannot be read, or without a face, has a `problem`."""
        return self.look_at([photo], names=None if name is None else [name], rule=rule)[0]

    def look_at(
        self, photos: Sequence[Given], *, names: Sequence[str] | None = None, rule: Rule | None = None
    ) -> list[SeenPhoto]:
        """The faces of some photos, all embedded together."""
        called = [_name_of(photo) for photo in photos] if names is None else list(names)
        found = [self.cut_out(photo, name, rule) for photo, name in zip(photos, called, strict=True)]
        return self._embedded(found)

    def take_crops(self, crops: Sequence[Given], *, names: Sequence[str] | None = None) -> list[SeenPhoto]:
        """Aligned crops as photos of one face each: nothing is looked for."""
        called = [_name_of(crop) for crop in crops] if names is None else list(names)
        return self._embedded([self.as_crop(crop, name) for crop, name in zip(crops, called, strict=True)])

    def vectors(self, crops: Crops) -> Vectors:
        """Vectors [n, d] of length 1 of crops uint8 [n, h, w, 3]."""
        return self.embedder.vectors(crops)

    def detect(self, photo: Photo, name: str = "") -> tuple[Face, ...]:
        """All faces on a photo uint8 [h, w, 3], best score first."""
        found = self._opened()
        if isinstance(found, ListedLandmarks):
            return found.of(name)
        return found.detect(photo)

    def _opened(self) -> Detector | ListedLandmarks:
        """The detector, opened when it is first asked for."""
        with self._lock:
            if self._detector is None:
                self._detector = open_detector(self.bundle, self._choice)
            return self._detector

    def cut_out(self, photo: Given, name: str, rule: Rule | None = None) -> SeenPhoto:
        """The faces of one photo, not embedded: their vectors are empty, for who embeds those of many at once."""
        rule = rule or self._rule
        try:
            pixels = _pixels(photo)
        except FacesError as error:
            return SeenPhoto(name=name, height=0, width=0, faces=(), problem=str(error))
        height, width = pixels.shape[:2]
        faces = []
        for one in choose(self.detect(pixels, name), (height, width), rule):
            try:
                matrix = similarity(one.face.landmarks, self.template.array())
            except FacesError:
                continue  # landmarks that fit no face
            crop = warp(pixels, matrix, self.template.height, self.template.width)
            if not is_usable(crop):
                continue
            remarks = remarks_on(one.face, crop, scale_of(matrix))
            if one.found > 1 and rule != "all":
                remarks = (f"{one.found} faces on the photo; taken is the {one.reason}", *remarks)
            faces.append(
                SeenFace(
                    **{"vector": np.empty(0, np.float32), "crop": crop, "face": one.face, "number": one.number},
                    **{"found": one.found, "reason": one.reason, "remarks": remarks},
                )
            )
        problem = "" if faces else "no face was found"
        return SeenPhoto(name=name, height=height, width=width, faces=tuple(faces), problem=problem)

    def as_crop(self, crop: Given, name: str) -> SeenPhoto:
        """An aligned crop as a photo of one face, not embedded. Raises BundleError for another size."""
        wanted = (self.template.height, self.template.width)
        try:
            pixels = _pixels(crop)
        except FacesError as error:
            return SeenPhoto(name=name, height=0, width=0, faces=(), problem=str(error))
        height, width = pixels.shape[:2]
        pixels = _middle(pixels, wanted)
        if pixels.shape[:2] != wanted:
            raise BundleError(
                f"{name} is no aligned crop: it must have {wanted[0]}x{wanted[1]} pixels (height x width), got"
                f" {height}x{width}; leave --crops out for a photo"
            )
        seen = SeenFace(
            **{"vector": np.empty(0, np.float32), "crop": pixels, "face": None, "number": 1, "found": 1},
            **{"reason": "given as a crop", "remarks": ()},
        )
        return SeenPhoto(name=name, height=height, width=width, faces=(seen,))

    def _embedded(self, photos: Sequence[SeenPhoto]) -> list[SeenPhoto]:
        """The photos with the vectors of their faces, computed together."""
        crops = [face.crop for photo in photos for face in photo.faces]
        return with_vectors(photos, self.vectors(np.stack(crops)) if crops else ())


def with_vectors(photos: Sequence[SeenPhoto], vectors: Iterable[NDArray[np.float32]]) -> list[SeenPhoto]:
    """The photos with these vectors of their faces, in order."""
    given = iter(vectors)
    return [replace(photo, faces=tuple(replace(face, vector=next(given)) for face in photo.faces)) for photo in photos]


def _name_of(photo: Given) -> str:
    return str(photo) if isinstance(photo, str | Path) else "photo"


def _pixels(photo: Given) -> Photo:
    """uint8 [h, w, 3]. Raises FacesError where it is no readable image."""
    if isinstance(photo, str | Path):
        return read_photo(photo)
    if isinstance(photo, bytes):
        return decoded(photo, "the photo")
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
        raise FacesError(f"a photo must be uint8 [h, w, 3], RGB, got {photo.dtype} {list(photo.shape)}")
    return photo


def _middle(pixels: Photo, size: tuple[int, int]) -> Photo:
    """The middle of crops that are larger, as columns 8 to 103 of an ArcFace crop are the SphereFace crop."""
    over = [have - want for have, want in zip(pixels.shape[:2], size, strict=True)]
    if min(over) < 0 or any(more % 2 for more in over) or not any(over) or all(over):
        return pixels
    top, left = (more // 2 for more in over)
    return np.ascontiguousarray(pixels[top : top + size[0], left : left + size[1]])
