"""What a cluster is taken to be: assumptions of the step-time model, each with where it comes from."""

from dataclasses import dataclass

from angulus.errors import ConfigError

GB = 1e9


@dataclass(frozen=True, kw_only=True)
class Link:
    """One way, in bytes a second for each GPU; latency in seconds for each hop; share of the rate that is reached."""

    name: str
    rate: float
    latency: float
    share: float = 0.8

    def seconds(self, size: float, hops: float) -> float:
        return size / (self.rate * self.share) + hops * self.latency


NVLINK = Link(name="NVLink 4 (450 GB/s a GPU, one way)", rate=450 * GB, latency=3e-6)
BETWEEN = {
    "infiniband": Link(name="InfiniBand NDR (400 Gbit/s a GPU)", rate=50 * GB, latency=6e-6),
    "ethernet": Link(name="Ethernet (100 Gbit/s a machine of 8 GPUs)", rate=12.5 / 8 * GB, latency=30e-6),
}


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """nodes: machines.  gpus: of each.  inside, between: links within a machine and from one to another."""

    nodes: int
    gpus: int
    inside: Link = NVLINK
    between: Link = BETWEEN["infiniband"]

    def __post_init__(self) -> None:
        for name in ("nodes", "gpus"):
            if getattr(self, name) < 1:
                raise ConfigError(f"--{name} must be at least 1, got {getattr(self, name)}")

    @property
    def world(self) -> int:
        return self.nodes * self.gpus

    @property
    def slowest(self) -> Link:
        """The link that a ring through all GPUs waits for."""
        return self.between if self.nodes > 1 else self.inside


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """Seconds of one device. image: forward and backward pass of an image. A head takes pair x n c + row x c."""

    name: str
    image: float
    pair: float
    row: float
    loading: float  # images a second of each device's share of cores


H200 = Pieces(
    name="H200, measured: IResNet-50, bfloat16, 512 images in 120 ms (a head of 81,800 classes in it); panels, D = 512,"
    " SGD inside, from a trial: 140 ms at 10M classes x 1,024 images, 273 ms at 30M x 512",
    image=0.120 / 512,
    pair=9.57e-12,
    row=4.2e-9,
    loading=4480.0,
)
