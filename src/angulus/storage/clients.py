"""The client of a store, as fsspec gives it; it waits $ANGULUS_STORE_TIMEOUT seconds (20) for an answer.

What the user's own settings of fsspec say of time limits counts first.
"""

import math
import os
from typing import Any

from angulus.errors import StorageError

USUAL = 20.0
SILENCES = 5
"""As many time limits in silence end the attempts; the client's own, of which nobody tells, are among them."""
SLOWEST = 1e5  # bytes a second that a way to a store must carry


def time_limit() -> float:
    """Seconds for which a store may be silent. Raises StorageError for a limit that is none."""
    said = os.environ.get("ANGULUS_STORE_TIMEOUT", "").strip()
    try:
        seconds = float(said) if said else USUAL
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise StorageError(f"ANGULUS_STORE_TIMEOUT must be a number of seconds above 0, got {said!r}")
    return seconds


def client_of(address: str) -> Any:
    """The client for an address; fsspec keeps one for each process. Raises StorageError, ImportError."""
    import fsspec

    scheme, seconds = address.partition(":")[0], time_limit()
    options: dict[str, Any] = {}
    if scheme == "s3":
        options["config_kwargs"] = {"connect_timeout": seconds, "read_timeout": seconds} | _said(
            scheme, "config_kwargs"
        )
    elif scheme in ("http", "https"):
        import aiohttp

        limit = aiohttp.ClientTimeout(total=None, sock_connect=seconds, sock_read=seconds)
        options["client_kwargs"] = {"timeout": limit} | _said(scheme, "client_kwargs")
    client = fsspec.filesystem(scheme, use_listings_cache=False, **options)
    if scheme == "s3":
        client.retries = 1  # botocore below it tries again, and `faults.patiently` above it
    return client


def within(client: Any, call: str, *given: Any, size: int) -> None:
    """Have a client send `size` bytes, by the name of its call; it may take five time limits and 10 s a megabyte.

    A client that sends does not notice a store which reads and then is silent.
    """
    loop = getattr(client, "loop", None)
    if loop is None:
        getattr(client, call)(*given)
        return
    from fsspec.asyn import sync

    sync(loop, getattr(client, f"_{call}"), *given, timeout=SILENCES * time_limit() + size / SLOWEST)


def _said(scheme: str, name: str) -> dict[str, Any]:
    """What the user's settings of fsspec have under a name."""
    from fsspec.config import conf

    return dict(conf.get(scheme, {}).get(name, {}))
