"""From the bytes of uploads to faces with vectors: decoded and searched by workers, embedded with those of others."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import UnidentifiedImageError

from angulus.errors import BundleError, FacesError, ServiceError
from angulus.faces.detectors.detection import Face, Photo
from angulus.faces.photos import decoded
from angulus.image_files import ImageTooLargeError, PixelLimitError, open_image
from angulus.runtime.preparation import Crops
from angulus.runtime.recognition import Recognizer, SeenPhoto, with_vectors
from angulus.serve.queues.batcher import Batcher
from angulus.serve.queues.workers import Workers
from angulus.serve.requests import Upload
from angulus.serve.settings import Limits, Settings

Result = TypeVar("Result")
Vectors = NDArray[np.float32]
MOST_SCANS = 100
"""Of a JPEG: each is a pass over all pixels, and takes some bytes only."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Looked:
    """A photo as it was seen, and its pixels uint8 [h, w, 3]."""

    seen: SeenPhoto
    pixels: Photo


class Looking:
    """The recognizer behind bounded queues.  seen_batch: is told the size of every batch."""

    def __init__(
        self, recognizer: Recognizer, settings: Settings, *, seen_batch: Callable[[int], None] = lambda _: None
    ) -> None:
        limits, batching = settings.limits, settings.batching
        self._recognizer, self._limits = recognizer, limits
        self.workers = Workers(settings.workers, limits.waiting)
        self.network: Batcher[Crops, Vectors] = Batcher(
            self._embedded,
            **{"most": batching.most, "wait": batching.wait, "waiting": limits.waiting, "size": len},
            **{"seen": seen_batch, "name": "network"},
        )

    async def look(self, uploads: Sequence[Upload], *, crops: bool = False) -> list[Looked]:
        """The face that is meant of each photo, with its vector; crops: they are aligned, nothing is looked for.

        Raises ServiceError: 413 or 422 for a photo that cannot be used, 503 where the queues are full.
        """
        found = await self._all([self._job(upload, crops=crops) for upload in uploads])
        wanted = [face.crop for one in found for face in one.seen.faces]
        if not wanted:
            return found
        vectors = await asyncio.wrap_future(self.network.submit(np.stack(wanted)))
        seen = with_vectors([one.seen for one in found], vectors)
        return [Looked(seen=photo, pixels=one.pixels) for photo, one in zip(seen, found, strict=True)]

    async def detect(self, upload: Upload) -> tuple[tuple[int, int], tuple[Face, ...]]:
        """Height and width of a photo, and all its faces. Raises ServiceError as `look`."""

        def job() -> tuple[tuple[int, int], tuple[Face, ...]]:
            pixels = pixels_of(upload, self._limits)
            faces = self._recognizer.detect(pixels, upload.name)
            if len(faces) > self._limits.faces:
                raise ServiceError(
                    f"{upload.name} has {len(faces)} faces, at most {self._limits.faces} are taken: cut the photo",
                    **{"status": 413, "code": "too_many"},
                )
            return (pixels.shape[0], pixels.shape[1]), faces

        return await self.work(job)

    async def work(self, job: Callable[[], Result]) -> Result:
        """A job of a worker. Raises ServiceError (503) where too many wait."""
        return await asyncio.wrap_future(self.workers.submit(job))

    def close(self) -> None:
        """Finish what was taken."""
        self.workers.close()
        self.network.close()

    async def _all(self, jobs: Sequence[Callable[[], Looked]]) -> list[Looked]:
        """The results in order; what was not begun is given up where one fails, or finds no room."""
        futures: list[Future[Looked]] = []
        try:
            for job in jobs:
                futures.append(self.workers.submit(job))
            return list(await asyncio.gather(*(asyncio.wrap_future(future) for future in futures)))
        except BaseException:
            for future in futures:
                future.cancel()
            raise

    def _job(self, upload: Upload, *, crops: bool) -> Callable[[], Looked]:
        def job() -> Looked:
            pixels = pixels_of(upload, self._limits)
            if not crops:
                return Looked(seen=self._recognizer.cut_out(pixels, upload.name), pixels=pixels)
            try:
                return Looked(seen=self._recognizer.as_crop(pixels, upload.name), pixels=pixels)
            except BundleError as error:
                raise ServiceError(str(error), code="photo") from error

        return job

    def _embedded(self, pieces: Sequence[Crops]) -> list[Vectors]:
        vectors = self._recognizer.vectors(np.concatenate(pieces))
        ends = np.cumsum([len(piece) for piece in pieces])
        return [vectors[end - len(piece) : end] for end, piece in zip(ends, pieces, strict=True)]


def pixels_of(upload: Upload, limits: Limits) -> Photo:
    """A photo's pixels. Raises ServiceError: 413 for too many pixels, 422 for what is no readable image."""
    _check_size(upload, limits)
    try:
        return decoded(upload.content, upload.name)
    except FacesError as error:
        raise ServiceError(str(error), code="photo") from error


def _check_size(upload: Upload, limits: Limits) -> None:
    """Before a pixel is decoded."""
    try:
        with open_image(upload.content) as image:
            pixels, scans = image.width * image.height, 0
            if image.format in ("JPEG", "MPO"):
                scans = upload.content.count(b"\xff\xda")
    except PixelLimitError as error:
        raise ServiceError(
            f"{upload.name} has too many pixels, at most {limits.pixels:,} are taken: send it smaller",
            **{"status": 413, "code": "too_many_pixels"},
        ) from error
    except ImageTooLargeError as error:
        raise ServiceError(f"cannot read {upload.name}: {error}", status=413, code="too_many_pixels") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError):
        return  # `decoded` says what is wrong
    if scans > MOST_SCANS:
        raise ServiceError(f"{upload.name} has {scans} scans, at most {MOST_SCANS} are decoded", code="photo")
    if pixels > limits.pixels:
        raise ServiceError(
            f"{upload.name} has {pixels:,} pixels, at most {limits.pixels:,} are taken: send it smaller",
            **{"status": 413, "code": "too_many_pixels"},
        )
