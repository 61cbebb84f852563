"""Which known name did a misspelt one mean?"""

import difflib
from collections.abc import Iterable


def closest(name: str, known: Iterable[str]) -> str | None:
    """The most similar known name, upper and lower case alike; None where nothing is similar."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str], *, prefix: str = "") -> str:
    """ "; did you mean arcface?" with `prefix` before the name, or nothing where nothing is similar."""
    found = closest(name, known)
    return f"; did you mean {prefix}{found}?" if found else ""
