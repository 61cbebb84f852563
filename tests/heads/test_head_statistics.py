"""Running statistics and step of a head: updated, used, saved and left alone."""

import math

import pytest
import torch
from reference import margin_losses as oracle
from small_heads import BOTH, MARGINS, batch, head_of, unit
from torch import Tensor

from angulus.heads import Streamed, margin_softmax
from angulus.margins import AdaCos, AdaFace, AMSoftmax, CurricularFace, ElasticFace, Linear, Margin, NormFace


def test_curricularface_updates_its_statistic_before_it_is_used() -> None:
    head = head_of(CurricularFace(momentum=0.1))
    embeddings, labels = batch(n=6)
    labels[2] = -1
    out = head(embeddings, labels)
    expected = oracle.running_cosine(0.0, out.cos_target[labels >= 0].tolist(), 0.1)
    assert head.state["t"].item() == pytest.approx(expected, rel=1e-5)
    used = margin_softmax(embeddings, head.weight, labels, head.margin, state=head.state)
    torch.testing.assert_close(out.losses, used)
    head(embeddings, labels)
    again = oracle.running_cosine(expected, out.cos_target[labels >= 0].tolist(), 0.1)
    assert head.state["t"].item() == pytest.approx(again, rel=1e-5)


def test_adaface_updates_mean_and_unbiased_spread_before_they_are_used() -> None:
    head = head_of(AdaFace(momentum=0.1))
    embeddings, labels = batch(n=6)
    embeddings[0] *= 100  # clipped at 100
    labels[2] = -1
    out = head(embeddings, labels)
    norms = embeddings[labels >= 0].norm(dim=1).tolist()
    mean, std = oracle.adaface_statistics(20.0, 100.0, norms, 0.1)
    assert head.state["mean"].item() == pytest.approx(mean, rel=1e-5)
    assert head.state["std"].item() == pytest.approx(std, rel=1e-5)
    used = margin_softmax(embeddings, head.weight, labels, head.margin, state=head.state)
    torch.testing.assert_close(out.losses, used)


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("margin", MARGINS, ids=lambda margin: margin.kind)
def test_statistics_of_tiny_batches_stay_finite(margin: Margin, n: int) -> None:
    head = head_of(margin)
    for seed in range(5):
        out = head(*batch(seed, n=n))
        assert math.isfinite(out.loss.item())
    assert all(torch.isfinite(value).all() for value in head.state.values())


def test_lagged_adacos_uses_the_scale_of_the_step_before() -> None:
    head = head_of(AdaCos(mode="lagged"), strategy=Streamed(chunk=2))
    embeddings, labels = batch(n=6)
    labels[1] = -1
    start = math.sqrt(2) * math.log(6)
    assert head.state["scale"].item() == pytest.approx(start)
    out = head(embeddings, labels)
    fixed = margin_softmax(embeddings, head.weight, labels, NormFace(scale=start))
    torch.testing.assert_close(out.losses, fixed)
    kept = labels >= 0
    cosines = (unit(embeddings[kept]) @ unit(head.weight.detach()).T).double().clamp(-1, 1)
    expected = oracle.adacos_scale(start, cosines.tolist(), labels[kept].tolist())
    assert head.state["scale"].item() == pytest.approx(expected, rel=1e-5)
    again = head(embeddings, labels)
    torch.testing.assert_close(
        again.losses, margin_softmax(embeddings, head.weight, labels, NormFace(scale=expected)), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("ignored", [0, 3])
def test_lagged_adacos_takes_the_lower_median_of_the_angles(ignored: int) -> None:
    head = head_of(AdaCos(mode="lagged"), embedding_dim=7)
    with torch.no_grad():
        head.weight.copy_(torch.eye(7))
    theta = torch.tensor([0.1, 0.6, 0.2, 0.4, *[1.5] * ignored])
    embeddings = torch.zeros(len(theta), 7)
    embeddings[:, 0], embeddings[:, 1] = theta.cos(), theta.sin()
    labels = torch.tensor([0, 0, 0, 0, *[-1] * ignored])
    head(embeddings, labels)
    rows = embeddings[:4].double().tolist()
    expected = oracle.adacos_scale(math.sqrt(2) * math.log(6), rows, [0] * 4)
    total = sum(math.exp(math.sqrt(2) * math.log(6) * math.sin(t)) + 5 for t in theta[:4].tolist())
    assert expected == pytest.approx(math.log(total / 4) / math.cos(0.2), rel=1e-6)
    assert head.state["scale"].item() == pytest.approx(expected, rel=1e-5)


@BOTH
@pytest.mark.parametrize("margin", MARGINS, ids=lambda margin: margin.kind)
def test_backward_after_the_statistics_changed_is_the_gradient_of_the_loss_seen(margin: Margin, strategy) -> None:
    """A loss must not change its gradient because a later batch moved the buffers in place."""
    embeddings, labels = batch()
    results = []
    for disturb in (False, True):
        head = head_of(margin, strategy=strategy)
        x = embeddings.clone().requires_grad_()
        loss = head(x, labels).loss
        if disturb:
            head(batch(seed=5)[0], labels)
        loss.backward()
        results.append(x.grad)
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)


@pytest.mark.parametrize("margin", MARGINS, ids=lambda margin: margin.kind)
def test_evaluation_changes_nothing(margin: Margin) -> None:
    head = head_of(margin).eval()
    before = {name: value.clone() for name, value in head.state_dict().items() if isinstance(value, Tensor)}
    first = head(*batch()).losses
    torch.testing.assert_close(head(*batch()).losses, first, rtol=0, atol=0)
    assert all(torch.equal(head.state_dict()[name], value) for name, value in before.items())
    assert head.step == 0


@pytest.mark.parametrize("margin", MARGINS, ids=lambda margin: margin.kind)
def test_a_saved_head_goes_on_as_if_never_stopped(margin: Margin, tmp_path) -> None:
    head = head_of(margin, subcenters=2)
    for seed in range(3):
        head(*batch(seed))
    torch.save(head.state_dict(), tmp_path / "head.pt")
    other = head_of(margin, seed=1, subcenters=2)
    other.load_state_dict(torch.load(tmp_path / "head.pt", weights_only=True))
    assert other.state.keys() == head.state.keys()
    for name, value in head.state.items():
        assert torch.equal(other.state[name], value)
    for seed in (3, 4):
        assert torch.equal(other(*batch(seed)).losses, head(*batch(seed)).losses)


def test_statistics_are_saved_by_name() -> None:
    keys = head_of(AdaFace()).state_dict().keys()
    assert any("mean" in key for key in keys)
    assert any("std" in key for key in keys)


def test_the_step_counts_training_calls_and_can_be_given() -> None:
    margin = AMSoftmax(m=Linear(end=0.4, until=10))
    head = head_of(margin)
    embeddings, labels = batch()
    for step in range(3):
        out = head(embeddings, labels)
        torch.testing.assert_close(out.losses, margin_softmax(embeddings, head.weight, labels, margin, step=step))
    late = head(embeddings, labels, step=10)
    torch.testing.assert_close(
        late.losses, margin_softmax(embeddings, head.weight, labels, AMSoftmax(m=0.4)), rtol=1e-6, atol=1e-6
    )


def test_elastic_draws_repeat_after_a_resume() -> None:
    head = head_of(ElasticFace())
    head(*batch(0))
    second = head(*batch(1)).losses
    other = head_of(ElasticFace())
    torch.testing.assert_close(other(*batch(1), step=1).losses, second, rtol=0, atol=0)
    assert not torch.equal(other(*batch(1), step=2).losses, second)
