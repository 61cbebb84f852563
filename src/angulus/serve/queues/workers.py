"""Threads for decoding photos and finding faces: a fixed number, and a fixed number of jobs that wait for them."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from angulus.errors import ServiceError

Result = TypeVar("Result")


class Workers:
    """threads: that work.  waiting: jobs that may wait besides."""

    def __init__(self, threads: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="angulus-worker")
        self._most = threads + waiting
        self._lock = threading.Lock()
        self._open = 0

    @property
    def open(self) -> int:
        """Jobs that run or wait."""
        return self._open

    def submit(self, job: Callable[[], Result]) -> "Future[Result]":
        """A job's result, later. Raises ServiceError (503) where too many wait."""
        with self._lock:
            if self._open >= self._most:
                raise busy()
            self._open += 1
        try:
            future = self._pool.submit(job)
        except RuntimeError:
            self._ended()
            raise busy("the service is shutting down") from None
        future.add_done_callback(self._ended)
        return future

    def close(self) -> None:
        """Finish what was taken, then stop."""
        self._pool.shutdown(wait=True)

    def _ended(self, _done: object = None) -> None:
        with self._lock:
            self._open -= 1


def busy(why: str = "all of the service's queues are full") -> ServiceError:
    """The refusal of work for which there is no room."""
    return ServiceError(f"{why}: try again in a second", status=503, code="busy", retry_after=1)
