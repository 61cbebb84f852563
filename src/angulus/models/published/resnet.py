"""ResNet as ImageNet's public weights have it, pooled, with a batch norm behind it: the network of re-identification.

    embedding = BN(pooled)        BN learns a gain and no shift; losses of pairs see `pooled`, the softmax the embedding

He et al., "Deep residual learning", CVPR 2016, in torchvision's form (the stride in the 3x3 convolution) and with its
names, of which `fc` is left out. Last stride 1 and the norm (BNNeck): Luo et al., "Bag of Tricks and a Strong Baseline
for Deep Person Re-identification", CVPR workshops 2019, sections 3.5 and 3.6.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from angulus.models.base import EmbeddingModel, check_at_least, in_full_precision
from angulus.models.spec import InputSpec

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
NARROWEST = 8
"""Channels of the first stage: the backward pass of torch 2.13 on a CPU damages the memory in a 1x1 convolution of
stride 2 with two to four channels in channels_last."""
_EXPANSION = 4
_DEEP = 50
"""From this depth on a block is a bottleneck of three convolutions."""


def person_input() -> InputSpec:
    """A standing person at 256x128, with the mean and deviation of ImageNet."""
    return InputSpec(height=256, width=128, mean=IMAGENET_MEAN, std=IMAGENET_STD)


@dataclass(frozen=True, kw_only=True)
class ResNet:
    """ResNet-18, -34, -50, -101 or -152 for any input size; an embedding has 512 or, from 50 on, 2048 dimensions.

    width: channels of the first stage, at least 8; 64 is that of the public weights, others scale the embedding too.
    last_stride: of the last stage; 1 keeps twice as many rows and columns for the same weights.
    At 256x128 with last_stride 1 ResNet-50 has 23.5 M weights and takes 4.1 G multiply-adds.
    """

    depth: int = 50
    width: int = 64
    last_stride: int = 1
    input: InputSpec = field(default_factory=person_input)

    def __post_init__(self) -> None:
        if self.depth not in BLOCKS:
            raise ValueError(f"depth must be one of {', '.join(map(str, BLOCKS))}, got {self.depth}")
        check_at_least("width", self.width, NARROWEST)
        if self.last_stride not in (1, 2):
            raise ValueError(f"last_stride must be 1 or 2, got {self.last_stride}")

    @property
    def embedding_dim(self) -> int:
        """Channels of the last stage."""
        return 8 * self.width * (_EXPANSION if self.depth >= _DEEP else 1)

    def build(self) -> EmbeddingModel:
        """The network with fresh weights (normal, variance 2 / fan-out)."""
        return ResNetModel(self)


@dataclass(frozen=True, kw_only=True)
class ResNet50(ResNet):
    """ResNet with 50 layers."""

    depth: int = field(default=50, init=False)


class ResNetModel(EmbeddingModel):
    """The network that `ResNet` describes."""

    NORMED = (("conv1", "bn1"),)
    FRESH: ClassVar[tuple[str, ...]] = ("neck.",)

    def __init__(self, config: ResNet) -> None:
        super().__init__(input=config.input, embedding_dim=config.embedding_dim)
        kind = _Bottleneck if config.depth >= _DEEP else _Basic
        width, blocks = config.width, BLOCKS[config.depth]
        self.conv1 = nn.Conv2d(config.input.channels, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        inputs = width
        for number, (repeats, stride) in enumerate(zip(blocks, (1, 2, 2, config.last_stride), strict=True)):
            stage, inputs = _stage(kind, inputs, width * 2**number, repeats, stride)
            self.add_module(f"layer{number + 1}", stage)
        self.neck = nn.BatchNorm1d(config.embedding_dim)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        # Without a shift the classes' borders pass through the origin, as the cosine has them.
        self.neck.bias.requires_grad_(False)

    def encode(self, images: Tensor) -> Tensor:
        return self.necked(images)[1]

    def necked(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = F.relu(self.bn1(self.conv1(images)))
        x = F.max_pool2d(x, 3, 2, 1)
        for number in range(1, 5):
            x = self.get_submodule(f"layer{number}")(x)
        with torch.autocast(x.device.type, enabled=False):
            pooled = x.to(self.neck.weight.dtype).mean(dim=(2, 3))
        return pooled, in_full_precision(self.neck, pooled)


class _Basic(nn.Module):
    """Two 3x3 convolutions, the first with the stride, plus the input."""

    NORMED = (("conv1", "bn1"), ("conv2", "bn2"))
    EXPANSION: ClassVar[int] = 1

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _projection(inputs, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class _Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, and 1x1 to four times the channels, plus the input."""

    NORMED = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"))
    EXPANSION: ClassVar[int] = _EXPANSION

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, channels * _EXPANSION, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels * _EXPANSION)
        self.downsample = _projection(inputs, channels * _EXPANSION, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x))


def _projection(inputs: int, outputs: int, stride: int) -> nn.Module:
    """What brings the input of a unit to the size of its output; the first stage's of stride 1 too, where it widens."""
    if inputs == outputs and stride == 1:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


def _stage(
    kind: type[_Basic] | type[_Bottleneck], inputs: int, channels: int, repeats: int, stride: int
) -> tuple[nn.Module, int]:
    """Units of one size, and the channels that they give."""
    outputs = channels * kind.EXPANSION
    rest = [kind(outputs, channels, 1) for _ in range(repeats - 1)]
    return nn.Sequential(kind(inputs, channels, stride), *rest), outputs
