"""Which photos lie in a folder, and how is one read?"""

import os
from pathlib import Path

import numpy as np
from PIL import ImageOps, UnidentifiedImageError

from angulus.errors import FacesError
from angulus.faces.detectors.detection import Photo
from angulus.files import read_regular
from angulus.image_files import open_image

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm"})


def list_photos(folder: str | Path, *, without: Path | None = None) -> list[str]:
    """Paths of all photos below a folder, at any depth, relative to it with "/", sorted.

    Hidden files and folders are left out, and `without`, should the results lie among the photos. Raises FacesError
    when there is none.
    """
    root = Path(folder)
    if not root.is_dir():
        raise FacesError(f"{root} is no folder; name the folder that holds the photos")
    left_out = None if without is None else without.resolve()
    found: list[str] = []
    seen: set[Path] = set()
    for place, folders, files in os.walk(root, followlinks=True):
        here = Path(place).resolve()
        if here in seen or here == left_out:  # links may lead in circles
            folders.clear()
            continue
        seen.add(here)
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        found += [(Path(place) / name).relative_to(root).as_posix() for name in files if _is_photo(name)]
    if not found:
        raise FacesError(f"{root} holds no photo ({', '.join(sorted(EXTENSIONS))})")
    return sorted(found)


def read_photo(path: str | Path) -> Photo:
    """Pixels [height, width, 3], RGB, turned upright as the camera noted. FacesError when it can't be decoded."""
    try:
        with open_image(read_regular(path)) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I"):  # 16 bits a channel
                grey = (np.clip(np.asarray(upright).astype(np.int64), 0, 65535) // 257).astype(np.uint8)
                return np.repeat(grey[:, :, None], 3, axis=2)
            return np.array(upright.convert("RGB"))
    except MemoryError:
        raise
    except UnidentifiedImageError as error:
        raise FacesError(f"cannot read {path}: its content is not an image of a known format") from error
    except Exception as error:  # decoders raise a dozen types on damaged bytes
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise FacesError(f"cannot read {path}: {reason}") from error


def _is_photo(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in EXTENSIONS
