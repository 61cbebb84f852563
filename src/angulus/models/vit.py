"""A vision transformer for face crops: square patches, learned positions, no class token.

Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, with pre-norm blocks; the embedding is made of all
tokens, flattened as in insightface's ViT (position matters in an aligned face) or averaged (fewer weights).
"""

from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from angulus.models.base import EmbeddingModel, check_at_least, check_rate, in_full_precision
from angulus.models.spec import InputSpec

Pooling = Literal["mean", "flatten"]


@dataclass(frozen=True, kw_only=True)
class ViT:
    """A small transformer by default (2.8 M weights, 0.53 G multiply-adds at 112x112).

    `ViTTiny`, `ViTSmall` and `ViTBase` are larger presets.

    patch: side of a patch in pixels, which must divide height and width.  width: length of a token.
    depth: number of blocks.  heads: attention heads, which must divide width.  mlp_ratio: hidden width / width.
    pooling: "mean" averages the tokens, "flatten" lets the last layer see each at its place.
    drop_path: probability to skip a residual branch in the last block, rising linearly from 0 (Huang et al. 2016).
    """

    patch: int = 8
    width: int = 192
    depth: int = 6
    heads: int = 3
    mlp_ratio: float = 4.0
    pooling: Pooling = "mean"
    drop_path: float = 0.0
    embedding_dim: int = 512
    input: InputSpec = field(default_factory=InputSpec)

    def __post_init__(self) -> None:
        for name in ("patch", "width", "depth", "heads", "embedding_dim"):
            check_at_least(name, getattr(self, name), 1)
        if self.input.height % self.patch or self.input.width % self.patch:
            raise ValueError(
                f"patch must divide the input size, got patch {self.patch} "
                f"for {self.input.height}x{self.input.width} (height x width)"
            )
        if self.width % self.heads:
            raise ValueError(f"heads must divide width, got {self.heads} heads for width {self.width}")
        if self.pooling not in get_args(Pooling):
            raise ValueError(f"pooling must be one of {', '.join(get_args(Pooling))}, got {self.pooling!r}")
        if not self.mlp_ratio > 0:
            raise ValueError(f"mlp_ratio must be above 0, got {self.mlp_ratio}")
        check_rate("drop_path", self.drop_path)

    def build(self) -> EmbeddingModel:
        """The network with fresh weights (truncated normal with deviation 0.02)."""
        return ViTModel(self)


@dataclass(frozen=True, kw_only=True)
class ViTTiny(ViT):
    """Width 256, 12 blocks, flattened tokens: 35 M weights at 112x112, most of them in the last layer."""

    width: int = 256
    depth: int = 12
    heads: int = 4
    pooling: Pooling = "flatten"
    drop_path: float = 0.05


@dataclass(frozen=True, kw_only=True)
class ViTSmall(ViT):
    """Width 512, 12 blocks, flattened tokens: 89 M weights at 112x112."""

    width: int = 512
    depth: int = 12
    heads: int = 8
    pooling: Pooling = "flatten"
    drop_path: float = 0.05


@dataclass(frozen=True, kw_only=True)
class ViTBase(ViT):
    """Width 512, 24 blocks, flattened tokens: 127 M weights at 112x112."""

    width: int = 512
    depth: int = 24
    heads: int = 8
    pooling: Pooling = "flatten"
    drop_path: float = 0.05


class ViTModel(EmbeddingModel):
    """The network that a `ViT` config describes."""

    def __init__(self, config: ViT) -> None:
        super().__init__(input=config.input, embedding_dim=config.embedding_dim)
        tokens = (config.input.height // config.patch) * (config.input.width // config.patch)
        self.pooling = config.pooling
        self.patches = nn.Conv2d(config.input.channels, config.width, config.patch, stride=config.patch)
        self.positions = nn.Parameter(torch.zeros(1, tokens, config.width))
        self.blocks = nn.Sequential(*(_Block(config, index) for index in range(config.depth)))
        self.norm = nn.LayerNorm(config.width)
        pooled = config.width * (tokens if config.pooling == "flatten" else 1)
        self.head = nn.Sequential(nn.Linear(pooled, config.embedding_dim), nn.BatchNorm1d(config.embedding_dim))
        self._initialise()

    def _initialise(self) -> None:
        nn.init.trunc_normal_(self.positions, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def encode(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2) + self.positions
        tokens = self.norm(self.blocks(tokens))
        pooled = tokens.flatten(1) if self.pooling == "flatten" else tokens.mean(1)
        return in_full_precision(self.head, pooled)


class _Block(nn.Module):
    """Attention, then a two-layer perceptron, each behind a layer norm and added to what came in."""

    def __init__(self, config: ViT, index: int) -> None:
        super().__init__()
        hidden = round(config.width * config.mlp_ratio)
        self.heads = config.heads
        self.norm1 = nn.LayerNorm(config.width)
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.out = nn.Linear(config.width, config.width)
        self.norm2 = nn.LayerNorm(config.width)
        self.mlp = nn.Sequential(nn.Linear(config.width, hidden), nn.GELU(), nn.Linear(hidden, config.width))
        self.drop_rate = config.drop_path * index / max(config.depth - 1, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self._drop(self._attend(self.norm1(tokens)))
        return tokens + self._drop(self.mlp(self.norm2(tokens)))

    def _attend(self, tokens: Tensor) -> Tensor:
        """[n, tokens, width] -> [n, tokens, width]."""
        query, key, value = self.qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.out(scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))

    def _drop(self, branch: Tensor) -> Tensor:
        """Zero the branch for a random part of the images and scale the rest, in training only."""
        if not self.training or self.drop_rate == 0:
            return branch
        kept = torch.rand(len(branch), 1, 1, device=branch.device) >= self.drop_rate
        return branch * kept.to(branch.dtype) / (1 - self.drop_rate)
