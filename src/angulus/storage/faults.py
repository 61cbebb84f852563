"""What goes wrong between here and a store: what is tried again, what is said at once, and in which words."""

import errno
import logging
import random
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from angulus.errors import AngulusError, ChangedError, StorageError
from angulus.storage.clients import SILENCES, time_limit

log = logging.getLogger(__name__)

Given = TypeVar("Given")

PAUSES: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Seconds before the second attempt, the third and so on; each is drawn between half of it and it."""

_REFUSED = frozenset(
    {"AccessDenied", "AllAccessDisabled", "ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidToken"}
    | {"InvalidAccessKeyId", "SignatureDoesNotMatch", "TokenRefreshRequired", "InvalidClientTokenId", "401", "403"}
    | {"UnrecognizedClientException", "NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError"}
    | {"UnauthorizedSSOTokenError"}
)
_GONE = frozenset(("NoSuchKey", "NoSuchBucket", "NotFound", "404", "410"))
_CHANGED = frozenset(("PreconditionFailed", "412"))


class CutShortError(Exception):
    """Fewer bytes came than were asked for."""


def patiently(call: Callable[[], Given], address: str, doing: str) -> Given:
    """What a call to a store gives; transient faults are waited out.

    doing: what is tried, for the sentence: "read", "written".
    Raises FileNotFoundError where the store has no such object, ChangedError where the object is another one by
    now, and StorageError for credentials that are refused, and where patience ends.
    """
    tries, begun = len(PAUSES) + 1, time.monotonic()
    for attempt in range(tries):
        try:
            return call()
        except (AngulusError, KeyboardInterrupt):
            raise
        except Exception as error:  # every client has exceptions of its own
            _say_at_once(error, address, doing)
            if _is_silence(error) and (attempt + 1 == tries or time.monotonic() - begun >= SILENCES * time_limit()):
                raise StorageError(
                    f"{address} could not be {doing}: the store does not answer, for {time.monotonic() - begun:.0f} "
                    f"seconds; try again later, or let it take longer with ANGULUS_STORE_TIMEOUT ({time_limit():g} "
                    "seconds a request)"
                ) from error
            if attempt + 1 == tries:
                raise StorageError(
                    f"{address} could not be {doing}: {_short(error)}, {tries} times in a row; the store or the way to "
                    "it does not work: try again later"
                ) from error
            log.debug("%s: %s, attempt %d of %d", address, _short(error), attempt + 1, tries)
        pause = PAUSES[attempt]
        time.sleep(random.uniform(pause / 2, pause))  # not all workers at the same moment
    raise AssertionError


def _say_at_once(error: Exception, address: str, doing: str) -> None:
    """Raise what another attempt would not change."""
    if isinstance(error, ImportError):
        scheme = address.partition(":")[0]
        more = " gcsfs" if scheme == "gs" else " aiohttp" if scheme.startswith("http") else ""
        raise StorageError(
            f'{scheme}:// needs {error.name or "fsspec"}, which is not installed: pip install "angulus[remote]"{more}'
        ) from error
    codes = set(_codes(error))
    if codes & _CHANGED:
        raise changed(address) from error
    if codes & _REFUSED or isinstance(error, PermissionError):
        raise StorageError(
            f"{address} could not be {doing}: the store refuses it ({_short(error)}); renew the credentials of its own "
            "client (for s3:// the environment, ~/.aws or the role of the machine), or ask for access"
        ) from error
    if codes & _GONE or isinstance(error, FileNotFoundError):
        raise FileNotFoundError(errno.ENOENT, "there is no such object", address) from error
    if isinstance(error, ValueError | TypeError | NotImplementedError | IsADirectoryError):
        raise StorageError(f"{address} could not be {doing}: {_short(error)}") from error


def _is_silence(error: Exception) -> bool:
    """Whether an answer was waited for in vain."""
    return any(name.endswith("TimeoutError") for name in _codes(error))


def changed(address: str) -> ChangedError:
    """The error for an object that was replaced."""
    return ChangedError(
        f"{address} was replaced while it was read: what was read of it so far belongs to the old one; start "
        "again, and write new data under a new name"
    )


def _codes(error: BaseException) -> Iterator[str]:
    """Words and numbers by which clients say what is wrong, of an error and of those that caused it."""
    seen: BaseException | None = error
    for _ in range(6):
        if seen is None:
            return
        yield type(seen).__name__
        status: Any = getattr(seen, "status", None)
        if isinstance(status, int):
            yield str(status)
        response = getattr(seen, "response", None)
        if isinstance(response, dict):
            yield str(response.get("Error", {}).get("Code", ""))
            yield str(response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
        seen = seen.__cause__ or seen.__context__


def _short(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:300].rstrip(".")
