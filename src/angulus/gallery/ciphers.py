"""How what is stored is sealed: as it is, or with a key, so that a stolen disk tells nobody who is enrolled.

    stored = nonce, AES-256-GCM(key, nonce, content; authenticated: kind and id of the row)

The nonce is 96 random bits; NIST SP 800-38D asks for at most 2^32 sealed values with one key, some hundred million
people. Names and digests are found by HMAC-SHA256. Who can write the file can still remove rows or bring back old ones.
"""

import hashlib
import hmac
import os
from pathlib import Path
from typing import Protocol

from angulus.errors import GalleryError
from angulus.files import BoundedReader

_NONCE = 12
WRONG_KEY = "the key does not open this gallery; give the key that it was created with"


class Cipher(Protocol):
    @property
    def is_secret(self) -> bool: ...

    def seal(self, content: bytes, kind: str, row: str) -> bytes:
        """What is stored in place of `content`; only to be opened for the same kind and row."""
        ...

    def open(self, stored: bytes, kind: str, row: str) -> bytes:
        """The content. Raises GalleryError where it was sealed with another key, elsewhere, or was changed."""
        ...

    def finder(self, text: str) -> bytes:
        """What a text is found by."""
        ...


class Plain:
    """Stored as it is."""

    is_secret = False

    def seal(self, content: bytes, kind: str, row: str) -> bytes:
        return content

    def open(self, stored: bytes, kind: str, row: str) -> bytes:
        return stored

    def finder(self, text: str) -> bytes:
        return text.encode("utf-8")


class Keyed:
    """Stored encrypted. key: 32 bytes. Raises GalleryError where the package cryptography is missing."""

    is_secret = True

    def __init__(self, key: bytes) -> None:
        try:
            from cryptography.exceptions import InvalidTag
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError:
            raise GalleryError(
                "a gallery with a key needs the package cryptography, which is not installed: "
                "pip install 'angulus[encryption]'"
            ) from None
        self._aead = AESGCM(_derived(key, b"angulus gallery: contents"))
        self._finding = _derived(key, b"angulus gallery: finding")
        self._refused = InvalidTag

    def seal(self, content: bytes, kind: str, row: str) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._aead.encrypt(nonce, content, f"{kind}:{row}".encode())

    def open(self, stored: bytes, kind: str, row: str) -> bytes:
        try:
            return self._aead.decrypt(stored[:_NONCE], stored[_NONCE:], f"{kind}:{row}".encode())
        except (self._refused, ValueError):
            raise GalleryError(
                f"a {kind} of this gallery was changed or moved since it was written; restore a copy of the gallery"
            ) from None

    def finder(self, text: str) -> bytes:
        return hmac.digest(self._finding, text.encode("utf-8"), "sha256")


def cipher_for(key: bytes | str | None) -> Cipher:
    """The cipher of a key, of none for None."""
    return Plain() if key is None else Keyed(key_bytes(key))


def key_bytes(key: bytes | str) -> bytes:
    """32 bytes from a key as people keep it: the bytes, or 64 hexadecimal digits. Raises GalleryError for others."""
    if isinstance(key, bytes) and len(key) == 32:
        return key
    text = key.decode("ascii", "replace") if isinstance(key, bytes) else key
    try:
        found = bytes.fromhex(text.strip())
    except ValueError:
        found = b""
    if len(found) != 32:
        raise GalleryError("a key must be 32 bytes or 64 hexadecimal digits; make one with: openssl rand -hex 32")
    return found


def read_key(path: str | Path) -> bytes:
    """The key in a file: 32 bytes, or 64 hexadecimal digits. Raises GalleryError where it cannot be read."""
    try:
        with BoundedReader(path) as file:
            return key_bytes(file.read(256))
    except OSError as error:
        raise GalleryError(f"the key file {path} cannot be read: {error.strerror or error}") from error


def _derived(key: bytes, purpose: bytes) -> bytes:
    """HKDF-Expand (RFC 5869) to 32 bytes; the key is random already."""
    return hmac.digest(key, purpose + b"\x01", hashlib.sha256)
