"""Small networks with random weights, and sets of people who look alike enough to be told apart by them."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from angulus.models import InputSpec, MobileFaceNet, TinyNet

SPECS = {
    "rgb": InputSpec(height=28, width=24, mean=127.5, std=128.0),
    "bgr": InputSpec(height=32, width=32, colour="bgr", mean=(104.0, 117.0, 123.0), std=(57.0, 58.0, 59.0)),
    "grey": InputSpec(height=32, width=32, colour="grey", mean=100.0, std=50.0),
}


@cache
def network(kind="rgb", cls=TinyNet):
    """A network of random weights, its batch norms moved off their beginnings, and its config."""
    config = cls(input=SPECS[kind], embedding_dim=16)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = config.build()
        model.train()
        model(model.input.prepare(torch.randint(0, 256, (16, 3, SPECS[kind].height, SPECS[kind].width)).byte()))
    return model.eval(), config


@cache
def mobile(kind="rgb"):
    return network(kind, MobileFaceNet)


@dataclass(frozen=True, eq=False)
class People:
    """So many pictures of each of so many people: a blurred pattern each, and noise."""

    labels: np.ndarray
    identities: list
    height: int
    width: int
    first: int = 0

    @property
    def keys(self):
        return [f"{self.identities[label]}/{index}.png" for index, label in enumerate(self.labels)]

    def __len__(self):
        return len(self.labels)

    def read(self, index):
        own = np.random.default_rng((self.first + int(self.labels[index]), 0))
        coarse = own.integers(0, 256, (4, 4, 3)).astype(float)
        grown = np.kron(coarse, np.ones((self.height // 4 + 1, self.width // 4 + 1, 1)))[: self.height, : self.width]
        noise = np.random.default_rng((self.first, index, 1)).normal(0, 25, grown.shape)
        return (grown + noise).clip(0, 255).astype(np.uint8)


def people(count=24, each=4, *, spec=SPECS["rgb"], first=0, name="person"):
    labels = np.repeat(np.arange(count, dtype=np.int64), each)
    names = [f"{name}{first + label:03d}" for label in range(count)]
    return People(labels, names, spec.height, spec.width, first)


def crops(count, spec=SPECS["rgb"], seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, spec.height, spec.width, 3), dtype=np.uint8)
