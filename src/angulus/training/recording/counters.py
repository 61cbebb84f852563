"""Whole numbers on a device that grow with every step: histograms and sums of what the head says about a batch.

Sums are kept in steps of 2^-16, so that they are exact in any order and over any number of processes, and a resumed run
comes to those of an uninterrupted one. Nothing is read from the device before `read`.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

FRACTION = 2.0**16
LARGEST = 2.0**16
MOST_CLASSES = 4_000_000
"""With more classes nothing is kept for each of them."""


@dataclass(frozen=True)
class Bins:
    """Equal bins from low to high; what lies outside is counted in the first and the last."""

    low: float
    high: float
    count: int

    def of(self, values: Tensor) -> Tensor:
        """The bin of each value."""
        places = (values - self.low) * (self.count / (self.high - self.low))
        return places.nan_to_num(0.0).clamp(0, self.count - 1).long()


OWN, OTHER = Bins(-1.0, 1.0, 40), Bins(-1.0, 1.0, 40)
GAP = Bins(-2.0, 2.0, 80)
MASS = Bins(0.0, 1.0, 20)
LENGTH = Bins(-6.0, 10.0, 64)
"""Of the length of an embedding, as a power of two."""
OF_STEPS = {"own": OWN, "mass": MASS, "length": LENGTH}
OF_PROBES = {"other": OTHER, "gap": GAP}
SUMS = ("examples", "loss", "own", "mass", "scale", "margin", "length")
PROBED = ("probed", "wrong", "other", "lead")


@dataclass
class Counters:
    """Numbers of one stretch of a run. classes: how many there are; embedding_dim: d.

    `tensors` by name: bins, sums (of `SUMS`), probed_bins, probed (of `PROBED`), direction [d]: the sum of the unit
    embeddings that were probed, by_class [c, 3]: count, loss and own cosine.
    """

    classes: int
    embedding_dim: int
    device: torch.device
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sizes = {
            "bins": (sum(bins.count for bins in OF_STEPS.values()),),
            "sums": (len(SUMS),),
            "probed_bins": (sum(bins.count for bins in OF_PROBES.values()),),
            "probed": (len(PROBED),),
            "direction": (self.embedding_dim,),
            "by_class": (self.classes if self.classes <= MOST_CLASSES else 0, 3),
        }
        self.tensors = {name: torch.zeros(size, dtype=torch.int64, device=self.device) for name, size in sizes.items()}

    def add(self, labels: Tensor, losses: Tensor, own: Tensor, balance: Tensor, lengths: Tensor) -> None:
        """Count a batch. labels, losses, own cosines, lengths of the embeddings: [n]; balance: [3, n]."""
        counted = (labels >= 0).long()
        mass, scale, margin = balance
        values = torch.stack([torch.ones_like(mass), losses.float(), own.float(), mass, scale, margin, lengths.float()])
        whole = fixed(values) * counted
        places = {"own": own, "mass": mass, "length": lengths.clamp(min=2.0**-20).log2()}
        self.tensors["bins"].index_add_(0, bins_of(places, OF_STEPS), counted.repeat(len(OF_STEPS)))
        self.tensors["sums"].add_(whole.sum(1))
        if len(by_class := self.tensors["by_class"]):
            kept = torch.stack([counted, whole[1], whole[2]], dim=1)
            by_class.index_add_(0, labels.clamp(min=0), kept)

    def probe(self, labels: Tensor, own: Tensor, other: Tensor, scale: Tensor, units: Tensor) -> None:
        """Count some examples whose nearest other class is known: other [n] is its cosine, units [n, d]."""
        counted = (labels >= 0).long()
        gap = own.float() - other.float()
        bins = bins_of({"other": other, "gap": gap}, OF_PROBES)
        self.tensors["probed_bins"].index_add_(0, bins, counted.repeat(len(OF_PROBES)))
        values = torch.stack([torch.ones_like(gap), (gap < 0).float(), other.float(), scale.float() * gap])
        self.tensors["probed"].add_((fixed(values) * counted).sum(1))
        self.tensors["direction"].add_((fixed(units) * counted[:, None]).sum(0))

    def clear(self) -> None:
        for tensor in self.tensors.values():
            tensor.zero_()


def bins_of(values: dict[str, Tensor], histograms: dict[str, Bins]) -> Tensor:
    """The places of all values [k n] in histograms that lie one behind the other."""
    found, start = [], 0
    for name, bins in histograms.items():
        found.append(bins.of(values[name]) + start)
        start += bins.count
    return torch.cat(found)


def fixed(values: Tensor) -> Tensor:
    """Values as whole numbers of steps of 2^-16; what is no number counts as 0."""
    return (values.nan_to_num(0.0, LARGEST, -LARGEST).clamp(-LARGEST, LARGEST) * FRACTION).round().long()


def parted(bins: Tensor, histograms: dict[str, Bins]) -> dict[str, list[int]]:
    """The histograms by name."""
    sizes = [one.count for one in histograms.values()]
    return {name: part.tolist() for name, part in zip(histograms, bins.split(sizes), strict=True)}
