"""Targets, losses and gradients stay finite for every cosine, length and angle."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from margin_values import EVERY_MARGIN, FEW, FLOATS, every_dtype, every_margin, losses_of, seen_of, target
from torch import Tensor

from angulus.heads import Dense, Streamed
from angulus.margins import Margin


def special_cosines(dtype: torch.dtype) -> Tensor:
    eps = torch.finfo(dtype).eps
    ends = [1.0, 1 - eps / 2, 1 - eps, 1 - 4 * eps, 1 - 1e-6, 1 - 1e-4, math.cos(0.1), math.cos(0.5), 0.5]
    return torch.tensor([0.0, eps, -eps, *ends, *[-v for v in ends]], dtype=dtype)


@every_dtype
@every_margin
def test_target_and_others_are_finite_for_every_cosine(margin: Margin, dtype: torch.dtype) -> None:
    cos = special_cosines(dtype).requires_grad_()
    value = target(margin, cos)
    (slopes,) = torch.autograd.grad(value.sum(), cos)
    assert torch.isfinite(value).all()
    assert torch.isfinite(slopes).all()
    block = special_cosines(dtype).expand(len(cos), -1).clone().requires_grad_()
    seen = seen_of(margin, cos.detach())
    others = margin.others(block, margin.reference(cos.detach(), seen)[:, None], seen)
    assert torch.isfinite(others).all()
    if others.requires_grad:
        (slopes,) = torch.autograd.grad(others.sum(), block)
        assert torch.isfinite(slopes).all()


def extreme_batches(dtype: torch.dtype) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Examples equal, opposite, at right angles to class weights, without length, very long and very short."""
    w = torch.tensor([[1.0, 0, 0], [0, 2.0, 0], [-0.5, 0, 0], [1.0, 1.0, 0], [0.3, -0.2, 0.9]], dtype=dtype)
    x = torch.cat([w, -w, 0 * w[:1], 1e15 * w, 1e-15 * w, w + 1e-4, w * (1 + 1e-6)])
    labels = torch.arange(len(x)) % len(w)
    zero_row = w.clone()
    zero_row[1] = 0
    long_rows = w * torch.tensor([1e10, 1e-10, 1.0, 1e-14, 1e14], dtype=dtype)[:, None]
    batches = [(x, weight, labels) for weight in (w, zero_row, long_rows, 0 * w)]
    batches += [(x, w, torch.full_like(labels, label)) for label in range(len(w))]
    three = w[:3].repeat_interleave(3, 0).reshape(3, 3, 3).clone()
    three[1, 2] = 0
    batches.append((x, three, torch.arange(len(x)) % 3))
    return batches


@pytest.mark.grid
@every_dtype
@every_margin
def test_loss_and_gradient_are_finite_for_extreme_examples(margin: Margin, dtype: torch.dtype) -> None:
    for strategy in (Dense(), Streamed(chunk=2)):
        for number, (x, w, labels) in enumerate(extreme_batches(dtype)):
            x, w = x.clone().requires_grad_(), w.clone().requires_grad_()
            losses = losses_of(margin, x, w, labels, strategy=strategy)
            assert torch.isfinite(losses).all(), (strategy, number, losses)
            losses.sum().backward()
            assert torch.isfinite(x.grad).all(), (strategy, number, x.grad)
            assert torch.isfinite(w.grad).all(), (strategy, number, w.grad)


@given(st.data())
@settings(FEW, max_examples=60)
def test_loss_and_gradient_are_finite_for_any_angle(data: st.DataObject) -> None:
    margin = data.draw(st.sampled_from(list(EVERY_MARGIN.values())))
    dtype = data.draw(st.sampled_from(FLOATS))
    theta = torch.tensor(data.draw(st.lists(st.floats(0, math.pi), min_size=1, max_size=6)), dtype=dtype)
    length = data.draw(st.floats(1e-10, 1e10))
    x = length * torch.stack([theta.cos(), theta.sin(), 0 * theta], 1)
    x.requires_grad_()
    w = torch.eye(3, dtype=dtype, requires_grad=True)
    losses = losses_of(margin, x, w, torch.zeros(len(theta), dtype=torch.int64))
    losses.sum().backward()
    for values in (losses, x.grad, w.grad):
        assert torch.isfinite(values).all()
