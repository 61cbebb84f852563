"""Networks ready for images: prepared float32 images [n, channels, height, width] in, embeddings float32 [n, d] out."""

from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor

from angulus.models import EmbeddingModel
from angulus.models.folding import folded, is_foldable

Layout = Literal["channels_last", "contiguous"]
LAYOUTS: tuple[Layout, ...] = ("channels_last", "contiguous")


class Network(Protocol):
    """parallel: may be called from several threads at once, each of which computes on its own."""

    @property
    def parallel(self) -> bool: ...

    def __call__(self, prepared: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class TorchNetwork:
    """A network in torch, in evaluation mode on its device. Build it with `torch_network`.

    layout: of the images in memory; the values are the same to rounding.
    """

    model: EmbeddingModel = field(repr=False)
    parallel: bool
    layout: Layout

    def __call__(self, prepared: Tensor) -> Tensor:
        last = self.layout == "channels_last"
        form = torch.channels_last if last else torch.contiguous_format
        with torch.inference_mode():
            return self.model(prepared.contiguous(memory_format=form)).float()


def torch_network(model: EmbeddingModel, device: torch.device, layout: Layout = "channels_last") -> TorchNetwork:
    """A folded copy where the network is a known one, else the model itself, which must be there and in that mode."""
    if is_foldable(model):
        return TorchNetwork(folded(model).to(device), True, layout)
    return TorchNetwork(model, False, layout)
