"""One batch of images on its way from noise to faces: a step, and the state that a later process goes on from."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from angulus.errors import NonFiniteError
from angulus.inversion.attack.captured_step import Capture, CapturedStep, Slope, cuda_graph
from angulus.inversion.attack.faces.spaces import Pixels, Space
from angulus.inversion.attack.identity import IdentityTerm
from angulus.inversion.attack.images import start_images, valid_range
from angulus.inversion.attack.objectives import objective
from angulus.inversion.attack.options import InversionOptions
from angulus.inversion.attack.statistics import Inputs
from angulus.inversion.attack.views import DrawnViews, drawn_views, shown
from angulus.inversion.attack.watched_copy import watched
from angulus.models import EmbeddingModel

# Called after each iteration.
Watch = Callable[["InvertedBatch"], None]
POINTS = 200  # of the curve that is kept


class InvertedBatch:
    """The images of one batch, their optimizer and random numbers, and the curve of the objective so far.

    variable: what is moved, of a space.  done: iterations.  curve: {"iteration", terms by name, "cosine"}.
    seconds: so far, over all processes that worked on it; kept by the caller.
    seed: makes batches of one job differ.  pictures: [n, c, h, w], that the noise of the start is added to.
    """

    def __init__(
        self,
        model: EmbeddingModel,
        count: int,
        options: InversionOptions,
        seed: int,
        device: torch.device,
        pictures: Tensor | None = None,
        space: Space | None = None,
    ) -> None:
        self.model, self.options, self.device = model, options, device
        self.random = torch.Generator().manual_seed(seed)
        # channels last: twice as fast for depthwise convolutions on a CPU, the same values
        first = options.start * start_images(model.image_input(), count, self.random)
        if pictures is not None:
            first = first + pictures
        self.space: Space = Pixels() if space is None else space
        self.variable = self.space.variable(first.to(device))
        self.shape = first.shape
        self.range = valid_range(model.image_input(), first.to(device))
        self.optimizer = torch.optim.Adam([self.variable], lr=options.lr, betas=options.betas)
        self.done = 0
        self.seconds = 0.0
        self.curve: list[dict[str, float]] = []

    def run(self, identity: IdentityTerm, watch: Watch | None = None, *, capture: Capture | None = None) -> None:
        """Iterate to the end. The model must be frozen (see `attacked`). Raises NonFiniteError.

        capture: how a step is recorded, to be replayed by the others; None takes a CUDA graph on a CUDA device, and on
        others records nothing. A record that does not give what the step itself gives is not used.
        """
        if capture is None and self.device.type == "cuda":
            capture = cuda_graph
        with watched(self.model) as (network, inputs):
            plain = self.slope(network, identity, inputs)
            slope = plain
            while self.done < self.options.iterations:
                drawn = drawn_views(self.shape, self.options.views, self.random).to(self.variable)
                if capture is not None:
                    slope, capture = CapturedStep.of(plain, self.variable, drawn, capture) or plain, None
                self.step(slope, drawn, identity)
                if watch is not None:
                    watch(self)

    def slope(self, network: EmbeddingModel, identity: IdentityTerm, inputs: Inputs) -> Slope:
        """What gives the terms of a step and leaves its gradient in `variable.grad`.  network, inputs: of `watched`."""
        weights = self.options.weights

        def found(drawn: DrawnViews) -> dict[str, Tensor]:
            self.variable.grad = None
            images = self.space.images(self.variable)
            terms = objective(network, images, identity, inputs, weights, shown(images, drawn))
            prior = self.space.prior(self.variable)
            loss = terms.loss + weights.prior * prior
            loss.backward()
            values = {**vars(terms), "loss": loss, "prior": prior}
            return {name: value.detach() for name, value in values.items()}

        return found

    def step(self, slope: Slope, drawn: DrawnViews, identity: IdentityTerm) -> None:
        """One iteration of Adam."""
        options = self.options
        for group in self.optimizer.param_groups:
            group["lr"] = options.rate_at(self.done)
        terms = slope(drawn)
        if self.done % self.stride == 0 or self.done == options.iterations - 1:
            self.note(terms, terms["embeddings"], identity)
        self.optimizer.step()
        if options.clamp and isinstance(self.space, Pixels):
            with torch.no_grad():
                self.variable.clamp_(*self.range)
        self.done += 1

    @property
    def stride(self) -> int:
        """Iterations between two points of the curve."""
        return max(1, math.ceil(self.options.iterations / POINTS))

    @property
    def images(self) -> Tensor:
        """[n, c, h, w] as the network would see them."""
        with torch.no_grad():
            return self.space.images(self.variable)

    def note(self, terms: Mapping[str, Tensor], embeddings: Tensor, identity: IdentityTerm) -> None:
        """Add a point to the curve; values are those before the iteration's move."""
        names = ("loss", "identity", "batch_norm", "variation", "norm", "prior")
        values = {name: float(terms[name].detach()) for name in names}
        if not math.isfinite(values["loss"]):
            shown = ", ".join(f"{name} {value:g}" for name, value in values.items())
            advice = "lower --lr" if self.done else "the images begin too far away: lower --start, or a weight"
            raise NonFiniteError(f"the objective must be finite, got {shown} in iteration {self.done}; {advice}")
        cosine = float(identity.cosines(embeddings).mean())
        self.curve.append({"iteration": self.done, **values, "cosine": cosine})

    def state(self) -> dict[str, Any]:
        """What `restore` needs: tensors and plain values."""
        return {
            **{"variable": self.variable.detach().cpu(), "optimizer": self.optimizer.state_dict(), "done": self.done},
            **{"random": self.random.get_state(), "curve": self.curve, "seconds": self.seconds},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state of the same batch. Raises ValueError, or what torch raises, for a state of another."""
        done, curve, variable = state["done"], state["curve"], state["variable"]
        if type(done) is not int or not 0 <= done <= self.options.iterations:
            raise ValueError(f"it says that {done!r:.40} of {self.options.iterations} iterations are done")
        if not isinstance(curve, list) or not all(isinstance(point, dict) for point in curve):
            raise ValueError("its curve must be a list of points")
        if variable.shape != self.variable.shape:
            raise ValueError(f"its images are {list(variable.shape)} instead of {list(self.variable.shape)}")
        with torch.no_grad():
            self.variable.copy_(variable)
        self.optimizer.load_state_dict(state["optimizer"])
        kept = [value for values in self.optimizer.state.values() for value in values.values()]
        if not all(isinstance(value, Tensor) and value.shape in (variable.shape, ()) for value in kept):
            raise ValueError("its optimizer is of other images")
        self.random.set_state(state["random"].cpu())
        self.done, self.curve = done, list(curve)
        self.seconds = float(state["seconds"])
