"""What was written to the place of an address goes to the store: a file at once, a folder so that no half is read.

S3 and its likes have no renaming. A file is one request, or parts that a last request joins. A folder has `.unfinished`
in it as long as something is missing, and nobody reads it then; files by which it is opened come last.
"""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from angulus.errors import StorageError
from angulus.storage.addresses import address_of, cache_folder, mirror, placed
from angulus.storage.arrival import UNFINISHED, clear, is_taken
from angulus.storage.cache import is_published, note
from angulus.storage.ranges import stub_at
from angulus.storage.read_ahead import PARALLEL
from angulus.storage.stores import check_can_be_written, entries, look, put, remove, write

MARKS = ("index.safetensors", "model.json", "bundle.json", "recipe.json", "result.json")


def publish(path: str | Path) -> None:
    """Lay a file or a folder of files into the store, if its path is the place of an address and it is not there.

    Raises StorageError, which says where what was written is kept on this machine.
    """
    path = Path(path)
    address = address_of(path)
    if address is None or is_taken(path) or not path.exists():
        return
    try:
        if path.is_dir():
            _publish_folder(path, address)
        elif not is_published(path) and stub_at(path) is None:
            put_noted(path, address)
    except (StorageError, OSError) as error:
        kept = _kept_aside(path)
        unread = "; what is there of it is marked as unfinished and is not read" if kept.is_dir() else ""
        raise StorageError(f"{error}. What was written is kept in {kept}{unread}") from error


def put_noted(path: Path, address: str) -> None:
    """Lay a file at its address, and note that its place has it unless what lies there changed meanwhile.

    path: the place of the address, or another name of the file in it.
    """
    before = path.stat()
    found = put(path, address)
    try:
        after = placed(address).stat()
    except FileNotFoundError:
        return
    if (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
        note(found)


def publish_file(path: Path) -> None:
    """Lay a file at the address of its place, whatever lies there; other paths are left alone. Raises StorageError."""
    address = address_of(path)
    if address is not None and not is_taken(path):
        put_noted(path, address)


def stored(path: Path) -> bool | None:
    """Whether the store has an object at the address of a path; None for other paths. Raises StorageError."""
    address = address_of(path)
    return None if address is None or is_taken(path) else look(address) is not None


def names_stored(folder: Path) -> frozenset[str] | None:
    """Names of the objects directly below the address of a folder; None for other paths. Raises StorageError."""
    address = address_of(folder)
    return None if address is None or is_taken(folder) else frozenset(entries(address)[0])


def check_free(path: str | Path) -> None:
    """Raise StorageError where something lies at the address of a path already. What was fetched of it is removed."""
    path = Path(path)
    address = address_of(path)
    if address is None or is_taken(path):
        return
    check_can_be_written(address)
    files, folders = ({}, []) if look(address) is not None else entries(address)
    if look(address) is not None or ((files or folders) and UNFINISHED not in files):
        raise StorageError(f"{address} exists already; remove it, or name another target")
    clear(path)


def check_writable(path: str | Path) -> None:
    """Raise StorageError where nothing can be written to the address of a path: it is tried with an empty object."""
    path = Path(path)
    address = address_of(path)
    if address is None or is_taken(path):
        return
    check_can_be_written(address)
    probe = f"{address.rpartition('/')[0]}/.{path.name}.probe"
    write(b"", probe)
    remove(probe)


def files_in(folder: Path) -> list[Path]:
    """The files of a folder that are meant to last, those by which it is opened last."""
    found = [
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    return sorted(found, key=lambda path: (path.name in MARKS, str(path)))


def _publish_folder(folder: Path, address: str) -> None:
    waiting = [path for path in files_in(folder) if not is_published(path) and stub_at(path) is None]
    if not waiting:
        return
    write(b"", f"{address}/{UNFINISHED}")
    first = [path for path in waiting if path.name not in MARKS]
    with ThreadPoolExecutor(PARALLEL) as pool:
        try:
            list(pool.map(lambda path: put_noted(path, f"{address}/{path.relative_to(folder).as_posix()}"), first))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    for path in waiting[len(first) :]:
        put_noted(path, f"{address}/{path.relative_to(folder).as_posix()}")
    remove(f"{address}/{UNFINISHED}")


def _kept_aside(path: Path) -> Path:
    """Where something that could not be published is moved, so that it is not taken for what the store has."""
    kept = cache_folder() / "unpublished" / path.relative_to(mirror())
    if kept.is_dir():
        shutil.rmtree(kept)
    kept.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.move(path, kept))
