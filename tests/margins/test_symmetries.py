"""What leaves a loss as it is: other class numbers, another order, an ignored example, another length of embedding."""

import pytest
import torch
from margin_values import EVERY_MARGIN, every_margin, losses_of, random_batch

from angulus.heads import Dense, Streamed, margin_softmax
from angulus.margins import AdaFace, ElasticFace, MagFace, Margin, SphereFace


@pytest.mark.parametrize("strategy", [Dense(), Streamed(chunk=4)], ids=["dense", "streamed"])
@every_margin
def test_classes_can_be_renamed(margin: Margin, strategy) -> None:
    x, w, labels = random_batch(7)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    bias = torch.linspace(-1, 1, 6, dtype=torch.float64) if margin.has_bias else None
    numbers = {"scale": torch.tensor(20.0, dtype=torch.float64), "bias": torch.tensor(-3.0, dtype=torch.float64)}
    learned = numbers if margin.initial_learned(6) else None
    plain = margin_softmax(x, w, labels, margin, bias=bias, learned=learned, strategy=strategy)
    renamed = torch.argsort(order)[labels]
    moved_bias = None if bias is None else bias[order]
    moved = margin_softmax(x, w[order], renamed, margin, bias=moved_bias, learned=learned, strategy=strategy)
    torch.testing.assert_close(moved, plain, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("margin", [m for m in EVERY_MARGIN.values() if not isinstance(m, ElasticFace)])
def test_examples_can_be_reordered(margin: Margin) -> None:
    x, w, labels = random_batch(8)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    plain = losses_of(margin, x, w, labels)
    torch.testing.assert_close(losses_of(margin, x[order], w, labels[order]), plain[order], rtol=1e-11, atol=1e-11)


# ElasticFace's draws depend on the place in the batch
@pytest.mark.parametrize("margin", [m for m in EVERY_MARGIN.values() if not isinstance(m, ElasticFace)])
def test_an_ignored_example_changes_nothing(margin: Margin) -> None:
    x, w, labels = random_batch(9)
    plain = losses_of(margin, x, w, labels)
    x_more = torch.cat([x[:2], 3 + x[:1], x[2:]]).requires_grad_()
    labels_more = torch.cat([labels[:2], torch.tensor([-1]), labels[2:]])
    more = losses_of(margin, x_more, w, labels_more)
    assert more[2].item() == 0.0
    torch.testing.assert_close(torch.cat([more[:2], more[3:]]), plain, rtol=1e-12, atol=1e-12)
    more.sum().backward()
    assert (x_more.grad[2] == 0).all()


NORM_FREE = {
    name: margin
    for name, margin in EVERY_MARGIN.items()
    if not isinstance(margin, (SphereFace, AdaFace, MagFace)) and getattr(margin, "norm", "hfn") == "hfn"
}


@pytest.mark.parametrize("margin", NORM_FREE.values(), ids=NORM_FREE.keys())
def test_the_length_of_an_embedding_does_not_matter(margin: Margin) -> None:
    x, w, labels = random_batch(10)
    x.requires_grad_()
    losses = losses_of(margin, x, w, labels)
    longer = losses_of(margin, x * torch.logspace(-3, 3, len(x), dtype=torch.float64)[:, None], w, labels)
    torch.testing.assert_close(longer, losses, rtol=1e-10, atol=1e-10)
    (gradient,) = torch.autograd.grad(losses.sum(), x)
    along = (gradient * x).sum(1).abs() / x.norm(dim=1)
    assert (along <= 1e-11 * gradient.norm(dim=1).clamp(min=1.0)).all()
