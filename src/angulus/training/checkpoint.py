"""Checkpoints: everything a run needs to go on as if it had not stopped, in one file per moment."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from angulus.errors import CheckpointError
from angulus.training.files import write_atomic
from angulus.training.record import differences

FORMAT = 1
NAME = re.compile(r"step-(\d{8})\.pt")


@dataclass(frozen=True)
class Checkpoint:
    """step: optimizer steps done.  architecture: what the weights belong to, JSON-ready.  tensors: by part."""

    step: int
    architecture: dict[str, Any]
    tensors: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run: the last `keep_last`, and the best when `keep_best`."""

    def __init__(self, folder: Path, keep_last: int) -> None:
        self.folder = folder
        self.keep_last = keep_last

    def paths(self) -> list[Path]:
        """All checkpoints by step, the oldest first."""
        return sorted(path for path in self.folder.glob("step-*.pt") if NAME.fullmatch(path.name))

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint, then remove those that are no longer kept.

        Raises CheckpointError when it cannot be written; the earlier ones are then all there.
        """
        path = self.folder / f"step-{checkpoint.step:08d}.pt"
        content = {"format": FORMAT, "step": checkpoint.step, "architecture": checkpoint.architecture}
        write_atomic(path, lambda file: torch.save({**content, "tensors": checkpoint.tensors}, file))
        for old in self.paths()[: -self.keep_last]:
            old.unlink(missing_ok=True)
        return path

    def latest(self, architecture: dict[str, Any], device: torch.device) -> Checkpoint | None:
        """The newest checkpoint, or None when there is none."""
        paths = self.paths()
        return read_checkpoint(paths[-1], architecture, device) if paths else None


def read_checkpoint(path: Path, architecture: dict[str, Any], device: torch.device) -> Checkpoint:
    """Read one checkpoint. Raises CheckpointError when it is damaged or belongs to another architecture."""
    try:
        content = torch.load(path, map_location=device, weights_only=True)
        found = Checkpoint(int(content["step"]), dict(content["architecture"]), dict(content["tensors"]))
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint at {path}") from None
    except Exception as error:  # a damaged zip raises half a dozen types
        raise CheckpointError(
            f"{path} is not a readable checkpoint ({str(error).splitlines()[0]}); "
            "remove it to resume from the one before"
        ) from error
    different = differences(found.architecture, architecture)
    if different:
        raise CheckpointError(
            f"{path} belongs to another architecture: {'; '.join(different[:5])}. "
            "Resume with the recipe of the run, or start a new run in another folder"
        )
    return found
