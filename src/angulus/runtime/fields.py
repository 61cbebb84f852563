"""Values of a stranger's JSON object, each of the type that is meant, or a sentence."""

import math
from collections.abc import Mapping
from typing import Any

from angulus.errors import BundleError

MOST_TEXT = 10_000
MOST_NUMBERS = 1_000_000


def is_written(text: str) -> bool:
    """Whether a text can be written down at all: JSON may hold halves of characters."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


class Fields:
    """The values of an object under their names.  where: what it is called in sentences."""

    def __init__(self, values: object, where: str) -> None:
        if not isinstance(values, Mapping):
            raise BundleError(f"{where} must be an object with names and values, got {type(values).__name__}")
        self.values: Mapping[str, Any] = values
        self.where = where

    def has(self, name: str) -> bool:
        """Whether there is a value that is not null."""
        return self.values.get(name) is not None

    def any(self, name: str) -> Any:
        """A value of any type. Raises BundleError where there is none."""
        if name not in self.values:
            raise BundleError(f"{self.where} has no {name}; write it anew with angulus export")
        return self.values[name]

    def text(self, name: str) -> str:
        """A text of bounded length."""
        value = self.any(name)
        if not isinstance(value, str) or len(value) > MOST_TEXT or not is_written(value):
            raise self._wrong(name, "a text", value)
        return value

    def whole(self, name: str) -> int:
        """A whole number from 0 up."""
        value = self.any(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
            raise self._wrong(name, "a whole number", value)
        return value

    def truth(self, name: str) -> bool:
        """True or false."""
        value = self.any(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false", value)
        return value

    def number(self, name: str) -> float:
        """A finite number."""
        return self._number(name, self.any(name))

    def numbers(self, name: str) -> tuple[float, ...]:
        """A list of finite numbers."""
        value = self.any(name)
        if not isinstance(value, list) or len(value) > MOST_NUMBERS:
            raise self._wrong(name, "a list of numbers", value)
        return tuple(self._number(name, one) for one in value)

    def inner(self, name: str) -> "Fields":
        """An object within."""
        return Fields(self.any(name), f"{self.where}: {name}")

    def texts(self, name: str) -> dict[str, str]:
        """An object whose values are texts."""
        inner = self.inner(name)
        return {key: inner.text(key) for key in inner.values}

    def _number(self, name: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(name, "a finite number", value)
        try:
            number = float(value)
        except OverflowError:
            raise self._wrong(name, "a finite number", "a whole number beyond all bounds") from None
        if not math.isfinite(number):
            raise self._wrong(name, "a finite number", value)
        return number

    def _wrong(self, name: str, wanted: str, value: object) -> BundleError:
        shown = ascii(value)
        return BundleError(f"{self.where}: {name} must be {wanted}, got {shown[:60]}{'...' if len(shown) > 60 else ''}")
