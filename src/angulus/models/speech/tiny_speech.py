"""TinySpeech: a small time-delay network that two CPU cores train in minutes, for first runs, tests and studies.

    a convolution over 5 frames that keeps every second one, residual units of dilated convolutions over 3 frames, a
    layer of each frame alone, mean and deviation over the frames, a linear layer

In the line of Snyder et al., "X-vectors", ICASSP 2018. Only plain convolutions over time: depthwise ones and those over
time and frequency are slow on a CPU.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from angulus.models.base import EmbeddingModel, check_at_least, check_rate, in_full_precision
from angulus.models.speech.pooling import statistics
from angulus.models.speech.spec import SpeechInput, check_speech


@dataclass(frozen=True, kw_only=True)
class TinySpeech:
    """TinySpeech: 0.58 M weights and 48 M multiply-adds for 200 frames of 80 bands.

    channels: of the convolutions over time.  wide: of the layer before the statistics.
    dilations: frames between the taps of each residual unit, one unit each.
    dropout: probability before the last linear layer.
    """

    channels: int = 192
    wide: int = 384
    dilations: tuple[int, ...] = (1, 2, 3)
    dropout: float = 0.0
    embedding_dim: int = 128
    input: SpeechInput = field(default_factory=SpeechInput)

    def __post_init__(self) -> None:
        for name in ("channels", "wide", "embedding_dim"):
            check_at_least(name, getattr(self, name), 1)
        for dilation in self.dilations:
            check_at_least("each of dilations", dilation, 1)
        check_rate("dropout", self.dropout)
        check_speech(self.input)

    def build(self) -> EmbeddingModel:
        """The network with fresh weights (normal, variance 2 / fan-out)."""
        return TinySpeechModel(self)


class TinySpeechModel(EmbeddingModel):
    """The network that `TinySpeech` describes; one frame is enough."""

    NORMED = (("fc", "features"),)  # for `folding`: layer and the norm of what it gives

    def __init__(self, config: TinySpeech) -> None:
        super().__init__(input=config.input, embedding_dim=config.embedding_dim)
        self.first = _layer(config.input.bands, config.channels, 5, stride=2)
        self.units = nn.Sequential(*(_Unit(config.channels, dilation) for dilation in config.dilations))
        self.last = _layer(config.channels, config.wide, 1)
        self.dropout = nn.Dropout(config.dropout)
        self.fc = nn.Linear(2 * config.wide, config.embedding_dim)
        self.features = nn.BatchNorm1d(config.embedding_dim)
        for module in self.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        # As in IResNet: the gain stays 1, so that training cannot switch dimensions of the embedding off.
        self.features.weight.requires_grad_(False)

    def encode(self, examples: Tensor) -> Tensor:
        pooled = statistics(self.last(self.units(self.first(examples.transpose(1, 2)))))
        return in_full_precision(self.features, in_full_precision(self.fc, self.dropout(pooled)))


class _Unit(nn.Module):
    """A dilated convolution over 3 frames, BN and ReLU, plus the input."""

    NORMED = (("conv", "bn"),)

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation, bias=False)
        self.bn = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.relu(self.bn(self.conv(x)))


def _layer(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Module:
    conv = nn.Conv1d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm1d(outputs), nn.ReLU(inplace=True))
