"""MobileFaceNet: a million weights for phones, with a global depthwise convolution instead of average pooling.

Chen et al., "MobileFaceNets: Efficient CNNs for Accurate Real-Time Face Verification on Mobile Devices", 2018.
Its modules carry the names of the public PyTorch weights (Xiaoccer/MobileFaceNet_Pytorch, `068.ckpt`), so that
these are imported by name.
"""

from dataclasses import dataclass, field

from torch import Tensor, nn

from angulus.models.base import EmbeddingModel, check_at_least, in_full_precision
from angulus.models.spec import InputSpec

# (expansion, channels, repeats, stride of the first), table 1 of the paper.
_STAGES = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))


@dataclass(frozen=True, kw_only=True)
class MobileFaceNet:
    """MobileFaceNet for any input size: the kernel of its last depthwise convolution covers what is left of the image.

    At 112x112 it has 1.0 M weights and 222 M multiply-adds. embedding_dim: 128 in the paper.
    """

    embedding_dim: int = 128
    input: InputSpec = field(default_factory=lambda: InputSpec(height=112, width=112, std=128.0))

    def __post_init__(self) -> None:
        check_at_least("embedding_dim", self.embedding_dim, 1)

    def build(self) -> EmbeddingModel:
        """The network with fresh weights (normal, variance 2 / fan-out)."""
        return MobileFaceNetModel(self)


class MobileFaceNetModel(EmbeddingModel):
    """The network that `MobileFaceNet` describes."""

    def __init__(self, config: MobileFaceNet) -> None:
        super().__init__(input=config.input, embedding_dim=config.embedding_dim)
        self.conv1 = _ConvUnit(config.input.channels, 64, 3, stride=2)
        self.dw_conv1 = _ConvUnit(64, 64, 3, groups=64)
        self.blocks = nn.Sequential(*_bottlenecks(64))
        self.conv2 = _ConvUnit(128, 512, 1)
        self.linear7 = _ConvUnit(512, 512, config.input.grid(16), groups=512, padding=0, linear=True)
        self.linear1 = _ConvUnit(512, config.embedding_dim, 1, linear=True)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def encode(self, images: Tensor) -> Tensor:
        x = self.conv2(self.blocks(self.dw_conv1(self.conv1(images))))
        return in_full_precision(self.linear1, self.linear7(x)).flatten(1)


class _ConvUnit(nn.Module):
    """Convolution, batch norm and, unless `linear`, PReLU."""

    NORMED = (("conv", "bn"),)  # for `folding`: layer and the norm of what it gives
    ACTIVATED = (("bn", "prelu"),)  # for `inversion`: norm and the PReLU of what it gives

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        *,
        stride: int = 1,
        groups: int = 1,
        padding: int | None = None,
        linear: bool = False,
    ) -> None:
        super().__init__()
        around = kernel // 2 if padding is None and isinstance(kernel, int) else padding or 0
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, around, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.prelu = nn.Identity() if linear else nn.PReLU(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.prelu(self.bn(self.conv(x)))


class _Bottleneck(nn.Module):
    """Inverted residual: widen by a 1x1, filter by a depthwise 3x3, narrow by a linear 1x1."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        self.is_residual = stride == 1 and inputs == outputs
        wide = inputs * expansion
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.PReLU(wide),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.PReLU(wide),
            nn.Conv2d(wide, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.is_residual else self.conv(x)


def _bottlenecks(inputs: int) -> list[nn.Module]:
    blocks: list[nn.Module] = []
    for expansion, outputs, repeats, stride in _STAGES:
        for index in range(repeats):
            blocks.append(_Bottleneck(inputs, outputs, stride if index == 0 else 1, expansion))
            inputs = outputs
    return blocks
