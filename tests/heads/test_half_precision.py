"""Stated bounds in float32 and bfloat16: every margin, every mode, one and three sub-centers, against float64.

The relative error of a tensor is the norm of its error over its own norm.
"""

import functools

import pytest
import torch
from devices.gpu import EACH_DEVICE
from reference.margin_cases import CASE_NAMES, CASES, Case
from torch import Tensor

from angulus.heads import Dense, Sampled, Strategy, Streamed, margin_softmax

NUM_CLASSES, DIM, EXAMPLES = 300, 64, 32

FLOAT32 = 2e-5
STASH = 3e-3
PRODUCTS = 2e-2
# Hard classes weighted by their own rounded cosine, or logits up to 256: both amplify what was rounded.
PRODUCTS_SHARP = 0.15
SHARP = ("curricular", "mv-arc", "circle-retrieval", "adaface-sharp")

HALVES: dict[str, tuple[Strategy, float]] = {
    "float32-dense": (Dense(), FLOAT32),
    "float32-recompute": (Streamed(chunk=64, mode="recompute"), FLOAT32),
    "float32-stash": (Streamed(chunk=64, mode="stash"), FLOAT32),
    "float32-sampled": (Sampled(rate=1.0, streamed=Streamed(chunk=64)), FLOAT32),
    "stash": (Streamed(chunk=64, mode="stash", stash="bfloat16"), STASH),
    "products-recompute": (Streamed(chunk=64, mode="recompute", products="bfloat16"), PRODUCTS),
    "products-stash": (Streamed(chunk=64, mode="stash", products="bfloat16"), PRODUCTS),
    "both": (Streamed(chunk=64, mode="stash", stash="bfloat16", products="bfloat16"), PRODUCTS),
}


def results(case: Case, subcenters: int, strategy: Strategy, dtype: torch.dtype, device="cpu") -> list[Tensor]:
    """Losses and the gradients of their mean; free weights have about unit length, as they begin."""
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(NUM_CLASSES, subcenters, DIM, generator=generator) / DIM**0.5
    labels = torch.randint(0, NUM_CLASSES, (EXAMPLES,), generator=generator)
    x = 3.0 * w[labels, 0] + 0.375 * torch.randn(EXAMPLES, DIM, generator=generator)
    w = w if subcenters > 1 else w[:, 0]
    leaves = [x.to(device, dtype).requires_grad_(), w.to(device, dtype).requires_grad_()]
    kind = {"dtype": dtype, "device": device, "requires_grad": True}
    bias = torch.zeros(NUM_CLASSES, **kind) if case.bias else None
    scale = torch.tensor(case.scale, **kind) if case.learned else None
    losses = margin_softmax(
        *leaves,
        labels.to(device),
        case.margin,
        bias=bias,
        learned=None if scale is None else {"scale": scale},
        state={name: value.to(device) for name, value in (case.tensors() or {}).items()} or None,
        step=case.step,
        strategy=strategy,
    )
    leaves += [leaf for leaf in (bias, scale) if leaf is not None]
    return [tensor.detach().double().cpu() for tensor in (losses, *torch.autograd.grad(losses.mean(), leaves))]


@functools.cache
def exact(index: int, subcenters: int) -> list[Tensor]:
    return results(CASES[index], subcenters, Dense(), torch.float64)


@pytest.mark.grid
@EACH_DEVICE
@pytest.mark.parametrize("subcenters", [1, 3])
@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("index", range(len(CASES)), ids=CASE_NAMES)
def test_rounding_stays_within_its_stated_bound(index: int, name: str, subcenters: int, device: str) -> None:
    case = CASES[index]
    strategy, limit = HALVES[name]
    if limit == PRODUCTS and case.name.startswith(SHARP):
        limit = PRODUCTS_SHARP
    found = results(case, subcenters, strategy, torch.float32, device)
    for want, got in zip(exact(index, subcenters), found, strict=True):
        assert torch.linalg.vector_norm(got - want) <= limit * torch.linalg.vector_norm(want).clamp(min=1e-3)


@pytest.mark.parametrize("margin_scale", [16.0, 200.0])
@pytest.mark.parametrize("subcenters", [1, 3])
def test_a_stash_of_exponentials_knows_smoothing_bias_and_the_online_maximum(
    subcenters: int, margin_scale: float
) -> None:
    from angulus.margins import ArcFace, L2Softmax

    generator = torch.Generator().manual_seed(1)
    shape = (50, 16) if subcenters == 1 else (50, subcenters, 16)
    w = torch.randn(shape, generator=generator)
    x = torch.randn(8, 16, generator=generator)
    labels = torch.tensor([0, 0, 3, 49, -1, 7, 8, 16])
    bias = torch.randn(50, generator=generator)
    for margin, offset in ((ArcFace(scale=margin_scale), None), (L2Softmax(scale=margin_scale / 8), bias)):
        found = []
        for strategy in (Dense(), Streamed(chunk=1, mode="stash", stash="bfloat16")):
            leaves = [leaf.clone().requires_grad_() for leaf in (x, w, *(() if offset is None else (offset,)))]
            losses = margin_softmax(
                *leaves[:2],
                labels,
                margin,
                bias=None if offset is None else leaves[2],
                strategy=strategy,
                label_smoothing=0.1,
            )
            found.append([losses.detach(), *torch.autograd.grad(losses.sum(), leaves)])
        for want, got in zip(*found, strict=True):
            assert torch.linalg.vector_norm(got - want) <= 1e-2 * torch.linalg.vector_norm(want)
