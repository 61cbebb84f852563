"""The batch-hard triplet loss against nested loops, in values and gradients, and what it makes of odd batches."""

import pytest
import torch

from angulus.heads import Triplet
from tests.reference.triplet_loss import naive_triplet_loss

BATCHES = {
    "pk": [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3],
    "mixed": [5, 1, 5, 2, 1, 5, 7, 2],
    "one alone": [0, 0, 1],
    "unknown": [0, -1, 0, 1, -1, 1],
    "all alone": [0, 1, 2],
    "one person": [4, 4, 4],
    "one image": [0],
}
TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 1e-6}


def drawn(labels, dtype, dim=5):
    generator = torch.Generator().manual_seed(len(labels))
    return torch.randn(len(labels), dim, generator=generator).to(dtype).requires_grad_()


@pytest.mark.parametrize("labels", BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("margin", [0.0, 0.3, 2.0, "soft"])
@pytest.mark.parametrize("distance", ["euclidean", "unit"])
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_value_and_gradient_are_those_of_the_loops(labels, margin, distance, dtype):
    features = drawn(labels, dtype)
    found = Triplet(margin=margin, distance=distance).loss(features, torch.tensor(labels))
    found.backward()
    found = found.detach()
    wanted_of = features.detach().double().requires_grad_()
    wanted = naive_triplet_loss(wanted_of, labels, margin, unit=distance == "unit")
    wanted.backward()
    wanted = wanted.detach()
    tolerance = TOLERANCES[dtype]
    assert abs(float(found) - float(wanted)) <= tolerance * (1 + abs(float(wanted)))
    # a gradient has the type of the features, and is rounded to it
    rounding = 1e-2 if dtype == torch.bfloat16 else tolerance
    assert torch.allclose(features.grad.double(), wanted_of.grad, rtol=rounding, atol=rounding)


def test_copies_of_one_image_have_a_finite_gradient():
    features = torch.ones(4, 3, requires_grad=True)
    loss = Triplet().loss(features, torch.tensor([0, 0, 1, 1]))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.3)
    assert bool(torch.isfinite(features.grad).all())


def test_a_batch_without_triplets_has_no_loss_and_no_gradient():
    features = drawn([0, 1, 2], torch.float32)
    loss = Triplet().loss(features, torch.tensor([0, 1, 2]))
    loss.backward()
    assert float(loss.detach()) == 0
    assert features.grad.abs().sum() == 0


def test_large_features_do_not_lose_their_differences():
    """Distances through products would be off by more than the margin here."""
    features = drawn(BATCHES["pk"], torch.float32).detach() + 1000
    found = Triplet().loss(features, torch.tensor(BATCHES["pk"]))
    assert float(found) == pytest.approx(float(naive_triplet_loss(features, BATCHES["pk"], 0.3)), rel=1e-6)


@pytest.mark.parametrize("values", [{"margin": -0.1}, {"margin": float("nan")}, {"weight": 0.0}])
def test_values_without_sense_are_refused(values):
    name = next(iter(values))
    with pytest.raises(ValueError, match=f"^{name} must be"):
        Triplet(**values)
