"""How near must two images of a person be, compared with those of others? The batch-hard triplet loss beside a head.

    loss_a = max(0, m + d(a, p) - d(a, n))      p: the farthest image of a's person in the batch
           = log(1 + exp(d(a, p) - d(a, n)))    n: the nearest image of another person; this line for margin "soft"

A head compares an embedding with class weights, and every example has a loss of its own. Here examples of one batch are
compared with each other, without weights: it works with every margin and strategy, and is added to their loss.

A. Hermans, L. Beyer, B. Leibe, "In defense of the triplet loss for person re-identification", 2017, equation 5; beside
a softmax: H. Luo et al., "Bag of Tricks and a Strong Baseline for Deep Person Re-identification", CVPR workshops 2019.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from angulus.heads.sharding.exchange import rows_of, spread
from angulus.heads.softmax import as_float

Distance = Literal["euclidean", "unit"]


@dataclass(frozen=True, kw_only=True)
class Triplet:
    """The batch-hard triplet loss on the features before the neck of a network, the embeddings where it has none.

    Every image that has another of its person and one of somebody else in the batch is an anchor; the loss is the mean
    over these. Needs batches of P x K (train.sampling=pk). Images are compared within a micro-batch, and with those of
    all processes: the loss of several processes is that of one.

    margin: by how much the others must be farther away; "soft" has no end to it.
    weight: factor of the loss beside that of the head.
    distance: "euclidean" of the features as they are, or "unit", of features of length 1.
    """

    margin: float | Literal["soft"] = 0.3
    weight: float = 1.0
    distance: Distance = "euclidean"

    def __post_init__(self) -> None:
        if self.margin != "soft" and not 0.0 <= self.margin < math.inf:
            raise ValueError(f'margin must be "soft" or a distance of at least 0, got {self.margin}')
        if not 0.0 < self.weight < math.inf:
            raise ValueError(f"weight must be above 0, got {self.weight}; leave triplet out to do without")

    def loss(
        self,
        features: Tensor,
        labels: Tensor,
        *,
        group: dist.ProcessGroup | None = None,
        sizes: Sequence[int] = (),
    ) -> Tensor:
        """The mean loss over the anchors of a batch, without `weight`; 0 where there is none.

        Args:
          features: [n, d].
          labels: [n] int64, -1 for an example that is left out.
          group: processes that see parts of one global batch. Each has the loss of its own anchors, scaled so that the
            mean over the processes, of loss and gradient, is that of the global batch. All must run the backward pass.
          sizes: how many examples each of them brings; without them they are asked.
        """
        with torch.autocast(features.device.type, enabled=False):
            own = as_float(features)
            if self.distance == "unit":
                own = F.normalize(own, dim=1)
            if group is None:
                losses, counted = self.of_anchors(own, labels, own, labels, 0)
                return losses.sum() / counted.sum().clamp(min=1)
            rows = rows_of(labels, group, sizes or None)
            losses, counted = self.of_anchors(own, labels, spread(own, rows), rows.join(labels), rows.own.start)
            count = counted.sum().to(losses.dtype)
            dist.all_reduce(count, group=group)
            return losses.sum() * len(rows.sizes) / count.clamp(min=1)

    def of_anchors(
        self, anchors: Tensor, labels: Tensor, others: Tensor, other_labels: Tensor, start: int
    ) -> tuple[Tensor, Tensor]:
        """The loss of each anchor [n], 0 for what is none, and which are anchors [n].

        start: the place of the first anchor among the `others`.
        """
        farthest, nearest, counted = hardest(anchors, labels, others, other_labels, start)
        apart = distances(anchors, others[farthest]) - distances(anchors, others[nearest])
        losses = F.softplus(apart) if self.margin == "soft" else F.relu(apart + self.margin)
        return torch.where(counted, losses, 0.0), counted


@torch.no_grad()
def hardest(
    anchors: Tensor, labels: Tensor, others: Tensor, other_labels: Tensor, start: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The farthest row of the own person [n], the nearest of another [n], and whether there are both [n].

    An anchor stands at the row `start` + i of the others and is never compared with itself.
    """
    apart = torch.cdist(anchors, others, compute_mode="donot_use_mm_for_euclid_dist")
    is_known = (labels[:, None] >= 0) & (other_labels >= 0)
    is_same = is_known & (labels[:, None] == other_labels)
    is_other = is_known & ~is_same
    own = torch.arange(start, start + len(labels), device=labels.device)
    is_same[torch.arange(len(labels), device=labels.device), own] = False
    farthest = apart.masked_fill(~is_same, -1.0).argmax(dim=1)
    nearest = apart.masked_fill(~is_other, math.inf).argmin(dim=1)
    return farthest, nearest, is_same.any(dim=1) & is_other.any(dim=1)


def distances(left: Tensor, right: Tensor) -> Tensor:
    """Euclidean distances [n] of rows [n, d]; from their differences, which lose no digits, with gradient 0 at 0."""
    return torch.linalg.vector_norm(left - right, dim=1)
