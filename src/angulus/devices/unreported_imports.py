"""Packages that report their use to their makers, imported so that they do not.

OpenVINO reports that it was imported, and NNCF what it did, through the package openvino_telemetry, unless the user has
said no in a file of theirs. Both go on without that package where it cannot be imported.
"""

import sys
import threading
from importlib import import_module
from types import ModuleType
from typing import Any

_REPORTER = "openvino_telemetry"
_ABSENT: Any = object()
_ONE_AT_A_TIME = threading.Lock()


def import_unreported(name: str) -> Any:
    """A module, imported while there is nothing to report by. Raises ImportError where it is not installed.

    A package that somebody else has imported before is as they left it.
    """
    modules: dict[str, ModuleType | None] = sys.modules  # pyrefly: ignore[bad-assignment]
    with _ONE_AT_A_TIME:
        before = modules.get(_REPORTER, _ABSENT)
        modules[_REPORTER] = None
        try:
            return import_module(name)
        finally:
            if before is _ABSENT:
                del modules[_REPORTER]
            else:
                modules[_REPORTER] = before
