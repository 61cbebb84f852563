"""Class weights as directions on the host, where this process holds them all."""

import numpy as np
import torch
from numpy.typing import NDArray

from angulus.heads import MarginHead, SeparateHeads, each_head


@torch.no_grad()
def weights_of(head: MarginHead | SeparateHeads, classes: NDArray[np.int64]) -> NDArray[np.float32] | None:
    """Directions [n, d] of the weights of classes [n], of several sub-centers the first.

    None where other processes hold some of the classes.
    """
    found: NDArray[np.float32] | None = None
    for _, one, own in each_head(head):
        if len(one.classes) < one.num_classes:
            return None
        inside = (classes >= own.start) & (classes < own.stop)
        weight = one.weight.detach()
        rows = torch.from_numpy(classes[inside] - own.start).to(weight.device)
        part = (weight[rows] if weight.ndim == 2 else weight[rows, 0]).float().cpu().numpy()
        if found is None:
            found = np.zeros((len(classes), part.shape[1]), dtype=np.float32)
        found[inside] = part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12)
    return found
