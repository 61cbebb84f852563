"""The folder of an inversion: what it is, how far it got, and the pictures.

plan.json            what is inverted and how; a folder is only ever continued with the same
state/batch-000.pt   to go on from, with optimizer and random numbers
progress/            a sheet of the images of a batch every so many iterations
images/<identity>/   the inverted images, PNG
montage.png          what was attacked, where its image is known, above what came out
result.json          objective, cosines, seconds, every option

Every file is whole or not there.
"""

import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from angulus.data import decode_image, montage
from angulus.data.loading.contents import PICTURE_EXTENSIONS
from angulus.errors import DataError
from angulus.evaluation.report.png import encode_png
from angulus.folder_locks import LOCK
from angulus.inversion.attack.batch import InvertedBatch
from angulus.json_files import parse_json, read_json
from angulus.pickles.tensors import load_tensors
from angulus.whole_files import clear_partials, reason_of, remedy_of, write_beside

COLUMNS = 8
LONGEST = 200
"""Bytes of a part of a path; file systems take 255, of which a number and an ending need some."""
_FORBIDDEN = frozenset('<>:"|?*\\')


class InversionFolder:
    """Paths and files of one inversion. Raises DataError when the folder holds another one."""

    def __init__(self, path: Path, plan: dict[str, Any]) -> None:
        self.path = path
        content = parse_json(json.dumps(plan))
        clear_partials(path, held=False)
        before = self.read("plan.json")
        if before is None:
            if path.exists() and any(entry.name != LOCK for entry in path.iterdir()):
                raise DataError(f"{path} holds other files and no inversion; name a new folder for --out")
            self.write("plan.json", plan)
        elif before != content:
            different = [name for name in content if before.get(name) != content[name]]
            raise DataError(
                f"{path} holds an inversion with other {' and '.join(different or ['settings'])}; go on with the same, "
                "or name another folder for --out"
            )

    def read(self, name: str) -> Any:
        """A JSON file of the folder, None where there is none."""
        try:
            return read_json(self.path / name)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise DataError(f"{self.path / name} cannot be read: {error}; remove the folder and start again") from error

    def write(self, name: str, content: Any) -> None:
        text = json.dumps(content, indent=1, allow_nan=False) + "\n"
        write_whole(self.path / name, text.encode())

    def write_picture(self, name: str, pixels: NDArray[np.uint8]) -> None:
        """One picture uint8 [h, w, 3]."""
        write_whole(self.path / name, encode_png(pixels))

    @staticmethod
    def picture(path: Path) -> NDArray[np.uint8]:
        """A picture that was written before, uint8 [h, w, 3]."""
        return decode_image(path)

    def save(self, number: int, batch: InvertedBatch) -> None:
        """Keep the state of a batch."""
        file = io.BytesIO()
        torch.save(batch.state(), file)
        write_whole(self.state_path(number), file.getvalue())

    def restore(self, number: int, batch: InvertedBatch) -> None:
        """Put the kept state back into a batch; nothing happens where there is none."""
        target = self.state_path(number)
        if not target.exists():
            return
        try:
            batch.restore(load_tensors(target))
        except Exception as error:  # a damaged zip raises half a dozen types
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise DataError(
                f"{target} is not a readable state ({reason}); remove it, and the batch starts anew"
            ) from error

    def state_path(self, number: int) -> Path:
        return self.path / "state" / f"batch-{number:03d}.pt"


def write_whole(path: Path, content: bytes) -> None:
    """A file in a folder that may be missing: written beside its place, flushed, then moved there."""

    def write(partial: Path) -> None:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    try:
        write_beside(path, write)
    except OSError as error:
        raise DataError(
            f"{path} could not be written: {reason_of(error)}; {remedy_of(error)} and start again"
        ) from error


def image_paths(identities: Sequence[str], keys: Sequence[str]) -> list[str]:
    """Where the image of each target lies in the folder: images/<identity>/<key>.png, on any file system.

    Where two would be the same, since keys differ in what a path cannot hold, the later one gets its number.
    """
    found: dict[str, str] = {}  # by lower case: some file systems do not tell "Ada" from "ada"
    for number, (identity, key) in enumerate(zip(identities, keys, strict=True)):
        stem = key.removeprefix(f"{identity}/")
        head, dot, ending = stem.rpartition(".")
        stem = head if dot and f".{ending.lower()}" in PICTURE_EXTENSIONS else stem
        path = f"images/{_plain(identity)}/{_plain(stem)}"
        path = path if path.lower() not in found else f"{path} {number}"
        found[path.lower()] = f"{path}.png"
    return list(found.values())


def sheet(pictures: Sequence[NDArray[np.uint8]], above: Sequence[NDArray[np.uint8]] | None = None) -> NDArray[np.uint8]:
    """Pictures in rows; with `above`, each row under the row of these."""
    columns = min(COLUMNS, len(pictures))
    if above is None:
        return montage(list(pictures), columns)
    rows: list[NDArray[np.uint8]] = []
    for start in range(0, len(pictures), columns):
        for row in (above[start : start + columns], pictures[start : start + columns]):
            blank = np.full_like(row[0], 255)
            rows += [*row, *[blank] * (columns - len(row))]
    return montage(rows, columns)


def _plain(name: str) -> str:
    """A name as one part of a path."""
    text = "".join("_" if sign in _FORBIDDEN or sign == "/" or ord(sign) < 32 else sign for sign in name)
    return text.encode("utf-8", "replace")[:LONGEST].decode("utf-8", "ignore").strip(". ") or "_"
