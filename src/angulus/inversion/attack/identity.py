"""Does the image show the person? The identity term, for the two kinds of attack of the paper.

closed set   the head's own margin loss for the class label, margin and all:  L(head(f(I)), y), the mean over the images
open set     the distance of the embedding to a stored one, the mean over the images:

    l2       ||f(I) - t||_2                 (published)
    squared  ||f(I) - t||_2^2
    cosine   1 - cos(f(I), t)

With `normalise="unit"` both embeddings are first brought to length 1; the paper does not say which it does, "none" is
the literal reading. A template that was stored with length 1 has no length to match and needs "unit".
"""

from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import torch.nn.functional as F
from torch import Tensor

from angulus.errors import ModelError
from angulus.heads import MarginHead
from angulus.inversion.attack.statistics import safe_root

Distance = Literal["l2", "squared", "cosine"]
Normalise = Literal["none", "unit"]


class IdentityTerm(Protocol):
    """What an image must show: a scalar of the embeddings [n, d], and how near each is to its target."""

    def __call__(self, embeddings: Tensor) -> Tensor: ...

    def cosines(self, embeddings: Tensor) -> Tensor:
        """Cosine of each embedding to its target [n]."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class OpenSet:
    """Embeddings shall be `targets` [n, d]. Raises ValueError for unknown options."""

    targets: Tensor
    distance: Distance = "l2"
    normalise: Normalise = "none"

    def __post_init__(self) -> None:
        check_distance(self.distance, self.normalise)

    def __call__(self, embeddings: Tensor) -> Tensor:
        targets = self.targets.to(embeddings)
        if self.distance == "cosine":
            return (1 - F.cosine_similarity(embeddings, targets)).mean()
        if self.normalise == "unit":
            embeddings, targets = F.normalize(embeddings), F.normalize(targets)
        squares = (embeddings - targets).square().sum(dim=1)
        return squares.mean() if self.distance == "squared" else safe_root(squares).mean()

    def cosines(self, embeddings: Tensor) -> Tensor:
        return F.cosine_similarity(embeddings, self.targets.to(embeddings))


@dataclass(frozen=True, kw_only=True, eq=False)
class ClosedSet:
    """Embeddings shall be classified as `labels` [n] by a head, in evaluation mode and with its margin.

    step: the training step at which schedules of the margin are read, best the last one of the run.
    """

    head: MarginHead
    labels: Tensor
    step: int = 0

    def __call__(self, embeddings: Tensor) -> Tensor:
        return self.head(embeddings, self.labels.to(embeddings.device), step=self.step).loss

    def cosines(self, embeddings: Tensor) -> Tensor:
        """To the class weight; with sub-centers, to the nearest of the class."""
        weight = self.head.weight.detach()[self.labels.to(self.head.weight.device)].to(embeddings)
        rows = weight if weight.ndim == 3 else weight.unsqueeze(1)
        return F.cosine_similarity(embeddings.unsqueeze(1), rows, dim=2).amax(dim=1)


def check_distance(distance: str, normalise: str) -> None:
    for name, value, known in (
        ("distance", distance, get_args(Distance)),
        ("normalise", normalise, get_args(Normalise)),
    ):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")


def check_targets(embeddings: int, model: int, name: str) -> None:
    """Raise ModelError unless templates have the model's dimension; name: where they come from."""
    if embeddings != model:
        raise ModelError(
            f"{name} holds embeddings of {embeddings} dimensions and the model makes {model}: they come from another "
            "model; invert the model that made them, or embed the images with this one (--images)"
        )
