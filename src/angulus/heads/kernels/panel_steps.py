"""What happens to a panel of classes between its matrix products, in plain torch: any device, any number type.

A panel is a range of classes whose weight rows lie ready for products, [c' * k, d]: at unit length unless weights are
free, rounded to the operand type. `panel_launches` does the same steps in one kernel each.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from angulus.heads.strategies.problem import Logits, Problem, inverse_of


@dataclass(frozen=True)
class Running:
    """Sums over the panels so far, in slots [b, n] that are added up at the end, always in the same order.

    peaks: what was taken off the logits.  totals: sums of exp(logit - peak).  plains: sums of the logits, or None.
    """

    peaks: Tensor
    totals: Tensor
    plains: Tensor | None

    @classmethod
    def of(cls, slots: int, like: Tensor, shift: float | None, total: bool) -> "Running":
        """like: [n]."""
        lowest = torch.finfo(like.dtype).min if like.dtype == torch.float64 else LOWEST
        peaks = like.new_full((slots, len(like)), lowest if shift is None else shift)
        return cls(peaks, torch.zeros_like(peaks), torch.zeros_like(peaks) if total else None)

    def combined(self) -> tuple[Tensor, Tensor]:
        """The log-sums [n], and the plain sums [n] (zero where they were not asked for)."""
        peak = self.peaks.amax(dim=0)
        total = (self.totals * (self.peaks - peak).exp_()).sum(dim=0)
        rest = peak + total.clamp_(min=torch.finfo(total.dtype).tiny).log_()
        return rest, torch.zeros_like(rest) if self.plains is None else self.plains.sum(dim=0)


# A peak before the first class: so low that it never wins, so high that differences stay in float32.
LOWEST = -1e30


@dataclass(frozen=True)
class Given:
    """What the backward pass is given for each example, and what it sums up besides.

    rest: [n] log-sums.  grad_rest: [n] their gradient.  grad_total: [n] that of the plain sums; None where none is
    wanted, and then shares are not multiplied with grad_rest, which rides on the embeddings.
    grad_scale: slots [b, n], or None.  grad_bias: [c], or None.
    """

    rest: Tensor
    grad_rest: Tensor
    grad_total: Tensor | None
    grad_scale: Tensor | None
    grad_bias: Tensor | None


class Steps(Protocol):
    """The steps between the products of a panel. cos: [n, c' * k] products, which may be overwritten."""

    @property
    def slots(self) -> int:
        """Into how many slots the sums go."""
        ...

    def prepare(self, classes: slice, panel: Tensor) -> Tensor | None:
        """Fill a panel [c' * k, d]; one over the lengths of its rows [c' * k], None for free weights."""
        ...

    def add(self, cos: Tensor, classes: slice, running: Running, kept: Tensor | None) -> None:
        """Add a panel to the sums. kept: [n, c' * k], where to write exp(logit - shift), 0 for the own class and for
        sub-centers that are not the nearest."""
        ...

    def shares(self, cos: Tensor, classes: slice, given: Given, out: Tensor) -> None:
        """Write the gradients of the cosines, less what rides on the embeddings, into out [n, c' * k]."""
        ...

    def project(self, gradient: Tensor, classes: slice, inverse: Tensor | None) -> None:
        """Turn the gradient of unit rows [c' * k, d] into that of the rows as stored, in place."""
        ...

    def move(self, gradient: Tensor, classes: slice, inverse: Tensor | None) -> bool:
        """Project, and move the rows by their rule; False where that is left to the caller."""
        ...


@dataclass(frozen=True)
class TorchSteps:
    """The steps in plain torch."""

    problem: Problem
    logits: Logits
    shift: float | None
    slots: int = 1

    def rows(self, classes: slice) -> Tensor:
        return self.problem.weight[classes].flatten(0, 1)

    def prepare(self, classes: slice, panel: Tensor) -> Tensor | None:
        rows = self.rows(classes)
        if self.problem.free:
            panel.copy_(rows)
            return None
        inverse = inverse_of(rows)
        panel.copy_(rows * inverse[:, None])
        return inverse

    def nearest(self, cos: Tensor) -> tuple[Tensor, Tensor | None]:
        """[n, c'] the cosine of the nearest sub-center, and which it is, None for one."""
        cos = cos.to(self.problem.unit.dtype)
        if not self.problem.free:
            cos = cos.clamp_(-1.0, 1.0)
        centers = self.problem.weight.shape[1]
        if centers == 1:
            return cos, None
        best, center = cos.unflatten(1, (-1, centers)).max(dim=2)
        return best, center

    def add(self, cos: Tensor, classes: slice, running: Running, kept: Tensor | None) -> None:
        problem, peak = self.problem, running.peaks[0]
        best, center = self.nearest(cos)
        values = self.logits(best, classes)
        if running.plains is not None:
            running.plains[0] += problem.put_own_(values, classes, 0.0).sum(dim=1)
        problem.drop_own_(values, classes)
        if self.shift is None:
            higher = torch.maximum(peak, values.amax(dim=1))
            running.totals[0].mul_((peak - higher).exp_())
            peak.copy_(higher)
        exponentials = problem.put_own_(values.sub_(peak[:, None]).exp_(), classes, 0.0)
        running.totals[0] += exponentials.sum(dim=1)
        if kept is not None:
            spread(exponentials, center, kept)

    def shares(self, cos: Tensor, classes: slice, given: Given, out: Tensor) -> None:
        problem = self.problem
        best, center = self.nearest(cos)
        values, slopes = self.logits.with_slopes(best, classes)
        shares = problem.drop_own_(values, classes).sub_(given.rest[:, None]).exp_()
        if given.grad_total is not None:
            shares.mul_(given.grad_rest[:, None]).add_(given.grad_total[:, None])
        problem.put_own_(shares, classes, 0.0)
        weight = given.grad_rest if given.grad_total is None else None
        if given.grad_bias is not None:
            weighted = shares if weight is None else shares * weight[:, None]
            given.grad_bias[classes] = weighted.sum(dim=0)
        if given.grad_scale is not None:
            scaled = (shares * self.logits.others(best, classes)).sum(dim=1)
            given.grad_scale[0] += scaled if weight is None else scaled * weight
        spread(shares if slopes is None else shares.mul_(slopes), center, out)

    def project(self, gradient: Tensor, classes: slice, inverse: Tensor | None) -> None:
        if inverse is None:
            return
        rows = self.rows(classes)
        along = (gradient * rows).sum(dim=1).mul_(inverse)
        # in this order no product leaves float32, however short a row is
        gradient.addcmul_(rows, (along * inverse)[:, None], value=-1.0).mul_(inverse[:, None])

    def move(self, gradient: Tensor, classes: slice, inverse: Tensor | None) -> bool:
        return False


def spread(values: Tensor, center: Tensor | None, out: Tensor) -> None:
    """Write values [n, c'] to the nearest sub-centers of out [n, c' * k], 0 to the others."""
    if center is None:
        out.copy_(values)
        return
    out.zero_().unflatten(1, (center.shape[1], -1)).scatter_(2, center[..., None], values[..., None].to(out.dtype))
