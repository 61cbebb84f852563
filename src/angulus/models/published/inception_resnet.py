"""Inception-ResNet-v1 in the form of facenet-pytorch, whose VGGFace2 and CASIA-WebFace weights are widely used.

Szegedy et al., "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning", AAAI 2017; modules
and parameters carry the names of timesler/facenet-pytorch, models/inception_resnet_v1.py. Its weights take RGB crops of
160x160 as its MTCNN cuts them, with (pixel - 127.5) / 128. The embedding is the network's before it is normalised.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from angulus.errors import ModelError
from angulus.models.base import EmbeddingModel, check_at_least, check_rate, in_full_precision
from angulus.models.spec import InputSpec

LEAST = 75
"""Pixels of a side, below which nothing is left of the image."""
Kernel = int | tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class InceptionResNetV1:
    """Inception-ResNet-v1; 23.5 M weights, whatever the size of the image, at least 75x75.

    dropout: probability before the last linear layer, 0.6 as published.
    """

    embedding_dim: int = 512
    dropout: float = 0.6
    input: InputSpec = field(default_factory=lambda: InputSpec(height=160, width=160, std=128.0))

    def __post_init__(self) -> None:
        check_at_least("embedding_dim", self.embedding_dim, 1)
        check_rate("dropout", self.dropout)

    def build(self) -> EmbeddingModel:
        """The network with fresh weights (torch's own draw). Raises ModelError for images below 75x75."""
        if min(self.input.height, self.input.width) < LEAST:
            raise ModelError(
                f"inception_resnet_v1 takes images of at least {LEAST}x{LEAST}, got {self.input.height}x"
                f"{self.input.width}; set model.input.height and model.input.width"
            )
        return InceptionResNetV1Model(self)


class InceptionResNetV1Model(EmbeddingModel):
    """The network that `InceptionResNetV1` describes."""

    def __init__(self, config: InceptionResNetV1) -> None:
        super().__init__(input=config.input, embedding_dim=config.embedding_dim)
        self.conv2d_1a = _Unit(config.input.channels, 32, 3, stride=2)
        self.conv2d_2a = _Unit(32, 32, 3)
        self.conv2d_2b = _Unit(32, 64, 3, padding=1)
        self.maxpool_3a = nn.MaxPool2d(3, stride=2)
        self.conv2d_3b = _Unit(64, 80, 1)
        self.conv2d_4a = _Unit(80, 192, 3)
        self.conv2d_4b = _Unit(192, 256, 3, stride=2)
        self.repeat_1 = nn.Sequential(*(_block_35() for _ in range(5)))
        self.mixed_6a = _Side(
            _Unit(256, 384, 3, stride=2),
            nn.Sequential(_Unit(256, 192, 1), _Unit(192, 192, 3, padding=1), _Unit(192, 256, 3, stride=2)),
            nn.MaxPool2d(3, stride=2),
        )
        self.repeat_2 = nn.Sequential(*(_block_17() for _ in range(10)))
        self.mixed_7a = _Side(
            nn.Sequential(_Unit(896, 256, 1), _Unit(256, 384, 3, stride=2)),
            nn.Sequential(_Unit(896, 256, 1), _Unit(256, 256, 3, stride=2)),
            nn.Sequential(_Unit(896, 256, 1), _Unit(256, 256, 3, padding=1), _Unit(256, 256, 3, stride=2)),
            nn.MaxPool2d(3, stride=2),
        )
        self.repeat_3 = nn.Sequential(*(_block_8(0.2) for _ in range(5)))
        self.block8 = _block_8(1.0, is_last=True)
        self.avgpool_1a = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(config.dropout)
        self.last_linear = nn.Linear(1792, config.embedding_dim, bias=False)
        self.last_bn = nn.BatchNorm1d(config.embedding_dim, eps=1e-3)

    # for `folding`: layer and the norm of what it gives
    NORMED = (("last_linear", "last_bn"),)

    def encode(self, images: Tensor) -> Tensor:
        x = self.maxpool_3a(self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(images))))
        x = self.repeat_1(self.conv2d_4b(self.conv2d_4a(self.conv2d_3b(x))))
        x = self.block8(self.repeat_3(self.mixed_7a(self.repeat_2(self.mixed_6a(x)))))
        flat = self.dropout(self.avgpool_1a(x)).flatten(1)
        return in_full_precision(self.last_bn, in_full_precision(self.last_linear, flat))


class _Unit(nn.Module):
    """Convolution, BN (epsilon 0.001), ReLU."""

    NORMED = (("conv", "bn"),)

    def __init__(self, inputs: int, outputs: int, kernel: Kernel, *, stride: int = 1, padding: Kernel = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv(x)))


class _Side(nn.Module):
    """Branches side by side, their channels one after the other."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.names = [f"branch{number}" for number in range(len(branches))]
        for name, branch in zip(self.names, branches, strict=True):
            self.add_module(name, branch)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.get_submodule(name)(x) for name in self.names], dim=1)


class _Residual(_Side):
    """The input plus `scale` times a 1x1 convolution of the branches, then ReLU unless it is the last."""

    def __init__(
        self, channels: int, inner: int, scale: float, branches: Sequence[nn.Module], *, is_last: bool = False
    ) -> None:
        super().__init__(*branches)
        self.conv2d = nn.Conv2d(inner, channels, 1)
        self.scale, self.is_last = scale, is_last

    def forward(self, x: Tensor) -> Tensor:
        y = self.scale * self.conv2d(super().forward(x)) + x
        return y if self.is_last else torch.relu(y)


def _block_35() -> nn.Module:
    branches = (
        _Unit(256, 32, 1),
        nn.Sequential(_Unit(256, 32, 1), _Unit(32, 32, 3, padding=1)),
        nn.Sequential(_Unit(256, 32, 1), _Unit(32, 32, 3, padding=1), _Unit(32, 32, 3, padding=1)),
    )
    return _Residual(256, 96, 0.17, branches)


def _block_17() -> nn.Module:
    across = nn.Sequential(
        _Unit(896, 128, 1), _Unit(128, 128, (1, 7), padding=(0, 3)), _Unit(128, 128, (7, 1), padding=(3, 0))
    )
    return _Residual(896, 256, 0.1, (_Unit(896, 128, 1), across))


def _block_8(scale: float, *, is_last: bool = False) -> nn.Module:
    across = nn.Sequential(
        _Unit(1792, 192, 1), _Unit(192, 192, (1, 3), padding=(0, 1)), _Unit(192, 192, (3, 1), padding=(1, 0))
    )
    return _Residual(1792, 384, scale, (_Unit(1792, 192, 1), across), is_last=is_last)
