"""CAM++: a dense time-delay network whose layers are masked by what the example and its parts of 100 frames are like.

    head            3x3 convolutions and four residual blocks over time and frequency, which halve the bands three times
    xvector.tdnn    over 5 frames, every second one
    block1, 2, 3    12, 24, 16 dense layers: BN, ReLU, 1x1, BN, ReLU, then the mask of the context times a convolution
                    over 3 frames (dilation 1, 2, 2); each adds 32 channels
    transit         behind each block: BN, ReLU, 1x1 to half of the channels
    statistics, dense (1x1, BN without weights)

Wang et al., "CAM++: A Fast and Efficient Network for Speaker Verification Using Context-Aware Masking", Interspeech
2023; modules and parameters carry the names that 3D-Speaker (speakerlab/models/campplus/DTDNN.py) and wespeaker
(models/campplus.py) share.
"""

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from angulus.models.base import EmbeddingModel, check_at_least, in_full_precision
from angulus.models.speech.pooling import EPSILON, statistics
from angulus.models.speech.spec import SpeechInput, check_speech

HEAD_CHANNELS = 32
_FIRST, _GROWTH, _INNER, _SEGMENT = 128, 32, 128, 100
_BLOCKS = ((12, 1), (24, 2), (16, 2))  # layers and dilation


@dataclass(frozen=True, kw_only=True)
class CAMPPlus:
    """CAM++; 7.18 M weights with 80 bands and 512 dimensions.

    epsilon: added to the variance before its root; wespeaker adds 1e-7, 3D-Speaker nothing.
    """

    epsilon: float = EPSILON
    embedding_dim: int = 512
    input: SpeechInput = field(default_factory=SpeechInput)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.epsilon) and self.epsilon >= 0):
            raise ValueError(f"epsilon must be a number of at least 0, got {self.epsilon}")
        check_at_least("embedding_dim", self.embedding_dim, 1)
        check_speech(self.input)

    def build(self) -> EmbeddingModel:
        """The network with fresh weights (convolutions over time normal, variance 2 / fan-in)."""
        return CAMPPlusModel(self)


class CAMPPlusModel(EmbeddingModel):
    """The network that `CAMPPlus` describes; one frame is enough."""

    def __init__(self, config: CAMPPlus) -> None:
        super().__init__(input=config.input, embedding_dim=config.embedding_dim)
        self.epsilon = config.epsilon
        self.head = _Head()
        self.xvector = _Body(HEAD_CHANNELS * -(-config.input.bands // 8), config.embedding_dim)
        for module in self.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def encode(self, examples: Tensor) -> Tensor:
        frames = self.xvector(self.head(examples.transpose(1, 2).unsqueeze(1)).flatten(1, 2))
        pooled = statistics(frames, self.epsilon).unsqueeze(2)
        return in_full_precision(self.xvector.dense, pooled).flatten(1)


class _Head(nn.Module):
    """[n, 1, bands, frames] -> [n, 32, bands / 8, frames]."""

    NORMED = (("conv1", "bn1"), ("conv2", "bn2"))  # for `folding`: layer and the norm of what it gives

    def __init__(self) -> None:
        super().__init__()
        width = HEAD_CHANNELS
        self.conv1 = nn.Conv2d(1, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = nn.Sequential(_Block(width, 2), _Block(width, 1))
        self.layer2 = nn.Sequential(_Block(width, 2), _Block(width, 1))
        self.conv2 = nn.Conv2d(width, width, 3, (2, 1), 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer2(self.layer1(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(self.bn2(self.conv2(x)))


class _Block(nn.Module):
    """Two 3x3 convolutions, plus the input or its projection; the stride is one over the bands."""

    NORMED = (("conv1", "bn1"), ("conv2", "bn2"))

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, (stride, 1), 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if stride > 1:
            projection = nn.Conv2d(channels, channels, 1, (stride, 1), bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + self.shortcut(x))


class _Body(nn.Module):
    """[n, inputs, frames] -> [n, 512, half the frames]; `dense` stands behind the statistics, which its owner takes."""

    def __init__(self, inputs: int, embedding_dim: int) -> None:
        super().__init__()
        self.tdnn = _Layer(inputs, _FIRST)
        channels = _FIRST
        for number, (layers, dilation) in enumerate(_BLOCKS, start=1):
            self.add_module(f"block{number}", _DenseBlock(channels, layers, dilation))
            channels += layers * _GROWTH
            self.add_module(f"transit{number}", _Transit(channels, channels // 2))
            channels //= 2
        self.out_nonlinear = _Norm(channels)
        self.dense = _Dense(2 * channels, embedding_dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.tdnn(x)
        for number in range(1, len(_BLOCKS) + 1):
            x = self.get_submodule(f"transit{number}")(self.get_submodule(f"block{number}")(x))
        return torch.relu(self.out_nonlinear(x))


class _Norm(nn.Module):
    """BN, under the name that it has in the published weights."""

    def __init__(self, channels: int, *, is_plain: bool = False) -> None:
        super().__init__()
        self.batchnorm = nn.BatchNorm1d(channels, affine=not is_plain)

    def forward(self, x: Tensor) -> Tensor:
        return self.batchnorm(x)


class _Layer(nn.Module):
    """A convolution over 5 frames that keeps every second one, BN, ReLU."""

    NORMED = (("linear", "nonlinear.batchnorm"),)

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(inputs, outputs, 5, 2, 2, bias=False)
        self.nonlinear = _Norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.nonlinear(self.linear(x)))


class _DenseBlock(nn.Module):
    """Layers that each see the input and what all layers before them gave."""

    def __init__(self, channels: int, layers: int, dilation: int) -> None:
        super().__init__()
        for index in range(layers):
            self.add_module(f"tdnnd{index + 1}", _DenseLayer(channels + index * _GROWTH, dilation))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.children():
            x = torch.cat([x, layer(x)], dim=1)
        return x


class _DenseLayer(nn.Module):
    """BN, ReLU, 1x1, BN, ReLU, masked convolution: [n, inputs, frames] -> [n, 32, frames]."""

    NORMED = (("linear1", "nonlinear2.batchnorm"),)

    def __init__(self, inputs: int, dilation: int) -> None:
        super().__init__()
        self.nonlinear1 = _Norm(inputs)
        self.linear1 = nn.Conv1d(inputs, _INNER, 1, bias=False)
        self.nonlinear2 = _Norm(_INNER)
        self.cam_layer = _MaskedLayer(dilation)

    def forward(self, x: Tensor) -> Tensor:
        narrow = self.linear1(torch.relu(self.nonlinear1(x)))
        return self.cam_layer(torch.relu(self.nonlinear2(narrow)))


class _MaskedLayer(nn.Module):
    """A convolution over 3 frames, times a mask from the means of the example and of its part of 100 frames."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.linear_local = nn.Conv1d(_INNER, _GROWTH, 3, padding=dilation, dilation=dilation, bias=False)
        self.linear1 = nn.Conv1d(_INNER, _INNER // 2, 1)
        self.linear2 = nn.Conv1d(_INNER // 2, _GROWTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        context = x.mean(dim=-1, keepdim=True) + part_means(x)
        masks = torch.sigmoid(self.linear2(torch.relu(self.linear1(context))))
        return self.linear_local(x) * of_frames(masks, x.shape[-1])


class _Transit(nn.Module):
    """BN, ReLU, 1x1."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.nonlinear = _Norm(inputs)
        self.linear = nn.Conv1d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(torch.relu(self.nonlinear(x)))


class _Dense(nn.Module):
    """1x1 and BN without weights."""

    NORMED = (("linear", "nonlinear.batchnorm"),)

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(inputs, outputs, 1, bias=False)
        self.nonlinear = _Norm(outputs, is_plain=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.nonlinear(self.linear(x))


def part_means(x: Tensor) -> Tensor:
    """[n, channels, frames] -> means of its parts of 100 frames [n, channels, parts + 1]; the last part may be shorter.

    Behind them stands one of no part, so that their number is never 1, which an exported network would take as fixed.
    """
    sums = F.avg_pool1d(F.pad(x, (0, 2 * _SEGMENT - 1)), _SEGMENT, _SEGMENT) * _SEGMENT
    begins = torch.arange(sums.shape[-1], device=x.device) * _SEGMENT
    return sums / (x.shape[-1] - begins).clamp(1, _SEGMENT).to(sums)


def of_frames(parts: Tensor, frames: int) -> Tensor:
    """[n, channels, parts + 1] -> [n, channels, frames]: to each frame what belongs to its part."""
    spread = parts.repeat_interleave(_SEGMENT, dim=-1)
    return F.pad(spread, (0, frames - spread.shape[-1]))
