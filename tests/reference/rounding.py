"""Losses and gradients of a head whose large products take operands of bfloat16: the exact values at those operands.

bfloat16 has eight significant bits, so that an operand v becomes v (1 + r), |r| <= u = 2^-8. The embeddings and rows
are rounded here as a head does it, and cosines, losses and gradients follow in float64, the own cosine from what was
not rounded. What a head rounds after that is bounded, entry by entry: a share and the embedding that carries the rest
of its factor once each, and float32 sums:

    dG_ij   <= |G_ij| (3 u + exp(float32 error of the logits) - 1)      G: the gradient of cosine ij
    dx_i    <= sum_j dG_ij |w_j|,    dw_j <= sum_i dG_ij |x_i|          both projected as the gradients are
"""

import torch
from torch import Tensor

from angulus.heads import margin_softmax
from angulus.heads.strategies.problem import Logits, Problem, Sums
from angulus.margins import Margin, Seen

U = 2.0**-8
EPSILON = 2.0**-20  # of a logit, or of the largest entry of a gradient: float32 sums
CLOSE = 1e-5  # cosines that may change places in float32


class FromCosines:
    """A strategy that sums over given cosines [n, c, k], which have a gradient."""

    def __init__(self, cos: Tensor) -> None:
        self.cos = cos

    def sweep(self, problem: Problem) -> "FromCosines":
        self.problem = problem
        self.best = self.cos.max(dim=2).values
        return self

    def own(self) -> Tensor:
        return self.with_gradient().detach()

    def with_gradient(self) -> Tensor:
        return self.best.gather(1, self.problem.labels.clamp(min=0)[:, None]).squeeze(1)

    def sums(self, logits: Logits, total: bool = False) -> Sums:
        every = slice(0, self.best.shape[1])
        rest = self.problem.without_own(logits(self.best, every), every).logsumexp(dim=1)
        return Sums(self.with_gradient(), rest, None, self.best.shape[1])


def rounding_bounds(
    margin: Margin, problem: tuple[Tensor, Tensor, Tensor], *, cut: bool = False, cosines: str = "float32"
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Losses and gradients (of embeddings, weights [c, k, d], bias, scale), and how far each entry may be off.

    The losses are weighted by 0.5 to 1.5, bias and learned scale begin as in tests/heads/kernels/test_fused.py.
    cut: what kernels round is cut off, as Triton's interpreter does: rows and shares.  cosines: bfloat16 where they are
    rounded.
    """
    u = 2 * U if cut else U
    x, w, labels = problem
    lengths, long = x.double().norm(dim=1, keepdim=True), w.double().norm(dim=2, keepdim=True)
    unit = x.double() / lengths
    rows = w.double() if margin.free_weights else w.double() / long
    units, panel = operand(x / x.norm(dim=1, keepdim=True), False), operand(rows.float(), cut)
    own = torch.zeros(len(x), len(w), 1, dtype=torch.bool).scatter_(1, labels.clamp(min=0)[:, None, None], True)
    exact, rough = torch.einsum("nd,ckd->nck", unit, rows), torch.einsum("nd,ckd->nck", units, panel)
    clipped = rough if margin.free_weights else rough.clamp(-1.0, 1.0)
    leaves = {"cos": torch.where(own, exact, clipped), "norms": lengths[:, 0].clone()}
    leaves |= {"bias": torch.linspace(-2, 2, len(w), dtype=torch.float64)} if margin.has_bias else {}
    for name, value in margin.initial_learned(len(w)).items():
        leaves[name] = torch.tensor(value, dtype=torch.float64)
    leaves = {name: leaf.requires_grad_() for name, leaf in leaves.items()}
    learned = {"scale": leaves["scale"]} if "scale" in leaves else None
    carrier = unit * leaves["norms"][:, None]  # so that its length is the leaf
    strategy = FromCosines(leaves["cos"])
    losses = margin_softmax(
        carrier, w.double(), labels, margin, bias=leaves.get("bias"), learned=learned, strategy=strategy
    )
    per_loss = torch.linspace(0.5, 1.5, len(losses), dtype=torch.float64)
    found = torch.autograd.grad((losses * per_loss).sum(), list(leaves.values()), allow_unused=True)
    given = {name: torch.zeros_like(leaves[name]) if g is None else g for name, g in zip(leaves, found, strict=True)}
    pull = given.pop("cos")

    # the own part is multiplied with what was not rounded
    theirs, mine = torch.where(own, 0.0, pull), torch.where(own, pull, 0.0)
    for_unit = torch.einsum("nck,ckd->nd", theirs, panel) + torch.einsum("nck,ckd->nd", mine, rows)
    for_rows = torch.einsum("nck,nd->ckd", theirs, units) + torch.einsum("nck,nd->ckd", mine, unit)
    want = {"losses": losses.detach(), "embeddings": off_axis(for_unit, unit) / lengths}
    want["embeddings"] = want["embeddings"] + given.pop("norms")[:, None] * unit
    want |= {"weight": for_rows if margin.free_weights else off_axis(for_rows, rows) / long, **given}

    scale = scale_of(margin, x.double(), learned).detach()[:, None, None]
    logit = (scale * exact.abs()).amax(dim=(1, 2), keepdim=True) * (EPSILON + (u if cosines == "bfloat16" else 0.0))
    best = rough.amax(dim=2, keepdim=True)
    close = CLOSE * best.abs().clamp(min=1.0) + (2 * u * best.abs() if cosines == "bfloat16" else 0.0)
    near = ((best - rough <= close) & (w.shape[1] > 1) & ~own).expand_as(pull)
    share = torch.expm1(2 * logit)
    swapped = torch.where(near & (near.sum(dim=2, keepdim=True) > 1), pull.abs().amax(dim=2, keepdim=True), 0.0)
    wrong = torch.where(own, pull.abs() * share, pull.abs() * (3 * u + share)) + swapped
    by_unit = torch.einsum("nck,ckd->nd", wrong, rows.abs())
    by_rows = torch.einsum("nck,nd->ckd", wrong, unit.abs())
    # the gradient of a scale for each example is that of a sum over the classes; it goes along the embedding
    along = ((wrong * exact.abs()).sum(dim=(1, 2)) / lengths[:, 0])[:, None] * unit.abs()
    bounds = {"losses": logit[:, 0, 0] + EPSILON * (1 + losses.detach().abs())}
    bounds["embeddings"] = across(by_unit, unit) / lengths + along
    bounds["weight"] = by_rows if margin.free_weights else across(by_rows, rows) / long
    if "bias" in given:
        bounds["bias"] = (wrong / scale).sum(dim=(0, 2))
    if "scale" in given:
        bounds["scale"] = (wrong * exact.abs() / scale).sum()
    for name in want.keys() - {"losses"}:
        bounds[name] = bounds[name] + 16 * EPSILON * want[name].abs().amax()
    return want, bounds


def operand(values: Tensor, cut: bool) -> Tensor:
    """Values rounded to bfloat16, as float64."""
    if cut:
        values = (values.float().contiguous().view(torch.int32) & -65536).view(torch.float32)
    return values.bfloat16().double()


def off_axis(gradient: Tensor, unit: Tensor) -> Tensor:
    """A gradient without its part along a unit vector."""
    return gradient - unit * (gradient * unit).sum(dim=-1, keepdim=True)


def across(wrong: Tensor, unit: Tensor) -> Tensor:
    """What an error becomes when its part along a unit vector is taken off, entry by entry."""
    return wrong + unit.abs() * (wrong * unit.abs()).sum(dim=-1, keepdim=True)


def scale_of(margin: Margin, x: Tensor, learned: dict[str, Tensor] | None) -> Tensor:
    if learned:
        return learned["scale"].expand(len(x))
    seen = Seen.of(x.new_zeros(len(x)), norms=x.norm(dim=1))
    return torch.as_tensor(margin.temperature(seen), dtype=torch.float64).expand(len(x))
