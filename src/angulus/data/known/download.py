"""How does a file come from the web whole: resumed after a cut, checked by its checksum, put in place at the end?

`pooch` checks and moves (an extra: pip install "angulus[get]"). It begins anew after a cut, so that the transfer itself
is here: what has arrived stays in NAME.download beside the target, and the next try asks for the rest (HTTP Range). A
file with a wrong checksum is deleted and never put in place. Without a checksum nothing is resumed, since two halves of
two files could not be told from one.
"""

import hashlib
import logging
import shutil
import tarfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from angulus.data.formats.file_places import FETCHED
from angulus.data.known.catalogue import KnownSet, SetFile
from angulus.errors import DataError

if TYPE_CHECKING:
    from requests import Response

logger = logging.getLogger(__name__)

Progress = Callable[[int, int | None], None]

_CHUNK = 2**18
_TIMEOUT = 30
_TRIES = 3


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A file that is here. sha256: of what arrived; verified: False where no checksum is known; resumed: bytes that
    were there from an earlier try; unpacked: the folder of its content, where it is an archive."""

    path: Path
    sha256: str
    verified: bool
    resumed: int
    unpacked: Path | None = None


def fetch_set(known: KnownSet, out: Path, *, progress: Progress | None = None) -> list[Fetched]:
    """Fetch the files of a set into the folder out/NAME and unpack archives there; what is there already stays.

    Raises DataError with what to do: no network, no such file, a wrong checksum, a full disk, pooch not installed.
    """
    folder = out / known.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder} cannot be made: {error.strerror or error}") from error
    return [fetch_file(file, folder, progress=progress) for file in known.files]


def fetch_file(file: SetFile, folder: Path, *, progress: Progress | None = None, tries: int = _TRIES) -> Fetched:
    """Fetch one file from the first of its addresses that gives it, and unpack it. Raises DataError as `fetch_set`."""
    problems = []
    for url in file.urls:
        transfer = _Transfer(folder / f"{file.name}.download", resume=file.checksum is not None, progress=progress)
        try:
            path = _retrieved(file, folder, url, transfer, tries)
        except DataError as error:
            problems.append(str(error))
            continue
        unpacked = _unpack(path) if file.unpacked else None
        verified = file.checksum is not None
        return Fetched(path=path, sha256=_sha256(path), verified=verified, resumed=transfer.resumed, unpacked=unpacked)
    raise DataError("; ".join(problems))


class _Transfer:
    """What pooch calls to bring a file: to `part`, going on where an earlier try was cut."""

    def __init__(self, part: Path, *, resume: bool, progress: Progress | None) -> None:
        self.part, self.resume, self.resumed = part, resume, 0
        self.progress = progress or (lambda done, total: None)
        if part.exists() and resume:
            self.resumed = part.stat().st_size

    def __call__(self, url: str, output_file: str, pooch: Any, check_only: bool = False) -> None:
        import requests

        begin = self.part.stat().st_size if self.resume and self.part.exists() else 0
        headers = {"Accept-Encoding": "identity"}
        if begin:
            headers["Range"] = f"bytes={begin}-"
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                self._settle(response, begin)
            else:
                response.raise_for_status()
                self._receive(response, begin if response.status_code == requests.codes.partial_content else 0)
        shutil.move(self.part, output_file)  # pooch checks it there, and deletes it when it is wrong

    def _receive(self, response: "Response", begin: int) -> None:
        import requests

        length = response.headers.get("Content-Length")
        total = None if length is None else begin + int(length)
        self.resumed = min(self.resumed, begin)
        with self.part.open("ab" if begin else "wb") as file:
            done = begin
            # read1 gives what is there: read would throw the last piece away when the connection breaks
            while chunk := response.raw.read1(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                self.progress(done, total)
        if total is not None and done < total:
            raise requests.ConnectionError(f"{done:,} of {total:,} bytes came")

    def _settle(self, response: "Response", begin: int) -> None:
        """The server has nothing beyond what is here: it is whole, or of another file."""
        if response.headers.get("Content-Range", "").rpartition("/")[2] != str(begin):
            self.part.unlink(missing_ok=True)
            response.raise_for_status()


def _retrieved(file: SetFile, folder: Path, url: str, transfer: _Transfer, tries: int) -> Path:
    try:
        import pooch
        import requests
        import urllib3
    except ImportError as error:
        raise DataError('fetching needs pooch, which is not installed; run: pip install "angulus[get]"') from error
    pooch.get_logger().setLevel(logging.WARNING)
    for attempt in range(1, tries + 1):
        try:
            path = pooch.retrieve(url, file.checksum, fname=file.name, path=folder, downloader=cast(Any, transfer))
            return Path(path)
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            if status < 500 or attempt == tries:
                raise DataError(f"{url} answers {status}: the file is not there; {_BY_HAND.format(folder)}") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            if attempt == tries:
                raise DataError(_cut(url, transfer.part, error)) from error
        except ValueError as error:
            raise DataError(
                f"what came from {url} has not the checksum {file.checksum}, so that it was deleted: the file was "
                f"changed there, or on its way; try again later, or {_BY_HAND.format(folder)}"
            ) from error
        except OSError as error:
            raise DataError(f"{folder / file.name} cannot be written: {error.strerror or error}") from error
        logger.info("%s: cut off, trying again (%d of %d)", url, attempt + 1, tries)
        time.sleep(min(attempt, 5) if attempt > 1 else 0)
    raise AssertionError("the last try returns or raises")


_BY_HAND = "put the file into {} by hand and give the command again"


def _cut(url: str, part: Path, error: Exception) -> str:
    kept = part.stat().st_size if part.exists() else 0
    rest = f"{kept:,} bytes are kept and the same command goes on" if kept else "is there a network?"
    return f"{url} cannot be fetched ({type(error).__name__}); {rest}"


def _unpack(archive: Path) -> Path | None:
    """The folder beside an archive that holds its content; made whole or not at all. None for other files."""
    target = archive.with_name(archive.name.partition(".")[0])
    if target.exists():
        return target
    part = archive.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        if tarfile.is_tarfile(archive):
            with tarfile.open(archive) as packed:
                packed.extractall(part, filter="data")
        elif zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                packed.extractall(part)
        else:
            return None
        (part / FETCHED).touch()
        part.replace(target)
    except (OSError, tarfile.TarError, zipfile.BadZipFile) as error:
        shutil.rmtree(part, ignore_errors=True)
        raise DataError(f"{archive} cannot be unpacked: {error}; make room, or remove it and fetch it again") from error
    return target


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
