"""Who decides whether an inverted image shows the person: the attacked model itself, or one that had no part in it.

A judge is a name and a function from pictures to embeddings. Pictures of another model's size are brought to the
judge's without distortion: scaled to its height, since templates of faces agree in height, then cut at the sides, or
continued by their edge columns.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from angulus.errors import EvaluationError
from angulus.inversion.attack.attack_run import embed_pixels
from angulus.inversion.attack.frozen_network import attacked
from angulus.inversion.attack.images import at_size
from angulus.models import EmbeddingModel

Embedder = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Judge:
    """name: for tables.  embed: pictures uint8 [n, h, w, 3] -> embeddings [n, d].  size: height and width it takes.

    attacked: True for the model under attack itself.
    """

    name: str
    embed: Embedder
    size: tuple[int, int]
    attacked: bool = False

    def units(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embeddings of length 1 [n, d] of pictures of any size. Raises EvaluationError where one has no direction."""
        found = np.asarray(self.embed(at_size(pictures, self.size)), dtype=np.float32)
        if found.ndim != 2 or len(found) != len(pictures) or not np.isfinite(found).all():
            raise EvaluationError(
                f"the judge {self.name} must give one finite embedding for each of the {len(pictures)} pictures, got "
                f"the shape {list(found.shape)}"
            )
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        if not lengths.all():
            raise EvaluationError(f"the judge {self.name} gave an embedding of zeros, which has no direction")
        return found / lengths


def model_judge(
    name: str,
    model: EmbeddingModel,
    *,
    device: str | torch.device = "cpu",
    batch_size: int = 128,
    is_attacked: bool = False,
) -> Judge:
    """A network of Angulus as a judge."""

    def embed(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        with attacked(model, device):
            return embed_pixels(model, pictures, batch_size, torch.device(device)).numpy()

    return Judge(
        name=name, embed=embed, size=(model.image_input().height, model.image_input().width), attacked=is_attacked
    )
