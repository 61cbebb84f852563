"""ResNets over time and frequency for speakers: a plane of bands and frames, halved three times.

    conv1, bn1      3x3 on one channel, ReLU
    layer1 ... 4    residual blocks of 1, 2, 4, 8 times `width` channels, the first of layer2, 3 and 4 with stride 2
    statistics      mean and deviation over time of every channel and row
    seg_1           linear

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, in the form of wenet-e2e/wespeaker,
models/resnet.py, whose names modules and parameters carry (ResNet34 and its sisters with TSTP and one layer behind it).
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from angulus.models.base import EmbeddingModel, check_at_least, in_full_precision
from angulus.models.speech.pooling import statistics
from angulus.models.speech.spec import SpeechInput, check_speech

BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    221: (6, 16, 48, 3),
    293: (10, 20, 64, 3),
}
BOTTLENECKED = 50
"""From this depth on a block narrows by a 1x1 and widens by another, to four times its channels."""
WIDENING = 4


@dataclass(frozen=True, kw_only=True)
class SpeakerResNet:
    """A ResNet for speakers with 18, 34, 50, 101, 152, 221 or 293 layers; 34 has 6.63 M weights, 293 28.6 M.

    width: channels of the first stage.
    """

    depth: int = 34
    width: int = 32
    embedding_dim: int = 256
    input: SpeechInput = field(default_factory=SpeechInput)

    def __post_init__(self) -> None:
        if self.depth not in BLOCKS:
            raise ValueError(f"depth must be one of {', '.join(map(str, BLOCKS))}, got {self.depth}")
        check_at_least("width", self.width, 1)
        check_at_least("embedding_dim", self.embedding_dim, 1)
        check_speech(self.input)

    def build(self) -> EmbeddingModel:
        """The network with fresh weights (torch's own draw)."""
        return SpeakerResNetModel(self)


@dataclass(frozen=True, kw_only=True)
class SpeakerResNet34(SpeakerResNet):
    """The ResNet for speakers with 34 layers."""

    depth: int = field(default=34, init=False)


class SpeakerResNetModel(EmbeddingModel):
    """The network that `SpeakerResNet` describes; one frame is enough."""

    NORMED = (("conv1", "bn1"),)  # for `folding`: layer and the norm of what it gives

    def __init__(self, config: SpeakerResNet) -> None:
        super().__init__(input=config.input, embedding_dim=config.embedding_dim)
        width = config.width
        self.conv1 = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        blocks, is_deep = BLOCKS[config.depth], config.depth >= BOTTLENECKED
        widening = WIDENING if is_deep else 1
        self.layer1 = _stage(width, width, 1, blocks[0], is_deep=is_deep)
        self.layer2 = _stage(width * widening, 2 * width, 2, blocks[1], is_deep=is_deep)
        self.layer3 = _stage(2 * width * widening, 4 * width, 2, blocks[2], is_deep=is_deep)
        self.layer4 = _stage(4 * width * widening, 8 * width, 2, blocks[3], is_deep=is_deep)
        rows = -(-config.input.bands // 8)
        self.seg_1 = nn.Linear(2 * 8 * width * widening * rows, config.embedding_dim)

    def encode(self, examples: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(examples.transpose(1, 2).unsqueeze(1))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return in_full_precision(self.seg_1, statistics(x))


class _Block(nn.Module):
    """Two 3x3 convolutions, plus the input or its projection."""

    NORMED = (("conv1", "bn1"), ("conv2", "bn2"))

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = _shortcut(inputs, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + self.shortcut(x))


class _Bottleneck(nn.Module):
    """1x1, 3x3 and a 1x1 that widens, plus the input or its projection."""

    NORMED = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"))

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        wide = WIDENING * channels
        self.conv1 = nn.Conv2d(inputs, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, wide, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(wide)
        self.shortcut = _shortcut(inputs, wide, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))
        return torch.relu(self.bn3(self.conv3(y)) + self.shortcut(x))


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Nothing where the input fits, else a 1x1 convolution and BN."""
    if stride == 1 and inputs == outputs:
        return nn.Sequential()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


def _stage(inputs: int, channels: int, stride: int, count: int, *, is_deep: bool) -> nn.Module:
    kind, outputs = (_Bottleneck, WIDENING * channels) if is_deep else (_Block, channels)
    rest = (kind(outputs, channels, 1) for _ in range(count - 1))
    return nn.Sequential(kind(inputs, channels, stride), *rest)
