"""Where do the files lie that a list names: inside the folder of the list, or elsewhere on the machine?"""

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from angulus.data.loading.contents import Recordings, content_of
from angulus.errors import DataError
from angulus.image_files import open_image
from angulus.speech.recordings import probe

FETCHED = ".fetched"  # in the folder of a set that came from elsewhere as a whole


def outside(root: Path, files: Sequence[str]) -> list[str]:
    """Those of the files, as the list writes them, that lie outside `root` by their names; links are not looked at."""
    suspects = [name for name in files if os.path.isabs(name) or ".." in name]
    return [name for name in suspects if is_elsewhere(root, name)]


def is_elsewhere(root: Path, file: str) -> bool:
    """Whether a file lies outside `root`, by its name or through a link of its own or of a folder."""
    folder, path = _real_folder(os.fspath(root)), os.path.join(root, file)
    real = os.path.realpath(path) if os.path.islink(path) else _real_folder(os.path.dirname(path))
    return real != folder and not real.startswith(folder.rstrip(os.sep) + os.sep)


@lru_cache(maxsize=1024)
def _real_folder(folder: str) -> str:
    return os.path.realpath(folder)


def example_from_elsewhere(content: bytes, path: str | Path, origin: str) -> bytes:
    """The content, if it is an image or a recording: a line of a list and a link may name any file of the machine."""
    try:
        if isinstance(content_of(content), Recordings):
            probe(content, name=str(path))
        else:
            open_image(content).close()
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(
            f"{path}, outside the folder of {origin}, is neither an image nor a recording of a known format and is not "
            "copied; take it out of the set"
        ) from error
    return content


def is_fetched(folder: Path) -> bool:
    """Whether the folder belongs to a set that `angulus data get` fetched and unpacked."""
    folder = folder.absolute()
    return any((above / FETCHED).exists() for above in (folder, *folder.parents))
