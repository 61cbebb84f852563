"""Run by every process of test_triplets: a head, a triplet and a center loss, one step of a global batch.

torchrun ... triplet_steps.py FOLDER     writes FOLDER/gradients-WORLD-RANK.pt
"""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from angulus.heads import Center, MarginHead, ShardedHead, Triplet
from angulus.margins import AMSoftmax
from angulus.models import EmbeddingModel, InputSpec
from angulus.training.step import Recogniser

CLASSES, DIM, LABELS = 6, 4, [0, 0, 1, 1, 2, 2, 3, 3, 0, 4, 5]
SPEC = InputSpec(height=2, width=2)


class Necked(EmbeddingModel):
    """A linear layer and a gain as its neck, for which batches need not be whole."""

    def __init__(self) -> None:
        super().__init__(input=SPEC, embedding_dim=DIM)
        self.fc = nn.Linear(12, DIM)
        self.gain = nn.Parameter(torch.linspace(0.5, 2.0, DIM))

    def encode(self, images: Tensor) -> Tensor:
        return self.necked(images)[1]

    def necked(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = self.fc(images.flatten(1))
        return features, features * self.gain


def gradients(rank: int, world: int, *, sharded: bool, group: dist.ProcessGroup | None) -> dict[str, Tensor]:
    """Of one global batch, divided over the processes: what the whole has."""
    torch.manual_seed(3)
    model = Necked().double()
    images = torch.randn(len(LABELS), *SPEC.shape, dtype=torch.float64)
    weight, centers = torch.randn(2, CLASSES, DIM, dtype=torch.float64)
    if sharded and group is not None:
        head: MarginHead = ShardedHead(DIM, CLASSES, AMSoftmax(), process_group=group, data_parallel=True).double()
        own = weight[head.classes.start : head.classes.stop]
    else:
        head, own = MarginHead(DIM, CLASSES, AMSoftmax(), process_group=group).double(), weight
    with torch.no_grad():
        head.weight.copy_(own)
    parts = torch.arange(len(LABELS)).tensor_split(world)
    rows = parts[rank]
    center = Center(weight=0.3)
    beside = (Triplet(margin=1.5, weight=0.7), group, center, centers)
    if group is None:
        recogniser: nn.Module = Recogniser(model, head, *beside)
    elif sharded:
        recogniser = Recogniser(DistributedDataParallel(model), head, *beside)
    else:
        recogniser = DistributedDataParallel(Recogniser(model, head, *beside))
    labels, sizes = torch.tensor(LABELS)[rows], [len(part) for part in parts]
    output, _, seen = recogniser(images[rows], labels, 0, sizes)
    output.loss.backward()
    center.move(centers, seen.features, labels, group=group, sizes=sizes)
    found = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    losses = {"pairs": seen.pairs, "center": seen.center, "loss": output.loss.detach()}
    return found | {name: mean(loss, group) for name, loss in losses.items()} | {"centers": centers}


def mean(value: Tensor, group: dist.ProcessGroup | None) -> Tensor:
    if group is None:
        return value
    total = value.clone()
    dist.all_reduce(total, group=group)
    return total / dist.get_world_size(group)


def main(folder: Path) -> None:
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    group = dist.group.WORLD
    found = {kind: gradients(rank, world, sharded=kind == "sharded", group=group) for kind in ("copies", "sharded")}
    torch.save(found, folder / f"gradients-{world}-{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
