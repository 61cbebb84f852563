"""What has to be on this machine before something of a store can be opened: all of it, an index, or nothing yet.

a file                      whole; .tar, .parquet and .rec are read in ranges
a run                       its records, and its model or the best one; checkpoints only to go on with it
a packed set                its index; the images are read in ranges
a folder of such files      read in ranges
a model, a bundle           whole
a folder of folders         nothing: listed when it is opened as a set, images one by one
another folder              whole
"""

import re
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from angulus.errors import StorageError
from angulus.storage.addresses import address_of, placed
from angulus.storage.cache import age, fetched, forget, is_published
from angulus.storage.json_texts import parse_json
from angulus.storage.ranges import lay_stub, lift_stub, stub_at
from angulus.storage.read_ahead import PARALLEL
from angulus.storage.stores import READ_ONLY, Found, below, entries, look

UNFINISHED = ".unfinished"
"""Lies in a folder of a store while it is published."""
NEWEST = "newest.json"
"""Names the newest checkpoint of a run that is whole in its store."""
RANGED = (".tar", ".parquet", ".rec")
_BESIDE = (".idx", ".lst", ".names", "property")
_STEP = re.compile(r"step-(\d{8})(\.pt)?")
_TOLD_BY = ("index.safetensors", "images.bin", "model.json", "model.safetensors")
FRESH = 60.0  # seconds for which a copy is taken for what the store has
TAKEN: set[Path] = set()
"""Folders that this process writes and publishes itself."""


def arrived(given: str | Path) -> Path:
    """The place of an address, with what has to be there; of a path the path. Raises StorageError."""
    path = placed(given)
    address = address_of(path)
    if address is None or is_taken(path):
        return path
    if "*" in path.name:
        return _pattern(path)
    found = look(address)
    if found is None:
        return _folder(address, path)
    if path.suffix.lower() in RANGED:
        _ranged(found)
        if path.suffix.lower() == ".rec":
            beside, _ = entries(address.rpartition("/")[0])
            _whole([one for name, one in beside.items() if name.endswith(_BESIDE)])
        return path
    lift_stub(path)
    return fetched(found, held=True)


def run_arrived(path: Path) -> Path:
    """The same for the folder of a run that is to be gone on with: all but old checkpoints.

    What this machine has of the run and did not publish stays where it is at least as far. Raises StorageError.
    """
    address = address_of(path)
    if address is None or is_taken(path):
        return path
    files = {name: found for name, found in below(address) if not name.endswith(f"/{UNFINISHED}")}
    if _is_ahead(path, files):
        return path
    wanted = {}
    for name, found in files.items():
        above, slash, rest = name.rpartition("checkpoints/")
        if not slash or rest == NEWEST or rest.partition("/")[0] == _newest(files, f"{above}checkpoints"):
            wanted[name] = found
    _whole(list(wanted.values()))
    for name in files.keys() - wanted.keys():
        forget(placed(files[name].address))
    return path


def fetch_missing(path: str | Path) -> None:
    """Fetch an object whose place is opened and lacks it, or has a copy that nobody has compared for a minute.

    Raises StorageError.
    """
    address = address_of(path)
    place = Path(path)
    if address is None or is_taken(place) or place.name.startswith("."):
        return
    found = stub_at(place)
    if found is not None:
        lift_stub(place)
        fetched(found, held=True)
    elif not place.exists() or age(place) > FRESH:
        found = look(address)
        if found is not None:
            fetched(found)
        elif is_published(place):
            forget(place)


@contextmanager
def taken(folder: Path) -> Generator[None, None, None]:
    """While the block runs, what lies in a folder is this process's own: nothing is fetched over it."""
    if address_of(folder) is None or folder in TAKEN:
        yield
        return
    TAKEN.add(folder)
    try:
        yield
    finally:
        TAKEN.discard(folder)


def is_taken(path: Path) -> bool:
    """Whether this process is writing the folder of a run in which a path lies."""
    return bool(TAKEN) and any(one in TAKEN for one in (path, *path.parents))


def clear(path: Path) -> None:
    """Remove what was fetched to a place, or published from it; what was not published stays."""
    lift_stub(path)
    for one in list(path.rglob("*")) if path.is_dir() else [path]:
        if one.is_file() and is_published(one):
            forget(one)
        elif one.is_file():
            lift_stub(one)
    for folder in sorted((one for one in path.rglob("*") if one.is_dir()), reverse=True) if path.is_dir() else []:
        if not any(folder.iterdir()):
            folder.rmdir()
    if path.is_dir() and not any(path.iterdir()):
        path.rmdir()


def _folder(address: str, path: Path) -> Path:
    files, folders = _told(address) if address.startswith(READ_ONLY) else entries(address)
    if UNFINISHED in files:
        raise StorageError(
            f"{address} is not whole: it is being published, or whoever published it was stopped; wait for it, or "
            "write it again"
        )
    if not files and not folders:
        clear(path)
        return path
    if path.is_file():
        clear(path)
    path.mkdir(parents=True, exist_ok=True)
    ranged = [found for name, found in files.items() if name.lower().endswith(RANGED)]
    if "recipe.json" in files:
        if _local_step(path) >= 0:
            newest = look(f"{address}/checkpoints/{NEWEST}")
            if _is_ahead(path, files if newest is None else {**files, f"checkpoints/{NEWEST}": newest}):
                return path
        _whole(list(files.values()))
        _whole(_model_of_run(address, folders))
    elif "index.safetensors" in files and "images.bin" in files:
        fetched(files["index.safetensors"], held=True)
        _ranged(files["images.bin"])
    elif ranged or "data" in folders:
        if not ranged:
            (path / "data").mkdir(exist_ok=True)
            inner, _ = entries(f"{address}/data")
            ranged = [found for name, found in inner.items() if name.lower().endswith(RANGED)]
        for found in ranged:
            _ranged(found)
        _whole([found for name, found in files.items() if name.endswith(_BESIDE)])
    elif not folders or "bundle.json" in files or "model.json" in files:
        _whole([found for _, found in below(address)] if folders else list(files.values()))
    return path


def _told(address: str) -> tuple[dict[str, Found], list[str]]:
    """What a server that cannot list says of the files that tell what a folder is."""
    looked = {name: look(f"{address}/{name}") for name in _TOLD_BY}
    return {name: found for name, found in looked.items() if found is not None}, []


def _pattern(path: Path) -> Path:
    address = address_of(path.parent)
    files, _ = entries(address) if address is not None else ({}, [])
    for name, found in files.items():
        if Path(name).match(path.name):
            _ranged(found)
    return path


def _model_of_run(address: str, folders: list[str]) -> list[Found]:
    for name in ("model", "best"):
        if name in folders:
            files, _ = entries(f"{address}/{name}")
            if "model.json" in files:
                return list(files.values())
    return []


def _ranged(found: Found) -> None:
    if stub_at(placed(found.address)) != found or not placed(found.address).exists():
        forget(placed(found.address))
        lay_stub(found)


def _whole(files: list[Found]) -> None:
    """Fetch objects, several at once."""
    for found in files:
        lift_stub(placed(found.address))
    with ThreadPoolExecutor(PARALLEL) as pool:
        list(pool.map(lambda found: fetched(found, held=True), files))


def _newest(files: dict[str, Found], folder: str) -> str:
    """The name of the newest whole checkpoint in a folder; "" where there is none."""
    found = files.get(f"{folder}/{NEWEST}")
    if found is None:
        return ""
    try:
        name = parse_json(fetched(found).read_text())["name"]
    except (ValueError, KeyError, TypeError, OSError):
        return ""
    return name if isinstance(name, str) else ""


def _is_ahead(path: Path, files: dict[str, Found]) -> bool:
    """Whether a run that was begun on this machine is at least as far here as in the store."""
    ends = "result.json" not in files or (path / "result.json").exists()
    return ends and _local_step(path) >= max(0, _step(files))


def _step(files: dict[str, Found]) -> int:
    match = _STEP.fullmatch(_newest(files, "checkpoints"))
    return int(match[1]) if match else -1


def _local_step(path: Path) -> int:
    steps = [_STEP.fullmatch(one.name) for one in (path / "checkpoints").glob("step-*")]
    return max((int(step[1]) for step in steps if step), default=-1)
