"""Numbers as a person reads them: percent without powers of ten, "1 in 1,000", "8 of 10", "1 recording"."""

import math
from typing import Protocol

TINY = 1e-4  # below 0.01 % digits say nothing that a person compares
USELESS = 0.9  # an interval as wide as this says nothing


IRREGULAR = {"identity": "identities", "entry": "entries", "person": "people"}


class Ends(Protocol):
    """What has two ends, as an interval."""

    @property
    def low(self) -> float: ...

    @property
    def high(self) -> float: ...


def percent(rate: float) -> str:
    """ "97.03%"; with more digits near 0 and 100 %, so that a rare error is not rounded away."""
    tail = min(rate, 1 - rate)
    if tail >= TINY or tail <= 0:
        return f"{rate:.2%}"
    return f"{rate:.4%}" if tail >= TINY / 100 else "under 0.0001%" if rate < 0.5 else "over 99.9999%"


def span(interval: Ends) -> str:
    """The ends of an interval: "95.90 to 97.84%", "0.0046 to 0.022%", "under 0.01 to 3.20%"; or that it is too wide."""
    low, high = interval.low, interval.high
    if high - low >= USELESS:
        return "cannot be told"
    if high < TINY and low < TINY / 100:
        return f"under {_digits(high)}%"
    if high < 10 * TINY and TINY / 100 <= low < TINY:
        return f"{_digits(low)} to {_digits(high)}%"
    if low > 1 - TINY:
        return "over 99.99%"
    below = "under 0.01" if 0 < low < TINY else f"{100 * low:.2f}"
    above = "over 99.99" if 1 - TINY < high < 1 else f"{100 * high:.2f}"
    return f"{below} to {above}%"


def text(estimate: float, interval: Ends) -> str:
    """ "97.03% (95.90 to 97.84%)"."""
    return f"{percent(estimate)} ({span(interval)})"


def plain(number: float) -> str:
    """A small number without a power of ten: "0.00001"."""
    return f"{number:.12f}".rstrip("0").rstrip(".") if 1e-12 <= abs(number) < 1e-4 else f"{number:g}"


def counted(number: int, noun: str) -> str:
    """ "1 recording", "1,200 recordings", "2 identities": a number and what it counts."""
    return f"{number:,} {noun if number == 1 else several(noun)}"


def several(noun: str) -> str:
    """The word for more than one: "recordings", "identities", "people"."""
    return IRREGULAR.get(noun, f"{noun}s")


def with_article(noun: str) -> str:
    """ "an image", "a recording"."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def one_in(rate: float) -> str:
    """ "1 in 1,000" for 0.001, rounded to two digits; "none" for 0."""
    if rate <= 0:
        return "none"
    number = 1 / rate
    if math.isinf(number):
        return "none"
    digits = max(len(str(int(number))) - 2, 0)
    return f"1 in {round(number / 10**digits) * 10**digits:,}" if number >= 10 else f"1 in {number:.1f}"


def out_of(rate: float, what: str, interval: Ends | None = None) -> str:
    """ "8 of 10 pairs do (7 to 9)" of "pairs do": of as many as the interval lets one count, and its ends."""
    width = 0.0 if interval is None else interval.high - interval.low
    total = 10 if width > 0.1 else 100 if min(rate, 1 - rate) >= 0.01 or width > 0.01 else 1000
    while total < 1000 and 0 < rate < 1 and round(total * rate) in (0, total):
        total *= 10  # neither all nor none where it is not
    ends = [f"{total * rate:.0f}"] if interval is None else [f"{total * end:.0f}" for end in _both(interval)]
    around = "" if interval is None or ends[0] == ends[1] else f" ({ends[0]} to {ends[1]})"
    return f"{total * rate:.0f} of {total:,} {what}{around}"


def _both(interval: Ends) -> tuple[float, float]:
    return interval.low, interval.high


def _digits(rate: float) -> str:
    return plain(float(f"{100 * rate:.2g}"))
