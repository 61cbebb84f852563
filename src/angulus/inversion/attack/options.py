"""How the images are moved: published defaults, and a named option for each choice that the paper leaves open."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from angulus.inversion.attack.faces.spaces import SpaceName
from angulus.inversion.attack.faces.starts import Begin
from angulus.inversion.attack.identity import Distance, Normalise, check_distance
from angulus.inversion.attack.objectives import Weights
from angulus.inversion.attack.views import Views

RateSchedule = Literal["constant", "cosine"]
MOST = 1e6
"""Of numbers that nobody wants larger, and that float32 cannot go far beyond."""


@dataclass(frozen=True, kw_only=True)
class InversionOptions:
    """Settings of an inversion. Published: iterations, batch_size, lr (Adam) and the weights.

    distance, normalise: of the open-set identity term (see `identity`).
    betas: of Adam.  schedule: of the learning rate over the iterations, "constant" or "cosine" down to 0.
    space: where images are looked for: published "pixels", or combinations of "eigenfaces" (see `spaces`).
    begin: what images start from: published "noise", or a picture made of public faces (see `starts`), with noise.
    start: standard deviation of that noise, on the scale of the network's input; published: 1.
    views: how the images are moved before the network sees them.  clamp: keep images in the range of real pixels.
    seed: of the noise that images start from, and of the views.
    Raises ValueError for values that make no sense.
    """

    iterations: int = 20_000
    batch_size: int = 256
    lr: float = 0.25
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: RateSchedule = "constant"
    distance: Distance = "l2"
    normalise: Normalise = "none"
    space: SpaceName = "pixels"
    begin: Begin = "noise"
    start: float = 1.0
    views: Views = field(default_factory=Views)
    clamp: bool = False
    seed: int = 0
    weights: Weights = field(default_factory=Weights)

    def __post_init__(self) -> None:
        for name in ("iterations", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.lr <= MOST:
            raise ValueError(f"lr must be above 0 and at most {MOST:g}, got {self.lr}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed must be from 0 to below 2^63, got {self.seed}")
        for name, known in (("begin", get_args(Begin)), ("space", get_args(SpaceName))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        if self.space == "eigenfaces" and self.begin == "noise":
            raise ValueError("begin must be average or decoded among eigenfaces, got 'noise'")
        if not 0 <= self.start <= MOST:
            raise ValueError(f"start must be at least 0 and at most {MOST:g}, got {self.start}")
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


PUBLISHED = InversionOptions()
BEST = InversionOptions(
    iterations=400,
    batch_size=64,
    lr=0.05,
    schedule="cosine",
    space="eigenfaces",
    begin="decoded",
    start=0.0,
    views=Views(shift=4.0, turn=5.0, scale=0.06, flip=True),
    clamp=True,
    weights=Weights(identity=20.0, variation=0.01, prior=0.02),
)
"""What independent recognisers took most often for the person, of what was tried (`benchmarks/inversion.py`)."""
SETTINGS = {"published": PUBLISHED, "best": BEST}
