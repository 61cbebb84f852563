"""Which photos lie in a folder, and how is one read?"""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ImageOps, UnidentifiedImageError

from angulus.errors import FacesError
from angulus.faces.detectors.detection import Photo
from angulus.files import read_regular
from angulus.image_files import NoReaderError, open_image

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm"}) | {
    *(".gif", ".heic", ".heif", ".avif"),
}
_NEVER_MEANT = frozenset({"thumbs.db", "desktop.ini"})


@dataclass(frozen=True, kw_only=True)
class PhotoFolder:
    """Files below a folder, relative to it with "/", sorted: photos by their names, and the others."""

    photos: list[str]
    ignored: list[str]


def list_photos(folder: str | Path, *, without: Path | None = None) -> list[str]:
    """Paths of all photos below a folder; as `list_files`."""
    return list_files(folder, without=without).photos


def list_files(folder: str | Path, *, without: Path | None = None) -> PhotoFolder:
    """All photos below a folder, at any depth, and the files that are none by their names.

    Hidden files and folders are left out, and `without`, should the results lie among the photos. Raises FacesError
    when there is none.
    """
    root = Path(folder)
    if not root.is_dir():
        raise FacesError(f"{root} is no folder; name the folder that holds the photos")
    left_out = None if without is None else without.resolve()
    found: list[str] = []
    ignored: list[str] = []
    seen: set[Path] = set()
    for place, folders, files in os.walk(root, followlinks=True):
        here = Path(place).resolve()
        if here in seen or here == left_out:  # links may lead in circles
            folders.clear()
            continue
        seen.add(here)
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in files:
            if not name.startswith(".") and name.lower() not in _NEVER_MEANT:
                (found if _is_photo(name) else ignored).append((Path(place) / name).relative_to(root).as_posix())
    if not found:
        others = f", only {kinds_of(ignored)}" if ignored else ""
        raise FacesError(f"{root} holds no photo ({', '.join(sorted(EXTENSIONS))}){others}")
    return PhotoFolder(photos=sorted(found), ignored=sorted(ignored))


def kinds_of(names: Sequence[str]) -> str:
    """ "3 .mov, 1 without ending": files by their endings, the most frequent first."""
    counts = Counter(os.path.splitext(name)[1].lower() or "without ending" for name in names)
    shown = [f"{count:,} {kind}" for kind, count in counts.most_common(5)]
    return ", ".join([*shown, *(["..."] if len(counts) > 5 else [])])


def read_photo(path: str | Path) -> Photo:
    """Pixels [height, width, 3], RGB, turned upright as the camera noted. FacesError when it can't be decoded."""
    try:
        content = read_regular(path)
    except OSError as error:
        raise FacesError(f"cannot read {path}: {error.strerror or error}") from error
    return decoded(content, str(path))


def decoded(content: bytes, name: str) -> Photo:
    """The same of the bytes of an image file, which is called `name` in sentences."""
    try:
        with open_image(content) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I"):  # 16 bits a channel
                grey = (np.clip(np.asarray(upright).astype(np.int64), 0, 65535) // 257).astype(np.uint8)
                return np.repeat(grey[:, :, None], 3, axis=2)
            return np.array(upright.convert("RGB"))
    except MemoryError:
        raise
    except NoReaderError as error:
        raise FacesError(f"cannot read {name}: {error}") from None
    except UnidentifiedImageError as error:
        raise FacesError(f"cannot read {name}: its content is not an image of a known format") from error
    except Exception as error:  # decoders raise a dozen types on damaged bytes
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise FacesError(f"cannot read {name}: {reason}") from error


def _is_photo(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in EXTENSIONS
