"""Each margin's functions of the cosine, alone and without a head, against the formulas of the papers."""

import math

import pytest
import torch
from reference import margin_losses as oracle
from reference.margin_cases import CASE_NAMES, CASES, CLASSES, Case, clear_of_switches

from angulus.margins import AMMSoftmax, ArcFace, ElasticFace, PerClass, PerSample, Seen

# Absolute in float64; relative to the largest value in float32.
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}
LABELS = torch.tensor([0, 3, 1, 1, 4, 2, 0, 2] * 4)


def rows(seed: int = 0) -> torch.Tensor:
    """Cosines [n, c] over the whole range, off every hard switch."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        cos = torch.rand(len(LABELS), CLASSES, generator=generator, dtype=torch.float64) * 1.96 - 0.98
        if clear_of_switches(cos, LABELS, gap=2e-5):
            return cos


COS = rows()
NORMS = torch.logspace(-2, 2.3, len(LABELS), dtype=torch.float64)


def close(got: torch.Tensor, expected: torch.Tensor, message: str) -> None:
    assert got.shape == expected.shape, message
    limit = TOLERANCE[got.dtype] * max(1.0, expected.abs().max().item())
    difference = (got.to(torch.float64) - expected).abs().max().item()
    assert difference <= limit, f"{message}: differs by {difference:.3g}, allowed {limit:.3g}"


def seen_for(case: Case, cos: torch.Tensor, dtype: torch.dtype) -> Seen:
    return Seen.of(
        cos.gather(1, LABELS[:, None])[:, 0],
        norms=NORMS.to(dtype),
        labels=LABELS,
        num_classes=CLASSES,
        step=case.step,
        state=case.tensors(),
        learned={"scale": torch.tensor(case.scale, dtype=dtype)} if case.learned else None,
    )


def expected_values(case: Case, cos: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The oracle's target [n] and the other classes' values [n, c - 1]."""
    targets, others = [], []
    for row, label, norm in zip(cos, LABELS.tolist(), NORMS, strict=True):
        target, rest = case.rule(list(row), label, norm)
        if case.straight:
            target = oracle.straight(target, row[label])
            rest = [oracle.straight(v, c) for v, c in zip(rest, oracle.rest(list(row), label), strict=True)]
        targets.append(target)
        others.append(torch.stack(rest))
    return torch.stack(targets), torch.stack(others)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("case", [c for c in CASES if not c.needs_row and not c.straight], ids=lambda c: c.name)
def test_target_and_others_match_the_formula(case: Case, dtype: torch.dtype) -> None:
    cos = COS.to(dtype).requires_grad_()
    exact = cos.detach().to(torch.float64).requires_grad_()
    seen = seen_for(case, cos, dtype)
    own = cos.gather(1, LABELS[:, None])[:, 0]
    off_label = torch.ones_like(cos, dtype=torch.bool).scatter(1, LABELS[:, None], False)
    target = case.margin.target(own, seen)
    reference = case.margin.reference(own, seen).detach()[:, None]
    others = case.margin.others(cos, reference, seen)[off_label].reshape(len(cos), -1)
    expected_target, expected_others = expected_values(case, exact)
    close(target.detach(), expected_target.detach(), "target")
    close(others.detach(), expected_others.detach(), "others")
    close(slope(target, cos), slope(expected_target, exact), "slope of the target")
    close(slope(others, cos), slope(expected_others, exact), "slope of the others")


def slope(value: torch.Tensor, cos: torch.Tensor) -> torch.Tensor:
    (gradient,) = torch.autograd.grad(value.sum(), cos, retain_graph=True, allow_unused=True)
    return torch.zeros_like(cos) if gradient is None else gradient


@pytest.mark.parametrize("case", CASES, ids=CASE_NAMES)
def test_temperature_and_penalty_match_the_formula(case: Case) -> None:
    seen = seen_for(case, COS, torch.float64)
    expected = NORMS if case.scale is None else torch.full_like(NORMS, case.scale)
    temperature = torch.as_tensor(case.margin.temperature(seen), dtype=torch.float64).expand(len(NORMS))
    torch.testing.assert_close(temperature, expected, rtol=1e-12, atol=0)
    penalty = case.margin.penalty(seen)
    if case.penalty is None:
        assert penalty is None
    else:
        torch.testing.assert_close(penalty, torch.stack([case.penalty(n) for n in NORMS]), rtol=1e-12, atol=1e-12)


def test_the_oracle_gives_numbers_worked_out_by_hand() -> None:
    cos = [torch.tensor(v, dtype=torch.float64) for v in (0.5, 0.8, -0.6)]
    norm = torch.tensor(2.0, dtype=torch.float64)
    sixty = math.pi / 3
    assert oracle.arcface(cos, 0, norm, m=0.5)[0].item() == pytest.approx(math.cos(sixty + 0.5))
    assert oracle.amsoftmax(cos, 1, norm, m=0.35)[0].item() == pytest.approx(0.45)
    # 4 * 60 degrees = 240 degrees: k = 1, -cos(240) - 2 = -1.5
    assert oracle.sphereface(cos, 0, norm, m=4)[0].item() == pytest.approx(-1.5)
    assert oracle.sphereface(cos, 0, norm, m=4, annealing=5.0)[0].item() == pytest.approx((2.5 - 1.5) / 6)
    assert oracle.mv_softmax(cos, 0, norm, base="am", m=0.35, t=0.2)[1][0].item() == pytest.approx(1.16)
    assert oracle.curricularface(cos, 0, norm, m=0.5, t=0.3)[1][0].item() == pytest.approx(0.88)
    assert oracle.circle(cos, 0, norm, m=0.25)[0].item() == pytest.approx(0.25**2 - 0.5**2)
    assert oracle.circle(cos, 0, norm, m=0.25)[1][0].item() == pytest.approx(0.8**2 - 0.25**2)
    shifted = oracle.amm(cos, 0, norm, m=0.5, t=0.1)[1]
    assert shifted[0].item() == pytest.approx(math.cos(math.acos(0.8) - 0.1))
    assert shifted[1].item() == -0.6


def test_the_oracle_loss_is_the_cross_entropy_with_the_published_gradient() -> None:
    """Section "back through the two normalisations": dL/dx = (u - (u.x)x)/|x| with u = sum_j g_j w_j."""
    generator = torch.Generator().manual_seed(1)
    embedding = torch.randn(1, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    rule = CASES[CASE_NAMES.index("amsoftmax")].rule
    loss = oracle.losses(embedding, weight, [2], rule, scale=30.0)
    (got,) = torch.autograd.grad(loss.sum(), embedding)
    unit, norm = embedding.detach() / embedding.detach().norm(), embedding.detach().norm()
    classes = weight / weight.norm(dim=1, keepdim=True)
    logits = 30.0 * (unit @ classes.T)[0]
    logits[2] -= 30.0 * 0.35
    own = torch.nn.functional.one_hot(torch.tensor(2), 4)
    g = 30.0 * (logits.softmax(0) - own)
    u = (g[:, None] * classes).sum(0)
    torch.testing.assert_close(loss[0].detach(), torch.logsumexp(logits, 0) - logits[2])
    torch.testing.assert_close(got[0], (u - (u @ unit[0]) * unit[0]) / norm)


# ---- the ElasticFace margins are drawn, so they are read back from the targets


@pytest.mark.parametrize("base", ["am", "arc"])
def test_elastic_margins_are_normal_around_m(base: str) -> None:
    margin = ElasticFace(base=base, m=0.5, sigma=0.05)
    drawn = elastic_margins(margin, torch.full((4000,), 0.3, dtype=torch.float64))
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.004)
    assert drawn.std().item() == pytest.approx(0.05, rel=0.05)
    assert ((drawn - 0.5).abs() < 0.05).double().mean().item() == pytest.approx(0.683, abs=0.03)


@pytest.mark.parametrize("base", ["am", "arc"])
def test_ordered_elastic_gives_the_farthest_example_the_largest_margin(base: str) -> None:
    cos = torch.tensor([0.3, 0.9, -0.2, 0.5, 0.1, 0.85, -0.6], dtype=torch.float64)
    drawn = elastic_margins(ElasticFace(base=base, m=0.5, sigma=0.05, ordered=True), cos)
    by_cosine = drawn[cos.argsort(descending=True)]
    assert (by_cosine.diff() > 0).all()
    unordered = elastic_margins(ElasticFace(base=base, m=0.5, sigma=0.05), cos)
    torch.testing.assert_close(drawn.sort().values, unordered.sort().values)


def test_elastic_margins_repeat_with_the_seed_and_change_with_the_step() -> None:
    cos = torch.full((6,), 0.3, dtype=torch.float64)
    first = elastic_margins(ElasticFace(base="am"), cos)
    torch.testing.assert_close(first, elastic_margins(ElasticFace(base="am"), cos), rtol=0, atol=0)
    assert not torch.allclose(first, elastic_margins(ElasticFace(base="am", seed=1), cos))
    assert not torch.allclose(first, elastic_margins(ElasticFace(base="am"), cos, step=1))
    assert len(first.unique()) == len(first)


def elastic_margins(margin: ElasticFace, cos: torch.Tensor, step: int = 0) -> torch.Tensor:
    target = margin.target(cos, Seen.of(cos, step=step))
    return cos - target if margin.base == "am" else target.acos() - cos.acos()


# ---- one margin per class and per sample


def test_a_margin_per_class_is_looked_up_by_label() -> None:
    per_class = (0.1, 0.2, 0.3, 0.4, 0.5)
    cos = COS.gather(1, LABELS[:, None])[:, 0]
    seen = Seen.of(cos, labels=LABELS, num_classes=CLASSES)
    got = ArcFace(m=PerClass(per_class)).target(cos, seen)
    expected = [oracle.arc_target(c, per_class[y], "continuous") for c, y in zip(cos, LABELS.tolist(), strict=True)]
    close(got, torch.stack(expected), "target")


def test_a_margin_per_sample_is_used_row_by_row() -> None:
    margins = torch.linspace(0.0, 0.7, len(LABELS), dtype=torch.float64)
    cos = COS.gather(1, LABELS[:, None])[:, 0]
    seen = Seen.of(cos, labels=LABELS, num_classes=CLASSES)
    margin = AMMSoftmax(m=PerSample(margins))
    others = margin.others(COS, margin.reference(cos, seen)[:, None], seen)
    off_label = torch.ones_like(COS, dtype=torch.bool).scatter(1, LABELS[:, None], False)
    rule_rows = zip(COS, LABELS.tolist(), margins.tolist(), strict=True)
    pairs = [oracle.amm(list(row), y, torch.ones(()), m=m, t=0.1) for row, y, m in rule_rows]
    close(margin.target(cos, seen), torch.stack([target for target, _ in pairs]), "target")
    expected = torch.stack([torch.stack(rest) for _, rest in pairs])
    close(others[off_label].reshape(len(COS), -1), expected, "others")
