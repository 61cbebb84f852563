"""Losses and gradients of every margin through the head, for both strategies, against the naive oracles."""

import functools

import pytest
import torch
from reference import margin_losses as oracle
from reference.margin_cases import CASE_NAMES, CASES, CLASSES, Case, clear_of_switches
from torch import Tensor

from angulus.heads import Dense, MarginHead, RowSGD, Sampled, Strategy, Streamed, margin_softmax
from angulus.margins import ArcFace, L2Softmax, Learned, MVSoftmax, NormFace, PerSample, SphereFace

STRATEGIES = {
    "dense": Dense(),
    "chunk1": Streamed(chunk=1, mode="recompute"),
    "chunk3": Streamed(chunk=3, mode="stash"),
    "chunk7": Streamed(chunk=7, mode="recompute"),
    "chunk-all": Streamed(chunk=CLASSES, mode="stash"),
    "sampled-all": Sampled(rate=1.0, streamed=Streamed(chunk=4, mode="stash")),
}
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}
# Duplicates, an ignored example and classes without examples.
LABELS = (0, 3, 3, -1, 1, 0, 4)

Result = dict[str, Tensor]


@functools.cache
def batch(
    subcenters: int, labels: tuple[int, ...] = LABELS, classes: int = CLASSES, dim: int = 4
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Embeddings of lengths 0.01 to 200, weights, bias and one weight per loss, off every hard switch."""
    for seed in range(5000):
        generator = torch.Generator().manual_seed(seed)
        options = {"generator": generator, "dtype": torch.float64}
        centers = torch.randn(classes, 1, dim, **options) + 0.6 * torch.randn(classes, subcenters, dim, **options)
        sign = torch.where(torch.rand(len(labels), 1, **options) < 0.3, -1.0, 1.0)
        near = sign * centers[[max(label, 0) for label in labels], 0] + 0.8 * torch.randn(len(labels), dim, **options)
        lengths = torch.logspace(-2, 2.3, max(len(labels), 2), dtype=torch.float64)[: len(labels), None]
        shuffle = torch.randperm(len(labels), generator=generator)
        embeddings = near / near.norm(dim=1, keepdim=True) * lengths[shuffle]
        weight = centers * torch.logspace(-1, 1, classes, dtype=torch.float64)[:, None, None]
        bias, per_loss = torch.randn(classes, **options), torch.rand(len(labels), **options) + 0.5
        if dim == 1 or is_clear(embeddings, weight, labels):
            return embeddings, weight if subcenters > 1 else weight[:, 0], bias, per_loss
    raise AssertionError("no seed keeps the batch off the switches")


def is_clear(embeddings: Tensor, weight: Tensor, labels: tuple[int, ...]) -> bool:
    cos = torch.einsum("nd,ckd->nck", torch.nn.functional.normalize(embeddings), unit(weight))
    raw = torch.einsum("nd,ckd->nck", torch.nn.functional.normalize(embeddings), weight)
    valid = torch.tensor(labels) >= 0
    if not valid.any():
        return True
    if weight.shape[1] > 1:
        for values in (cos, raw):
            first, second = values.topk(2, dim=2).values.unbind(2)
            if (first - second).min() < 1e-4:
                return False
    return clear_of_switches(cos.amax(2)[valid], torch.tensor(labels)[valid], gap=1e-4)


def unit(weight: Tensor) -> Tensor:
    return torch.nn.functional.normalize(weight, dim=-1)


def rounded(tensors: tuple[Tensor, ...], dtype: torch.dtype) -> list[Tensor]:
    """Copies that need gradients, rounded to dtype (the oracle gets the rounded values in float64)."""
    return [t.to(dtype).detach().clone().requires_grad_() for t in tensors]


def gradients(losses: Tensor, per_loss: Tensor, leaves: dict[str, Tensor]) -> Result:
    found = torch.autograd.grad((losses * per_loss).sum(), list(leaves.values()), allow_unused=True)
    result = {"loss": losses.detach()}
    for (name, leaf), gradient in zip(leaves.items(), found, strict=True):
        result[f"gradient of {name}"] = torch.zeros_like(leaf) if gradient is None else gradient
    return result


@functools.cache
def expected(index: int, subcenters: int, dtype: torch.dtype, label_smoothing: float = 0.0) -> Result:
    case = CASES[index]
    embeddings, weight, bias, per_loss = batch(subcenters)
    leaves = dict(zip(("embeddings", "weight"), rounded((embeddings, weight), dtype), strict=True))
    if case.bias:
        leaves["bias"] = bias.to(dtype).detach().clone()
    if case.learned:
        leaves["scale"] = torch.tensor(case.scale, dtype=dtype)
    leaves = {name: leaf.detach().to(torch.float64).requires_grad_() for name, leaf in leaves.items()}
    losses = oracle.losses(
        leaves["embeddings"],
        leaves["weight"],
        LABELS,
        case.rule,
        scale=leaves.get("scale", case.scale),
        bias=leaves.get("bias"),
        free_weights=case.free_weights,
        straight_through=case.straight,
        factor=case.factor,
        penalty=case.penalty,
        label_smoothing=label_smoothing,
    )
    return gradients(losses, per_loss, leaves)


def obtained(
    case: Case, subcenters: int, dtype: torch.dtype, strategy: Strategy, label_smoothing: float = 0.0
) -> Result:
    embeddings, weight, bias, per_loss = batch(subcenters)
    leaves = dict(zip(("embeddings", "weight"), rounded((embeddings, weight), dtype), strict=True))
    if case.bias:
        leaves["bias"] = bias.to(dtype).clone().requires_grad_()
    if case.learned:
        leaves["scale"] = torch.tensor(case.scale, dtype=dtype, requires_grad=True)
    losses = margin_softmax(
        leaves["embeddings"],
        leaves["weight"],
        torch.tensor(LABELS),
        case.margin,
        bias=leaves.get("bias"),
        learned={"scale": leaves["scale"]} if case.learned else None,
        state=case.tensors(),
        step=case.step,
        strategy=strategy,
        label_smoothing=label_smoothing,
    )
    assert losses.dtype == dtype
    return gradients(losses, per_loss.to(dtype), leaves)


def assert_close(got: Result, want: Result, dtype: torch.dtype) -> None:
    assert got.keys() == want.keys()
    for name, value in want.items():
        assert got[name].shape == value.shape, name
        difference = (got[name].to(torch.float64) - value).abs()
        # Gradients of examples and classes differ by orders of magnitude: each row is held to its own size.
        size = value.abs() if value.ndim < 2 else value.abs().amax(dim=-1, keepdim=True).expand_as(value)
        floor = 1.0 if dtype == torch.float64 else 1e-2 * max(1.0, value.abs().max().item())
        limit = TOLERANCE[dtype] * size.clamp(min=floor)
        assert (difference <= limit).all(), f"{name}: got {got[name]}, the formula gives {value}"


@pytest.mark.grid
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("subcenters", [1, 3])
@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES.keys())
@pytest.mark.parametrize("index", range(len(CASES)), ids=CASE_NAMES)
def test_matches_the_oracle(index: int, strategy: Strategy, subcenters: int, dtype: torch.dtype) -> None:
    got = obtained(CASES[index], subcenters, dtype, strategy)
    assert_close(got, expected(index, subcenters, dtype), dtype)


@pytest.mark.grid
@pytest.mark.parametrize("subcenters", [1, 3])
@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES.keys())
@pytest.mark.parametrize("index", range(len(CASES)), ids=CASE_NAMES)
def test_label_smoothing_matches_the_oracle(index: int, strategy: Strategy, subcenters: int) -> None:
    got = obtained(CASES[index], subcenters, torch.float64, strategy, label_smoothing=0.2)
    assert_close(got, expected(index, subcenters, torch.float64, label_smoothing=0.2), torch.float64)


def test_label_smoothing_is_that_of_cross_entropy() -> None:
    generator = torch.Generator().manual_seed(0)
    x, w = (torch.randn(count, 3, generator=generator, dtype=torch.float64) for count in (6, 9))
    labels = torch.randint(0, 9, (6,), generator=generator)
    got = margin_softmax(x, w, labels, NormFace(scale=8.0), strategy=Streamed(chunk=2), label_smoothing=0.1)
    want = torch.nn.functional.cross_entropy(8 * unit(x) @ unit(w).T, labels, reduction="none", label_smoothing=0.1)
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match="label_smoothing must be at least 0 and below 1, got 1"):
        margin_softmax(x, w, labels, NormFace(), label_smoothing=1.0)


MOVED = {
    "recompute": Streamed(chunk=3, mode="recompute"),
    "stash": Streamed(chunk=3, mode="stash"),
    "sampled-all": Sampled(rate=1.0, streamed=Streamed(chunk=4)),
}


@pytest.mark.grid
@pytest.mark.parametrize("subcenters", [1, 3])
@pytest.mark.parametrize("strategy", MOVED.values(), ids=MOVED.keys())
@pytest.mark.parametrize("index", range(len(CASES)), ids=CASE_NAMES)
def test_an_update_in_backward_moves_by_the_oracles_gradient(index: int, strategy: Strategy, subcenters: int) -> None:
    """One step of plain gradient descent with rate 1: the weights lose exactly their gradient."""
    case = CASES[index]
    embeddings, weight, bias, per_loss = batch(subcenters)
    head = MarginHead(
        embeddings.shape[1], CLASSES, case.margin, subcenters, strategy, RowSGD(momentum=0.0, weight_decay=0.0)
    ).double()
    head.learning_rate = 1.0
    with torch.no_grad():
        head.weight.copy_(weight)
        if head.bias is not None:
            head.bias.copy_(bias)
    for name, value in case.state.items():
        head.get_buffer(f"state_{name}").fill_(value)
    frozen = {name: value.clone() for name, value in head.state.items()}
    head.keep = lambda state: None  # the oracle has the statistics as they were
    x = embeddings.clone().requires_grad_()
    losses = head(x, torch.tensor(LABELS), step=case.step).losses
    (losses * per_loss).sum().backward()
    want = expected(index, subcenters, torch.float64)
    assert_close(
        {"gradient of weight": weight - head.weight.detach(), "gradient of embeddings": x.grad},
        {name: want[name] for name in ("gradient of weight", "gradient of embeddings")},
        torch.float64,
    )
    assert all(torch.equal(head.state[name], value) for name, value in frozen.items())


# ---- awkward shapes

SHAPES = {
    "one-example": ((2,), 4, 3),
    "two-classes": ((0, 1, 1), 2, 3),
    "two-dimensions": ((0, 1, 2, -1), 5, 2),
    "ignored-ends": ((-1, 1, -1), 3, 4),
}
SHAPE_CASES = [
    c
    for c in CASES
    if c.name
    in (
        "normface-learned",
        "l2softmax",
        "amsoftmax",
        "arcface-continuous",
        "combined-0.9-0.4-0.15-mirror",
        "sphereface-4-exact",
        "sphereface-1.7-exact",
        "sphereface-r-v2-sfn-straight_through",
        "amm-constant-negative-margin",
        "amm-constant-both-margin",
        "mv-arc-adaptive-easy-False",
        "curricular-0.25-linear",
        "adaface",
        "magface",
        "circle",
    )
]


@pytest.mark.parametrize("strategy", [Dense(), Streamed(chunk=1), Streamed(chunk=2)], ids=["dense", "one", "two"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("case", SHAPE_CASES, ids=lambda c: c.name)
def test_awkward_shapes(case: Case, shape: tuple[tuple[int, ...], int, int], strategy: Dense | Streamed) -> None:
    labels, classes, dim = shape
    embeddings, weight, bias, per_loss = batch(1, labels, classes, dim)
    results = []
    for with_oracle in (False, True):
        x, w = rounded((embeddings, weight), torch.float64)
        offset = bias if case.bias else None
        if with_oracle:
            losses = oracle.losses(
                x,
                w,
                labels,
                case.rule,
                scale=case.scale,
                bias=offset,
                free_weights=case.free_weights,
                straight_through=case.straight,
                factor=case.factor,
                penalty=case.penalty,
            )
        else:
            learned = {"scale": torch.tensor(case.scale, dtype=torch.float64)} if case.learned else None
            losses = margin_softmax(
                x,
                w,
                torch.tensor(labels),
                case.margin,
                bias=offset,
                learned=learned,
                state=case.tensors(),
                step=case.step,
                strategy=strategy,
            )
        results.append(gradients(losses, per_loss, {"embeddings": x, "weight": w}))
    assert_close(results[0], results[1], torch.float64)


@pytest.mark.parametrize("strategy", [Dense(), Streamed(chunk=1), Streamed(chunk=4)], ids=["dense", "one", "four"])
@pytest.mark.parametrize("subcenters", [1, 3])
@pytest.mark.parametrize("case", SHAPE_CASES, ids=lambda c: c.name)
def test_one_class_costs_nothing_but_its_penalty(case: Case, subcenters: int, strategy: Dense | Streamed) -> None:
    labels = (0, 0, -1)
    embeddings, weight, bias, _ = batch(subcenters, labels, 1, 3)
    x, w = rounded((embeddings, weight), torch.float64)
    learned = {"scale": torch.tensor(case.scale, dtype=torch.float64)} if case.learned else None
    offset = bias if case.bias else None
    losses = margin_softmax(
        x,
        w,
        torch.tensor(labels),
        case.margin,
        bias=offset,
        learned=learned,
        state=case.tensors(),
        step=case.step,
        strategy=strategy,
    )
    zero = torch.zeros((), dtype=torch.float64)
    penalties = [
        zero if case.penalty is None or label < 0 else case.penalty(row.norm())
        for row, label in zip(x, labels, strict=True)
    ]
    torch.testing.assert_close(losses, torch.stack(penalties), rtol=1e-12, atol=1e-12)
    losses.sum().backward()
    assert w.grad is None or w.grad.abs().max() < 1e-12
    if case.penalty is None:
        assert x.grad is None or x.grad.abs().max() < 1e-12


@pytest.mark.parametrize("strategy", [Dense(), Streamed(chunk=2)], ids=["dense", "two"])
@pytest.mark.parametrize("case", SHAPE_CASES, ids=lambda c: c.name)
def test_one_dimension_has_no_direction_to_learn(case: Case, strategy: Dense | Streamed) -> None:
    """With d = 1 every cosine is -1 or 1: values follow the formula, the angular gradient is zero."""
    x = torch.tensor([[2.0], [-3.0], [0.5]], dtype=torch.float64, requires_grad=True)
    w = torch.tensor([[1.0], [-2.0], [0.3]], dtype=torch.float64, requires_grad=True)
    labels, bias = (0, 0, 1), torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64)
    learned = {"scale": torch.tensor(case.scale, dtype=torch.float64)} if case.learned else None
    offset = bias if case.bias else None
    losses = margin_softmax(
        x,
        w,
        torch.tensor(labels),
        case.margin,
        bias=offset,
        learned=learned,
        state=case.tensors(),
        step=case.step,
        strategy=strategy,
    )
    want = oracle.losses(
        x,
        w,
        labels,
        case.rule,
        scale=case.scale,
        bias=offset,
        free_weights=case.free_weights,
        factor=case.factor,
        penalty=case.penalty,
    )
    torch.testing.assert_close(losses, want, rtol=1e-9, atol=1e-9)
    losses.sum().backward()
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(w.grad).all()
    if not case.free_weights:
        assert w.grad.abs().max() < 1e-9
    if case.scale is not None and case.penalty is None:
        assert x.grad.abs().max() < 1e-9


@pytest.mark.parametrize("strategy", [Dense(), Streamed(chunk=2)], ids=["dense", "two"])
@pytest.mark.parametrize("index", range(len(CASES)), ids=CASE_NAMES)
def test_a_batch_of_ignored_examples_gives_zero_loss_and_gradient(index: int, strategy: Dense | Streamed) -> None:
    case = CASES[index]
    embeddings, weight, bias, _ = batch(1, (-1, -1), CLASSES, 3)
    x, w = rounded((embeddings, weight), torch.float64)
    learned = {"scale": torch.tensor(case.scale, dtype=torch.float64)} if case.learned else None
    losses = margin_softmax(
        x,
        w,
        torch.tensor([-1, -1]),
        case.margin,
        bias=bias if case.bias else None,
        learned=learned,
        state=case.tensors(),
        step=case.step,
        strategy=strategy,
    )
    assert losses.tolist() == [0.0, 0.0]
    losses.sum().backward()
    assert x.grad is None or (x.grad == 0).all()
    assert w.grad is None or (w.grad == 0).all()


@pytest.mark.parametrize("strategy", [Dense(), Streamed(chunk=2)], ids=["dense", "two"])
def test_an_empty_batch_gives_no_losses(strategy: Dense | Streamed) -> None:
    losses = margin_softmax(torch.zeros(0, 3), torch.randn(4, 3), torch.zeros(0).long(), ArcFace(), strategy=strategy)
    assert losses.shape == (0,)


# ---- margins that differ from example to example


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES.keys())
def test_a_margin_per_sample_matches_the_oracle(strategy: Dense | Streamed) -> None:
    embeddings, weight, _, per_loss = batch(3)
    values = torch.linspace(0.1, 0.55, len(LABELS), dtype=torch.float64)
    rules = [functools.partial(oracle.mv_softmax, base="arc", m=m, t=0.2) for m in values.tolist()]
    x, w = rounded((embeddings, weight), torch.float64)
    margin = MVSoftmax(base="arc", m=PerSample(values))
    got = margin_softmax(x, w, torch.tensor(LABELS), margin, strategy=strategy)
    want = oracle.losses(x, w, LABELS, rules, scale=32.0)
    leaves = {"embeddings": x, "weight": w}
    assert_close(gradients(got, per_loss, leaves), gradients(want, per_loss, leaves), torch.float64)


@pytest.mark.parametrize("strategy", STRATEGIES.values(), ids=STRATEGIES.keys())
@pytest.mark.parametrize("margin", [NormFace(scale=Learned(9.0)), L2Softmax(scale=Learned(9.0))], ids=["norm", "l2"])
def test_the_gradient_of_a_learned_scale_is_the_published_sum(margin: NormFace, strategy: Dense | Streamed) -> None:
    """dL/ds = sum_ij (p_ij - [j = y]) |w_j| c_ij, with |w_j| = 1 for normalised weights."""
    embeddings, weight, _, _ = batch(1)
    scale = torch.tensor(9.0, dtype=torch.float64, requires_grad=True)
    zero = torch.zeros(CLASSES, dtype=torch.float64)
    bias = zero if isinstance(margin, L2Softmax) else None
    options = {"bias": bias, "learned": {"scale": scale}, "strategy": strategy}
    losses = margin_softmax(embeddings, weight, torch.tensor(LABELS), margin, **options)
    losses.sum().backward()
    classes = weight if isinstance(margin, L2Softmax) else unit(weight)
    products = unit(embeddings) @ classes.T
    labels = torch.tensor(LABELS)
    own = torch.nn.functional.one_hot(labels.clamp(min=0), CLASSES)
    terms = ((9.0 * products).softmax(1) - own) * products
    torch.testing.assert_close(scale.grad, terms[labels >= 0].sum(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("strategy", [Dense(), Streamed(chunk=2)], ids=["dense", "two"])
def test_the_kept_feature_norm_gets_its_radial_gradient(strategy: Dense | Streamed) -> None:
    """A-Softmax: dL/d|x| = sum_j (p_j - [j = y]) (T if j = y else c_j)."""
    embeddings, weight, _, _ = batch(1)
    x = (embeddings / embeddings.norm(dim=1, keepdim=True) * 3.0).requires_grad_()
    labels = torch.tensor(LABELS)
    margin_softmax(x, weight, labels, SphereFace(m=4, annealing=None), strategy=strategy).sum().backward()
    units = x.detach() / 3.0
    cosines = units @ unit(weight).T
    for i, label in enumerate(LABELS):
        if label < 0:
            continue
        values = cosines[i].clone()
        values[label] = oracle.psi(cosines[i, label], 4)
        p = (3.0 * values).softmax(0)
        p[label] -= 1
        assert (x.grad[i] @ units[i]).item() == pytest.approx((p * values).sum().item(), abs=1e-10)
