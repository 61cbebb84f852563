"""SphereFace2 through the heads: losses and gradients against the naive oracle, its bias, few classes, refusals."""

import functools

import pytest
import torch
from reference import margin_losses as oracle
from test_against_reference_heads import LABELS, Result, assert_close, batch, gradients, rounded
from torch import Tensor
from torch.nn.functional import normalize

from angulus.heads import (
    Auto,
    Dense,
    Fused,
    MarginHead,
    Panels,
    RowSGD,
    Sampled,
    Strategy,
    Streamed,
    expected_initial_loss,
    margin_softmax,
)
from angulus.margins import Learned, Linear, PerSample, SphereFace2

STRATEGIES = {
    "dense": Dense(),
    "chunk1": Streamed(chunk=1, mode="recompute"),
    "chunk2": Streamed(chunk=2, mode="stash"),
    "chunk-all": Streamed(chunk=9, stash="bfloat16", mode="stash"),
    "auto": Auto(),
}
every_strategy = pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES.keys())
MARGINS = {
    f"{version}-{gradient}": SphereFace2(version=version, m=m, gradient=gradient)
    for version, m in (("C", 0.4), ("A", 0.5), ("M", 1.7))
    for gradient in ("straight_through", "exact")
} | {
    "plain": SphereFace2(m=0.0, t=1.0, share=0.5, loss_weight=None, scale=Learned(20.0), gradient="exact"),
    "learned": SphereFace2(scale=Learned(30.0)),
}
BIAS = -1.3
CLASSES = 5


def by_oracle(margin: SphereFace2, x: Tensor, w: Tensor, scale: Tensor | list[float], bias: Tensor) -> Tensor:
    return oracle.sphereface2(
        x,
        w,
        LABELS,
        version=margin.version,
        m=float(margin.m),
        t=margin.t,
        share=margin.share,
        scale=scale,
        bias=bias,
        straight_through=margin.gradient == "straight_through",
        loss_weight=margin.loss_weight,
    )


@functools.cache
def expected(name: str, subcenters: int, dtype: torch.dtype) -> Result:
    *tensors, _, per_loss = batch(subcenters)
    x, w = (t.detach().double().requires_grad_() for t in rounded(tuple(tensors), dtype))
    scale, bias = numbers(MARGINS[name], dtype)
    scale, bias = (t.detach().double().requires_grad_() for t in (scale, bias))
    losses = by_oracle(MARGINS[name], x, w, scale, bias)
    return gradients(losses, per_loss, {"embeddings": x, "weight": w, "scale": scale, "bias": bias})


def numbers(margin: SphereFace2, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    scale = margin.scale.initial if isinstance(margin.scale, Learned) else margin.scale
    scale, bias = (torch.tensor(value, dtype=dtype).requires_grad_() for value in (scale, BIAS))
    return scale, bias


def obtained(margin: SphereFace2, subcenters: int, dtype: torch.dtype, strategy: Strategy) -> Result:
    *tensors, _, per_loss = batch(subcenters)
    x, w = rounded(tuple(tensors), dtype)
    scale, bias = numbers(margin, dtype)
    learned = {"scale": scale, "bias": bias}
    losses = margin_softmax(x, w, torch.tensor(LABELS), margin, learned=learned, strategy=strategy)
    assert losses.dtype == dtype
    leaves = {"embeddings": x, "weight": w, "bias": bias}
    return gradients(losses, per_loss.to(dtype), leaves | ({"scale": scale} if is_learned(margin) else {}))


def is_learned(margin: SphereFace2) -> bool:
    return isinstance(margin.scale, Learned)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("subcenters", [1, 3])
@every_strategy
@pytest.mark.parametrize("name", MARGINS)
def test_matches_the_oracle(name: str, strategy: Strategy, subcenters: int, dtype: torch.dtype) -> None:
    want = dict(expected(name, subcenters, dtype))
    if not is_learned(MARGINS[name]):
        del want["gradient of scale"]
    got = obtained(MARGINS[name], subcenters, dtype, strategy)
    assert_close({key: got[key] for key in want}, want, dtype)


@every_strategy
def test_a_scale_per_example(strategy: Strategy) -> None:
    embeddings, weight, _, per_loss = batch(1)
    scales = torch.linspace(8, 40, len(LABELS), dtype=torch.float64)
    margin = SphereFace2(loss_weight=None, gradient="exact")
    results = []
    for with_oracle in (True, False):
        x, w = rounded((embeddings, weight), torch.float64)
        bias = torch.tensor(BIAS, dtype=torch.float64, requires_grad=True)
        if with_oracle:
            losses = by_oracle(margin, x, w, scales.tolist(), bias)
        else:
            each = SphereFace2(loss_weight=None, gradient="exact", scale=PerSample(scales))
            losses = margin_softmax(x, w, torch.tensor(LABELS), each, learned={"bias": bias}, strategy=strategy)
        results.append(gradients(losses, per_loss, {"embeddings": x, "weight": w, "bias": bias}))
    assert_close(results[1], results[0], torch.float64)


@pytest.mark.parametrize("subcenters", [1, 3])
@pytest.mark.parametrize("strategy", [Streamed(chunk=2), Streamed(chunk=2, mode="stash"), Auto()])
def test_an_update_in_backward_moves_by_the_oracles_gradient(strategy: Strategy, subcenters: int) -> None:
    embeddings, weight, _, per_loss = batch(subcenters)
    rule = RowSGD(momentum=0.0, weight_decay=0.0)
    head = MarginHead(embeddings.shape[1], CLASSES, MARGINS["C-exact"], subcenters, strategy, rule).double()
    head.learning_rate = 1.0
    with torch.no_grad():
        head.weight.copy_(weight)
        head.learned["bias"].fill_(BIAS)
    (head(embeddings, torch.tensor(LABELS)).losses * per_loss).sum().backward()
    want = expected("C-exact", subcenters, torch.float64)
    got = {"gradient of weight": weight - head.weight.detach(), "gradient of bias": head.learned["bias"].grad}
    assert_close(got, {name: want[name] for name in got}, torch.float64)


@every_strategy
def test_logits_of_any_size_lose_nothing(strategy: Strategy) -> None:
    w = torch.eye(4, dtype=torch.float64)
    for scale in (1.0, 40.0, 1e4):
        margin = SphereFace2(scale=scale, loss_weight=None, m=0.0, t=1.0)
        for bias in (-50.0, 0.0, 39.0, 1e3):
            losses = margin_softmax(
                w, w, torch.arange(4), margin, learned={"bias": torch.tensor(bias).double()}, strategy=strategy
            )
            plus = oracle.log_one_plus_exp
            want = 0.7 * plus(torch.tensor(-scale - bias).double()) + 0.9 * plus(torch.tensor(bias).double())
            torch.testing.assert_close(losses, want.expand(4), rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("subcenters", [1, 3])
@every_strategy
def test_one_class_is_left_with_its_own_classifier(strategy: Strategy, subcenters: int) -> None:
    embeddings, weight, _, _ = batch(subcenters, (0, 0, -1), 1, 3)
    x, w = rounded((embeddings, weight), torch.float64)
    margin = SphereFace2(loss_weight=None)
    losses = margin_softmax(x, w, torch.tensor([0, 0, -1]), margin, strategy=strategy)
    cos = (normalize(embeddings, dim=1)[:2, None] * normalize(weight.reshape(-1, 3), dim=1)).sum(2).amax(1)
    logits = 40.0 * (2 * ((cos + 1) / 2) ** 3 - 1.4) + margin.initial_learned(1)["bias"]
    want = torch.stack([0.7 * oracle.log_one_plus_exp(-logit) for logit in logits])
    torch.testing.assert_close(losses[:2], want, rtol=1e-6, atol=1e-12)
    assert losses[2] == 0
    losses.sum().backward()
    assert x.grad[2].abs().max() == 0


# ---- the bias


@pytest.mark.parametrize(("version", "m"), [("C", 0.4), ("C", 0.0), ("A", 0.5), ("M", 1.7)])
@pytest.mark.parametrize("classes", [2, 3, 4, 1000, 10**6])
@pytest.mark.parametrize("share", [0.5, 0.7, 0.95])
def test_the_first_bias_is_pulled_neither_way_at_right_angles(version, m, classes, share) -> None:
    margin = SphereFace2(version=version, m=m, share=share)
    bias = torch.tensor(margin.initial_learned(classes)["bias"], dtype=torch.float64, requires_grad=True)
    right = torch.zeros((), dtype=torch.float64)
    own, other = (oracle.binary_similarity(right, version, m, 3.0, is_own=is_own) for is_own in (True, False))
    up = share * oracle.log_one_plus_exp(-(40 * own + bias))
    down = (1 - share) * (classes - 1) * oracle.log_one_plus_exp(40 * other + bias)
    (pull,) = torch.autograd.grad(up + down, bias)
    assert abs(float(pull)) < 1e-9


def test_the_first_bias_is_that_of_the_margin_with_which_a_run_begins() -> None:
    ramp = SphereFace2(m=Linear(end=0.4, until=0.5, unit="run"), scale=Learned(40.0))
    assert ramp.initial_learned(100) == {"scale": 40.0, "bias": SphereFace2(m=0.0).initial_learned(100)["bias"]}
    assert SphereFace2(scale=1e5).initial_learned(2)["bias"] > 0  # nothing overflows


def test_a_head_trains_the_bias_and_a_checkpoint_holds_it() -> None:
    torch.manual_seed(0)
    head = MarginHead(6, 20, "sphereface2")
    first = head.learned["bias"].item()
    optimizer = torch.optim.SGD(head.parameters(), lr=0.5)
    x, labels = torch.randn(32, 6), torch.randint(0, 20, (32,))
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        output = head(x, labels)
        output.loss.backward()
        optimizer.step()
        losses.append(output.loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert head.learned["bias"].item() != first
    other = MarginHead(6, 20, "sphereface2", strategy=Streamed(chunk=7))
    other.load_state_dict(head.state_dict())
    torch.testing.assert_close(other(x, labels).loss, head(x, labels).loss)
    certain, scale, _ = head(x, labels).balance
    assert ((certain >= 0) & (certain <= 1)).all()
    assert (scale == 40).all()


@pytest.mark.parametrize("classes", [20, 6000])
def test_the_expected_first_loss_is_that_of_random_directions(classes: int) -> None:
    generator = torch.Generator().manual_seed(1)
    x, w = (torch.randn(count, 128, generator=generator) for count in (512, classes))
    labels = torch.randint(0, classes, (512,), generator=generator)
    measured = float(margin_softmax(x, w, labels, SphereFace2(), strategy=Streamed()).mean())
    assert expected_initial_loss(SphereFace2(), classes, 128) == pytest.approx(measured, rel=0.05)


# ---- what is refused


@pytest.mark.parametrize("strategy", [Fused(), Panels(), Sampled(), Sampled(rate=1.0, streamed=Streamed())])
def test_other_strategies_refuse(strategy: Strategy) -> None:
    name = type(strategy).__name__
    with pytest.raises(ValueError, match=f"SphereFace2 is a binary loss.*the strategy {name} does not give; use dense"):
        MarginHead(4, 5, SphereFace2(), strategy=strategy)
    with pytest.raises(ValueError, match="binary loss"):
        margin_softmax(torch.randn(2, 3), torch.randn(4, 3), torch.tensor([0, 1]), SphereFace2(), strategy=strategy)


def test_a_strategy_of_ones_own_says_what_it_answers() -> None:
    class Mine:
        def sweep(self, problem):
            return Dense().sweep(problem)

    with pytest.raises(ValueError, match="the strategy Mine does not give"):
        MarginHead(4, 5, SphereFace2(), strategy=Mine())
    Mine.answers = ("binary",)
    assert MarginHead(4, 5, SphereFace2(), strategy=Mine())(torch.randn(2, 4), torch.tensor([0, 1])).loss > 0


def test_what_belongs_to_a_softmax_is_refused() -> None:
    with pytest.raises(ValueError, match="filter_above is of a softmax, and SphereFace2 is a binary loss"):
        MarginHead(4, 5, SphereFace2(), filter_above=0.4)
    with pytest.raises(ValueError, match="label_smoothing is of a softmax"):
        MarginHead(4, 5, SphereFace2(), label_smoothing=0.1)
    with pytest.raises(ValueError, match="label_smoothing is of a softmax"):
        margin_softmax(torch.randn(2, 3), torch.randn(4, 3), torch.tensor([0, 1]), "sphereface2", label_smoothing=0.1)


@pytest.mark.parametrize(
    "values",
    [{"m": -0.1}, {"m": 3.0}, {"version": "M"}, {"version": "B"}, {"t": 0.5}, {"share": 1.0}, {"loss_weight": 0.0}],
)
def test_a_bad_number_is_named(values: dict) -> None:
    with pytest.raises(ValueError, match=f"SphereFace2: {'m' if values == {'version': 'M'} else next(iter(values))}"):
        SphereFace2(**values)
