"""Plug-ins that judge a face before it is compared, such as liveness and quality.

    angulus serve ... --check liveness=mypackage.liveness:check

    def check(face: CheckedFace) -> CheckResult: ...

A request names the checks that it wants. One that is not installed is answered 412, never passed over; what was not
checked is absent from the answer. A face that does not pass is not compared. Angulus brings no check of its own and
claims nothing about those of others.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from angulus.errors import ServiceError
from angulus.serve.answers import CheckResult


@dataclass(frozen=True, kw_only=True, eq=False)
class CheckedFace:
    """What a check sees: the photo uint8 [h, w, 3], the crop uint8 [h, w, 3], RGB, and the face's box and landmarks.

    box: float [4], left, top, right, bottom; landmarks: float [5, 2]; both None for a crop that was given as one.
    """

    photo: NDArray[np.uint8]
    crop: NDArray[np.uint8]
    box: NDArray[np.float64] | None
    landmarks: NDArray[np.float64] | None


Check = Callable[[CheckedFace], CheckResult]


class Checks:
    """The checks of a service.  entries: "module:function" by name. Raises ServiceError for one that is not there."""

    def __init__(self, entries: Mapping[str, str]) -> None:
        self._checks = {name: _imported(name, entry) for name, entry in entries.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """Those that are installed."""
        return tuple(self._checks)

    def need(self, names: Sequence[str]) -> None:
        """Raise ServiceError (412) where one of these is not installed."""
        for name in names:
            if name not in self._checks:
                known = ", ".join(self._checks) or "none"
                raise ServiceError(
                    f"the check {name[:60]!r} is not installed here; installed: {known}",
                    **{"status": 412, "code": "no_such_check"},
                )

    def run(self, names: Sequence[str], face: CheckedFace) -> dict[str, CheckResult]:
        """What these checks say about a face. Raises ServiceError (500) where one fails."""
        found = {}
        for name in names:
            try:
                result = self._checks[name](face)
            except Exception as error:
                logging.getLogger(__name__).exception("the check %s failed", name)
                raise ServiceError(f"the check {name} failed", status=500, code="check_failed") from error
            if not isinstance(result, CheckResult):
                raise ServiceError(f"the check {name} gave no CheckResult", status=500, code="check_failed")
            found[name] = result
        return found


def _imported(name: str, entry: str) -> Check:
    module, _, function = entry.partition(":")
    try:
        found = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ServiceError(f"the check {name} cannot be imported from {entry!r}: {error}") from error
    if not callable(found):
        raise ServiceError(f"the check {name} must be a function, got {entry!r}")
    return found
