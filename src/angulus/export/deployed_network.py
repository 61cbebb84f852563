"""The network as it is deployed: crops or prepared images in, one vector of length 1 for each out, and its length.

    inside    uint8 [n, height, width, 3], RGB: colour order, mean and std are part of the network
    beside    float32 [n, channels, height, width], prepared with what bundle.json says

Batch norms are folded. Written in operations that every exporter knows: the luma of grey networks in float32, in which
its whole numbers (below 2^24) are exact.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from angulus.models import EmbeddingModel
from angulus.models.folding import folded

_GREY_WEIGHTS = (19595.0, 38470.0, 7471.0)
_GREY_UNIT = 65536.0


class DeployedNetwork(nn.Module):
    """A copy of a network on the CPU with all that is deployed with it.

    inside: preparation is part of it.  mirror: the embeddings of both mirror views are added, raw, before they are
    brought to length 1.
    """

    mean: Tensor
    std: Tensor
    free = ("n",)
    """The axes of what comes in that may have any length, by name."""

    def __init__(self, model: EmbeddingModel, *, inside: bool = True, mirror: bool = False) -> None:
        super().__init__()
        self.input, self.embedding_dim = model.image_input(), model.embedding_dim
        self.inside, self.mirror = inside, mirror
        self.network = folded(model).cpu()
        for name in ("mean", "std"):
            self.register_buffer(name, _per_channel(getattr(model.image_input(), name), model.image_input().channels))
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Crops, or prepared images -> vectors [n, d] of length 1, and the lengths [n, 1] that they had."""
        prepared = self._prepared(images) if self.inside else images
        if self.mirror:
            both = self.network(torch.cat([prepared, prepared.flip(-1)]))
            embeddings = both.reshape(2, -1, self.embedding_dim).sum(0)
        else:
            embeddings = self.network(prepared)
        lengths = embeddings.norm(dim=1, keepdim=True)
        return embeddings / lengths, lengths

    def example(self, count: int = 2) -> Tensor:
        """Images of the form that it takes, which are no faces."""
        if self.inside:
            return torch.zeros(count, self.input.height, self.input.width, 3, dtype=torch.uint8)
        return torch.zeros(count, *self.input.shape)

    def prepared(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Crops uint8 [n, h, w, 3] as a network wants them whose preparation lies beside it."""
        with torch.inference_mode():
            return self._prepared(torch.from_numpy(crops)).numpy()

    def _prepared(self, crops: Tensor) -> Tensor:
        pixels = crops.permute(0, 3, 1, 2).float()
        if self.input.colour == "grey":
            red, green, blue = (pixels[:, place : place + 1] * weight for place, weight in enumerate(_GREY_WEIGHTS))
            pixels = torch.floor((red + green + blue + _GREY_UNIT / 2) / _GREY_UNIT)
        elif self.input.colour == "bgr":
            pixels = torch.cat([pixels[:, 2:3], pixels[:, 1:2], pixels[:, 0:1]], dim=1)
        return (pixels - self.mean) / self.std


def _per_channel(values: float | tuple[float, ...], channels: int) -> Tensor:
    """[1, channels, 1, 1]."""
    numbers = values if isinstance(values, tuple) else (values,) * channels
    return torch.tensor(numbers, dtype=torch.float32).view(1, channels, 1, 1)
