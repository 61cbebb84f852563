"""SIGINT and SIGTERM as something to answer: a flag to look at between two steps, or an exception."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption(KeyboardInterrupt):
    """A signal asked for the end; arguments are sentences for the user."""

    def __init__(self, *sentences: str, number: int = signal.SIGINT) -> None:
        super().__init__(*sentences)
        self.number = number

    @property
    def status(self) -> int:
        """The exit status of a command that this signal ended: 130 or 143."""
        return 128 + self.number


def end_now(number: int, frame: FrameType | None = None) -> None:
    """A handler that raises where the program is."""
    raise Interruption(number=number)


@contextmanager
def raised() -> Generator[None, None, None]:
    """SIGTERM raises Interruption while the block runs, as SIGINT raises KeyboardInterrupt."""
    with _handled((signal.SIGTERM,), end_now):
        yield


class Asked:
    """Whether a signal asked for the end: `number` is 0 until then. A second signal ends where the program is."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.number:
            end_now(number)
        self.number = number


@contextmanager
def noted() -> Generator[Asked, None, None]:
    """Signals are noted while the block runs instead of ending the program.

    Nothing changes in other threads than the first, and for signals for which the caller has a way of its own.
    """
    asked = Asked()
    with _handled(SIGNALS, asked):
        yield asked


@contextmanager
def _handled(signals: tuple[signal.Signals, ...], handler: Any) -> Generator[None, None, None]:
    usual = (signal.SIG_DFL, signal.default_int_handler, end_now)
    first = threading.current_thread() is threading.main_thread()
    before = {one: signal.getsignal(one) for one in signals if first and signal.getsignal(one) in usual}
    for one in before:
        signal.signal(one, handler)
    try:
        yield
    finally:
        for one, old in before.items():
            signal.signal(one, old)
