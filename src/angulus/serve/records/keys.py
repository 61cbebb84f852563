"""Who may do what: keys with roles, of which only digests are stored.

A key is 256 random bits, so that its plain SHA-256 is enough: a slow or salted function protects what people can think
up and others can guess, and nobody guesses or tabulates 2^256 numbers. Digests are compared in constant time.
"""

import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast, get_args

from angulus.errors import ServiceError
from angulus.json_files import read_json
from angulus.whole_files import write_beside

Role = Literal["read", "enrol", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
FORMAT = 1
PREFIX = "angulus_"
RECHECK = 1.0  # seconds between looks at the file
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Key:
    """A key as it is stored: its owner's name, role, digest, and when it was made (UTC)."""

    name: str
    role: Role
    digest: str
    made: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ServiceError(
                f"a key's name must be 1 to 64 letters, digits and . _ @ -, starting with a letter or a digit, got"
                f" {self.name[:80]!r}"
            )
        if self.role not in ROLES:
            raise ServiceError(f"a role must be one of {', '.join(ROLES)}, got {self.role!r}")

    def allows(self, least: Role) -> bool:
        """Whether the role is at least this one: read, then enrol, then admin."""
        return ROLES.index(self.role) >= ROLES.index(least)


OPEN = Key(name="anyone", role="admin", digest="0" * 64, made="")
"""Who asks where no keys are used."""


def digest_of(key: str) -> str:
    """What is stored of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys in a file. Raises ServiceError where it cannot be read or is no such file."""
    try:
        values = read_json(path)
    except (OSError, ValueError) as error:
        raise ServiceError(f"{path} cannot be read as a file of keys: {error}") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT or not isinstance(values.get("keys"), list):
        raise ServiceError(f"{path} is no file of keys: angulus serve keys add NAME --keys {path} makes one")
    keys = tuple(_key(row, path) for row in values["keys"])
    if len({key.name for key in keys}) != len(keys):
        raise ServiceError(f"{path}: two keys have one name; remove one of them")
    return keys


def add_key(path: Path, name: str, role: Role) -> str:
    """Make a key and store its digest; the key itself, which is kept nowhere. Raises ServiceError for a used name."""
    keys = read_keys(path) if path.exists() else ()
    if any(key.name == name for key in keys):
        raise ServiceError(f"{path} has a key of the name {name}: remove it first, or take another name")
    secret = PREFIX + secrets.token_urlsafe(32)
    made = datetime.now(UTC).isoformat(timespec="seconds")
    _write(path, (*keys, Key(name=name, role=role, digest=digest_of(secret), made=made)))
    return secret


def remove_key(path: Path, name: str) -> None:
    """Remove a key. Raises ServiceError where there is none of the name."""
    keys = read_keys(path)
    left = tuple(key for key in keys if key.name != name)
    if len(left) == len(keys):
        known = ", ".join(key.name for key in keys) or "none"
        raise ServiceError(f"{path} has no key of the name {name}; it has: {known}")
    _write(path, left)


class KeyRing:
    """The keys of a file, read again when it changes, so that a removed key ends at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._stamp, self._checked = self._stamped(), time.monotonic()
        self._keys = read_keys(path)

    def find(self, secret: str) -> Key | None:
        """The key that this is; None for none. Every digest is compared, in constant time."""
        digest, found = digest_of(secret), None
        for key in self._current():
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found

    def _current(self) -> tuple[Key, ...]:
        with self._lock:
            if time.monotonic() - self._checked >= RECHECK:
                try:
                    if (stamp := self._stamped()) != self._stamp:
                        self._keys, self._stamp = read_keys(self.path), stamp
                except ServiceError as error:  # who asks is not known, so nothing of the file is for them
                    logging.getLogger(__name__).error("no request is admitted: %s", error)
                    raise ServiceError(
                        "the file of keys cannot be read now: the log of the service says why",
                        **{"status": 503, "code": "no_keys", "retry_after": 5},
                    ) from error
                self._checked = time.monotonic()  # only now: a file that cannot be read admits nobody, at any time
            return self._keys

    def _stamped(self) -> tuple[int, int, int]:
        try:
            found = os.stat(self.path)
        except OSError as error:
            raise ServiceError(f"{self.path} cannot be read: {error.strerror}") from error
        return found.st_mtime_ns, found.st_size, found.st_ino


def _key(row: Any, path: Path) -> Key:
    values = row if isinstance(row, dict) else {}
    name, role, digest, made = (str(values.get(part, "")) for part in ("name", "role", "digest", "made"))
    if not _DIGEST.fullmatch(digest):
        raise ServiceError(f"{path}: a key must have name, role, digest and made; make the file anew")
    return Key(name=name, role=cast(Role, role), digest=digest, made=made)


def _write(path: Path, keys: tuple[Key, ...]) -> None:
    rows = [{"name": key.name, "role": key.role, "digest": key.digest, "made": key.made} for key in keys]
    text = json.dumps({"format": FORMAT, "keys": rows}, indent=1) + "\n"

    def write(part: Path) -> None:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    try:
        write_beside(path, write)
    except OSError as error:
        raise ServiceError(f"{path} cannot be written: {error.strerror or error}") from error
