"""Networks that somebody else wrote: any module that maps float32 images [n, c, h, w] to embeddings [n, d]."""

from os import PathLike
from typing import cast

from torch import Tensor, nn

from angulus.errors import ModelError
from angulus.models import EmbeddingModel, InputSpec, Spec, SpeechInput

_WANTED = "InputSpec(height=112, width=112, colour='rgb', mean=127.5, std=127.5)"


class OwnNetwork(EmbeddingModel):
    """A module beside what its images must look like; what it gives is checked."""

    def __init__(self, network: nn.Module, input: Spec) -> None:
        super().__init__(input=input, embedding_dim=0)
        self.network = network

    def encode(self, images: Tensor) -> Tensor:
        found = self.network(images)
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != len(images):
            got = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise ModelError(
                f"the network {type(self.network).__name__} must give embeddings [n, d], got {got} for"
                f" {len(images)} images; wrap it in a module that returns them"
            )
        if found.is_complex():
            raise ModelError(f"the network {type(self.network).__name__} must give real numbers, got {found.dtype}")
        return found


def ready(model: nn.Module, input: Spec | None) -> EmbeddingModel:
    """A model with its input spec: its own, or `input`, which a module without one needs.

    Raises ModelError where it is missing, where it contradicts the model's own, and for what is no module.
    """
    if not isinstance(model, nn.Module):
        named = isinstance(model, str | PathLike)
        remedy = f"; load it with load_model({str(model)!r})" if named else ""
        raise ModelError(
            f"model must be a network (a torch nn.Module instance), got {type(model).__name__} {model!r}{remedy}"
        )
    own = getattr(model, "input", None)
    if isinstance(own, InputSpec | SpeechInput):
        if input is not None and input != own:
            raise ModelError(f"the model has an input spec, {own}, and input says another, {input}; leave input out")
        return cast(EmbeddingModel, model)
    if input is None:
        raise ModelError(
            f"{type(model).__name__} does not say how images are prepared; give size, colour order, mean and std (of"
            f" pixels in 0..255): embed(model, images, input={_WANTED})"
        )
    if not isinstance(input, InputSpec | SpeechInput):
        raise ModelError(f"input must be an InputSpec such as {_WANTED}, got {type(input).__name__}")
    return OwnNetwork(model, input)
