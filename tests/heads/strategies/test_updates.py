import pytest
import torch
from devices.gpu import EACH_DEVICE

from angulus.heads import Dense, MarginHead, RowAdaGrad, RowAdamW, RowSGD, Streamed
from angulus.margins import AMMSoftmax, ArcFace, L2Softmax, Learned, SphereFace

CASES = {
    "sgd": (RowSGD(momentum=0.9, weight_decay=0.01), lambda p: torch.optim.SGD(p, 0.1, 0.9, weight_decay=0.01)),
    "nesterov": (
        RowSGD(momentum=0.8, weight_decay=0.01, nesterov=True),
        lambda p: torch.optim.SGD(p, 0.1, 0.8, weight_decay=0.01, nesterov=True),
    ),
    "plain": (RowSGD(momentum=0.0, weight_decay=0.0), lambda p: torch.optim.SGD(p, 0.1)),
    "adamw": (RowAdamW(weight_decay=0.1), lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.1)),
}
MARGINS = [ArcFace(scale=16.0), L2Softmax(scale=Learned(8.0)), SphereFace(), AMMSoftmax(scale=16.0)]


def heads(margin, subcenters, rule, mode="recompute"):
    torch.manual_seed(0)
    strategy = Streamed(chunk=4, mode=mode)
    moved = MarginHead(6, 11, margin, subcenters=subcenters, strategy=strategy, update=rule).double()
    plain = MarginHead(6, 11, margin, subcenters=subcenters, strategy=Dense()).double()
    with torch.no_grad():
        moved.weight.copy_(torch.randn_like(moved.weight))
        plain.weight.copy_(moved.weight)
    return moved, plain


@EACH_DEVICE
@pytest.mark.parametrize("mode", ["recompute", "stash"])
@pytest.mark.parametrize("subcenters", [1, 3])
@pytest.mark.parametrize("margin", MARGINS, ids=lambda margin: margin.kind)
@pytest.mark.parametrize(("rule", "optimizer"), CASES.values(), ids=CASES.keys())
def test_a_rule_equals_the_optimizer_on_the_whole_gradient(rule, optimizer, margin, subcenters, mode, device):
    moved, plain = (head.to(device) for head in heads(margin, subcenters, rule, mode))
    reference = optimizer([plain.weight])
    moved.learning_rate = 0.1
    for step in range(4):
        x = torch.randn(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(step))
        labels = torch.tensor([0, 10, 3, 3, -1], device=device)
        first, second = (x.to(device, copy=True).requires_grad_() for _ in range(2))
        moved(first, labels).loss.backward()
        plain(second, labels).loss.backward()
        assert moved.weight.grad is None
        assert torch.allclose(first.grad, second.grad, rtol=1e-10, atol=1e-12)
        reference.step()
        plain.zero_grad()
        assert torch.allclose(moved.weight, plain.weight, rtol=1e-10, atol=1e-12)


def test_row_wise_adagrad_follows_its_formula():
    moved, plain = heads(ArcFace(scale=16.0), 1, RowAdaGrad())
    moved.learning_rate = 0.1
    square = torch.zeros(11, 1, dtype=torch.float64)
    for step in range(3):
        x = torch.randn(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(step))
        labels = torch.tensor([0, 10, 3, 3, 7])
        moved(x, labels).loss.backward()
        plain.zero_grad()
        plain(x, labels).loss.backward()
        square += plain.weight.grad.square().mean(dim=1, keepdim=True)
        with torch.no_grad():
            plain.weight -= 0.1 * plain.weight.grad / (square.sqrt() + 1e-10)
        assert torch.allclose(moved.weight, plain.weight, rtol=1e-10, atol=1e-12)


def test_the_state_of_a_rule_is_saved_with_the_head():
    moved, _ = heads(ArcFace(scale=16.0), 1, RowAdamW())
    moved.learning_rate = 0.1
    labels = torch.tensor([0, 10, 3])
    moved(torch.randn(3, 6, dtype=torch.float64), labels).loss.backward()
    other, _ = heads(ArcFace(scale=16.0), 1, RowAdamW())
    other.load_state_dict(moved.state_dict())
    other.learning_rate = 0.1
    x = torch.randn(3, 6, dtype=torch.float64)
    for head in (moved, other):
        head(x, labels).loss.backward()
    assert torch.equal(moved.weight, other.weight)
    assert other.mover.steps == 2


def test_what_cannot_work_is_refused():
    with pytest.raises(ValueError, match="needs the strategy Streamed"):
        MarginHead(4, 5, ArcFace(), update=RowSGD())
    head = MarginHead(4, 5, ArcFace(), strategy=Streamed(), update=RowSGD())
    with pytest.raises(ValueError, match=r"set head\.learning_rate"):
        head(torch.randn(2, 4), torch.tensor([0, 1])).loss.backward()
    with pytest.raises(ValueError, match="momentum must be at least 0 and below 1"):
        RowSGD(momentum=1.0)


def test_evaluation_mode_moves_nothing():
    head = MarginHead(4, 5, ArcFace(), strategy=Streamed(), update=RowSGD()).eval()
    before = head.weight.detach().clone()
    head(torch.randn(2, 4), torch.tensor([0, 1])).loss.backward()
    assert torch.equal(head.weight, before)
    assert head.weight.grad is not None
