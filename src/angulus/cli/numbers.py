"""Which numbers an option takes: checked while the command line is read, before any work begins."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from cyclopts import Parameter


def _each(check: Callable[[float], str | None]) -> Callable[[Any, Any], None]:
    """A check of a number as one of an option's value, whether that is one number, several or none."""

    def look(kind: Any, value: Any) -> None:
        for number in value if isinstance(value, Sequence) else (value,):
            if number is not None and (rule := check(number)):
                raise ValueError(rule)

    return look


def _rate(value: float) -> str | None:
    """A share as a rule wants it, and what somebody who wrote percent may have meant."""
    if 0 < value < 1:
        return None
    meant = f"; {value:g} % is {value / 100:g}" if 1 <= value < 100 else ""
    return f"must be a rate between 0 and 1, got {value:g}{meant}"


def _within(value: float) -> str | None:
    return None if 0 <= value <= 1 else f"must lie in 0 to 1, got {value:g}"


def _cosine(value: float) -> str | None:
    return None if -1 <= value <= 1 else f"must lie in -1 to 1, as every score does, got {value:g}"


def _least(least: int) -> Callable[[float], str | None]:
    return lambda value: None if value >= least else f"must be at least {least}, got {value:g}"


def _above_zero(value: float) -> str | None:
    return None if value > 0 and math.isfinite(value) else f"must be a number above 0, got {value:g}"


def _finite(value: float) -> str | None:
    return None if value >= 0 and math.isfinite(value) else f"must be a number of at least 0, got {value:g}"


Rate = Parameter(validator=_each(_rate))
Share = Parameter(validator=_each(_within))
Score = Parameter(validator=_each(_cosine))
Count = Parameter(validator=_each(_least(1)))
CountOrNone = Parameter(validator=_each(_least(0)))
Positive = Parameter(validator=_each(_above_zero))
Weight = Parameter(validator=_each(_finite))


def rates_in(text: str) -> tuple[float, ...]:
    """Rates from a list with commas. Raises ValueError for anything but numbers between 0 and 1."""
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"must be rates with commas between, as 0.01,0.001, got {text!r}") from None
    for number in found:
        if rule := _rate(number):
            raise ValueError(rule)
    return found


def _rates_listed(kind: Any, value: str) -> None:
    rates_in(value)


Rates = Parameter(validator=_rates_listed)
