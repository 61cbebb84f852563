"""How the images of an inversion are made: the settings that `invert` and `audit inversion` share."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from angulus.cli.numbers import Count, CountOrNone, Positive, Share, Weight
from angulus.cli.options import Flag, Several
from angulus.errors import ConfigError

if TYPE_CHECKING:
    from angulus.inversion import InversionOptions

Steps = Parameter(group=Group("The steps of the optimiser", sort_key=3))
Terms = Parameter(group=Group("What is minimised", sort_key=4))
Seen = Parameter(group=Group("What the network is shown", sort_key=5))
Named = Literal["published", "best"]
_OWN = {"bn": "batch_norm", "identity_weight": "identity"}  # of the weights, where the option has another name
_WEIGHTS = ("identity_weight", "bn", "variation", "variation_form", "norm", "prior")
_MATCHING = {"bn_moment": "moment", "bn_first": "first_layer"}
_VIEWS = ("shift", "turn", "scale", "contrast", "flip")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Settings:
    """How images are made. What is not given is that of --settings.

    Parameters
    ----------
    settings
        published: what the ArcFace paper says, and plainly where it says nothing. best: what independent recognisers
        took most often for the person (docs/inversion.md). invert: published; audit inversion: best.
    iterations
        Steps of Adam for each batch (published 20000, best 400).
    batch_size
        Images that are inverted together; batch-norm statistics are those of the batch (256, 64).
    lr
        Learning rate of Adam (0.25, 0.05).
    betas
        Betas of Adam (0.9 0.999 in both).
    schedule
        The learning rate over the iterations: constant (published), or cosine down to 0 (best).
    identity_weight
        Weight of the identity term (1, 20).
    bn
        Weight of the batch-norm statistics (0.05 in both); 0 leaves them out.
    bn_moment
        Compare standard deviations (std, in both) or variances (DeepInversion).
    bn_unsquared
        Norms instead of squared norms (DeepInversion).
    bn_first
        How many times the first batch-norm layer counts (1 in both; DeepInversion: 10).
    variation
        Weight of total variation (0.001, 0.01).
    variation_form
        norm (in both), squared or anisotropic.
    norm
        Weight of the images' L2 norm (0.0001 in both).
    distance
        How an embedding is compared with its target, where embeddings are inverted: l2 (in both), squared or cosine.
    normalise
        none: raw embeddings (in both); unit: both brought to length 1 before.
    space
        Where images are looked for: pixels (published), or combinations of eigenfaces of public faces (best).
    prior
        Weight of how unlikely such a combination is (0, 0.02).
    begin
        What images start from: noise (published), the average of public faces, or what a linear decoder, learned from
        public faces, makes of each template (decoded; best).
    start
        Standard deviation of the noise that images start from (1, 0).
    shift
        Move each image by up to so many pixels, anew in each iteration (0, 4).
    turn
        Turn it by up to so many degrees (0, 5).
    scale
        Scale it by up to this share (0, 0.06).
    contrast
        Change its contrast by up to this share, and its brightness (0, 0).
    flip
        Mirror half of the images (no, yes).
    clamp
        Keep images in the range of real pixels (no, yes).
    seed
        Another noise to start from.
    """

    settings: Annotated[Named | None, Steps] = None
    iterations: Annotated[int | None, Count, Steps] = None
    batch_size: Annotated[int | None, Count, Steps] = None
    lr: Annotated[float | None, Positive, Steps] = None
    betas: Annotated[tuple[float, float] | None, Several, Share, Steps] = None
    schedule: Annotated[Literal["constant", "cosine"] | None, Steps] = None
    identity_weight: Annotated[float | None, Weight, Terms] = None
    bn: Annotated[float | None, Weight, Terms] = None
    bn_moment: Annotated[Literal["std", "variance"] | None, Terms] = None
    bn_unsquared: Annotated[bool, Flag, Terms] = False
    bn_first: Annotated[float | None, Weight, Terms] = None
    variation: Annotated[float | None, Weight, Terms] = None
    variation_form: Annotated[Literal["norm", "squared", "anisotropic"] | None, Terms] = None
    norm: Annotated[float | None, Weight, Terms] = None
    distance: Annotated[Literal["l2", "squared", "cosine"] | None, Terms] = None
    normalise: Annotated[Literal["none", "unit"] | None, Terms] = None
    space: Annotated[Literal["pixels", "eigenfaces"] | None, Steps] = None
    prior: Annotated[float | None, Weight, Terms] = None
    begin: Annotated[Literal["noise", "average", "decoded"] | None, Steps] = None
    start: Annotated[float | None, Weight, Steps] = None
    shift: Annotated[float | None, Weight, Seen] = None
    turn: Annotated[float | None, Weight, Seen] = None
    scale: Annotated[float | None, Weight, Seen] = None
    contrast: Annotated[float | None, Weight, Seen] = None
    flip: Annotated[bool | None, Seen] = None
    clamp: Annotated[bool | None, Seen] = None
    seed: Annotated[int | None, CountOrNone, Steps] = None

    def options(self, otherwise: Named) -> "InversionOptions":
        """The options of the library; otherwise: the settings where none are named.

        Raises ConfigError for values that make no sense.
        """
        from angulus.inversion import SETTINGS

        base = SETTINGS[self.settings or otherwise]
        matching = replace(base.weights.matching, **self._given(_MATCHING))
        if self.bn_unsquared:
            matching = replace(matching, squared=False)
        try:
            weights = replace(base.weights, **self._given({name: _OWN.get(name, name) for name in _WEIGHTS}))
            return replace(
                base,
                weights=replace(weights, matching=matching),
                views=replace(base.views, **self._given({name: name for name in _VIEWS})),
                **self._given({name: name for name in _PLAIN}),
            )
        except ValueError as error:
            raise ConfigError(str(error)) from error

    def _given(self, names: dict[str, str]) -> dict[str, Any]:
        """What was given of these options, by the names of the library."""
        values = {own: getattr(self, name) for name, own in names.items()}
        return {name: value for name, value in values.items() if value is not None}


_PLAIN = (
    *("iterations", "batch_size", "lr", "betas", "schedule", "distance", "normalise"),
    *("space", "begin", "start", "clamp", "seed"),
)
USUAL = Settings()
UNUSED_FACES = "--public is not used with --begin noise --space pixels; leave it out, or --settings best"
