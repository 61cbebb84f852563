"""How the images are moved: published defaults, and a named option for each choice that the paper leaves open."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from angulus.inversion.attack.identity import Distance, Normalise, check_distance
from angulus.inversion.attack.objectives import Weights

RateSchedule = Literal["constant", "cosine"]


@dataclass(frozen=True, kw_only=True)
class InversionOptions:
    """Settings of an inversion. Published: iterations, batch_size, lr (Adam) and the weights.

    distance, normalise: of the open-set identity term (see `identity`).
    betas: of Adam.  schedule: of the learning rate over the iterations, "constant" or "cosine" down to 0.
    start: standard deviation of the noise that images start from, on the scale of the network's input; published: 1.
    jitter: move what the network sees by up to so many pixels in both directions, anew in each iteration.
    flip: mirror it in half of the iterations.  clamp: keep images in the range that pixels can have.
    seed: of the noise that images start from, of jitter and of flips.
    Raises ValueError for values that make no sense.
    """

    iterations: int = 20_000
    batch_size: int = 256
    lr: float = 0.25
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: RateSchedule = "constant"
    distance: Distance = "l2"
    normalise: Normalise = "none"
    start: float = 1.0
    jitter: int = 0
    flip: bool = False
    clamp: bool = False
    seed: int = 0
    weights: Weights = field(default_factory=Weights)

    def __post_init__(self) -> None:
        for name, least in (("iterations", 1), ("batch_size", 1), ("jitter", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name in ("lr", "start"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must be two numbers from 0 to below 1, got {self.betas}")
        if self.schedule not in get_args(RateSchedule):
            raise ValueError(f"schedule must be constant or cosine, got {self.schedule!r}")
        check_distance(self.distance, self.normalise)

    def rate_at(self, iteration: int) -> float:
        """The learning rate of an iteration, counted from 0."""
        if self.schedule == "constant":
            return self.lr
        return self.lr * (1 + math.cos(math.pi * iteration / self.iterations)) / 2

    def as_dict(self) -> Mapping[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "betas": list(self.betas)}
