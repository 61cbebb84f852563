"""ECAPA-TDNN as wespeaker trains it: a time-delay network of squeezed Res2Net blocks, with attentive statistics.

    layer1          convolution over 5 frames, ReLU, BN
    layer2, 3, 4    x + squeeze(1x1, Res2 convolution over 3 frames with dilation 2, 3, 4 in 8 parts, 1x1), ReLU and BN
                    behind each convolution
    conv            of the three, 1x1 to 1,536 channels, ReLU
    pool, bn, linear

Desplanques et al., "ECAPA-TDNN: Emphasized Channel Attention, Propagation and Aggregation in TDNN Based Speaker
Verification", Interspeech 2020; modules and parameters carry the names of wenet-e2e/wespeaker, models/ecapa_tdnn.py
(ECAPA_TDNN_GLOB_c512, ECAPA_TDNN_GLOB_c1024 and, without context, ECAPA_TDNN_c512 and ECAPA_TDNN_c1024).
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from angulus.models.base import EmbeddingModel, check_at_least, in_full_precision
from angulus.models.speech.pooling import AttentiveStatistics
from angulus.models.speech.spec import SpeechInput, check_speech

PARTS = 8
"""Parts of a Res2 convolution."""
POOLED = 1536
"""Channels whose statistics are taken, whatever `channels` says."""
_SQUEEZED = 128


@dataclass(frozen=True, kw_only=True)
class ECAPA:
    """ECAPA-TDNN. With 80 bands and 192 dimensions: 6.19 M weights with 512 channels, 14.65 M with 1,024.

    channels: of the blocks, a multiple of 8.
    has_context: whether the attention sees mean and deviation of the whole example beside each frame ("GLOB").
    """

    channels: int = 512
    has_context: bool = True
    embedding_dim: int = 192
    input: SpeechInput = field(default_factory=SpeechInput)

    def __post_init__(self) -> None:
        check_parts(self.channels)
        check_at_least("embedding_dim", self.embedding_dim, 1)
        check_speech(self.input)

    def build(self) -> EmbeddingModel:
        """The network with fresh weights (torch's own draw)."""
        return ECAPAModel(self)


@dataclass(frozen=True, kw_only=True)
class ECAPA512(ECAPA):
    """ECAPA-TDNN with 512 channels."""

    channels: int = field(default=512, init=False)


@dataclass(frozen=True, kw_only=True)
class ECAPA1024(ECAPA):
    """ECAPA-TDNN with 1,024 channels."""

    channels: int = field(default=1024, init=False)


class ECAPAModel(EmbeddingModel):
    """The network that `ECAPA` describes; one frame is enough."""

    FLATTENED = (("bn", "linear"),)  # for `folding`: norm, and the linear layer behind it

    def __init__(self, config: ECAPA) -> None:
        super().__init__(input=config.input, embedding_dim=config.embedding_dim)
        channels = config.channels
        self.layer1 = _Unit(config.input.bands, channels, 5)
        self.layer2, self.layer3, self.layer4 = (_Block(channels, dilation) for dilation in (2, 3, 4))
        self.conv = nn.Conv1d(3 * channels, POOLED, 1)
        self.pool = AttentiveStatistics(POOLED, has_context=config.has_context)
        self.bn = nn.BatchNorm1d(2 * POOLED)
        self.linear = nn.Linear(2 * POOLED, config.embedding_dim)

    def encode(self, examples: Tensor) -> Tensor:
        second = self.layer2(self.layer1(examples.transpose(1, 2)))
        third = self.layer3(second)
        joined = torch.cat([second, third, self.layer4(third)], dim=1)
        pooled = self.pool(torch.relu(self.conv(joined)))
        return in_full_precision(self.linear, in_full_precision(self.bn, pooled))


def check_parts(channels: int) -> None:
    """Raise ValueError unless so many channels can be cut into the parts of a Res2 convolution."""
    check_at_least("channels", channels, PARTS)
    if channels % PARTS:
        raise ValueError(f"channels must be a multiple of {PARTS}, got {channels}")


class _Unit(nn.Module):
    """Convolution over time, ReLU, BN."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2)
        self.bn = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(torch.relu(self.conv(x)))


class _Res2(nn.Module):
    """Each part but the last: convolution over 3 frames of itself plus the result of the part before it, ReLU, BN."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        width = channels // PARTS
        self.convs = nn.ModuleList(
            nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation) for _ in range(PARTS - 1)
        )
        self.bns = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(PARTS - 1))

    def forward(self, x: Tensor) -> Tensor:
        *parts, last = x.chunk(PARTS, dim=1)
        done: list[Tensor] = []
        for part, conv, norm in zip(parts, self.convs, self.bns, strict=True):
            done.append(norm(torch.relu(conv(part + done[-1] if done else part))))
        return torch.cat([*done, last], dim=1)


class _Squeeze(nn.Module):
    """Each channel times a factor between 0 and 1 that the means of all channels give."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(channels, _SQUEEZED)
        self.linear2 = nn.Linear(_SQUEEZED, channels)

    def forward(self, x: Tensor) -> Tensor:
        factors = torch.sigmoid(self.linear2(torch.relu(self.linear1(x.mean(dim=2)))))
        return x * factors.unsqueeze(2)


class _Block(nn.Module):
    """The input plus 1x1, Res2 convolution, 1x1, squeeze."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.se_res2block = nn.Sequential(
            _Unit(channels, channels), _Res2(channels, dilation), _Unit(channels, channels), _Squeeze(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.se_res2block(x)
