"""Parts to one `.npz`, a part at a time: memory stays the same however many there are, the file that of the whole."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.array_files import Blocks, write_arrays
from angulus.embeddings.shards.manifest import Manifest
from angulus.embeddings.shards.parts import MATRICES, Part, read_part
from angulus.embeddings.shards.reading import kind_of, whole_manifest
from angulus.errors import EvaluationError
from angulus.whole_files import reason_of, write_beside

_Get = Callable[[Part], NDArray[Any]]


def merge_shards(folder: Path, out: Path) -> tuple[int, int]:
    """Write the set in a folder as one file, byte for byte as the set would save itself; returns rows and dimensions.

    Raises EvaluationError where parts are missing (it says how to make them) or damaged, and for another suffix.
    """
    if out.suffix != ".npz":
        raise EvaluationError(f"merged embeddings are written as .npz, got the file name {out.name!r}")
    manifest = whole_manifest(folder)
    arrays = _arrays(folder, manifest)
    try:
        write_beside(out, lambda partial: _save(partial, arrays))
    except OSError as error:
        raise EvaluationError(
            f"{out} could not be written: {reason_of(error)}. Nothing was put in its place; "
            "make room, or name another file"
        ) from error
    rows, dim = arrays["embeddings"].shape
    return rows, dim


def _save(partial: Path, arrays: dict[str, Any]) -> None:
    with partial.open("wb") as file:
        write_arrays(file, arrays)


def _arrays(folder: Path, manifest: Manifest) -> dict[str, Any]:
    """Every array of the whole, to be read when it is written."""
    first: Part | None = None
    rows, types = 0, dict[str, np.dtype]()
    for part in _parts(folder, manifest):
        first = first or part
        if kind_of(part) != kind_of(first):
            raise EvaluationError(f"the parts in {folder} have unlike dimensions or columns; make them again")
        rows += part.rows
        for name, get in _getters(part).items():
            kind = get(part).dtype
            types[name] = np.promote_types(types.get(name, kind), kind)
    if first is None:
        raise EvaluationError(f"{folder} holds no embedding: none of its examples could be read")

    def blocks(name: str, get: _Get) -> Blocks:
        shape = (rows, first.matrices[name].shape[1]) if name in MATRICES else (rows,)
        return Blocks(
            dtype=types[name], shape=shape, rows=lambda: (get(part) for part in _parts(folder, manifest, checked=True))
        )

    arrays: dict[str, Any] = {name: blocks(name, get) for name, get in _getters(first).items()}
    if manifest.identities is not None:
        arrays["identities"] = np.asarray(manifest.identities)
    order = [name for name in ("embeddings", "flipped", "labels", "keys", "identities") if name in arrays]
    return {name: arrays[name] for name in (*order, *(name for name in arrays if name not in order))}


def _parts(folder: Path, manifest: Manifest, *, checked: bool = False) -> Iterator[Part]:
    """The parts that have rows, one after the other."""
    digest = manifest.digest()
    for shard in manifest.shards:
        part = read_part(folder / shard.name, whole=digest, number=shard.number, checked=checked)
        if part.rows:
            yield part


def _getters(part: Part) -> dict[str, _Get]:
    """How each array is taken from a part."""
    matrices: dict[str, _Get] = {name: lambda part, name=name: part.matrices[name].array() for name in part.matrices}
    arrays: dict[str, _Get] = {name: lambda part, name=name: part.arrays[name] for name in part.arrays}
    keys: dict[str, _Get] = {} if part.keys is None else {"keys": lambda part: np.asarray(part.keys)}
    return {**matrices, **arrays, **keys}
