"""How far do images of a person lie from their middle? The center loss beside a head, with a center for each class.

    loss    = 1 / (2 n) sum_i |x_i - c_yi|^2                    the mean over the examples of a batch
    d_j     = sum_{yi = j} (c_j - x_i) / (1 + n_j)              n_j: how many of the batch are of class j
    c_j    <- c_j - rate d_j                                    after the step; other classes stay where they are

Centers are no weights: no gradient comes to them and no optimizer moves them. They begin at 0, so that the first steps
draw features to 0 until the classes have been met.

Y. Wen, K. Zhang, Z. Li, Y. Qiao, "A discriminative feature learning approach for deep face recognition", ECCV 2016,
equations 2 to 4. Their loss is the sum over a batch beside a softmax that is summed as well; here both are means.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from angulus.heads.sharding.exchange import rows_of
from angulus.heads.softmax import as_float


@dataclass(frozen=True, kw_only=True)
class Center:
    """The center loss on the features before the neck of a network, the embeddings where it has none.

    The centers are those of the whole run: of all processes, each of which holds all of them, and of all stages.

    weight: factor of the loss beside that of the head.
    rate: which share of the way the center of a class with many images in a batch goes to their mean ("alpha").
    """

    weight: float = 5e-4
    rate: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 < self.weight < math.inf:
            raise ValueError(f"weight must be above 0, got {self.weight}; leave center out to do without")
        if not 0.0 < self.rate <= 1.0:
            raise ValueError(f"rate must be above 0 and at most 1, got {self.rate}")

    def loss(
        self,
        features: Tensor,
        labels: Tensor,
        centers: Tensor,
        *,
        group: dist.ProcessGroup | None = None,
    ) -> Tensor:
        """The mean loss of a batch, without `weight`.

        Args:
          features: [n, d].
          labels: [n] int64, -1 for an example that is left out.
          centers: [c, d], as `first_centers` and `move` left them.
          group: processes that see parts of one global batch. Each has the loss of its own examples, scaled so that
            the mean over the processes, of loss and gradient, is that of the global batch.
        """
        check_dim(features, centers)
        with torch.autocast(features.device.type, enabled=False):
            own = as_float(features)
            apart = own - centers[labels.clamp(min=0)].to(own.dtype)
            count = (labels >= 0).sum().to(own.dtype)
            total = torch.where(labels >= 0, apart.square().sum(dim=1), 0.0).sum() / 2
            if group is None:
                return total / count.clamp(min=1)
            dist.all_reduce(count, group=group)
            return total * dist.get_world_size(group) / count.clamp(min=1)

    @torch.no_grad()
    def move(
        self,
        centers: Tensor,
        features: Tensor,
        labels: Tensor,
        *,
        group: dist.ProcessGroup | None = None,
        sizes: Sequence[int] = (),
    ) -> None:
        """Move the centers [c, d] of the classes in a global batch, in place; the same on every process, to the bit.

        features [n, d] and labels [n] are those of this process, sizes how many each brings; without them they are
        asked. Sums have one order: a product of matrices and no scattered additions, whose order a GPU does not keep.
        """
        with torch.autocast(features.device.type, enabled=False):
            own = features.to(centers.dtype)
            if group is not None:
                rows = rows_of(labels, group, sizes or None)
                own, labels = rows.join(own), rows.join(labels)
            known = labels >= 0
            same = (labels[:, None] == labels) & known
            counts = same.sum(dim=1, keepdim=True).to(centers.dtype)
            now = centers[labels.clamp(min=0)]
            moved = now - self.rate * (counts * now - same.to(centers.dtype) @ own) / (1 + counts)
            # of the rows of a class the first is written, for an example that is left out that of another
            place = torch.where(known, torch.arange(len(labels), device=labels.device), known.int().argmax())
            first = same.int().argmax(dim=1)[place]
            centers[labels.clamp(min=0)[first]] = moved[first]


def first_centers(num_classes: int, dim: int, device: torch.device) -> Tensor:
    """The centers [c, d] of a run that begins, in float32."""
    return torch.zeros(num_classes, dim, device=device)


def check_dim(features: Tensor, centers: Tensor) -> None:
    if features.shape[1] != centers.shape[1]:
        raise ValueError(
            f"features must have the {centers.shape[1]} dimensions of the centers, got {features.shape[1]}: head.center"
            " needs a network whose neck keeps them"
        )
