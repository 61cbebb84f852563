"""insightface's MobileFaceNet, "mbf" and "mbf_large": wider than the paper's, with a linear layer at the end.

    layers     conv 3x3 stride 2; a grouped conv, or residual blocks; then three times a bottleneck of stride 2 and
               residual bottlenecks
    conv_sep   conv 1x1 to 512 channels
    features   depthwise conv over the whole map, linear, BN

A bottleneck widens by a 1x1, filters by a depthwise 3x3 and narrows by a linear 1x1, each with its BN, the first two
with PReLU. Modules and parameters carry the names of the published weights (deepinsight/insightface, arcface_torch,
backbones/mobilefacenet.py), which take RGB and (pixel - 127.5) / 127.5. After Chen et al., "MobileFaceNets", 2018.
"""

from dataclasses import dataclass, field

from torch import Tensor, nn

from angulus.models.base import EmbeddingModel, check_at_least, in_full_precision
from angulus.models.spec import InputSpec

# Widths of the bottlenecks inside: of the repeated ones, and of the ones with stride 2.
_INNER = (128, 128, 256, 256)
_INNER_STRIDED = (128, 256, 512)


@dataclass(frozen=True, kw_only=True)
class MBF:
    """insightface's MobileFaceNet.

    scale: channels are 64 and 128 times this.  blocks: how many residual bottlenecks before the first stride and after
    each of the three; 1 at first is a single grouped convolution.
    """

    scale: int = 2
    blocks: tuple[int, ...] = (1, 4, 6, 2)
    embedding_dim: int = 512
    input: InputSpec = field(default_factory=InputSpec)

    def __post_init__(self) -> None:
        check_at_least("scale", self.scale, 1)
        check_at_least("embedding_dim", self.embedding_dim, 1)
        if len(self.blocks) != 4:
            raise ValueError(f"blocks must be four numbers, got {len(self.blocks)}")
        for count in self.blocks:
            check_at_least("blocks", count, 1)

    def build(self) -> EmbeddingModel:
        """The network with fresh weights (normal, variance 2 / fan-out)."""
        return MBFModel(self)


@dataclass(frozen=True, kw_only=True)
class MBFLarge(MBF):
    """mbf_large: twice as wide and deep."""

    scale: int = 4
    blocks: tuple[int, ...] = (2, 8, 12, 4)


class MBFModel(EmbeddingModel):
    """The network that `MBF` describes."""

    def __init__(self, config: MBF) -> None:
        super().__init__(input=config.input, embedding_dim=config.embedding_dim)
        narrow, wide = 64 * config.scale, 128 * config.scale
        first, *rest = config.blocks
        start = _Unit(narrow, narrow, 3, groups=64) if first == 1 else _Repeated(narrow, first, _INNER[0])
        self.layers = nn.ModuleList([_Unit(config.input.channels, narrow, 3, stride=2), start])
        inputs = narrow
        for outputs, count, inner, strided in zip((narrow, wide, wide), rest, _INNER[1:], _INNER_STRIDED, strict=True):
            self.layers.append(_Bottleneck(inputs, outputs, strided, stride=2, is_residual=False))
            self.layers.append(_Repeated(outputs, count, inner))
            inputs = outputs
        self.conv_sep = _Unit(wide, 512, 1)
        self.features = _Last(512, config.embedding_dim, config.input.grid(16))
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def encode(self, images: Tensor) -> Tensor:
        x = images
        for layer in self.layers:
            x = layer(x)
        return in_full_precision(self.features, self.conv_sep(x))


class _Row(nn.Module):
    """Layers one after the other, under the name `layers`."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class _Unit(_Row):
    """Convolution, BN, PReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(outputs), nn.PReLU(outputs))


class _Linear(_Row):
    """Convolution and BN."""

    def __init__(self, inputs: int, outputs: int, kernel: int | tuple[int, int], *, groups: int = 1) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, kernel, groups=groups, bias=False), nn.BatchNorm2d(outputs))


class _Bottleneck(_Row):
    """The bottleneck of the page's head."""

    def __init__(self, inputs: int, outputs: int, inner: int, *, stride: int, is_residual: bool) -> None:
        super().__init__(
            _Unit(inputs, inner, 1), _Unit(inner, inner, 3, stride=stride, groups=inner), _Linear(inner, outputs, 1)
        )
        self.is_residual = is_residual

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.is_residual else self.layers(x)


class _Repeated(_Row):
    def __init__(self, channels: int, count: int, inner: int) -> None:
        super().__init__(*(_Bottleneck(channels, channels, inner, stride=1, is_residual=True) for _ in range(count)))


class _Last(_Row):
    def __init__(self, channels: int, outputs: int, grid: tuple[int, int]) -> None:
        super().__init__(
            _Linear(channels, channels, grid, groups=channels),
            nn.Flatten(),
            nn.Linear(channels, outputs, bias=False),
            nn.BatchNorm1d(outputs),
        )
