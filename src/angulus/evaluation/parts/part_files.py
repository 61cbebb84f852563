"""A file of counts: arrays as `.npz`, whole or not there, with what it is of; nothing in it is run.

The header is JSON in an array of bytes. Zip and directory have checksums (`array_files`), so that a file that is cut
short or damaged is told from a whole one.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from angulus.array_files import read_arrays, write_arrays
from angulus.errors import EvaluationError
from angulus.evaluation.parts.divisions import Header, Question, check_together
from angulus.json_files import parse_json
from angulus.whole_files import reason_of, write_beside

Fact = TypeVar("Fact", int, str, list, dict)
_HEADER = "header"


@dataclass(frozen=True, eq=False)
class PartFile:
    """The content of one file."""

    path: Path
    header: Header
    arrays: dict[str, NDArray]

    def array(self, name: str, kind: str) -> NDArray:
        """An array by name. kind: the letter that numpy has for its numbers. Raises EvaluationError."""
        found = self.arrays.get(name)
        if found is None or found.dtype.kind != kind:
            raise EvaluationError(f"{self.path} is no part of {self.header.question}: its array {name} is not there")
        return found

    def fact(self, name: str, kind: type[Fact]) -> Fact:
        """What the header tells under a name. Raises EvaluationError where it is not there, or of another kind."""
        found = self.header.facts.get(name)
        if not isinstance(found, kind):
            raise EvaluationError(f"{self.path} is no part of {self.header.question}: it does not tell its {name}")
        return found


def write_part(path: Path, header: Header, arrays: Mapping[str, NDArray]) -> None:
    """Write one part, whole or not at all. Raises EvaluationError."""
    content = json.dumps(header.as_dict(), sort_keys=True, allow_nan=False).encode()
    named = {_HEADER: np.frombuffer(content, np.uint8), **arrays}

    def save(partial: Path) -> None:
        with partial.open("wb") as file:
            write_arrays(file, named)

    try:
        write_beside(path, save)
    except OSError as error:
        raise EvaluationError(f"{path} could not be written: {reason_of(error)}; make room, or name another") from error


def read_part(path: Path) -> PartFile:
    """The part in a file. Raises EvaluationError for what is none, cut short or damaged."""
    try:
        arrays = read_arrays(path)
        if _HEADER not in arrays or arrays[_HEADER].dtype != np.uint8:
            raise ValueError("it has no header")
        header = Header.of_dict(parse_json(arrays.pop(_HEADER).tobytes()))
    except FileNotFoundError:
        raise EvaluationError(f"no counts at {path}: the file does not exist") from None
    except EvaluationError:
        raise
    except (OSError, ValueError, TypeError, KeyError) as problem:
        raise EvaluationError(f"{path} is no file of counts that angulus wrote (--part): {problem}") from problem
    return PartFile(path, header, arrays)


def read_parts(paths: Sequence[Path], question: Question) -> list[PartFile]:
    """All parts of one question, in the order of their numbers. Raises EvaluationError where they do not add up."""
    parts = [read_part(path) for path in paths]
    check_together([(part.path, part.header) for part in parts], question)
    return sorted(parts, key=lambda part: part.header.part.number)
