"""From the numbers of a stretch of a run to the line that is written about it."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from angulus.training.recording.counters import FRACTION, OF_PROBES, OF_STEPS, PROBED, SUMS, parted
from angulus.training.recording.gradient_lengths import PARTS

SHARES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
WORST = 8


def line_of(tensors: dict[str, Tensor], sizes: NDArray[np.int64]) -> dict[str, Any]:
    """A line about the numbers of a stretch, which were added over the processes.

    tensors: as `Counters` and `Lengths` name them, on the host.  sizes: [c], images of each class in the training set.
    """
    sums = dict(zip(SUMS, (tensors["sums"].double() / FRACTION).tolist(), strict=True))
    count = max(sums.pop("examples"), 1.0)
    line: dict[str, Any] = {"examples": int(count), **{name: value / count for name, value in sums.items()}}
    line["bins"] = parted(tensors["bins"], OF_STEPS)
    probed = dict(zip(PROBED, (tensors["probed"].double() / FRACTION).tolist(), strict=True))
    if number := probed.pop("probed"):
        means = {name: value / number for name, value in probed.items()}
        direction = float(torch.linalg.vector_norm(tensors["direction"].double() / FRACTION)) / number
        bins = parted(tensors["probed_bins"], OF_PROBES)
        line["probed"] = {"examples": int(number), **means, "direction": direction, "bins": bins}
    for name in ("slopes", "weights"):
        squares = tensors[name]
        seen = squares[squares[:, PARTS.index("backbone")] > 0]
        if len(seen):
            line[name] = dict(zip(PARTS, seen.mean(0).sqrt().tolist(), strict=True))
    if len(tensors["by_class"]):
        line["classes"] = classes_of(tensors["by_class"].numpy(), sizes)
    return line


def classes_of(by_class: NDArray[np.int64], sizes: NDArray[np.int64]) -> dict[str, Any]:
    """What the classes came to. by_class: [c, 3], counts, losses and own cosines.  sizes: [c].

    small, large: the quarter of the classes with the fewest images, and with the most.
    worst: [class, count, loss, own] of those that are farthest from their own weight.
    """
    counts = by_class[:, 0]
    seen = np.flatnonzero(counts)
    loss = by_class[seen, 1] / FRACTION / counts[seen]
    own = by_class[seen, 2] / FRACTION / counts[seen]
    found: dict[str, Any] = {"seen": len(seen), "unseen": len(counts) - len(seen)}
    if not len(seen):
        return found
    found |= {"loss": np.quantile(loss, SHARES).tolist(), "own": np.quantile(own, SHARES).tolist()}
    order = np.argsort(sizes[seen], kind="stable")
    quarter = max(1, len(order) // 4)
    for name, some in (("small", order[:quarter]), ("large", order[-quarter:])):
        weights = counts[seen][some]
        found[name] = {
            "images": float(sizes[seen][some].mean()),
            "loss": float(np.average(loss[some], weights=weights)),
            "own": float(np.average(own[some], weights=weights)),
        }
    worst = np.argsort(own, kind="stable")[:WORST]
    found["worst"] = [[int(seen[k]), int(counts[seen[k]]), float(loss[k]), float(own[k])] for k in worst]
    return found
