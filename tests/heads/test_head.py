"""The head as a module: parameters, running statistics, checks of its input, precision and memory."""

import math

import pytest
import torch
from reference import margin_losses as oracle
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from angulus.heads import Dense, MarginHead, Sampled, Streamed, expected_initial_loss, margin_softmax
from angulus.margins import (
    AdaCos,
    AdaFace,
    AMMSoftmax,
    AMSoftmax,
    ArcFace,
    CurricularFace,
    ElasticFace,
    L2Softmax,
    Learned,
    Linear,
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


# ---- what comes out


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


def unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=-1, keepdim=True)


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


# ---- running statistics


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


# ---- what is refused


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"subcenters": 0}, ("subcenters", "at least 1", "0")),
        ({"num_classes": 0}, ("num_classes", "at least 1", "0")),
        ({"embedding_dim": -2}, ("embedding_dim", "at least 1", "-2")),
    ],
)
def test_sizes_below_one(options: dict[str, int], words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the words are checked below)
        head_of(ArcFace(), **options)
    assert all(word in str(caught.value) for word in words), caught.value


def test_adacos_needs_three_classes() -> None:
    with pytest.raises(ValueError, match="3 classes"):
        head_of(AdaCos(), num_classes=2)(*batch(classes=2))


@pytest.mark.parametrize("label", [7, 100, -2])
@BOTH
def test_a_label_outside_the_head_is_named_with_the_range(strategy, label: int) -> None:
    embeddings, labels = batch()
    labels[3] = label
    head = head_of(ArcFace(), strategy=strategy)
    for call in (
        lambda: head(embeddings, labels),
        lambda: margin_softmax(embeddings, head.weight, labels, ArcFace(), strategy=strategy),
    ):
        with pytest.raises(ValueError) as caught:  # noqa: PT011 (the words are checked below)
            call()
        assert str(label) in str(caught.value)
        assert "0" in str(caught.value)
        assert "6" in str(caught.value)


def test_shapes_that_do_not_fit() -> None:
    head = head_of(ArcFace())
    embeddings, labels = batch()
    with pytest.raises(ValueError, match=r"4.*5"):
        head(embeddings[:, :4], labels)
    with pytest.raises(ValueError, match=r"8.*7"):
        head(embeddings, labels[:7])
    with pytest.raises(ValueError, match="shape"):
        head(embeddings[0], labels)
    with pytest.raises(ValueError, match="labels"):
        head(embeddings, labels.float())


def test_a_refused_batch_leaves_the_statistics() -> None:
    head = head_of(CurricularFace())
    embeddings, labels = batch()
    labels[0] = 7
    with pytest.raises(ValueError, match="7"):
        head(embeddings, labels)
    assert head.state["t"].item() == 0.0
    assert head.step == 0


def test_chunk_below_one() -> None:
    with pytest.raises(ValueError, match=r"chunk.*0"):
        Streamed(chunk=0)


def test_a_scale_below_the_bound_is_mentioned(caplog: pytest.LogCaptureFixture) -> None:
    head_of(L2Softmax(scale=2.0), num_classes=1000)
    assert any("9.10" in record.getMessage() for record in caplog.records)
    caplog.clear()
    head_of(L2Softmax(scale=9.2), num_classes=1000)
    assert not caplog.records
    with pytest.raises(ValueError, match=r"9\.10"):
        head_of(L2Softmax(scale=2.0, enforce_bound=True), num_classes=1000)


def test_inputs_are_left_alone() -> None:
    head = head_of(ArcFace(), strategy=Streamed(chunk=2))
    embeddings, labels = batch()
    labels[0] = -1
    copies = embeddings.clone(), labels.clone()
    head(embeddings, labels).loss.backward()
    assert torch.equal(embeddings, copies[0])
    assert torch.equal(labels, copies[1])


# ---- precision and gradients


@BOTH
@pytest.mark.parametrize("margin", MARGINS, ids=lambda margin: margin.kind)
def test_under_bf16_autocast_the_softmax_stays_in_float32(margin: Margin, strategy) -> None:
    head = head_of(margin, embedding_dim=64, strategy=strategy).eval()
    embeddings, labels = batch(dim=64)
    plain = head(embeddings, labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = head(embeddings, labels)
        halved = head(embeddings.bfloat16(), labels)
    for got in (out, halved):
        assert got.loss.dtype == torch.float32
        assert got.losses.dtype == torch.float32
        assert (got.losses != got.losses.bfloat16().float()).any()
        torch.testing.assert_close(got.losses, plain.losses, rtol=2e-2, atol=0.2)
    halved.loss.backward()
    assert head.weight.grad.dtype == torch.float32
    exact = head(embeddings.bfloat16().float(), labels).losses
    # bf16 products with float32 sums may differ by the rounding of their factors, not by that of the logits.
    torch.testing.assert_close(halved.losses, exact, rtol=1e-2, atol=0.1)


@BOTH
def test_half_precision_embeddings_get_half_precision_gradients(strategy) -> None:
    head = head_of(ArcFace(), strategy=strategy)
    embeddings, labels = batch()
    x = embeddings.bfloat16().requires_grad_()
    head(x, labels).loss.backward()
    assert x.grad.dtype == torch.bfloat16
    assert torch.isfinite(x.grad).all()


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


# ---- memory


class Largest(TorchDispatchMode):
    """Notes the largest tensor that any operation gave, views of the inputs included."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0
        self.operation = ""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, Tensor) and tensor.numel() > self.size:
                self.size, self.operation = tensor.numel(), str(func)
        return out


STREAMED_MARGINS = [
    ArcFace(),
    L2Softmax(scale=Learned(16.0)),
    SphereFace(),
    AMMSoftmax(side="both"),
    MVSoftmax(),
    AdaCos(mode="lagged"),
]


@pytest.mark.parametrize("subcenters", [1, 3])
@pytest.mark.parametrize("margin", STREAMED_MARGINS, ids=lambda margin: margin.kind)
def test_streamed_never_makes_or_keeps_a_matrix_of_all_classes(margin: Margin, subcenters: int) -> None:
    n, classes, dim, chunk = 128, 600, 4, 20
    head = head_of(
        margin, embedding_dim=dim, num_classes=classes, subcenters=subcenters, strategy=Streamed(chunk=chunk)
    )
    embeddings, labels = batch(n=n, dim=dim, classes=classes)
    embeddings.requires_grad_()
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes() // tensor.element_size()
        return tensor

    with Largest() as largest:
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            loss = head(embeddings, labels).loss
        loss.backward()
    allowed = max(n * chunk * subcenters, classes * subcenters * dim)
    assert largest.size <= allowed, largest.operation
    assert sum(kept.values()) < n * classes / 3


def test_the_matrix_of_all_classes_would_be_noticed() -> None:
    head = head_of(ArcFace(), embedding_dim=4, num_classes=600, strategy=Dense())
    with Largest() as largest:
        head(*batch(n=128, dim=4, classes=600)).loss.backward()
    assert largest.size >= 128 * 600


# ---- the loss of a random network


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


# ---- the streamed strategy's own choices


@pytest.mark.parametrize("mode", ["recompute", "stash"])
@pytest.mark.parametrize("scale", [30.0, 66.0, 70.0, 100.0, 400.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_scale_overflows_and_all_agree_with_dense(dtype: torch.dtype, scale: float, mode: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 5, generator=generator, dtype=dtype, requires_grad=True)
    w = torch.randn(9, 5, generator=generator, dtype=dtype, requires_grad=True)
    labels = torch.tensor([0, 8, 3, 3, -1, 5])
    results = []
    for strategy in (Dense(), Streamed(chunk=4, mode=mode)):
        losses = margin_softmax(x, w, labels, ArcFace(scale=scale), strategy=strategy)
        results.append([losses, *torch.autograd.grad(losses.sum(), (x, w))])
    for dense, streamed in zip(*results, strict=True):
        assert torch.isfinite(streamed).all()
        assert torch.allclose(dense, streamed, rtol=1e-4 if dtype == torch.float32 else 1e-10, atol=1e-5 * scale)


@pytest.mark.parametrize("mode", ["recompute", "stash"])
def test_a_large_bias_does_not_overflow(mode: str) -> None:
    x, w = torch.eye(4), torch.eye(4) + 0.1
    labels, bias = torch.arange(4), torch.tensor([200.0, -200.0, 0.0, 150.0])
    found = [
        margin_softmax(x, w, labels, ArcFace(scale=16.0), bias=bias, strategy=strategy)
        for strategy in (Dense(), Streamed(chunk=2, mode=mode))
    ]
    assert torch.isfinite(found[1]).all()
    assert torch.allclose(*found, rtol=1e-5)


def test_auto_stashes_where_the_buffer_is_no_larger_than_the_gradient_and_fits() -> None:
    from angulus.heads.strategies.problem import Logits, Problem

    problem = Problem(torch.zeros(8, 16), torch.zeros(100, 1, 16), torch.zeros(8, dtype=torch.int64), free=False)
    wide = Problem(torch.zeros(32, 16), torch.zeros(100, 1, 16), torch.zeros(32, dtype=torch.int64), free=False)
    plain = Logits(torch.tensor(1.0), None, None, 1.0)
    emphasised = Logits(torch.tensor(1.0), None, lambda cos: cos, None)
    assert Streamed().keeps(problem, plain) == "cosines"
    assert Streamed(products="bfloat16").keeps(problem, plain) == "products"
    assert Streamed(stash="bfloat16").keeps(problem, plain) == "exponentials"
    assert Streamed(stash="bfloat16").keeps(problem, emphasised) == "cosines"
    assert Streamed().keeps(wide, plain) == "nothing"
    assert Streamed(budget=100).keeps(problem, plain) == "nothing"
    assert Streamed(mode="stash").keeps(wide, plain) == "cosines"
    assert Streamed(budget=3000).keeps(problem, plain) == "nothing"  # 3200 bytes
    assert Streamed(budget=3000, stash="bfloat16").keeps(problem, plain) == "exponentials"


@pytest.mark.parametrize("options", [{"mode": "fast"}, {"budget": -1}, {"products": "float16"}, {"stash": "int8"}])
def test_streamed_options_out_of_range(options) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Streamed(**options)


@pytest.mark.parametrize("mode", ["recompute", "stash"])
@pytest.mark.parametrize("subcenters", [1, 3])
@pytest.mark.parametrize("margin", [ArcFace(scale=32.0), MVSoftmax(), SphereFace(), L2Softmax()], ids=lambda m: m.kind)
def test_bfloat16_products_stay_within_a_hundredth(margin: Margin, subcenters: int, mode: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x = (torch.randn(32, 64, generator=generator) * 3).requires_grad_()
    shape = (200, 64) if subcenters == 1 else (200, subcenters, 64)
    w = (torch.randn(shape, generator=generator) / 8).requires_grad_()  # about unit length, as free weights begin
    bias = torch.zeros(200) if margin.has_bias else None
    labels = torch.randint(0, 200, (32,), generator=generator)
    found = []
    for strategy in (Dense(), Streamed(chunk=64, mode=mode, products="bfloat16")):
        losses = margin_softmax(x, w, labels, margin, bias=bias, strategy=strategy)
        found.append([losses.detach(), *torch.autograd.grad(losses.mean(), (x, w))])
    for exact, rounded in zip(*found, strict=True):
        assert torch.linalg.vector_norm(exact - rounded) <= 1e-2 * torch.linalg.vector_norm(exact)


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


def test_a_filter_is_a_cosine_of_normalised_weights() -> None:
    with pytest.raises(ValueError, match="filter_above must be a cosine between -1 and 1"):
        MarginHead(4, 5, ArcFace(), filter_above=2.0)
    with pytest.raises(ValueError, match="for normalised weights"):
        MarginHead(4, 5, L2Softmax(), filter_above=0.4)


@pytest.mark.parametrize("strategy", [Streamed(chunk=2), Sampled(rate=0.5)])
def test_a_trained_value_whose_gradient_would_be_incomplete_is_refused(strategy) -> None:
    x, labels = torch.randn(4, 3), torch.tensor([0, 1, 2, 3])
    t = torch.full((4,), 0.2, requires_grad=True)
    head = MarginHead(3, 5, MVSoftmax(), strategy=strategy)
    with pytest.raises(ValueError, match="'t' of MVSoftmax must not require a gradient"):
        head(x, labels, per_sample={"t": t})
    head(x, labels, per_sample={"t": t.detach()}).loss.backward()
    m = torch.full((4,), 0.2, requires_grad=True)
    MarginHead(3, 5, ArcFace(), strategy=strategy)(x, labels, per_sample={"m": m}).loss.backward()
    assert m.grad is not None
    dense = MarginHead(3, 5, MVSoftmax())
    dense(x, labels, per_sample={"t": t}).loss.backward()
    assert t.grad is not None
