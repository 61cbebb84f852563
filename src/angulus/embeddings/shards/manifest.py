"""What a sharded set consists of: of which images, by which model and how, in which parts; the same whoever writes it.

    FOLDER/manifest.json        this
    FOLDER/000000.safetensors   the embeddings of input shard 0, and so on

An input shard is a run of examples of the set. Which there are depends on the set and on the block, never on how many
workers there are.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from angulus.embeddings.shards import storage
from angulus.errors import EvaluationError
from angulus.json_files import MOST_BYTES, parse_json

MANIFEST = "manifest.json"
FORMAT, VERSION = "angulus.embeddings", 1
_MOST_SHOWN = 80


@dataclass(frozen=True, kw_only=True)
class InputShard:
    """The examples begin..end-1 of a set; `file` is where they lie, where the set has several files."""

    number: int
    begin: int
    end: int
    file: str | None = None

    @property
    def name(self) -> str:
        """Of the file with its embeddings."""
        return f"{self.number:06d}.safetensors"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What the whole consists of.

    model: digest of the weights.  examples, set_digest: how many, and of names, labels and content.  options: what
    workers must do alike, by name.  identities: names of the labels; None where examples are of nobody in particular.
    """

    model: str
    examples: int
    set_digest: str
    block: int
    options: Mapping[str, Any]
    identities: tuple[str, ...] | None
    shards: tuple[InputShard, ...]

    def content(self) -> bytes:
        """As it is stored."""
        shards = [[shard.begin, shard.end, shard.file] for shard in self.shards]
        fields = {**asdict(self), "shards": shards, "format": FORMAT, "version": VERSION}
        return (json.dumps(fields, sort_keys=True, indent=1) + "\n").encode()

    def digest(self) -> str:
        """What the parts of this whole carry."""
        return hashlib.sha256(self.content()).hexdigest()

    def publish(self, folder: Path) -> "Manifest":
        """Lay it into a folder, or hold it against the one that is there, which is given back.

        Raises EvaluationError where that one is of another whole.
        """
        storage.make_place(folder)
        if not storage.is_there(folder / MANIFEST):
            storage.publish_once(folder / MANIFEST, self.content())
        there = read_manifest(folder)
        if there != self:
            raise EvaluationError(f"{folder} was begun {_difference(there, self)}; or name another folder")
        return there


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a sharded set. Raises EvaluationError where there is none, and for a damaged one."""
    path = folder / MANIFEST
    try:
        return _of_fields(parse_json(storage.content_of(path)))
    except FileNotFoundError:
        raise EvaluationError(f"{folder} is no set of embeddings: it has no {MANIFEST}") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise EvaluationError(
            f"{path} is not a readable manifest of embeddings: {lines[0]}; remove it, and any worker writes it again"
        ) from error


def _of_fields(fields: Any) -> Manifest:
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise ValueError(f"it does not say that it is of the format {FORMAT}")
    if fields.get("version") != VERSION:
        raise ValueError(f"it is of version {fields.get('version')}, and this program reads version {VERSION}")
    shards = tuple(
        InputShard(number=number, begin=_whole(begin), end=_whole(end), file=None if file is None else str(file))
        for number, (begin, end, file) in enumerate(fields["shards"])
    )
    ends = [0, *(shard.end for shard in shards)]
    if any(shard.begin != end or shard.end <= end for shard, end in zip(shards, ends, strict=False)):
        raise ValueError("its shards must follow each other")
    if not shards or ends[-1] != _whole(fields["examples"]) or not isinstance(fields["options"], dict):
        raise ValueError("its shards must cover the examples")
    names = fields["identities"]
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise ValueError("identities must be a list of texts")
    return Manifest(
        model=str(fields["model"]),
        examples=ends[-1],
        set_digest=str(fields["set_digest"]),
        block=_whole(fields["block"]),
        options=fields["options"],
        identities=None if names is None else tuple(names),
        shards=shards,
    )


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < MOST_BYTES**2:
        raise ValueError(f"a number of examples must be a whole number, got {value!r}")
    return value


def _difference(there: Manifest, wanted: Manifest) -> str:
    """Where two manifests differ first, in words: what was begun, what is asked for, what to do."""
    if there.model != wanted.model:
        return f"with another model (weights {there.model[:12]}, these are {wanted.model[:12]}): name that model"
    if (there.examples, there.set_digest) != (wanted.examples, wanted.set_digest):
        return (
            f"for another set ({there.examples:,} examples, digest {there.set_digest[:12]}; this one has "
            f"{wanted.examples:,}, {wanted.set_digest[:12]}): name that set"
        )
    if there.block != wanted.block:
        return f"with blocks of {there.block:,} examples, not {wanted.block:,}: leave the block out"
    for name in sorted({*there.options, *wanted.options}):
        old, new = there.options.get(name), wanted.options.get(name)
        if old != new:
            return f"with {name} {repr(old)[:_MOST_SHOWN]}, not {repr(new)[:_MOST_SHOWN]}: ask for the same"
    return "otherwise than this call would: name the same set with the same lists of changes"
