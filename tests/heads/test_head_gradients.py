"""Gradients of a head over parts of a batch, and second derivatives."""

import pytest
import torch
from small_heads import BOTH, batch, head_of
from torch import Tensor

from angulus.heads import Dense, Streamed, margin_softmax
from angulus.margins import ArcFace, L2Softmax, Learned, Margin, SphereFace


@BOTH
@pytest.mark.parametrize("margin", [ArcFace(), SphereFace(), L2Softmax(scale=Learned(16.0))], ids=lambda m: m.kind)
def test_gradients_of_parts_of_a_batch_add_up(margin: Margin, strategy) -> None:
    embeddings, labels = batch()
    whole, parts = head_of(margin, strategy=strategy), head_of(margin, strategy=strategy)
    whole(embeddings, labels, step=0).loss.backward()
    for rows in (slice(0, 3), slice(3, 8)):
        share = (rows.stop - rows.start) / 8
        (share * parts(embeddings[rows], labels[rows], step=0).loss).backward()
    for (name, a), b in zip(whole.named_parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(b.grad, a.grad, rtol=1e-4, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}")


def test_streamed_refuses_second_derivatives() -> None:
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    w = torch.randn(5, 4, dtype=torch.float64)
    losses = margin_softmax(x, w, torch.tensor([0, 3, 4]), ArcFace(scale=4.0), strategy=Streamed(chunk=2))
    with pytest.raises(RuntimeError, match="Streamed has no second derivative"):
        torch.autograd.grad(losses.sum(), x, create_graph=True)


def test_second_derivatives_are_those_of_the_loss() -> None:
    """A gradient penalty or an inversion may differentiate twice."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    w = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 3, 4])

    def loss(embeddings: Tensor) -> Tensor:
        return margin_softmax(embeddings, w, labels, ArcFace(scale=4.0), strategy=Dense())

    assert torch.autograd.gradcheck(loss, (x,))
    assert torch.autograd.gradgradcheck(loss, (x,))
