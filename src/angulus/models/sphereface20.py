"""SphereFace-20: the plain 20-layer residual network of the SphereFace and AM-Softmax papers, without batch norm.

Liu et al., "SphereFace", CVPR 2017, table 2 and its released `sphereface_model.prototxt`; the same network trains
AM-Softmax (Wang et al. 2018). Four stages of 64, 128, 256, 512 channels open with a convolution of stride 2 and hold
1, 2, 4, 1 residual units of two 3x3 convolutions, each followed by PReLU; one linear layer makes the embedding.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from angulus.models.base import EmbeddingModel, check_at_least, in_full_precision
from angulus.models.spec import InputSpec

# (channels, residual units)
_STAGES = ((64, 1), (128, 2), (256, 4), (512, 1))


@dataclass(frozen=True, kw_only=True)
class SphereFace20:
    """SphereFace-20 for any input size; the papers use 112x96 and 512 dimensions (22.7 M weights, 1.8 G multiply-adds).

    The released Caffe models read BGR; for those set `input.colour` to "bgr".
    """

    embedding_dim: int = 512
    input: InputSpec = field(default_factory=lambda: InputSpec(height=112, width=96, std=128.0))

    def __post_init__(self) -> None:
        check_at_least("embedding_dim", self.embedding_dim, 1)

    def build(self) -> EmbeddingModel:
        """The network with fresh weights as in the paper: Xavier, and normal with deviation 0.01 in the units."""
        return SphereFace20Model(self)


class SphereFace20Model(EmbeddingModel):
    """The network that `SphereFace20` describes."""

    def __init__(self, config: SphereFace20) -> None:
        super().__init__(input=config.input, embedding_dim=config.embedding_dim)
        stages: list[nn.Module] = []
        inputs = config.input.channels
        for channels, units in _STAGES:
            stages.append(nn.Sequential(_Down(inputs, channels), *(_Unit(channels) for _ in range(units))))
            inputs = channels
        self.stages = nn.Sequential(*stages)
        rows, columns = config.input.grid(16)
        self.fc5 = nn.Linear(inputs * rows * columns, config.embedding_dim)
        _xavier(self.fc5)

    def encode(self, images: Tensor) -> Tensor:
        return in_full_precision(self.fc5, torch.flatten(self.stages(images), 1))


class _Down(nn.Module):
    """Convolution of stride 2 with bias, then PReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, 2, 1)
        self.prelu = nn.PReLU(outputs)
        _xavier(self.conv)

    def forward(self, x: Tensor) -> Tensor:
        return self.prelu(self.conv(x))


class _Unit(nn.Module):
    """Two 3x3 convolutions without bias (the release freezes theirs at 0), each with PReLU, plus the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.prelu1 = nn.PReLU(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.prelu2 = nn.PReLU(channels)
        for conv in (self.conv1, self.conv2):
            nn.init.normal_(conv.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.prelu2(self.conv2(self.prelu1(self.conv1(x))))


def _xavier(layer: nn.Conv2d | nn.Linear) -> None:
    """Caffe's "xavier": uniform with variance 1 / fan-in, bias 0."""
    fan_in = layer.weight[0].numel()
    nn.init.uniform_(layer.weight, -math.sqrt(3 / fan_in), math.sqrt(3 / fan_in))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
