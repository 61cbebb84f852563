"""IResNet: the residual network of the ArcFace line, in the form of insightface's PyTorch weights.

Its blocks put batch norm first and PReLU between the two convolutions (BN-conv-BN-PReLU-conv-BN); the first
convolution keeps the resolution; the last map is flattened, not pooled. Deng et al., "ArcFace", CVPR 2019, section 3
("improved residual unit", after Han et al. 2017); modules and parameters carry insightface's names.
"""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from angulus.models.base import EmbeddingModel, check_at_least, check_rate, in_full_precision
from angulus.models.spec import InputSpec

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3), 200: (6, 26, 60, 6)}


@dataclass(frozen=True, kw_only=True)
class IResNet:
    """IResNet-18, -34, -50, -100 or -200 for any input size; the last linear layer follows the size.

    dropout: probability before the last linear layer (insightface trains with 0).
    At 112x112 they have 24, 34, 44, 65 and 119 M weights; the first four take 2.6, 4.5, 6.3 and 12.1 G multiply-adds.
    """

    NORM_EPSILON: ClassVar[float] = 1e-5

    depth: int = 50
    embedding_dim: int = 512
    dropout: float = 0.0
    input: InputSpec = field(default_factory=InputSpec)

    def __post_init__(self) -> None:
        if self.depth not in BLOCKS:
            raise ValueError(f"depth must be one of {', '.join(map(str, BLOCKS))}, got {self.depth}")
        check_at_least("embedding_dim", self.embedding_dim, 1)
        check_rate("dropout", self.dropout)

    def build(self) -> EmbeddingModel:
        """The network with fresh weights (convolutions normal with deviation 0.1, as insightface).

        With these the signal grows from block to block until batch norm has seen a few batches: in eval mode an
        untrained network of 50 or 100 layers overflows.
        """
        return IResNetModel(self)


@dataclass(frozen=True, kw_only=True)
class IResNet18(IResNet):
    """IResNet with 18 layers."""

    depth: int = field(default=18, init=False)


@dataclass(frozen=True, kw_only=True)
class IResNet34(IResNet):
    """IResNet with 34 layers."""

    depth: int = field(default=34, init=False)


@dataclass(frozen=True, kw_only=True)
class IResNet50(IResNet):
    """IResNet with 50 layers."""

    depth: int = field(default=50, init=False)


@dataclass(frozen=True, kw_only=True)
class IResNet100(IResNet):
    """IResNet with 100 layers."""

    depth: int = field(default=100, init=False)


@dataclass(frozen=True, kw_only=True)
class IResNet200(IResNet):
    """IResNet with 200 layers."""

    depth: int = field(default=200, init=False)


@dataclass(frozen=True, kw_only=True)
class MagFaceIResNet(IResNet):
    """IResNet as MagFace's weights want it: batch norms with an epsilon of 2e-5, and BGR pixels over 255.

    IrvingMeng/MagFace, models/iresnet.py and inference/gen_feat.py, which reads by OpenCV.
    """

    NORM_EPSILON: ClassVar[float] = 2e-5

    depth: int = 100
    input: InputSpec = field(default_factory=lambda: InputSpec(colour="bgr", mean=0.0, std=255.0))


class IResNetModel(EmbeddingModel):
    """The network that `IResNet` describes."""

    # for `folding`: layer and the norm of what it gives; norm and the linear layer that takes its flattened map
    NORMED = (("conv1", "bn1"), ("fc", "features"))
    ACTIVATED = (("bn1", "prelu"),)
    FLATTENED = (("bn2", "fc"),)

    def __init__(self, config: IResNet) -> None:
        super().__init__(input=config.input, embedding_dim=config.embedding_dim)
        blocks = BLOCKS[config.depth]
        self.conv1 = nn.Conv2d(config.input.channels, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.prelu = nn.PReLU(64)
        self.layer1 = _stage(64, 64, blocks[0])
        self.layer2 = _stage(64, 128, blocks[1])
        self.layer3 = _stage(128, 256, blocks[2])
        self.layer4 = _stage(256, 512, blocks[3])
        rows, columns = config.input.grid(16)
        self.bn2 = nn.BatchNorm2d(512)
        self.dropout = nn.Dropout(config.dropout)
        self.fc = nn.Linear(512 * rows * columns, config.embedding_dim)
        self.features = nn.BatchNorm1d(config.embedding_dim)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.eps = config.NORM_EPSILON
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.1)
        # Frozen at 1 as in insightface: a gain per dimension would let training switch dimensions off.
        self.features.weight.requires_grad_(False)

    def encode(self, images: Tensor) -> Tensor:
        x = self.prelu(self.bn1(self.conv1(images)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        flat = torch.flatten(self.bn2(x), 1)
        return in_full_precision(self.features, in_full_precision(self.fc, self.dropout(flat)))


class _Block(nn.Module):
    """BN-conv-BN-PReLU-conv-BN plus the input, which is projected where the size changes."""

    NORMED = (("conv1", "bn2"), ("conv2", "bn3"))
    ACTIVATED = (("bn2", "prelu"),)

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.prelu = nn.PReLU(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = _projection(inputs, outputs, stride) if stride != 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        return self.bn3(self.conv2(y)) + self.downsample(x)


def _projection(inputs: int, outputs: int, stride: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


def _stage(inputs: int, outputs: int, repeats: int) -> nn.Module:
    rest = [_Block(outputs, outputs, 1) for _ in range(repeats - 1)]
    return nn.Sequential(_Block(inputs, outputs, 2), *rest)
