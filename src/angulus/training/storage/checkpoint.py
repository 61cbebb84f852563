"""Checkpoints: everything a run needs to go on as if it had not stopped, one for each moment.

step-00000120.pt     one file
step-00000120/       where the head is divided over processes: a folder to which every process adds its part
  run.pt             what is the same on all processes
  .metadata, ...     the head, written by torch.distributed.checkpoint

Either is whole or not there: it is written under another name and then moved into place. Every file ends with a
checksum (`angulus.checksums`), which is looked at before anything is read; those of older versions have none and are
read as they are. A damaged one is set aside as step-00000120.pt.damaged, and the one before it takes its place.
"""

import errno
import logging
import os
import re
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

from angulus.checksums import ChecksumError, Sealing, check
from angulus.errors import AngulusError, CheckpointError, DamagedCheckpointError
from angulus.pickles.tensors import load_tensors
from angulus.training.distributed import Processes
from angulus.training.recipe.serialization import differences
from angulus.training.storage.atomic_files import unwritable, write_atomic
from angulus.training.storage.class_names import check_classes
from angulus.whole_files import clear_partials, flush_folder

log = logging.getLogger(__name__)

FORMAT = 2  # from 2 on every file has a checksum
NAME = re.compile(r"step-(\d{8})(\.pt)?")
RUN_FILE = "run.pt"
REMOVE = "remove it to resume from the one before, or from the beginning where there is none"


@dataclass(frozen=True)
class Checkpoint:
    """step: optimizer steps done.  architecture: what the weights belong to, JSON-ready.  tensors: by part.

    classes: names of the identities in class order; None in checkpoints that are older than these names.
    """

    step: int
    architecture: dict[str, Any]
    tensors: dict[str, Any]
    classes: tuple[str, ...] | None = None

    def write(self, path: Path) -> None:
        """Write everything but a divided head into one file."""
        names = None if self.classes is None else list(self.classes)
        content = {"format": FORMAT, "step": self.step, "architecture": self.architecture, "classes": names}

        def write(file: BinaryIO) -> None:
            sealing = Sealing(file)
            torch.save({**content, "tensors": self.tensors}, cast(BinaryIO, sealing))
            sealing.seal()

        write_atomic(path, write)


class Checkpoints:
    """The checkpoints of one run: the last `keep_last`."""

    def __init__(self, folder: Path, keep_last: int) -> None:
        self.folder = folder
        self.keep_last = keep_last

    def paths(self) -> list[Path]:
        """All checkpoints by step, the oldest first."""
        return sorted(path for path in self.folder.glob("step-*") if NAME.fullmatch(path.name))

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint as one file, then remove those that are no longer kept.

        Raises CheckpointError when it cannot be written; the earlier ones are then all there.
        """
        path = self.folder / f"step-{checkpoint.step:08d}.pt"
        checkpoint.write(path)
        self.prune()
        return path

    def save_folder(self, checkpoint: Checkpoint, write_parts: Callable[[Path], None], group: Processes) -> Path:
        """`save` as a folder, called by every process. write_parts: lets every process add its part to a folder."""
        path = self.folder / f"step-{checkpoint.step:08d}"
        partial = self.folder / f".{path.name}.partial"
        with group.together():
            if group.is_first:
                self.clear()
                make_folder(partial)
        try:
            write_parts(partial)
        except CheckpointError:
            if group.is_first:
                self.clear()  # half of it may be what fills the disk
            raise
        with group.together():
            if group.is_first:
                checkpoint.write(partial / RUN_FILE)
                put_in_place(partial, path)
                self.prune()
        return path

    def prune(self) -> None:
        for old in self.paths()[: -self.keep_last]:
            remove(old)

    def clear(self) -> None:
        """Remove what processes that were killed left behind."""
        for left in self.folder.glob(".step-*"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)

    def set_aside(self, path: Path) -> None:
        """Take its name from a damaged checkpoint, so that it is neither read nor counted."""
        aside = path.with_name(f"{path.name}.damaged")
        remove(aside)
        try:
            os.replace(path, aside)
        except OSError as error:
            raise CheckpointError(unwritable(path, error)) from error


def step_of(path: Path) -> int:
    """The step of a checkpoint, by its name."""
    named = NAME.fullmatch(path.name)
    assert named is not None
    return int(named[1])


def clear_leftovers(folder: Path) -> None:
    """Remove what killed processes had not finished writing in the folder of a run, which this process holds."""
    clear_partials(folder)
    Checkpoints(folder / "checkpoints", 1).clear()


def make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True)
    except OSError as error:
        raise CheckpointError(unwritable(path, error)) from error


def put_in_place(partial: Path, path: Path) -> None:
    """Give a finished folder its name, durably; one that has it already makes way."""
    flush_folder(partial)
    try:
        if path.exists():
            remove(path)
        os.rename(partial, path)
    except OSError as error:
        raise CheckpointError(unwritable(path, error)) from error
    flush_folder(path.parent)


def remove(path: Path) -> None:
    """Remove a checkpoint; a folder loses its name first, so that no half of it is taken for a checkpoint."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    leaving = path.with_name(f".{path.name}.removed")
    shutil.rmtree(leaving, ignore_errors=True)
    os.rename(path, leaving)
    shutil.rmtree(leaving, ignore_errors=True)


def load_content(path: Path, device: torch.device, *, mapped: bool = False) -> Checkpoint:
    """Read one checkpoint, but for a divided head. Raises CheckpointError when it is missing or damaged.

    mapped: leave tensors on the disk until they are looked at.
    """
    file = path / RUN_FILE if path.is_dir() else path
    try:
        sealed = check(file)
        content = load_tensors(file, device=device, mapped=mapped)
        return checkpoint_in(content, sealed)
    except FileNotFoundError:
        if path.is_dir():
            raise DamagedCheckpointError(f"{path} is incomplete, it has no {RUN_FILE}; {REMOVE}") from None
        raise CheckpointError(f"there is no checkpoint at {path}") from None
    except Exception as error:  # a damaged zip raises half a dozen types
        raise DamagedCheckpointError(
            f"{file} is not a readable checkpoint ({reason(error, file)}); {REMOVE}"
        ) from error


def checkpoint_in(content: Any, sealed: bool) -> Checkpoint:
    """The checkpoint that a file held. Raises ValueError where it holds something else."""
    if not isinstance(content, dict) or type(content.get("step")) is not int or content["step"] < 0:
        raise ValueError("it is no checkpoint of a run: it must say how many steps were done")
    kept = content.get("format", 1)
    if kept not in (1, FORMAT):
        raise ValueError(f"it has format {kept!r:.20}, this version reads up to {FORMAT}: update Angulus")
    if not sealed and kept > 1:
        raise ChecksumError("its checksum is missing: it was cut short or damaged")
    for name in ("architecture", "tensors"):
        if not isinstance(content.get(name), dict) or not all(isinstance(key, str) for key in content[name]):
            raise ValueError(f"its {name} must be a dictionary")
    names = content.get("classes")
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise ValueError("its classes must be a list of names")
    classes = None if names is None else tuple(names)
    return Checkpoint(content["step"], content["architecture"], content["tensors"], classes)


@contextmanager
def content_told(path: Path) -> Generator[None]:
    """What goes wrong with the content of a checkpoint as one CheckpointError that names it.

    A file may be sound and hold something else than a run writes: other names, shapes or types.
    """
    try:
        yield
    except (AngulusError, OSError, MemoryError):
        raise
    except Exception as error:  # whatever torch makes of it
        what = f"it has no {error}" if isinstance(error, KeyError) else (str(error).strip() or type(error).__name__)
        raise CheckpointError(
            f"{path} does not hold what a run writes ({what.splitlines()[0][:200]}); take another, or remove it and "
            "train the run again"
        ) from error


def reason(error: Exception, file: Path) -> str:
    """Why a checkpoint cannot be read, in one line."""
    try:
        if not file.stat().st_size:
            return "it is empty"
    except OSError:
        pass
    if isinstance(error, OSError) and error.errno == errno.EINVAL:  # torch seeks to where no byte is
        return "it was cut short or damaged"
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def read_checkpoint(
    path: Path, architecture: dict[str, Any], classes: tuple[str, ...], device: torch.device
) -> Checkpoint:
    """Read one checkpoint of a run. Raises CheckpointError when it is damaged or belongs to another run."""
    found = load_content(path, device)
    if NAME.fullmatch(path.name) and step_of(path) != found.step:
        raise DamagedCheckpointError(f"{path} says of itself that it is of step {found.step}; remove or rename it")
    if found.classes is not None:
        check_classes(path, found.classes, classes)
    different = differences(found.architecture, architecture)
    if different:
        raise CheckpointError(
            f"{path} belongs to another architecture: {'; '.join(different[:5])}. "
            "Resume with the recipe of the run, or start a new run in another folder"
        )
    return found
