"""How long a step takes on a cluster, piece by piece, and the memory of one GPU.

network       image x n
head          pair x N (C / W) + row x (C / W)                      a sharded head: all images, some of the classes
exchanges     bytes that a process sends / rate + hops x latency    see `traffic`; rings through all processes
backbone sum  hidden behind two thirds of the network's time (its backward pass); what is left counts
loader        what it takes longer than all the others
"""

from dataclasses import dataclass
from math import ceil, log2

from angulus.training.nodes.hardware import Cluster, Pieces
from angulus.training.nodes.traffic import FLOAT, PER_IMAGE, traffic_of

BACKWARD = 2 / 3
"""The share of the backward pass in the time of a network, behind which gradients are summed."""
STATES = 2
"""Numbers that are kept for each weight under SGD with momentum: the weight and the momentum."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is trained. images: of one process in a step.  parameters: of the network.  each: bytes an image keeps."""

    images: int
    dim: int
    classes: int
    parameters: int
    each: int = 0


@dataclass(frozen=True, kw_only=True)
class StepForecast:
    """images: of one process.  pieces: seconds by name, in order.  memory: bytes of one process by name."""

    images: int
    pieces: dict[str, float]
    memory: dict[str, int]
    images_per_second: float

    @property
    def seconds(self) -> float:
        return sum(self.pieces.values())

    @property
    def bottleneck(self) -> str:
        return max(self.pieces, key=lambda name: self.pieces[name])


def step_of(load: Load, cluster: Cluster, pieces: Pieces, sharing: float = 1.0) -> StepForecast:
    """A step of a run with a sharded head. sharing: how many processes take turns on a device."""
    world, link = cluster.world, cluster.slowest
    own, everyone = ceil(load.classes / world), load.images * world
    sent = traffic_of(world, load.images, load.dim, load.parameters)
    ring, tree = world - 1, 2 * ceil(log2(world)) if world > 1 else 0
    network = sharing * pieces.image * load.images
    summed = link.seconds(sent.backbone, tree) if world > 1 else 0.0
    found = {
        "network": network,
        "head": sharing * (pieces.pair * everyone * own + pieces.row * own),
        "all-gather of embeddings": link.seconds(sent.embeddings, 3 * ring) if world > 1 else 0.0,
        "reduce-scatter of their gradient": link.seconds(sent.embedding_gradient, ring) if world > 1 else 0.0,
        "partition sums": link.seconds(sent.partition_sums, PER_IMAGE * tree) if world > 1 else 0.0,
        "network's gradient, not hidden": max(0.0, summed - BACKWARD * network),
    }
    loading = load.images / pieces.loading
    found["waiting for data"] = max(0.0, loading - sum(found.values()))
    return StepForecast(
        images=load.images,
        pieces=found,
        memory=memory_of(load, world),
        images_per_second=everyone / sum(found.values()),
    )


def memory_of(load: Load, world: int) -> dict[str, int]:
    """Bytes of one process. The class weights shrink with the processes; the gathered embeddings grow with them."""
    everyone = load.images * world
    return {
        "class weights and momentum": STATES * FLOAT * load.dim * ceil(load.classes / world),
        "network, gradient and momentum": (STATES + 1) * FLOAT * load.parameters,
        "activations": load.images * load.each,
        "gathered embeddings and gradient": 2 * FLOAT * load.dim * everyone,
    }
