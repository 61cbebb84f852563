"""The photos and words of a request: read within bounds of bytes, seconds and numbers, in memory alone.

Two forms are taken: multipart/form-data, and application/json with images in base64. The same names mean the same in
both.
"""

import asyncio
import base64
import binascii
from collections.abc import AsyncGenerator
from typing import Any

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from angulus.errors import ServiceError
from angulus.json_files import parse_json
from angulus.serve.requests import Form, Given, Upload
from angulus.serve.settings import Limits

MOST_WORD = 2000
MOST_VALUES = 10_000
MOST_NAME = 200


class Budget:
    """Bytes of the bodies that are open, all requests together; what does not fit is refused before it is read."""

    def __init__(self, most: int) -> None:
        self.most, self.taken = most, 0

    def take(self, size: int) -> None:
        """Reserve so many. Raises ServiceError (503)."""
        if self.taken + size > self.most:
            raise ServiceError(
                f"other requests hold {self.taken:,} bytes, at most {self.most:,} are held: try again in a second",
                **{"status": 503, "code": "busy", "retry_after": 1},
            )
        self.taken += size

    def give_back(self, size: int) -> None:
        """Release so many."""
        self.taken -= size


async def read_given(request: Request, form: Form, limits: Limits, budget: Budget) -> Given:
    """The photos and words of a request. Raises ServiceError: 408, 413, 415, 422 or 503.

    What is reserved of the budget is noted in request.state.reserved, and given back when the request ends.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("multipart/form-data", "application/json"):
        raise ServiceError(
            f"the content type must be multipart/form-data or application/json, got {kind[:60]!r}",
            **{"status": 415, "code": "media_type"},
        )
    content = await read_body(request, limits, budget)
    if kind == "multipart/form-data":
        return _checked(await _parts(request, content, limits), form, limits)
    found = await asyncio.to_thread(_of_json, content)
    return _checked(found, form, limits)


async def read_body(request: Request, limits: Limits, budget: Budget) -> bytes:
    """The bytes of a body, counted as they come. Raises ServiceError: 408, 413 or 503."""
    most = limits.request_bytes
    stated = request.headers.get("content-length", "")
    if stated.isdigit() and int(stated) > most:
        raise _too_large(most)
    reserved = int(stated) if stated.isdigit() else most
    budget.take(reserved)
    request.state.reserved = reserved
    parts: list[bytes] = []
    total = 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for part in request.stream():
                total += len(part)
                if total > most:
                    raise _too_large(most)
                parts.append(part)
    except TimeoutError:
        raise ServiceError(
            f"a request must be sent within {limits.body_seconds:g} s", status=408, code="too_slow"
        ) from None
    except ClientDisconnect:
        raise ServiceError("the request ended before its body did", status=400, code="cut_short") from None
    return b"".join(parts)


class _InMemory(MultiPartParser):
    """Photos of faces are not written into temporary files."""

    spool_max_size = 2**62


async def _parts(request: Request, content: bytes, limits: Limits) -> list[tuple[str, Upload | str]]:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield content

    parser = _InMemory(request.headers, stream(), max_files=limits.photos, max_fields=20, max_part_size=MOST_WORD)
    try:
        items = (await parser.parse()).multi_items()
    except (MultiPartException, UnicodeDecodeError, ValueError, KeyError) as error:
        said = getattr(error, "message", str(error))
        raise ServiceError(f"the multipart body cannot be read: {said[:200]}", code="body") from error
    found: list[tuple[str, Upload | str]] = []
    for name, value in items:
        if isinstance(value, UploadFile):
            found.append((name, Upload(name=_called(value.filename, name), content=await value.read())))
        else:
            found.append((name, value))
    return found


def _of_json(content: bytes) -> list[tuple[str, Upload | str]]:
    # "[],[],[]" takes twenty times its length in memory; photos in base64 have none of these signs
    if sum(content.count(sign) for sign in (b",", b"[", b"{")) > MOST_VALUES:
        raise ServiceError(f"the body must have at most {MOST_VALUES:,} values", status=413, code="too_many")
    try:
        values = parse_json(content)
    except ValueError as error:
        raise ServiceError(f"the body is not readable JSON: {str(error)[:200]}", code="body") from error
    if not isinstance(values, dict):
        raise ServiceError(f"the body must be an object with names and values, got {type(values).__name__}")
    return [(name, one) for name, value in values.items() for one in (value if isinstance(value, list) else [value])]


def _checked(found: list[tuple[str, Any]], form: Form, limits: Limits) -> Given:
    photos: dict[str, list[Upload]] = {name: [] for name in form.photos}
    words: dict[str, str] = {}
    for name, value in found:
        if name in photos:
            photos[name].append(_upload(name, value, len(photos[name]) + 1))
        elif name in words:
            raise ServiceError(f"{name} is given twice; give it once, several values with commas between")
        elif name in form.words:
            words[name] = _word(name, value)
        else:
            known = ", ".join((*form.photos, *form.words))
            raise ServiceError(f"there is no field {name[:60]!r} here; known are: {known}")
    for name, (least, most) in form.photos.items():
        if not least <= len(photos[name]) <= min(most, limits.photos):
            span = f"{least}" if least == most else f"{least} to {min(most, limits.photos)}"
            status, code = (413, "too_many") if len(photos[name]) > least else (422, "invalid")
            raise ServiceError(
                f"{name} must be {span} photo{'s' * (span != '1')}, got {len(photos[name])}", status=status, code=code
            )
    return Given(photos={name: tuple(uploads) for name, uploads in photos.items()}, words=words)


def _upload(name: str, value: object, number: int) -> Upload:
    if isinstance(value, Upload):
        return value
    if not isinstance(value, str):
        raise ServiceError(f"{name} must be a photo, in base64 where the body is JSON, got {type(value).__name__}")
    try:
        content = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ServiceError(f"{name} must be a photo; in JSON its bytes are written in base64: {error}") from error
    return Upload(name=name if number == 1 else f"{name} {number}", content=content)


def _word(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if not isinstance(value, str) or len(value) > MOST_WORD:
        raise ServiceError(f"{name} must be a text of at most {MOST_WORD:,} characters, got {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ServiceError(f"{name} must be readable text, got half a character at {error.start}") from error
    return value


def _called(filename: str | None, name: str) -> str:
    """What a photo is called: its file's name without folders, in printable characters."""
    last = (filename or "").replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(character for character in last if character.isprintable())[:MOST_NAME] or name


def _too_large(most: int) -> ServiceError:
    return ServiceError(
        f"a request must have at most {most:,} bytes: send smaller photos, or fewer", status=413, code="too_large"
    )
