"""Opening a protocol's text file so that whatever is wrong with it ends in one sentence."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TextIO

from angulus.errors import EvaluationError
from angulus.text_files import opened_text


def opened(path: str | Path) -> AbstractContextManager[TextIO]:
    """The file for reading as UTF-8; EvaluationError when it does not exist or is no text."""
    return opened_text(path, EvaluationError, "protocol file")
