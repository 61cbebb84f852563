"""What a margin says of other classes in numbers is what it computes: values and slopes."""

import pytest
import torch
from reference.margin_cases import CASE_NAMES, CASES
from torch import Tensor

from angulus.margins import Formula, Margin, MVSoftmax, Seen

KNOWN = [case for case in CASES if case.margin.reshapes_others]


def evaluated(formula: Formula, cos: Tensor, reference: Tensor) -> Tensor:
    """The definitions of `Formula`, by autograd."""
    first, *others = (torch.as_tensor(value, dtype=cos.dtype).expand(len(cos))[:, None] for value in formula.values)
    if formula.kind == "weighted":
        return (cos.detach() + first).clamp(min=0.0) * (cos - first)
    if formula.kind == "turned":
        angle = torch.acos(cos) - torch.atan2(others[0], first)
        return torch.where(cos.detach() > reference, torch.cos(angle.clamp(min=0.0)), cos)
    return torch.where(cos.detach() > reference, (first * cos + others[0]) * cos + others[1], cos)


@pytest.mark.parametrize("case", KNOWN, ids=[case.name for case in KNOWN])
def test_a_formula_says_what_others_computes(case) -> None:
    generator = torch.Generator().manual_seed(0)
    own = torch.rand(20, generator=generator, dtype=torch.float64) * 1.6 - 0.8
    cos = torch.rand(20, 50, generator=generator, dtype=torch.float64) * 1.9 - 0.95
    seen = Seen.of(own, num_classes=50, step=case.step, state=case.tensors())
    formula = case.margin.formula(seen)
    if formula is None:
        return
    reference = case.margin.reference(own, seen)[:, None]
    found = []
    for function in (lambda c: case.margin.others(c, reference, seen), lambda c: evaluated(formula, c, reference)):
        variable = cos.clone().requires_grad_()
        values = function(variable)
        found.append((values.detach(), torch.autograd.grad(values.sum(), variable)[0]))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_most_margins_that_reshape_others_have_a_formula() -> None:
    seen = Seen.of(torch.zeros(3, dtype=torch.float64), state={"t": torch.zeros(())})
    without = {case.name for case in KNOWN if case.margin.formula(seen) is None}
    assert without < set(CASE_NAMES)
    assert {case.margin.kind for case in KNOWN if case.name in without} <= {"AMMSoftmax", "SphereFaceR"}


def test_a_formula_is_not_inherited_by_other_others() -> None:
    class Mine(MVSoftmax):
        def others(self, cos: Tensor, target: Tensor, seen: Seen) -> Tensor:
            return cos

    class Same(MVSoftmax):
        pass

    seen = Seen.of(torch.zeros(2))
    assert Mine().formula(seen) is None
    assert Same().formula(seen) == MVSoftmax().formula(seen)
    assert Margin().formula(seen) is None
