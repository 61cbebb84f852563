"""Heads of seven classes, batches for them, and the margins and strategies to try them with."""

import pytest
import torch
from torch import Tensor

from angulus.heads import Dense, MarginHead, Streamed
from angulus.margins import (
    AdaCos,
    AdaFace,
    AMMSoftmax,
    AMSoftmax,
    ArcFace,
    CurricularFace,
    L2Softmax,
    Learned,
    MagFace,
    Margin,
    MVSoftmax,
    NormFace,
    SphereFace,
)

BOTH = pytest.mark.parametrize("strategy", [Dense(), Streamed(chunk=3)], ids=["dense", "streamed"])
MARGINS = [
    NormFace(scale=Learned(16.0)),
    L2Softmax(scale=Learned(16.0)),
    SphereFace(),
    AMSoftmax(),
    ArcFace(),
    AMMSoftmax(rule="ema"),
    MVSoftmax(),
    CurricularFace(momentum=0.1),
    AdaFace(momentum=0.1),
    MagFace(),
    AdaCos(mode="lagged"),
]


def head_of(margin: Margin, seed: int = 0, **options) -> MarginHead:
    torch.manual_seed(seed)
    options = {"embedding_dim": 5, "num_classes": 7} | options
    return MarginHead(margin=margin, **options)


def batch(seed: int = 0, n: int = 8, dim: int = 5, classes: int = 7) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    embeddings = 10 * torch.randn(n, dim, generator=generator)
    return embeddings, torch.randint(0, classes, (n,), generator=generator)


def unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=-1, keepdim=True)
