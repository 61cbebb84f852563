"""The inter-top-k penalty through the heads: losses and gradients against the naive oracle, ties, refusals."""

import functools
import math
from dataclasses import replace

import pytest
import torch
from reference import margin_losses as oracle
from test_against_reference_heads import LABELS, Result, assert_close, batch, gradients, rounded
from torch import Tensor

from angulus.heads import Auto, Dense, Fused, MarginHead, Panels, RowSGD, Sampled, Strategy, Streamed, margin_softmax
from angulus.heads.auto import device_for
from angulus.heads.strategies.problem import Problem
from angulus.margins import ArcFace, InterTopK, Linear, PerSample

STRATEGIES = {
    "dense": Dense(),
    "chunk1": Streamed(chunk=1, mode="recompute"),
    "chunk2": Streamed(chunk=2, mode="stash"),
    "chunk-all": Streamed(chunk=9),
    "sampled-all": Sampled(rate=1.0, streamed=Streamed(chunk=2)),
    "auto": Auto(),
}
every_strategy = pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES.keys())
MARGINS = {
    "one": InterTopK(k=1, m_prime=0.3),
    "two": InterTopK(k=2, m=0.4, m_prime=0.2, overflow="linear"),
    "all": InterTopK(k=10),
    "straight": InterTopK(k=2, gradient="straight_through"),
}
CLASSES = 5


def rule_of(margin: InterTopK) -> oracle.Rule:
    assert isinstance(margin.m, float)
    assert isinstance(margin.m_prime, float)
    return functools.partial(
        oracle.inter_topk, m=margin.m, m_prime=margin.m_prime, k=margin.k, overflow=margin.overflow
    )


@functools.cache
def expected(name: str, subcenters: int, dtype: torch.dtype, smoothing: float = 0.0) -> Result:
    margin = MARGINS[name]
    *tensors, _, per_loss = batch(subcenters)
    x, w = (t.detach().double().requires_grad_() for t in rounded(tuple(tensors), dtype))
    straight = margin.gradient == "straight_through"
    losses = oracle.losses(
        x, w, LABELS, rule_of(margin), scale=32.0, straight_through=straight, label_smoothing=smoothing
    )
    return gradients(losses, per_loss, {"embeddings": x, "weight": w})


def obtained(
    margin: InterTopK, subcenters: int, dtype: torch.dtype, strategy: Strategy, smoothing: float = 0.0
) -> Result:
    *tensors, _, per_loss = batch(subcenters)
    x, w = rounded(tuple(tensors), dtype)
    losses = margin_softmax(x, w, torch.tensor(LABELS), margin, strategy=strategy, label_smoothing=smoothing)
    return gradients(losses, per_loss.to(dtype), {"embeddings": x, "weight": w})


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("subcenters", [1, 3])
@every_strategy
@pytest.mark.parametrize("name", MARGINS)
def test_matches_the_oracle(name: str, strategy: Strategy, subcenters: int, dtype: torch.dtype) -> None:
    assert_close(obtained(MARGINS[name], subcenters, dtype, strategy), expected(name, subcenters, dtype), dtype)


@every_strategy
def test_label_smoothing_matches_the_oracle(strategy: Strategy) -> None:
    got = obtained(MARGINS["two"], 3, torch.float64, strategy, smoothing=0.2)
    assert_close(got, expected("two", 3, torch.float64, 0.2), torch.float64)


@pytest.mark.parametrize("subcenters", [1, 3])
@pytest.mark.parametrize("strategy", [Streamed(chunk=2), Sampled(rate=1.0, streamed=Streamed(chunk=3))])
def test_an_update_in_backward_moves_by_the_oracles_gradient(strategy: Strategy, subcenters: int) -> None:
    embeddings, weight, _, per_loss = batch(subcenters)
    rule = RowSGD(momentum=0.0, weight_decay=0.0)
    head = MarginHead(embeddings.shape[1], CLASSES, MARGINS["two"], subcenters, strategy, rule).double()
    head.learning_rate = 1.0
    with torch.no_grad():
        head.weight.copy_(weight)
    (head(embeddings, torch.tensor(LABELS)).losses * per_loss).sum().backward()
    want = expected("two", subcenters, torch.float64)["gradient of weight"]
    assert_close({"w": weight - head.weight.detach()}, {"w": want}, torch.float64)


@every_strategy
def test_values_per_example(strategy: Strategy) -> None:
    embeddings, weight, _, per_loss = batch(1)
    values = {
        "scale": torch.linspace(8, 40, len(LABELS), dtype=torch.float64),
        "m_prime": torch.linspace(0, 0.5, len(LABELS), dtype=torch.float64),
    }
    results = []
    for with_oracle in (True, False):
        x, w = rounded((embeddings, weight), torch.float64)
        if with_oracle:
            rows = [
                oracle.losses(
                    x[i : i + 1],
                    w,
                    [label],
                    functools.partial(oracle.inter_topk, m=0.2, m_prime=float(values["m_prime"][i]), k=2),
                    scale=float(values["scale"][i]),
                )
                for i, label in enumerate(LABELS)
            ]
            losses = torch.cat(rows)
        else:
            margin = InterTopK(k=2, **{name: PerSample(value) for name, value in values.items()})
            losses = margin_softmax(x, w, torch.tensor(LABELS), margin, strategy=strategy)
        results.append(gradients(losses, per_loss, {"embeddings": x, "weight": w}))
    assert_close(results[1], results[0], torch.float64)


def small(classes: int = 7, n: int = 6, dim: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x, w = (torch.randn(count, dim, generator=generator, dtype=torch.float64) for count in (n, classes))
    return x, w, torch.randint(0, classes, (n,), generator=generator)


@every_strategy
def test_of_classes_at_one_cosine_exactly_k_are_moved(strategy: Strategy) -> None:
    x, w, _ = small(3)
    tied = torch.cat([w, w, w, 0 * w[:1]])  # every class stands three times, and one nowhere
    labels = torch.tensor([0, 4, 8, 9, 3, 1])
    margin = InterTopK(k=4, m_prime=0.3)
    a, ww = rounded((x, tied), torch.float64)
    losses = margin_softmax(a, ww, labels, margin, strategy=strategy)
    for row, label, loss in zip(x, labels.tolist(), losses, strict=True):
        cos = list(torch.nn.functional.normalize(tied, dim=1) @ (row / row.norm()))
        target, others = rule_of(margin)(cos, label, row.norm())
        want = torch.stack([target, *others]).mul(32.0).logsumexp(0) - 32.0 * target
        torch.testing.assert_close(loss, want, rtol=1e-12, atol=1e-12)
    losses.sum().backward()
    # which of the three are moved is open; what they get together is not
    dense = rounded((x, tied), torch.float64)
    margin_softmax(*dense, labels, margin).sum().backward()
    torch.testing.assert_close(a.grad, dense[0].grad)
    together = [g[:9].unflatten(0, (3, 3)).sum(0) for g in (ww.grad, dense[1].grad)]
    torch.testing.assert_close(*together)


@every_strategy
def test_the_limits_are_arcface_and_all_others(strategy: Strategy) -> None:
    x, w, labels = small()
    none = margin_softmax(x, w, labels, InterTopK(m_prime=0.0), strategy=strategy)
    torch.testing.assert_close(none, margin_softmax(x, w, labels, ArcFace(scale=32.0, m=0.2)), rtol=1e-12, atol=1e-12)
    six, more = (margin_softmax(x, w, labels, InterTopK(k=k), strategy=strategy) for k in (6, 50))
    torch.testing.assert_close(six, more, rtol=1e-12, atol=1e-12)
    assert (six > none).all()
    some = [InterTopK(k=k, m_prime=0.2, scale=4.0) for k in range(1, 7)]
    losses = [margin_softmax(x, w, labels, margin, strategy=strategy) for margin in some]
    assert (torch.stack(losses).diff(dim=0) > 0).all()


@pytest.mark.parametrize("subcenters", [1, 3])
@every_strategy
def test_one_class_costs_nothing(strategy: Strategy, subcenters: int) -> None:
    embeddings, weight, _, _ = batch(subcenters, (0, 0, -1), 1, 3)
    x, w = rounded((embeddings, weight), torch.float64)
    losses = margin_softmax(x, w, torch.tensor([0, 0, -1]), InterTopK(), strategy=strategy)
    losses.sum().backward()
    assert losses.abs().max() < 1e-12
    assert x.grad.abs().max() < 1e-12


@every_strategy
def test_what_the_filter_leaves_out_is_not_ranked(strategy: Strategy) -> None:
    """The nearest class is filtered, so that the next one is moved."""
    x = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    cosines = torch.tensor([0.7, 0.9, 0.5, 0.2], dtype=torch.float64)
    w = torch.stack([cosines, (1 - cosines**2).sqrt(), 0 * cosines], dim=1)
    head = MarginHead(3, 4, InterTopK(k=1, m_prime=0.3, scale=8.0), strategy=strategy, filter_above=0.8).double()
    with torch.no_grad():
        head.weight.copy_(w)
    loss = head(x, torch.tensor([0])).loss
    values = [math.cos(math.acos(0.7) + 0.2), 0.0, math.cos(math.acos(0.5) - 0.3), 0.2]
    logits = 8 * torch.tensor(values, dtype=torch.float64)
    torch.testing.assert_close(loss, logits.logsumexp(0) - logits[0])


def test_a_sample_ranks_its_own_classes() -> None:
    x, w, labels = small(40, n=5)
    strategy = Sampled(rate=0.3, streamed=Streamed(chunk=4))
    labels, step = labels.clone(), 3
    got = margin_softmax(x, w, labels, MARGINS["two"], strategy=strategy, step=step)
    drawn = strategy.draw(Problem(x, w[:, None], labels, free=False, step=step))
    assert len(drawn) == 12
    places = torch.searchsorted(drawn, labels)
    torch.testing.assert_close(got, margin_softmax(x, w[drawn], places, MARGINS["two"]))


def test_what_sums_by_kernels_refuses_and_auto_goes_round_them() -> None:
    for strategy in (Fused(), Panels(), Sampled(streamed=Panels())):
        name = type(strategy).__name__
        with pytest.raises(ValueError, match=f"InterTopK needs the 5 nearest classes.*{name} does not give; use dense"):
            MarginHead(4, 5, InterTopK(), strategy=strategy)
        x, w, labels = small()
        with pytest.raises(ValueError, match="nearest classes"):
            margin_softmax(x, w, labels, InterTopK(), strategy=strategy)
    x, w, labels = small()
    problem = Problem(x, w[:, None], labels, free=False, demands=("nearest",))
    assert not device_for(problem).kernels


def test_ranking_is_by_float32_and_k_is_checked() -> None:
    x, w, labels = (t.float() if t.is_floating_point() else t for t in small())
    want = margin_softmax(x, w, labels, InterTopK())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(margin_softmax(x, w, labels, InterTopK()), want)
    for k in (0, -1, 2.5, True):
        with pytest.raises(ValueError, match=f"InterTopK: k must be a whole number and at least 1, got {k}"):
            InterTopK(k=k)
    for values in ({"m_prime": -0.1}, {"m_prime": 2.0}, {"m": 4.0}):
        with pytest.raises(ValueError, match=f"InterTopK: {next(iter(values))} must be between"):
            InterTopK(**values)
    scheduled = replace(InterTopK(), m_prime=Linear(end=0.06, until=2))
    first = margin_softmax(x, w, labels, scheduled)
    torch.testing.assert_close(first, margin_softmax(x, w, labels, ArcFace(scale=32.0, m=0.2)))
