"""The IR networks of AdaFace and CVLface: IResNet's blocks in one row, without weights for the last norm.

    input_layer    conv 3x3, BN, PReLU
    body           blocks BN, conv 3x3, BN, PReLU, conv 3x3 (stride), BN, plus the input: projected where its channels
                   change, else every second pixel of it
    output_layer   BN, dropout, linear, BN without weights

Kim et al., "AdaFace: Quality Adaptive Margin for Face Recognition", CVPR 2022; modules and parameters carry the names
of its published weights (mk-minchul/AdaFace, net.py; mk-minchul/CVLface, models/iresnet). AdaFace's weights take BGR,
as its README says; CVLface's take RGB unless their configuration says otherwise. Both take (pixel - 127.5) / 127.5.
"""

from dataclasses import dataclass, field

from torch import Tensor, nn

from angulus.models.base import EmbeddingModel, check_at_least, check_rate, in_full_precision
from angulus.models.spec import InputSpec

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 101: (3, 13, 30, 3)}
_CHANNELS = (64, 128, 256, 512)


@dataclass(frozen=True, kw_only=True)
class IR:
    """IR-18, -34, -50 or -101, which their authors also call 100.

    dropout: probability before the last linear layer, 0.4 as published.
    """

    depth: int = 50
    embedding_dim: int = 512
    dropout: float = 0.4
    input: InputSpec = field(default_factory=lambda: InputSpec(colour="bgr"))

    def __post_init__(self) -> None:
        if self.depth not in BLOCKS:
            raise ValueError(f"depth must be one of {', '.join(map(str, BLOCKS))}, got {self.depth}")
        check_at_least("embedding_dim", self.embedding_dim, 1)
        check_rate("dropout", self.dropout)

    def build(self) -> EmbeddingModel:
        """The network with fresh weights (normal, variance 2 / fan-out)."""
        return IRModel(self)


class IRModel(EmbeddingModel):
    """The network that `IR` describes."""

    FLATTENED = (("output_layer.0", "output_layer.3"),)  # for `folding`: norm, and the linear layer of its map

    def __init__(self, config: IR) -> None:
        super().__init__(input=config.input, embedding_dim=config.embedding_dim)
        self.input_layer = nn.Sequential(
            nn.Conv2d(config.input.channels, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64)
        )
        self.body = nn.Sequential(*_blocks(BLOCKS[config.depth]))
        rows, columns = config.input.grid(16)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(512),
            nn.Dropout(config.dropout),
            nn.Flatten(),
            nn.Linear(512 * rows * columns, config.embedding_dim),
            nn.BatchNorm1d(config.embedding_dim, affine=False),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def encode(self, images: Tensor) -> Tensor:
        return in_full_precision(self.output_layer, self.body(self.input_layer(images)))


class _Block(nn.Module):
    """The residual block of the page's head."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.shortcut_layer: nn.Module = nn.MaxPool2d(1, stride)
        if inputs != outputs:
            projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut_layer = nn.Sequential(projection, nn.BatchNorm2d(outputs))
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.PReLU(outputs),
            nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.res_layer(x) + self.shortcut_layer(x)


def _blocks(repeats: tuple[int, ...]) -> list[nn.Module]:
    found: list[nn.Module] = []
    inputs = 64
    for outputs, count in zip(_CHANNELS, repeats, strict=True):
        for index in range(count):
            found.append(_Block(inputs, outputs, 2 if index == 0 else 1))
            inputs = outputs
    return found
