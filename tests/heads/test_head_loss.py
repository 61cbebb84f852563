"""Losses of a head: those of its weights, its trained scale and its filter, and the first of a random network."""

import pytest
import torch
from small_heads import BOTH, MARGINS, batch, head_of, unit

from angulus.heads import Dense, MarginHead, Streamed, expected_initial_loss, margin_softmax
from angulus.margins import (
    AdaFace,
    AMSoftmax,
    ArcFace,
    CurricularFace,
    L2Softmax,
    Learned,
    MagFace,
    Margin,
    NormFace,
    SphereFace,
)


@BOTH
@pytest.mark.parametrize("subcenters", [1, 3])
@pytest.mark.parametrize("margin", MARGINS, ids=lambda margin: margin.kind)
def test_the_head_computes_the_margin_softmax_of_its_weights(margin: Margin, subcenters: int, strategy) -> None:
    head = head_of(margin, subcenters=subcenters, strategy=strategy).eval()
    embeddings, labels = batch()
    out = head(embeddings, labels)
    direct = margin_softmax(
        embeddings,
        head.weight,
        labels,
        margin,
        bias=head.bias,
        learned=dict(head.learned.items()),
        state=head.state,
        strategy=strategy,
    )
    torch.testing.assert_close(out.losses, direct, rtol=0, atol=0)
    assert out.loss.shape == ()
    torch.testing.assert_close(out.loss, direct.mean())
    products = torch.einsum("nd,ckd->nck", unit(embeddings), head.weight.reshape(7, subcenters, 5).detach())
    if not margin.free_weights:
        products = products / head.weight.detach().reshape(7, subcenters, 5).norm(dim=-1)
    torch.testing.assert_close(out.cos_target, products.amax(2)[torch.arange(8), labels], rtol=1e-5, atol=1e-6)
    assert not out.cos_target.requires_grad


@BOTH
def test_own_cosines_stay_between_minus_one_and_one(strategy) -> None:
    head = head_of(ArcFace(), embedding_dim=19, num_classes=200, strategy=strategy)
    labels = torch.arange(200)
    embeddings = 3.7 * head.weight.detach() * torch.where(labels % 2 == 0, 1.0, -1.0)[:, None]
    cos = head(embeddings, labels).cos_target
    assert cos.abs().max() <= 1.0
    assert cos.abs().min() >= 1.0 - 1e-6


@BOTH
def test_the_loss_is_the_mean_over_examples_with_a_class(strategy) -> None:
    head = head_of(ArcFace(), strategy=strategy)
    embeddings, labels = batch()
    labels[[1, 4, 5]] = -1
    out = head(embeddings, labels)
    assert (out.losses[[1, 4, 5]] == 0).all()
    kept = labels >= 0
    torch.testing.assert_close(out.loss, out.losses[kept].mean())
    torch.testing.assert_close(out.loss, head(embeddings[kept], labels[kept]).loss)


@BOTH
@pytest.mark.parametrize("margin", MARGINS, ids=lambda margin: margin.kind)
def test_a_batch_without_classes_costs_nothing_and_leaves_the_statistics(margin: Margin, strategy) -> None:
    head = head_of(margin, strategy=strategy)
    before = {name: value.clone() for name, value in head.state.items()}
    embeddings = batch()[0].requires_grad_()
    out = head(embeddings, torch.full((8,), -1))
    assert out.loss.item() == 0.0
    out.loss.backward()
    assert (embeddings.grad == 0).all()
    assert all(torch.equal(head.state[name], value) for name, value in before.items())


def test_parameters_and_their_shapes() -> None:
    plain = head_of(ArcFace())
    assert {name: tuple(p.shape) for name, p in plain.named_parameters()} == {"weight": (7, 5)}
    many = head_of(ArcFace(), subcenters=3)
    assert many.weight.shape == (7, 3, 5)
    free = head_of(L2Softmax(scale=Learned(16.0)))
    assert {tuple(p.shape) for p in free.parameters()} == {(7, 5), (7,), ()}
    assert head_of(NormFace(scale=Learned(12.0))).learned["scale"].item() == 12.0
    assert head_of(L2Softmax()).learned.keys() == set()


def test_a_learned_scale_is_trained_with_the_head() -> None:
    head = head_of(NormFace(scale=Learned(16.0)))
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    embeddings, labels = batch()
    first = head(embeddings, labels).loss
    first.backward()
    optimizer.step()
    assert head.learned["scale"].item() != 16.0
    assert head(embeddings, labels).loss < first


def test_margins_of_a_batch_can_be_given_per_sample() -> None:
    head = head_of(ArcFace())
    embeddings, labels = batch()
    values = torch.linspace(0.1, 0.6, 8)
    out = head(embeddings, labels, per_sample={"m": values})
    one_by_one = [
        margin_softmax(embeddings[i : i + 1], head.weight, labels[i : i + 1], ArcFace(m=values[i].item()))
        for i in range(8)
    ]
    torch.testing.assert_close(out.losses, torch.cat(one_by_one))


def test_inputs_are_left_alone() -> None:
    head = head_of(ArcFace(), strategy=Streamed(chunk=2))
    embeddings, labels = batch()
    labels[0] = -1
    copies = embeddings.clone(), labels.clone()
    head(embeddings, labels).loss.backward()
    assert torch.equal(embeddings, copies[0])
    assert torch.equal(labels, copies[1])


@pytest.mark.parametrize(
    "margin",
    [
        NormFace(scale=20.0),
        AMSoftmax(),
        ArcFace(scale=24.0, m=0.3),
        SphereFace(),
        CurricularFace(),
        AdaFace(),
        MagFace(),
    ],
    ids=lambda margin: margin.kind,
)
def test_the_expected_first_loss_is_that_of_random_directions(margin: Margin) -> None:
    generator = torch.Generator().manual_seed(11)
    embeddings = torch.randn(2000, 64, generator=generator)
    embeddings = 8.0 * unit(embeddings)
    weight = torch.randn(300, 64, generator=generator)
    labels = torch.randint(0, 300, (2000,), generator=generator)
    measured = margin_softmax(embeddings, weight, labels, margin).mean().item()
    assert expected_initial_loss(margin, 300, 64, norm=8.0) == pytest.approx(measured, rel=0.05)


@pytest.mark.parametrize("strategy", [Dense(), Streamed(chunk=3, mode="recompute"), Streamed(chunk=3, mode="stash")])
def test_filtered_classes_count_as_cosine_zero_and_get_no_gradient(strategy) -> None:
    generator = torch.Generator().manual_seed(0)
    head = MarginHead(4, 9, ArcFace(scale=8.0, m=0.3), strategy=strategy, filter_above=0.3).double()
    with torch.no_grad():
        head.weight.copy_(torch.randn(9, 4, generator=generator))
    x = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 3, 8])
    losses = head(x, labels).losses
    cos = unit(x) @ unit(head.weight.detach()).T
    own = cos.gather(1, labels[:, None])
    others = torch.where(cos > 0.3, 0.0, cos).scatter(1, labels[:, None], torch.cos(own.acos() + 0.3))
    expected = torch.nn.functional.cross_entropy(8.0 * others, labels, reduction="none")
    assert torch.allclose(losses, expected, rtol=1e-10)
    (gradient,) = torch.autograd.grad(losses[0], head.weight)
    filtered = (cos[0] > 0.3) & (torch.arange(9) != 0)
    assert filtered.any()
    assert (gradient[filtered] == 0).all()
    assert (gradient[~filtered] != 0).any(dim=1).all()
