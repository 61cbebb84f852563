"""Standard streams that may be closed, and the last word where torchrun would have it."""

import io
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from angulus.lifelines import is_running

_SPEAK = "import sys; from angulus.cli.streams import speak; speak(*sys.argv[1:])"
_LONGEST = 40.0  # seconds; torchrun gives its processes 30 to end


def open_all() -> None:
    """Open closed standard streams on nothing, so that no other file gets their numbers and their words."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  (for as long as Python runs)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be UTF-8


def say(sentence: str) -> None:
    """Print to stderr, or nowhere when nobody listens."""
    with suppress(OSError, ValueError):
        print(sentence, file=sys.stderr, flush=True)


def say_last(sentence: str) -> None:
    """Under torchrun, which ends with a traceback of its own, say a sentence once more after that.

    The first process that has something to say does; a small process of its own waits for torchrun to end.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return
    launcher = os.getppid()
    claim = Path(tempfile.gettempdir()) / f".angulus-{os.getuid()}-{launcher}.last"
    with suppress(OSError):
        if claim.exists() and time.time() - claim.stat().st_mtime > _LONGEST:
            claim.unlink()  # of an earlier torchrun of this number
        os.close(os.open(claim, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        subprocess.Popen(
            [sys.executable, "-c", _SPEAK, str(launcher), str(claim), sentence],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )


def speak(launcher: str, claim: str, sentence: str) -> None:
    """Wait for a process to end, then print the sentence."""
    deadline = time.monotonic() + _LONGEST
    while is_running(int(launcher)) and time.monotonic() < deadline:
        time.sleep(0.05)
    say(sentence)
    Path(claim).unlink(missing_ok=True)
