"""One process at a time works in a folder: a lock that the system lets go when its holder ends, in whatever way."""

import os
import re
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from angulus.errors import AngulusError
from angulus.files import BoundedReader, links_out, open_in_place

LOCK = ".lock"
PATIENCE = 5.0  # seconds; what a killed process leaves behind, such as its loaders, ends within that
_MOST = 300  # bytes of what the holder says of itself
_PLAIN = re.compile(r"[^ -~]")


@contextmanager
def locked(
    folder: Path, error: type[AngulusError], doing: str, *, patience: float = PATIENCE
) -> Generator[None, None, None]:
    """Hold a folder, which is made where it is missing, while the block runs.

    doing: what the holder does in it, for the message.  patience: seconds to wait for another holder.
    Raises `error`, naming the process that holds it, or because the folder cannot be written, or holds a link through
    which something would be written elsewhere. The folder itself may be a link.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        check_links(folder, error)
        file = _taken(folder / LOCK, time.monotonic() + patience)
    except BlockingIOError:
        raise error(
            f"another process is {doing} {folder}: {_holder(folder / LOCK)}; wait for it to end, or stop it"
        ) from None
    except OSError as problem:
        raise error(
            f"{folder} cannot be written: {problem.strerror or problem}; name another folder, or make it writable"
        ) from problem
    try:
        yield
    finally:
        if file is not None:
            (folder / LOCK).unlink(missing_ok=True)
            file.close()


def check_links(folder: Path, error: type[AngulusError]) -> None:
    """Raise `error` where a link in a folder, at any depth, leads to a folder that is not in it."""
    for link in links_out(folder):
        raise error(
            f"{link} is a link that leads out of {folder}, to {link.resolve()}: nothing is written through it; put a "
            f"folder in its place, or move all of {folder} there and make a link to it"
        )


def _taken(path: Path, deadline: float) -> TextIO | None:
    """The lock file, held; None on systems without such locks. Raises BlockingIOError where another holds it."""
    try:
        import fcntl
    except ImportError:  # not on this system: two processes at once are the user's care
        return None
    while True:
        file = os.fdopen(open_in_place(path), "r+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.stat(path).st_ino == os.fstat(file.fileno()).st_ino:
                file.truncate(0)
                file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
                file.flush()
                return file
        except FileNotFoundError:
            pass  # the holder ended and took its file away meanwhile
        except BlockingIOError:
            if time.monotonic() > deadline:
                file.close()
                raise
            time.sleep(0.1)
        except BaseException:
            file.close()
            raise
        file.close()


def _holder(path: Path) -> str:
    try:
        with BoundedReader(path) as file:
            return _PLAIN.sub("?", file.read(_MOST).decode("utf-8", "replace").strip()) or "one that has only begun"
    except OSError:
        return "one that has just ended"
