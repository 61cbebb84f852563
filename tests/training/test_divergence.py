"""What counts as finite: every value, however large its neighbours are."""

import pytest
import torch
from torch import nn

from angulus.errors import NonFiniteError
from angulus.training.divergence import FiniteGuard

CPU = torch.device("cpu")


def guard_with(gradient: float) -> FiniteGuard:
    network = nn.Linear(4, 4)
    network.weight.grad = torch.full((4, 4), gradient)  # the bias has none
    guard = FiniteGuard({"backbone": network}, CPU)
    guard.look(3, torch.ones(2), torch.tensor([0, 1]))
    return guard


@pytest.mark.parametrize("gradient", [0.0, 1.0, -1e25, 3e38])
def test_a_large_gradient_is_finite(gradient: float) -> None:
    guard_with(gradient).raise_if_bad(["a", "b"])


@pytest.mark.parametrize("gradient", [float("nan"), float("inf"), float("-inf")])
def test_one_that_is_not_finite_is_named(gradient: float) -> None:
    with pytest.raises(NonFiniteError, match=r"step 3: the gradient of backbone\.weight"):
        guard_with(gradient).raise_if_bad(["a", "b"])
