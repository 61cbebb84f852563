"""The crops of enrolled photos, kept only where that was asked for, so that a page can show which photo matched."""

import io
import os
import re
from collections.abc import Callable, Set
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from angulus.files import read_regular
from angulus.whole_files import write_beside

_ID = re.compile(r"[0-9a-f]{8,64}")


class Crops:
    """A folder of PNG files named by the photos' ids."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)

    def keep(self, photo: str, crop: NDArray[np.uint8]) -> None:
        """Store a crop [h, w, 3]. Raises OSError."""
        file = io.BytesIO()
        Image.fromarray(crop).save(file, "PNG")
        path = self._path(photo)
        if path is not None:
            write_beside(path, lambda part: _write(part, file.getvalue()))

    def read(self, photo: str) -> bytes | None:
        """A crop's PNG; None where there is none."""
        path = self._path(photo)
        return read_regular(path) if path is not None and path.is_file() else None

    def has(self, photo: str) -> bool:
        """Whether a crop is kept."""
        path = self._path(photo)
        return path is not None and path.is_file()

    def remove(self, photo: str) -> None:
        """Forget a crop."""
        path = self._path(photo)
        if path is not None:
            path.unlink(missing_ok=True)

    def keep_only(self, photos: Callable[[], Set[str]]) -> None:
        """Forget all crops but of these photos: a service that was killed, or another program, may have left some."""
        kept = list(self._folder.glob("*.png"))  # first, so that one of a photo enrolled meanwhile is not among them
        known = photos()
        for path in kept:
            if path.stem not in known:
                path.unlink(missing_ok=True)

    def _path(self, photo: str) -> Path | None:
        """None for an id that is none: what a request names is never a path."""
        return self._folder / f"{photo}.png" if _ID.fullmatch(photo) else None


def _write(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
