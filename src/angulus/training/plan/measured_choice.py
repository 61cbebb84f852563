"""What the choices before a run share: a field of `train` that is `auto` is asked of the device, once, and recorded.

The first process chooses and all take what it found. A run that is resumed keeps what it began with.
"""

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from angulus.json_files import read_json
from angulus.training.distributed import Processes

log = logging.getLogger(__name__)

AS_ASKED = "as the recipe says"
AS_BEGUN = "as when the run began"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """chosen: the value of the field.  reason: why, in words.  factor: of times, where some were measured."""

    chosen: Any
    reason: str
    factor: float | None = None


def agreed(name: str, asked: Any, choose: Callable[[], Choice], group: Processes | None) -> Choice:
    """What the first process chooses, in all processes; an `auto` is told in the log. name: of the field."""
    is_first = group is None or group.is_first
    choice = choose() if is_first else None
    if group is not None:
        choice = group.every(choice)[0]
    assert choice is not None
    if is_first and asked == "auto":
        log.debug("%s auto: %s, %s", name, choice.chosen, choice.reason)
    return choice


def recorded(folder: Path | None, name: str, values: Collection[Any], before: Any = None) -> Any:
    """The value of a field of `train` with which the run in a folder began, or None.

    values: those that can be.  before: what runs did that began before there was the field.
    """
    path = None if folder is None else folder / "recipe.json"
    if path is None or not path.exists():
        return None
    try:
        found = read_json(path)["train"].get(name, before)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # `start_folder` says what is wrong with it
    return found if found in values else None


def cpu_seconds(action: Callable[[], object]) -> float:
    """CPU time of an action, so that a busy machine does not change the answer."""
    begun = time.process_time()
    action()
    return time.process_time() - begun
