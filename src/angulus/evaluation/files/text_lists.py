"""Opening a protocol's text file so that whatever is wrong with it ends in one sentence."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from angulus.errors import EvaluationError


@contextmanager
def opened(path: str | Path) -> Generator[TextIO, None, None]:
    """The file for reading as UTF-8; EvaluationError when it does not exist or is no text."""
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            yield file
    except FileNotFoundError:
        raise EvaluationError(f"no protocol file at {path}: the file does not exist") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise EvaluationError(f"{path} is not a readable protocol file: {problem}") from problem
