"""Pieces of work from many threads, done together by one: a batch goes off when it is full, or after a few ms.

The queue is bounded. What was given up by who waited for it is not computed. Where a batch fails, its pieces are done
one by one, so that a bad one harms no other.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from angulus.serve.queues.workers import busy

Piece = TypeVar("Piece")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Waiting(Generic[Piece, Result]):
    piece: Piece
    size: int
    future: "Future[Result]"


class Batcher(Generic[Piece, Result]):
    """run: a batch of pieces to as many results.  most: sizes of a batch together; a larger piece goes alone.

    wait: seconds for which the first piece of a batch waits for others.  waiting: sizes in the queue together.
    size: of a piece.  seen: is told the size of every batch.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Piece]], Sequence[Result]],
        *,
        most: int,
        wait: float,
        waiting: int,
        size: Callable[[Piece], int] = lambda _: 1,
        seen: Callable[[int], None] = lambda _: None,
        name: str = "batcher",
    ) -> None:
        self._run, self._most, self._wait, self._waiting = run, most, wait, waiting
        self._size, self._seen = size, seen
        self._queue: deque[_Waiting[Piece, Result]] = deque()
        self._queued = 0
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name=f"angulus-{name}", daemon=True)
        self._thread.start()

    @property
    def queued(self) -> int:
        """Sizes of what waits, together."""
        return self._queued

    def submit(self, piece: Piece) -> "Future[Result]":
        """A piece's result, later. Raises ServiceError (503) where the queue is full."""
        size = self._size(piece)
        future: Future[Result] = Future()
        with self._changed:
            if self._closing:
                raise busy("the service is shutting down")
            if self._queued and self._queued + size > self._waiting:
                raise busy()
            self._queue.append(_Waiting(piece=piece, size=size, future=future))
            self._queued += size
            self._changed.notify()
        return future

    def close(self) -> None:
        """Finish what was taken, then stop."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while batch := self._next():
            wanted = [one for one in batch if one.future.set_running_or_notify_cancel()]
            if wanted:
                self._seen(sum(one.size for one in wanted))
                self._finish(wanted)

    def _next(self) -> list[_Waiting[Piece, Result]]:
        """The pieces of the next batch; none when all is done and the queue is closed."""
        with self._changed:
            while not self._queue and not self._closing:
                self._changed.wait()
            until = time.monotonic() + self._wait
            while self._queue and self._queued < self._most and not self._closing:
                if (left := until - time.monotonic()) <= 0:
                    break
                self._changed.wait(left)
            return self._taken()

    def _taken(self) -> list[_Waiting[Piece, Result]]:
        batch: list[_Waiting[Piece, Result]] = []
        total = 0
        while self._queue and (not batch or total + self._queue[0].size <= self._most):
            batch.append(self._queue.popleft())
            total += batch[-1].size
        self._queued -= total
        return batch

    def _finish(self, batch: list[_Waiting[Piece, Result]]) -> None:
        try:
            results = list(self._run([one.piece for one in batch]))
            assert len(results) == len(batch)
        except BaseException as error:
            if len(batch) == 1:
                batch[0].future.set_exception(error)
                return
            for one in batch:
                self._finish([one])
            return
        for one, result in zip(batch, results, strict=True):
            one.future.set_result(result)
