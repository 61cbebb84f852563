"""The folder of a run that is kept in a store: written here, and published by a thread while the run goes on.

What the run is goes first, then its newest checkpoint, then what else has changed, and the name of the checkpoint last
(`checkpoints/newest.json`), so that whoever goes on with the run elsewhere never reads half of one, and has the records
up to it. A store that does not answer stops no run. A checkpoint that is on its way has second names (hard links) in
`checkpoints/.publishing`, so that it arrives also where the run removes it meanwhile, as it does when a store is slower
than checkpoints are written.
"""

import json
import logging
import os
import re
import shutil
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from angulus.errors import StorageError
from angulus.storage.addresses import address_of
from angulus.storage.arrival import NEWEST, is_taken
from angulus.storage.cache import forget, is_published
from angulus.storage.publication import files_in, put_noted
from angulus.storage.stores import below, remove, write

log = logging.getLogger(__name__)

BEGUN = ("classes.json", "environment.json", "recipe.json")
EVERY = 30.0  # seconds between two looks at what has changed; a new checkpoint is seen at once
LOOK = 0.5
HELD = ".publishing"
_STEP = re.compile(r"step-\d{8}(\.pt)?")


@contextmanager
def published_run(folder: Path) -> Generator[None, None, None]:
    """Publish the folder of a run while the block runs, and all of it at its end; other folders are left alone.

    Raises StorageError where its end could not be published, with what to do.
    """
    address = address_of(folder)
    if address is None or is_taken(folder.parent):
        yield
        return
    publisher = _Publisher(folder, address)
    try:
        publisher.thread.start()
        yield
    except BaseException:
        with suppress(StorageError, OSError):
            publisher.end()
        raise
    else:
        try:
            publisher.end()
        except (StorageError, OSError) as error:
            raise StorageError(
                f"{error}. The run itself is whole on this machine; this publishes it: angulus train --resume {address}"
            ) from error
    finally:
        publisher.ended.set()


class _Publisher:
    def __init__(self, folder: Path, address: str) -> None:
        self.folder, self.address = folder, address
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._work, name="publication of the run", daemon=True)
        self.seen = ""
        self.failed = False
        self.sent: dict[Path, int] = {}
        self.named: set[Path] = set()
        self.last: dict[Path, str] = {}
        """By folder the checkpoint that its `newest.json` in the store names."""
        for left in list(folder.rglob(f"checkpoints/{HELD}")):
            shutil.rmtree(left, ignore_errors=True)

    def end(self) -> None:
        """Publish the rest. Raises StorageError."""
        self.ended.set()
        self.thread.join()
        self._round()

    def _work(self) -> None:
        waited = 0.0
        while not self.ended.wait(LOOK):
            waited += LOOK
            newest = "".join(path.name for path in self._newest())
            if newest == self.seen and waited < EVERY:
                continue
            waited, self.seen = 0.0, newest
            try:
                self._round()
                self.failed = False
            except (StorageError, OSError) as error:
                if not self.failed:
                    log.warning("%s. Training goes on, and what is missing there is published later", error)
                self.failed = True

    def _round(self) -> None:
        """What the run is, its newest checkpoints, its records and networks, then the names of the checkpoints."""
        files = files_in(self.folder)
        for path in sorted((path for path in files if path.name in BEGUN), key=lambda path: BEGUN.index(path.name)):
            self._publish(path)
        newest = [checkpoint for checkpoint in self._newest() if self._publish_checkpoint(checkpoint)]
        for path in files_in(self.folder):
            inside = path.relative_to(self.folder).parts
            if "checkpoints" not in inside[:-1] and not path.name.endswith(".damaged"):
                self._publish(path)
        for checkpoint in newest:
            name = checkpoint.parent.relative_to(self.folder).as_posix()
            write(json.dumps({"name": checkpoint.name}).encode(), f"{self.address}/{name}/{NEWEST}")
            self.named.add(checkpoint)
            self.last[checkpoint.parent] = checkpoint.name
        self._remove_pruned()

    def _newest(self) -> list[Path]:
        """The newest whole checkpoint of the run, and of the runs in its folder."""
        newest: dict[Path, Path] = {}
        for path in sorted(self.folder.rglob("checkpoints/step-*")):
            if _STEP.fullmatch(path.name):
                newest[path.parent] = path
        return list(newest.values())

    def _publish_checkpoint(self, checkpoint: Path) -> bool:
        """Whether a checkpoint is whole in the store now, and was not named before."""
        with _held(checkpoint) as files:
            for path, held in files.items():
                if not is_published(path):
                    put_noted(held, self._address(path))
        return bool(files) and checkpoint not in self.named

    def _publish(self, path: Path) -> None:
        if is_published(path):
            return
        address = self._address(path)
        try:
            if path.suffix == ".jsonl":  # it may grow meanwhile
                content = path.read_bytes()
                if self.sent.get(path) != len(content):
                    write(content, address)
                    self.sent[path] = len(content)
            else:
                put_noted(path, address)
        except FileNotFoundError:
            return  # removed meanwhile

    def _address(self, path: Path) -> str:
        return f"{self.address}/{path.relative_to(self.folder).as_posix()}"

    def _remove_pruned(self) -> None:
        """Checkpoints that the run has removed go from the store too, once a newer one is there."""
        for checkpoint in self._newest():
            folder = checkpoint.parent
            name = folder.relative_to(self.folder).as_posix()
            for inside, found in list(below(f"{self.address}/{name}")):
                top = inside.partition("/")[0]
                if _STEP.fullmatch(top) and top != self.last.get(folder) and not (folder / top).exists():
                    remove(found.address)
                    with suppress(OSError, ValueError):
                        forget(folder / inside)


@contextmanager
def _held(checkpoint: Path) -> Generator[dict[Path, Path], None, None]:
    """The files of a checkpoint, each with a name that stays while the block runs; none where it is gone already."""
    aside = checkpoint.parent / HELD
    files: dict[Path, Path] = {}
    try:
        with suppress(FileNotFoundError):
            files = {
                path: _second_name(path, aside / path.relative_to(checkpoint.parent)) for path in _parts(checkpoint)
            }
        yield files
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _parts(checkpoint: Path) -> list[Path]:
    if not checkpoint.is_dir():
        return [checkpoint]
    # the index of a head that is divided over processes has a dot before its name
    return [*files_in(checkpoint), *(one for one in checkpoint.glob(".metadata") if one.is_file())]


def _second_name(path: Path, other: Path) -> Path:
    other.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, other)
    except FileNotFoundError:
        raise
    except OSError:  # a disk without hard links
        shutil.copy2(path, other)
    return other
