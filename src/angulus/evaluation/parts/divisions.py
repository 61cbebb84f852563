"""Which part of how many, of which question about which set: what files of counts must agree in before they are added.

The digest is SHA-256 over what is compared: the vectors in their order, the labels and the names of the images. It says
that two jobs read the same set, wherever it lies; the path is told, and not compared.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from angulus.embeddings import EmbeddingSet, View
from angulus.errors import EvaluationError
from angulus.version import __version__

Question = Literal["all pairs", "identify", "retrieve", "leaks", "copies"]
FORMAT = 1
_PART = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")
_AT_ONCE = 65_536
MOST_NAMED, MOST_PARTS = 8, 999_999


@dataclass(frozen=True)
class Part:
    """Part `number` of `of`, counted from 0. Raises EvaluationError for one that there is not."""

    number: int
    of: int

    def __post_init__(self) -> None:
        if self.of > MOST_PARTS:
            raise EvaluationError(f"an evaluation has at most {MOST_PARTS:,} parts, got {self.of:,}")
        if not 0 <= self.number < self.of:
            raise EvaluationError(
                f"a part must be i/n with i from 0 to n - 1, got {self.number}/{self.of}; the parts of {self.of or 'n'}"
                f" are 0/{self.of or 'n'} to {max(self.of - 1, 0) if self.of else 'n - 1'}/{self.of or 'n'}"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """The part that a text "i/n" names."""
        found = _PART.fullmatch(text)
        if found is None:
            raise EvaluationError(f"a part must be i/n, such as 0/5 to 4/5, got {text!r}")
        return cls(int(found[1]), int(found[2]))

    @property
    def share(self) -> tuple[int, int]:
        return self.number, self.of


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a file of counts says of itself.

    digest: of what is compared.  options: everything that changes a figure, JSON-ready.  facts: what a result tells
    beside its figures (paths, names), taken from the first part.
    """

    question: Question
    part: Part
    digest: str
    options: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)
    version: str = __version__
    format: int = FORMAT

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @classmethod
    def of_dict(cls, content: dict[str, Any]) -> Self:
        """What `as_dict` was made of. Raises KeyError, TypeError and ValueError for anything else."""
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}, and this version reads {FORMAT}")
        for name, kind in (("question", str), ("digest", str), ("options", dict), ("facts", dict), ("version", str)):
            if not isinstance(content[name], kind):
                raise TypeError(f"{name} is no {kind.__name__}")
        given: dict[str, Any] = {**content, "part": Part(**content["part"])}
        return cls(**given)


@dataclass(frozen=True)
class Names:
    """What the few examples are called that a note may name, and what one is."""

    names: dict[str, str]
    noun: str = "image"

    def describe(self, row: int) -> str:
        """As the set would."""
        return self.names.get(str(row), f"row {row}")


def check_together(headers: Sequence[tuple[Path, Header]], question: Question) -> None:
    """Raise EvaluationError, in one sentence, unless these are all parts of one question about one set."""
    if not headers:
        raise EvaluationError("there is nothing to add: name the files of all parts")
    first_path, first = headers[0]
    for path, header in headers:
        if header.question != question:
            raise EvaluationError(
                f"{path} holds a part of {header.question}, not of {question}; name files of one kind"
            )
        if header.version != __version__:
            raise EvaluationError(
                f"{path} was counted by Angulus {header.version}, and this is {__version__}; count all parts, and add"
                " them, with one version"
            )
        if header.digest != first.digest:
            raise EvaluationError(
                f"{path} was counted from another set than {first_path}: vectors, labels or names differ; count all"
                " parts from one file"
            )
        _check_options(first_path, first, path, header)
        if header.part.of != first.part.of:
            raise EvaluationError(
                f"{path} is one of {header.part.of} parts and {first_path} one of {first.part.of}; add parts of one"
                " division"
            )
    _check_complete(headers)


def _check_options(first_path: Path, first: Header, path: Path, header: Header) -> None:
    for name in sorted(first.options.keys() | header.options.keys()):
        one, other = first.options.get(name), header.options.get(name)
        if one != other:
            raise EvaluationError(
                f"{path} was counted with another {name} than {first_path}: {other!r}, not {one!r}; count all parts"
                " with the same options"
            )


def _check_complete(headers: Sequence[tuple[Path, Header]]) -> None:
    there: dict[int, Path] = {}
    of = headers[0][1].part.of
    for path, header in headers:
        number = header.part.number
        if number in there:
            raise EvaluationError(
                f"part {number}/{of} is there twice, {there[number]} and {path}; its pairs would count double, leave"
                " one out"
            )
        there[number] = path
    lacking = [number for number in range(of) if number not in there]
    if lacking:
        named = ", ".join(f"{number}/{of}" for number in lacking[:MOST_NAMED])
        more = f" and {len(lacking) - MOST_NAMED:,} more" if len(lacking) > MOST_NAMED else ""
        verb = "is" if len(lacking) == 1 else "are"
        raise EvaluationError(f"{len(lacking)} of {of} parts {verb} missing: {named}{more}; count and name them too")


def digest_of_set(embeddings: EmbeddingSet, view: View) -> str:
    """What a set is told by: its view, vectors, labels, and the names of images and people."""
    found = hashlib.sha256(f"{view} {list(embeddings.embeddings.shape)}".encode())
    _add_array(found, embeddings.embeddings)
    if embeddings.flipped is not None and view != "plain":
        _add_array(found, embeddings.flipped)
    if embeddings.labels is not None:
        _add_array(found, embeddings.labels)
    for names in (embeddings.keys, embeddings.identities):
        _add_names(found, names or ())
    return found.hexdigest()


def digest_together(digests: Iterable[str]) -> str:
    """One digest of several, in their order."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def digest_of_arrays(*arrays: NDArray | None) -> str:
    """What several arrays are told by, in their order."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(b"none" if array is None else f"{array.dtype.str} {list(array.shape)}".encode())
        if array is not None:
            _add_array(found, array)
    return found.hexdigest()


def _add_array(found: "hashlib._Hash", array: NDArray) -> None:
    for start in range(0, len(array), _AT_ONCE):
        found.update(np.ascontiguousarray(array[start : start + _AT_ONCE]).view(np.uint8).data)


def _add_names(found: "hashlib._Hash", names: Sequence[str]) -> None:
    found.update(f"\n{len(names)}\n".encode())
    for start in range(0, len(names), _AT_ONCE):
        part = names[start : start + _AT_ONCE]
        found.update("".join(f"{len(name)} {name}\n" for name in part).encode("utf-8", "surrogatepass"))
