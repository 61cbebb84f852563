"""The center loss against loops: values, gradients, and where the centers are after several steps."""

import pytest
import torch

from angulus.heads import Center, first_centers
from tests.reference.center_loss import naive_center_loss, naive_moved

CLASSES, DIM = 5, 3
BATCHES = {
    "pk": [0, 0, 1, 1, 3, 3],
    "uneven": [4, 2, 4, 4, 1],
    "one image": [2],
    "left out": [-1, 3, -1, 0, 3],
    "nobody": [-1, -1],
}
TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 1e-6}


def drawn(labels, dtype, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(labels), DIM, generator=generator).to(dtype).requires_grad_()


@pytest.mark.parametrize("labels", BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_value_and_gradient_are_those_of_the_loops(labels, dtype):
    features = drawn(labels, dtype)
    centers = torch.randn(CLASSES, DIM, generator=torch.Generator().manual_seed(1)).to(
        torch.float64 if dtype == torch.float64 else torch.float32
    )
    found = Center().loss(features, torch.tensor(labels), centers)
    found.backward()
    wanted_of = features.detach().double().requires_grad_()
    wanted = naive_center_loss(wanted_of, labels, centers)
    wanted.backward()
    tolerance = TOLERANCES[dtype]
    assert float(found.detach()) == pytest.approx(float(wanted.detach()), rel=tolerance, abs=tolerance)
    rounding = 1e-2 if dtype == torch.bfloat16 else tolerance
    assert torch.allclose(features.grad.double(), wanted_of.grad, rtol=rounding, atol=rounding)
    assert centers.grad is None


@pytest.mark.parametrize("rate", [0.5, 1.0, 0.01])
def test_centers_go_where_the_loops_put_them(rate):
    found = first_centers(CLASSES, DIM, torch.device("cpu")).double()
    wanted = found.clone()
    for seed, labels in enumerate(list(BATCHES.values()) * 2):
        features = drawn(labels, torch.float64, seed)
        Center(rate=rate).move(found, features, torch.tensor(labels))
        wanted = naive_moved(wanted, features.detach(), labels, rate)
        assert torch.allclose(found, wanted, rtol=1e-12, atol=1e-14)
    assert not found.requires_grad
    assert bool((found.norm(dim=1) > 0).all())


def test_classes_outside_a_batch_stay_where_they_are():
    centers = torch.randn(CLASSES, DIM)
    before = centers.clone()
    Center().move(centers, torch.randn(4, DIM), torch.tensor([-1, 1, 4, 1]))
    assert torch.equal(centers[[0, 2, 3]], before[[0, 2, 3]])
    assert not (centers[[1, 4]] == before[[1, 4]]).any()


def test_the_gradient_is_the_way_to_the_center():
    """Equation 3, over the number of examples: x - c."""
    features = torch.tensor([[3.0, 0.0], [0.0, 1.0]], requires_grad=True)
    centers = torch.tensor([[1.0, 0.0], [0.0, 4.0]])
    Center().loss(features, torch.tensor([0, 1]), centers).backward()
    assert features.grad is not None
    assert features.grad.tolist() == [[1.0, 0.0], [0.0, -1.5]]


@pytest.mark.parametrize("values", [{"weight": 0.0}, {"weight": float("nan")}, {"rate": 0.0}, {"rate": 1.5}])
def test_values_that_make_no_center_loss_are_refused(values):
    name = next(iter(values))
    with pytest.raises(ValueError, match=f"^{name} must be above 0"):
        Center(**values)


def test_features_of_another_length_are_refused():
    with pytest.raises(ValueError, match="must have the 3 dimensions of the centers, got 2"):
        Center().loss(torch.zeros(1, 2), torch.tensor([0]), torch.zeros(CLASSES, DIM))
