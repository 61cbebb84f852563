"""How the images of an inversion are made: the settings that `invert` and `audit inversion` share."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from angulus.cli.numbers import Count, CountOrNone, Positive, Share, Weight
from angulus.cli.options import Flag, Several
from angulus.errors import ConfigError

if TYPE_CHECKING:
    from angulus.inversion import InversionOptions

Steps = Parameter(group=Group("The steps of the optimiser", sort_key=3))
Terms = Parameter(group=Group("What is minimised", sort_key=4))
Seen = Parameter(group=Group("What the network is shown", sort_key=5))


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Settings:
    """How images are made; what is published is the default.

    Parameters
    ----------
    iterations
        Steps of Adam for each batch.
    batch_size
        Images that are inverted together; batch-norm statistics are those of the batch.
    lr
        Learning rate of Adam.
    betas
        Betas of Adam.
    schedule
        The learning rate over the iterations: constant, or cosine down to 0.
    bn
        Weight of the batch-norm statistics; 0 leaves them out.
    bn_moment
        Compare standard deviations (published) or variances (DeepInversion).
    bn_unsquared
        Norms instead of squared norms (DeepInversion).
    bn_first
        How many times the first batch-norm layer counts (DeepInversion: 10).
    variation
        Weight of total variation.
    variation_form
        norm, squared or anisotropic.
    norm
        Weight of the images' L2 norm.
    distance
        How an embedding is compared with its target, where embeddings are inverted.
    normalise
        none: raw embeddings; unit: both brought to length 1 before.
    start
        Standard deviation of the noise that images start from.
    jitter
        Move what the network sees by up to so many pixels, anew in each iteration.
    flip
        Show the network mirrored images in half of the iterations.
    clamp
        Keep images in the range of real pixels.
    seed
        Another noise to start from.
    """

    iterations: Annotated[int, Count, Steps] = 20_000
    batch_size: Annotated[int, Count, Steps] = 256
    lr: Annotated[float, Positive, Steps] = 0.25
    betas: Annotated[tuple[float, float], Several, Share, Steps] = (0.9, 0.999)
    schedule: Annotated[Literal["constant", "cosine"], Steps] = "constant"
    bn: Annotated[float, Weight, Terms] = 0.05
    bn_moment: Annotated[Literal["std", "variance"], Terms] = "std"
    bn_unsquared: Annotated[bool, Flag, Terms] = False
    bn_first: Annotated[float, Weight, Terms] = 1.0
    variation: Annotated[float, Weight, Terms] = 1e-3
    variation_form: Annotated[Literal["norm", "squared", "anisotropic"], Terms] = "norm"
    norm: Annotated[float, Weight, Terms] = 1e-4
    distance: Annotated[Literal["l2", "squared", "cosine"], Terms] = "l2"
    normalise: Annotated[Literal["none", "unit"], Terms] = "none"
    start: Annotated[float, Positive, Steps] = 1.0
    jitter: Annotated[int, CountOrNone, Seen] = 0
    flip: Annotated[bool, Flag, Seen] = False
    clamp: Annotated[bool, Flag, Seen] = False
    seed: Annotated[int, CountOrNone, Steps] = 0

    def options(self) -> "InversionOptions":
        """The options of the library. Raises ConfigError for values that make no sense."""
        from angulus.inversion import InversionOptions, Matching, Weights

        try:
            matching = Matching(moment=self.bn_moment, squared=not self.bn_unsquared, first_layer=self.bn_first)
            weights = Weights(
                batch_norm=self.bn,
                variation=self.variation,
                norm=self.norm,
                variation_form=self.variation_form,
                matching=matching,
            )
            return InversionOptions(
                iterations=self.iterations,
                batch_size=self.batch_size,
                lr=self.lr,
                betas=self.betas,
                schedule=self.schedule,
                distance=self.distance,
                normalise=self.normalise,
                start=self.start,
                jitter=self.jitter,
                flip=self.flip,
                clamp=self.clamp,
                seed=self.seed,
                weights=weights,
            )
        except ValueError as error:
            raise ConfigError(str(error)) from error


PUBLISHED = Settings()
