"""Things that are on their way from a store while others are worked on: a few threads, a bounded number of things."""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Key = TypeVar("Key")
Thing = TypeVar("Thing")

PARALLEL = 8
_MOST = 64


class ReadAhead(Generic[Key, Thing]):
    """Calls of one function that were begun ahead; a process that was forked begins with none."""

    def __init__(self, fetch: Callable[[Key], Thing]) -> None:
        self._fetch = fetch
        self._clear()

    def _clear(self) -> None:
        self._process = os.getpid()
        self._coming: dict[Key, Future[Thing]] = {}
        self._pool: ThreadPoolExecutor | None = None  # threads do not live on in a child

    def begin(self, key: Key) -> bool:
        """Have a thing fetched; False where too many are on their way already."""
        if self._process != os.getpid():
            self._clear()
        if key in self._coming:
            return True
        if len(self._coming) >= _MOST:  # what has come and was not asked for lies in the cache
            self._coming = {other: one for other, one in list(self._coming.items()) if not one.done()}
        if len(self._coming) >= _MOST:
            return False
        if self._pool is None:
            self._pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="read-ahead")
        self._coming[key] = self._pool.submit(self._fetch, key)
        return True

    def get(self, key: Key) -> Thing:
        """A thing, waited for where it is on its way. Raises what fetching it raises."""
        coming = self._coming.pop(key, None) if self._process == os.getpid() else None
        return self._fetch(key) if coming is None else coming.result()
