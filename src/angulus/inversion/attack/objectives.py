"""What is minimised: the published objective of ArcFace's inversion, term by term, with its weights.

    min over images I   identity L_id(f(I)) + batch_norm L_BN + variation TV(I) + norm |I|

Weights as published (Deng et al., TPAMI 2021, section 3.3): identity 1, batch_norm 0.05, variation 1e-3, norm
1e-4. What each term is, and which forms the paper leaves open, say `statistics`, `priors` and `identity`.
"""

from dataclasses import dataclass, field

from torch import Tensor

from angulus.errors import ModelError
from angulus.inversion.attack.identity import IdentityTerm
from angulus.inversion.attack.priors import Variation, image_norm, total_variation
from angulus.inversion.attack.statistics import Inputs, Matching, batch_norm_layers
from angulus.models import EmbeddingModel


@dataclass(frozen=True, kw_only=True)
class Weights:
    """How much each term counts, and the forms of the terms. Raises ValueError below 0.

    prior: of the space that images are looked for in (see `spaces`); pixels have none.
    """

    identity: float = 1.0
    batch_norm: float = 0.05
    variation: float = 1e-3
    norm: float = 1e-4
    prior: float = 0.0
    variation_form: Variation = "norm"
    matching: Matching = field(default_factory=Matching)

    def __post_init__(self) -> None:
        for name in ("identity", "batch_norm", "variation", "norm", "prior"):
            value = getattr(self, name)
            if not 0 <= value <= 1e12:
                upper = " and at most 1e12" if value > 0 else ""
                raise ValueError(f"{name} must be at least 0{upper}, got {value}")


@dataclass(frozen=True, eq=False)
class Terms:
    """The value of each term, unweighted, and their weighted sum `loss`; scalars with gradients. embeddings: [n, d]."""

    loss: Tensor
    identity: Tensor
    batch_norm: Tensor
    variation: Tensor
    norm: Tensor
    embeddings: Tensor


def objective(
    model: EmbeddingModel, images: Tensor, identity: IdentityTerm, inputs: Inputs, weights: Weights, seen: Tensor
) -> Terms:
    """The objective of images [n, c, h, w], prepared as the network takes them.

    inputs: what `listening(model)` gives.  seen: the images as the network is to see them (moved or mirrored), else the
    same as `images`; the priors look at `images` themselves.
    """
    inputs.clear()
    embeddings = model(seen)
    parts = (
        identity(embeddings),
        inputs.term(weights.matching) if weights.batch_norm else images.new_zeros(()),
        total_variation(images, weights.variation_form),
        image_norm(images),
    )
    inputs.clear()
    factors = (weights.identity, weights.batch_norm, weights.variation, weights.norm)
    loss = sum((factor * part for factor, part in zip(factors, parts, strict=True)), start=images.new_zeros(()))
    return Terms(loss, *parts, embeddings.detach())


def check_batch_norm(model: EmbeddingModel, weights: Weights) -> None:
    """Raise ModelError where the batch-norm term has a weight and the network has nothing to compare with."""
    if weights.batch_norm and not batch_norm_layers(model):
        raise ModelError(
            f"the weight of the batch-norm term is {weights.batch_norm:g}, but this network has no batch-norm layer "
            "with running statistics: what keeps images like those of the training set is missing; set --bn 0 to go on "
            "without it"
        )
