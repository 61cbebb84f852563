"""JSON texts from strangers: nested at most 64 deep and 256 MiB long, so that reading takes no more than that allows.

Whatever is wrong is a ValueError, and nothing else is raised.
"""

import json
from typing import Any

MOST_DEEP = 64
MOST_BYTES = 2**28


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError for what is no JSON, too deep or too long."""
    if len(text) > MOST_BYTES:
        raise ValueError(f"JSON must have at most {MOST_BYTES:,} bytes, got {len(text):,}")
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    level = [value]
    for _ in range(MOST_DEEP + 1):
        level = [inner for each in level for inner in _within(each) if isinstance(inner, dict | list)]
        if not level:
            return value
    raise ValueError(_TOO_DEEP)


_TOO_DEEP = f"JSON must nest at most {MOST_DEEP} deep"


def _within(value: Any) -> Any:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
