"""ECAPA-TDNN as SpeechBrain trains it, with the weights spkrec-ecapa-voxceleb.

It differs from wespeaker's (`ecapa`): examples are mirrored at their ends where that one adds zeros, so that at least 5
frames are needed; as many channels are pooled as the three blocks have together, behind a BN; the Res2 convolution
passes its first part on, not its last; the attention has ReLU and BN before its tanh; deviations of the context are
biased.

Ravanelli et al., "SpeechBrain: A General-Purpose Speech Toolkit", 2021; modules and parameters carry the names of
speechbrain/lobes/models/ECAPA_TDNN.py. Its filter bank is another than Kaldi's, which Angulus computes: `input` takes
features that were computed by SpeechBrain, Fbank(n_mels=80) (400-point spectra of frames centred every 10 ms, in
decibels and at most 80 below the loudest), whose mean is subtracted here.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from angulus.errors import ModelError
from angulus.models.base import EmbeddingModel, check_at_least, in_full_precision
from angulus.models.speech.ecapa import PARTS, check_parts
from angulus.models.speech.pooling import in_full, weighted_mean_and_deviation, weighted_statistics
from angulus.models.speech.spec import SpeechInput, check_speech

LEAST = 5
"""Frames that can be mirrored 4 beyond their ends."""
FRONT_END = SpeechInput(content="features", bands=80)
_FLOOR = 1e-12
_INNER = 128


@dataclass(frozen=True, kw_only=True)
class SpeechBrainECAPA:
    """SpeechBrain's ECAPA-TDNN; 20.8 M weights with 80 bands, 1,024 channels and 192 dimensions.

    channels: of the blocks, a multiple of 8.
    """

    channels: int = 1024
    embedding_dim: int = 192
    input: SpeechInput = field(default_factory=lambda: FRONT_END)

    def __post_init__(self) -> None:
        check_parts(self.channels)
        check_at_least("embedding_dim", self.embedding_dim, 1)
        check_speech(self.input, LEAST)

    def build(self) -> EmbeddingModel:
        """The network with fresh weights (torch's own draw)."""
        return SpeechBrainECAPAModel(self)


class SpeechBrainECAPAModel(EmbeddingModel):
    """The network that `SpeechBrainECAPA` describes."""

    def __init__(self, config: SpeechBrainECAPA) -> None:
        super().__init__(input=config.input, embedding_dim=config.embedding_dim)
        channels = config.channels
        self.blocks = nn.ModuleList(
            [_Unit(config.input.bands, channels, 5), *(_Block(channels, dilation) for dilation in (2, 3, 4))]
        )
        self.mfa = _Unit(3 * channels, 3 * channels)
        self.asp = _Attention(3 * channels)
        self.asp_bn = _Norm(6 * channels)
        self.fc = _Conv(6 * channels, config.embedding_dim)

    def encode(self, examples: Tensor) -> Tensor:
        """Raises ModelError for fewer than 5 frames."""
        if examples.shape[1] < LEAST:
            raise ModelError(f"the network takes at least {LEAST} frames, got {examples.shape[1]}: give longer speech")
        x, outputs = examples.transpose(1, 2), []
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        pooled = self.asp(self.mfa(torch.cat(outputs[1:], dim=1)))
        return in_full_precision(self.fc, in_full_precision(self.asp_bn, pooled)).flatten(1)


class _Conv(nn.Module):
    """A convolution over time, mirrored at the ends."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, dilation: int = 1) -> None:
        super().__init__()
        around = kernel // 2 * dilation
        mode = "reflect" if around else "zeros"
        self.conv = nn.Conv1d(inputs, outputs, kernel, padding=around, dilation=dilation, padding_mode=mode)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class _Norm(nn.Module):
    """BN."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)


class _Unit(nn.Module):
    """Convolution, ReLU, BN."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv = _Conv(inputs, outputs, kernel, dilation)
        self.norm = _Norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(torch.relu(self.conv(x)))


class _Res2(nn.Module):
    """The first part as it is, each other: unit of itself plus, from the third on, the result of the part before it."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        width = channels // PARTS
        self.blocks = nn.ModuleList(_Unit(width, width, 3, dilation) for _ in range(PARTS - 1))

    def forward(self, x: Tensor) -> Tensor:
        first, *parts = x.chunk(PARTS, dim=1)
        done: list[Tensor] = []
        for part, unit in zip(parts, self.blocks, strict=True):
            done.append(unit(part + done[-1] if done else part))
        return torch.cat([first, *done], dim=1)


class _Squeeze(nn.Module):
    """Each channel times a factor between 0 and 1 that the means of all channels give."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = _Conv(channels, _INNER)
        self.conv2 = _Conv(_INNER, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.conv2(torch.relu(self.conv1(x.mean(dim=2, keepdim=True)))))


class _Block(nn.Module):
    """The input plus 1x1, Res2 convolution, 1x1, squeeze."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.tdnn1 = _Unit(channels, channels)
        self.res2net_block = _Res2(channels, dilation)
        self.tdnn2 = _Unit(channels, channels)
        self.se_block = _Squeeze(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.se_block(self.tdnn2(self.res2net_block(self.tdnn1(x))))


class _Attention(nn.Module):
    """Attentive statistics with context, [n, channels, frames] -> [n, 2 channels, 1]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.tdnn = _Unit(3 * channels, _INNER)
        self.conv = _Conv(_INNER, channels)

    def forward(self, x: Tensor) -> Tensor:
        even = torch.full((1, 1, x.shape[2]), 1.0 / x.shape[2], device=x.device, dtype=in_full(x).dtype)
        mean, deviation = weighted_mean_and_deviation(x, even, _FLOOR)
        seen = torch.cat([x, mean.to(x).expand_as(x), deviation.to(x).expand_as(x)], dim=1)
        scores = self.conv(torch.tanh(self.tdnn(seen)))
        return weighted_statistics(x, in_full(scores).softmax(dim=-1), _FLOOR).unsqueeze(2)
