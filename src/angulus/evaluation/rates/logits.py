"""Rates on the scale log(p / (1 - p)), on which their errors are nearly symmetric."""

from typing import Any

import numpy as np


def logit(rate: Any) -> Any:
    """log(p / (1 - p)), elementwise; -inf at 0 and inf at 1."""
    with np.errstate(divide="ignore"):
        return np.log(rate) - np.log1p(-np.asarray(rate, dtype=np.float64))


def inverse_logit(value: Any) -> Any:
    """1 / (1 + exp(-x)), elementwise, without overflow."""
    return 0.5 * (1 + np.tanh(np.asarray(value, dtype=np.float64) / 2))
