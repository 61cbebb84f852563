"""Addresses of stores (s3://...) among the words of a command: their places, what is fetched first, published last.

A command gets the place of an address on this machine and works there as in any folder (`angulus.storage`). Every
argument that is a path is here by its name: read, written, or of this machine alone.
"""

import io
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, TextIO

from angulus.errors import ConfigError
from angulus.storage import address_of, arrived, check_writable, in_words, is_address, placed, publish

WRITTEN = frozenset({"out", "json", "report", "markdown", "picture", "sheet", "target", "keep_calibration"})
READ = frozenset(
    {
        "add",
        "after",
        "arguments",
        "bundle",
        "calibrate_on",
        "calibration",
        "center",
        "cohort",
        "data",
        "detector_scores",
    }
    | {"distractors", "edits", "embeddings", "enrolment", "file", "first", "gallery", "images", "labels", "leave_out"}
    | {
        "left",
        "merge",
        "model",
        "names",
        "pairs",
        "people",
        "photos",
        "probes",
        "public",
        "quantize_on",
        "queries",
        "right",
    }
    | {"run", "second", "source", "test", "train", "trials", "what"}
)
HERE = frozenset(
    {"certificate", "key_file", "keys", "new_transform_key_file", "place", "private_key", "state", "transform_key_file"}
)
HERE_ALONE = ("gallery", "serve")
"""Commands whose folders are databases, which work on a disk alone."""
FOLDERS_HERE = {("data", "get"): "sets are fetched to a disk"}


def with_places(words: Sequence[str]) -> list[str]:
    """The words with places for addresses. Raises ConfigError where a command takes none, and StorageError."""
    for word in words:
        if is_address(word.rpartition("=")[2] if word.startswith("-") else word):
            _check_command(words, word)
    return [_placed_word(word) for word in words]


def are_remote(words: Sequence[str]) -> bool:
    """Whether a word names an address, itself or after a key."""
    return any(is_address(word) or is_address(word.partition("=")[2]) for word in words)


def fetch_read(arguments: Mapping[str, Any]) -> None:
    """Have what a command reads on this machine. Raises StorageError, ConfigError."""
    for name, path in _addressed(arguments):
        if name in HERE:
            raise ConfigError(f"{name.replace('_', '-')} must be a file of this machine, got {address_of(path)}")
        if name in WRITTEN:
            check_writable(path)
        else:
            arrived(path)


def publish_written(arguments: Mapping[str, Any]) -> None:
    """Lay into the stores what a command wrote and did not publish itself. Raises StorageError."""
    for name, path in _addressed(arguments):
        if name in WRITTEN:
            publish(path)


@contextmanager
def told_by_address() -> Generator[None, None, None]:
    """While the block runs, what is printed names addresses and not their places."""
    with redirect_stdout(_Renaming(sys.stdout)), redirect_stderr(_Renaming(sys.stderr)):
        yield


class _Renaming(io.TextIOBase):
    """A stream that writes addresses for their places."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str, /) -> int:
        self._stream.write(in_words(text))
        return len(text)

    def flush(self) -> None:
        with suppress(ValueError):
            self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()

    @property
    def encoding(self) -> str:  # pyrefly: ignore[bad-override]
        return self._stream.encoding


def _check_command(words: Sequence[str], word: str) -> None:
    shown = " ".join(words[:2])
    if words[:1] and words[0] in HERE_ALONE and not word.startswith("http"):
        raise ConfigError(f"angulus {shown} works on folders of this machine and takes no {word}; copy it first")
    if tuple(words[:2]) in FOLDERS_HERE:
        raise ConfigError(
            f"angulus {shown}: {FOLDERS_HERE[words[0], words[1]]}, got {word}; convert them to it afterwards"
        )


def _placed_word(word: str) -> str:
    if word.startswith("-"):
        option, equals, value = word.partition("=")
        return f"{option}={placed(value)}" if equals and is_address(value) else word
    return str(placed(word)) if is_address(word) else word


def _addressed(arguments: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    """Every path that is the place of an address, by the name of its argument, those in shared records too."""
    for name, value in arguments.items():
        if is_dataclass(value):
            yield from _addressed(vars(value))
            continue
        for one in value if isinstance(value, tuple | list) else (value,):
            if isinstance(one, Path | str) and address_of(one) is not None:
                yield name, Path(one)
