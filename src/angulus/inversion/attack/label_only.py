"""The attack that is left when a model answers with a name only: no gradients, no scores, no templates.

The thief sends public photos of other people and keeps, for each name, those that are answered with it. Their average
(aligned faces lie on each other) is the guess at the person's face. It is the simplest attack of its kind; stronger
ones that search a generator's images by the answers (Kahla et al. 2022, Han et al. 2023) are not simulated here.
"""

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from angulus.heads import MarginHead


def first_answers(embeddings: Tensor, head: MarginHead) -> NDArray[np.int64]:
    """The class that a closed-set model answers for embeddings [n, d]; with sub-centers, that of the nearest one."""
    weight = head.weight.detach().to(embeddings)
    if head.margin.free_weights:
        scores = embeddings @ weight.flatten(0, -2).T
        scores = scores if head.bias is None else scores + head.bias.detach().to(scores)
    else:
        scores = F.normalize(embeddings) @ F.normalize(weight, dim=-1).flatten(0, -2).T
    if weight.ndim == 3:
        scores = scores.unflatten(1, weight.shape[:2]).amax(dim=2)
    return scores.argmax(dim=1).cpu().numpy()


def average_of_answered(
    pictures: NDArray[np.uint8], answers: NDArray[np.int64], labels: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """For each label the average of the public pictures [n, h, w, 3] answered with it, and how many these are.

    Where none was, the guess is the average of all pictures: the thief has learnt nothing.
    """
    counts = np.array([int((answers == label).sum()) for label in labels])
    guesses = [
        pictures[answers == label].mean(axis=0) if count else pictures.mean(axis=0)
        for label, count in zip(labels, counts, strict=True)
    ]
    return np.stack(guesses).round().astype(np.uint8), counts
