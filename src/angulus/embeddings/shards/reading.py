"""A folder of parts as one set: its fields by name, the embeddings mapped from the files where they can be."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from angulus.embeddings.shards import storage
from angulus.embeddings.shards.manifest import MANIFEST, InputShard, Manifest, read_manifest
from angulus.embeddings.shards.mapping import joined
from angulus.embeddings.shards.parts import MATRICES, Part, read_part
from angulus.errors import EvaluationError

_SHOWN = 5


def is_sharded(path: Path) -> bool:
    """Whether a path is a folder with a manifest."""
    return storage.is_there(path / MANIFEST)


def missing_shards(folder: Path, manifest: Manifest) -> list[InputShard]:
    """The shards of a whole that nobody has made yet."""
    there = storage.names_in(folder)
    return [shard for shard in manifest.shards if shard.name not in there]


def whole_manifest(folder: Path) -> Manifest:
    """The manifest of a set all of whose parts are there; EvaluationError says which are not, and what makes them."""
    manifest = read_manifest(folder)
    missing = missing_shards(folder, manifest)
    if missing:
        shown = ", ".join(str(shard.number) for shard in missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
        raise EvaluationError(
            f"{folder} lacks {len(missing):,} of its {len(manifest.shards):,} shards ({shown}); make what is missing "
            f"with: {command_for(folder, manifest)}"
        )
    return manifest


def command_for(folder: Path, manifest: Manifest) -> str:
    """The call that makes what is missing; MODEL and IMAGES are what the other workers were given."""
    options = manifest.options
    said = [name for name, wanted in (("--no-flip", options.get("flip") is False),) if wanted]
    said += [f"--{name.replace('_', '-')}" for name in ("skip_unreadable", "stamp") if options.get(name)]
    if options.get("runtime", "torch") != "torch":
        said.append(f"--runtime {options['runtime']}")
    if options.get("batch_size") is not None:
        said.append(f"--batch-size {options['batch_size']}")
    return " ".join(["angulus embed MODEL IMAGES --out", str(folder), "--shard 0/1", *said])


def read_folder(folder: Path) -> dict[str, Any]:
    """The fields of the set by name, with `columns`. Raises EvaluationError for what is missing or damaged."""
    manifest = whole_manifest(folder)
    digest = manifest.digest()
    read = [read_part(folder / shard.name, whole=digest, number=shard.number) for shard in manifest.shards]
    parts = with_rows(folder, read)
    fields: dict[str, Any] = {}
    for name in parts[0].matrices:
        try:
            fields[name] = joined([part.matrices[name] for part in parts])
        except OSError as error:
            raise EvaluationError(f"{folder} could not be mapped: {error}") from error
    columns = {name: np.concatenate([part.arrays[name] for part in parts]) for name in parts[0].arrays}
    if "labels" in columns:
        fields["labels"] = columns.pop("labels")
    if parts[0].keys is not None:
        fields["keys"] = tuple(key for part in parts for key in part.keys or ())
    if manifest.identities is not None:
        fields["identities"] = manifest.identities
    return {**fields, "columns": columns}


def with_rows(folder: Path, parts: Sequence[Part]) -> list[Part]:
    """Those that have rows, which must be of one kind. Raises EvaluationError."""
    filled = [part for part in parts if part.rows]
    if not filled:
        raise EvaluationError(f"{folder} holds no embedding: none of its examples could be read")
    kinds = {kind_of(part) for part in filled}
    if len(kinds) > 1:
        raise EvaluationError(f"the parts in {folder} have unlike dimensions or columns; make them again")
    return filled


def kind_of(part: Part) -> tuple[Any, ...]:
    """What all parts have in common."""
    widths = tuple((name, part.matrices[name].shape[1]) for name in MATRICES if name in part.matrices)
    return widths, tuple(sorted(part.arrays)), part.keys is None
