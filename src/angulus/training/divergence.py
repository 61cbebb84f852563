"""Is everything still finite, and if not: which step, which tensor, which examples.

On a CPU the answer is read at every step, before the optimizer moves anything. On other devices it is kept there and
read now and then, so that no step waits; nothing is saved before it has been read. Several processes agree when they
read, so that all stop where one has seen something.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from angulus.errors import NonFiniteError
from angulus.training.distributed import Processes

NEVER = torch.iinfo(torch.int64).max


class FiniteGuard:
    """Remembers the first step at which a loss or a gradient was not finite."""

    def __init__(self, modules: dict[str, nn.Module], device: torch.device, group: Processes | None = None) -> None:
        self.group = Processes() if group is None else group
        self.names = [f"{part}.{name}" for part, module in modules.items() for name, _ in module.named_parameters()]
        self.parameters = [parameter for module in modules.values() for parameter in module.parameters()]
        self.device = device
        self.first_step = torch.full((), NEVER, dtype=torch.int64, device=device)
        self.bad_gradients = torch.zeros(len(self.names), dtype=torch.bool, device=device)
        self.bad_examples: Tensor | None = None
        self.indices: Tensor | None = None

    @torch.no_grad()
    def look(self, step: int, losses: Tensor, indices: Tensor) -> None:
        """Look at the losses [n] of a step and the gradients that it left; indices [n] name the examples."""
        bad_losses = ~torch.isfinite(losses)
        bad_gradients = ~torch.isfinite(self.gradient_norms())
        bad = bad_losses.any() | bad_gradients.any()
        is_first = bad & (self.first_step == NEVER)
        self.first_step = torch.where(is_first, step, self.first_step)
        self.bad_gradients = torch.where(is_first, bad_gradients, self.bad_gradients)
        if self.bad_examples is None or self.indices is None or self.bad_examples.shape != bad_losses.shape:
            self.bad_examples, self.indices = bad_losses, indices.to(self.device)
        else:
            self.bad_examples = torch.where(is_first, bad_losses, self.bad_examples)
            self.indices = torch.where(is_first, indices.to(self.device), self.indices)

    def gradient_norms(self) -> Tensor:
        """[p] a norm of the gradient of each parameter, finite where all of it is, and 0 where there is none.

        On a CPU the length is faster to find than the largest absolute value, but may leave the range of float32.
        """
        if self.device.type == "cpu" and torch.isfinite(lengths := self.norms_of(2.0)).all():
            return lengths
        return self.norms_of(torch.inf)

    def norms_of(self, order: float) -> Tensor:
        gradients = [gradient for parameter in self.parameters if (gradient := parameter.grad) is not None]
        largest = iter(torch._foreach_norm(gradients, order) if gradients else ())
        none = torch.zeros((), device=self.device)
        norms = [none if parameter.grad is None else next(largest).float() for parameter in self.parameters]
        return torch.stack(norms) if norms else none[None][:0]

    def raise_if_bad(self, keys: Sequence[str]) -> None:
        """Raise NonFiniteError for the first bad step, naming tensor and examples. Reads the device.

        Every process calls it at the same step; all raise the sentence of the one that saw it first.
        """
        first = int(self.group.least(self.first_step))
        if first == NEVER:
            return
        seen = self.sentence(keys) if int(self.first_step) == first else None
        raise NonFiniteError(next(sentence for sentence in self.group.every(seen) if sentence is not None))

    def sentence(self, keys: Sequence[str]) -> str:
        """What was not finite at the first bad step of this process."""
        if self.bad_examples is not None and self.indices is not None and bool(self.bad_examples.any()):
            chosen = [keys[int(index)] for index in self.indices[self.bad_examples][:5]]
            what = f"the loss of {int(self.bad_examples.sum())} examples (first: {', '.join(chosen)})"
        else:
            tensors = [self.names[int(k)] for k in self.bad_gradients.nonzero()[:3]]
            what = f"the gradient of {', '.join(tensors)}"
        return (
            f"step {int(self.first_step)}: {what} is not finite; the last checkpoint was written before it. "
            "Lower optim.lr, lengthen learning_rate.warmup_epochs or set train.clip_norm, then resume or start anew"
        )
