import pytest
import torch

from angulus.heads import Dense, MarginHead, RowAdaGrad, RowAdamW, RowSGD, Sampled, Streamed, margin_softmax
from angulus.heads.strategies.problem import Problem
from angulus.margins import AdaFace, AMMSoftmax, ArcFace, L2Softmax, MVSoftmax, SphereFace

CLASSES, DIM = 40, 6
MARGINS = [ArcFace(scale=16.0), L2Softmax(), SphereFace(), MVSoftmax(), AdaFace(scale=16.0), AMMSoftmax(side="both")]


def batch(step, n=6):
    generator = torch.Generator().manual_seed(step)
    labels = torch.randint(-1, CLASSES, (n,), generator=generator)
    labels[0], labels[1] = 3, 3
    return torch.randn(n, DIM, dtype=torch.float64, generator=generator), labels


def weights(subcenters):
    generator = torch.Generator().manual_seed(99)
    shape = (CLASSES, DIM) if subcenters == 1 else (CLASSES, subcenters, DIM)
    return torch.randn(shape, dtype=torch.float64, generator=generator)


def drawn(strategy, labels, step=0):
    return strategy.draw(Problem(torch.zeros(1), torch.zeros(CLASSES, 1, 1), labels, False, step))


def test_a_draw_holds_the_batch_and_a_share_of_the_rest():
    labels = torch.tensor([39, 0, 7, -1, 7])
    classes = drawn(Sampled(rate=0.25), labels)
    assert len(classes) == 10
    assert {0, 7, 39} <= set(classes.tolist())
    assert classes.tolist() == sorted(set(classes.tolist()))
    assert labels.tolist() == [39, 0, 7, -1, 7]
    assert len(drawn(Sampled(rate=0.001), labels)) == 5  # room for every example
    assert drawn(Sampled(rate=1.0), labels).tolist() == list(range(CLASSES))


def test_a_draw_follows_from_seed_and_step():
    labels = torch.tensor([1, 2])
    first = drawn(Sampled(rate=0.3), labels, step=5)
    assert torch.equal(first, drawn(Sampled(rate=0.3), labels, step=5))
    assert not torch.equal(first, drawn(Sampled(rate=0.3), labels, step=6))
    assert not torch.equal(first, drawn(Sampled(rate=0.3, seed=1), labels, step=5))


def test_every_class_is_drawn_equally_often():
    counts = torch.zeros(CLASSES)
    for step in range(400):
        counts[drawn(Sampled(rate=0.25), torch.tensor([0]), step)] += 1
    assert counts[0] == 400
    assert counts[1:].min() > 55
    assert counts[1:].max() < 130


@pytest.mark.parametrize("subcenters", [1, 3])
@pytest.mark.parametrize("margin", MARGINS, ids=lambda margin: margin.kind)
def test_the_loss_is_that_of_the_sampled_classes_alone(margin, subcenters):
    strategy = Sampled(rate=0.3, streamed=Streamed(chunk=5))
    x, labels = batch(4)
    classes = drawn(strategy, labels, step=4)
    places = torch.where(labels >= 0, torch.searchsorted(classes, labels.clamp(min=0)), -1)
    bias = torch.linspace(-1, 1, CLASSES, dtype=torch.float64) if margin.has_bias else None
    results = []
    for way in ("sampled", "by hand"):
        e, w = x.clone().requires_grad_(), weights(subcenters).requires_grad_()
        if way == "sampled":
            losses = margin_softmax(e, w, labels, margin, bias=bias, strategy=strategy, step=4)
        else:
            part = None if bias is None else bias[classes]
            losses = margin_softmax(e, w[classes], places, margin, bias=part, strategy=Dense(), step=4)
        results.append([losses, *torch.autograd.grad(losses.sum(), (e, w))])
    for sampled, expected in zip(*results, strict=True):
        assert torch.allclose(sampled, expected, rtol=1e-10, atol=1e-11)


def sampled_head(rule, subcenters, seed=3):
    torch.manual_seed(0)
    head = MarginHead(
        DIM,
        CLASSES,
        ArcFace(scale=16.0),
        subcenters=subcenters,
        strategy=Sampled(rate=0.2, seed=seed, streamed=Streamed(chunk=3)),
        update=rule,
    ).double()
    with torch.no_grad():
        head.weight.copy_(weights(subcenters))
    return head


def walk(head, steps, start=0):
    losses = []
    for step in range(start, start + steps):
        head.learning_rate = 0.2 / (1 + step)
        output = head(*batch(step))
        output.loss.backward()
        losses.append(output.loss.item())
    return losses


SGD_RULES = [RowSGD(momentum=0.9, weight_decay=0.05), RowSGD(momentum=0.8, weight_decay=0.05, nesterov=True)]
SGD_RULES += [RowSGD(momentum=0.0, weight_decay=0.05), RowSGD(momentum=0.9, weight_decay=0.0)]


@pytest.mark.parametrize("subcenters", [1, 3])
@pytest.mark.parametrize("rule", SGD_RULES, ids=str)
def test_rows_made_up_later_equal_sgd_on_a_gradient_with_zeros(rule, subcenters):
    """The sense in which sampling is exact: as if every other row had had a gradient of zero in every step."""
    moved, plain = sampled_head(rule, subcenters), sampled_head(None, subcenters)
    optimizer = torch.optim.SGD(
        [plain.weight], 0.1, momentum=rule.momentum, weight_decay=rule.weight_decay, nesterov=rule.nesterov
    )
    expected = []
    for step in range(15):
        output = plain(*batch(step))
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.param_groups[0]["lr"] = 0.2 / (1 + step)
        optimizer.step()
        expected.append(output.loss.item())
    assert walk(moved, 15) == pytest.approx(expected, rel=1e-10)
    moved.settle()
    assert torch.allclose(moved.weight, plain.weight, rtol=1e-10, atol=1e-12)
    assert moved.weight.grad is None


def test_a_run_goes_on_after_saving_and_loading():
    whole, halves = (sampled_head(SGD_RULES[0], 1) for _ in range(2))
    first = walk(halves, 7)
    resumed = sampled_head(SGD_RULES[0], 1)
    resumed.load_state_dict(halves.state_dict())
    second = walk(resumed, 7, start=7)
    assert first + second == pytest.approx(walk(whole, 14), rel=1e-10)
    for head in (whole, resumed):
        head.settle()
    assert torch.allclose(whole.weight, resumed.weight, rtol=1e-10)


def test_row_wise_adagrad_leaves_rows_alone_that_are_not_drawn():
    head = sampled_head(RowAdaGrad(), 1)
    before = head.weight.detach().clone()
    classes = drawn(head.strategy, batch(0)[1])
    walk(head, 1)
    changed = (head.weight != before).any(dim=1).nonzero().flatten()
    assert set(changed.tolist()) <= set(classes.tolist())


def test_a_long_history_is_settled_by_itself(monkeypatch):
    monkeypatch.setattr("angulus.heads.strategies.updates.LONGEST_HISTORY", 4)
    short, long = sampled_head(SGD_RULES[0], 1), sampled_head(SGD_RULES[0], 1)
    losses = walk(short, 12)
    assert len(short.mover.missed) <= 6
    monkeypatch.undo()
    assert losses == pytest.approx(walk(long, 12), rel=1e-10)


def test_what_cannot_work_is_refused():
    with pytest.raises(ValueError, match="RowAdamW cannot make up the steps"):
        sampled_head(RowAdamW(), 1)
    with pytest.raises(ValueError, match="RowAdaGrad cannot make up the steps"):
        sampled_head(RowAdaGrad(weight_decay=0.1), 1)
    with pytest.raises(ValueError, match="rate must be above 0 and at most 1, got 0"):
        Sampled(rate=0)
