"""What every network of Angulus is: prepared images in, one raw embedding each out, and a config that builds it."""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from angulus.errors import ModelError
from angulus.models.spec import InputSpec


class EmbeddingModel(nn.Module):
    """Images -> embeddings, not normalised (heads and scores do that).

    A network derives from this class and defines `encode`. `input` says how images must be prepared
    (`model(model.input.prepare(images))`), `embedding_dim` how long an embedding is.
    """

    def __init__(self, *, input: InputSpec, embedding_dim: int) -> None:
        super().__init__()
        self.input = input
        self.embedding_dim = embedding_dim

    def forward(self, images: Tensor) -> Tensor:
        """Prepared images [n, channels, height, width] -> embeddings [n, embedding_dim].

        Under autocast the convolutions follow its type; the last layer is computed and returned in float32.
        Raises ModelError for images of another size or channel count than `input` says.
        """
        if images.ndim != 4 or images.shape[1:] != self.input.shape:
            raise ModelError(_mismatch(self.input, images))
        return self.encode(images)

    def encode(self, images: Tensor) -> Tensor:
        """The network itself: [n, *input.shape] -> [n, embedding_dim]."""
        raise NotImplementedError(f"{type(self).__name__} must define encode(images)")


@runtime_checkable
class ModelConfig(Protocol):
    """A frozen dataclass that describes a network and builds it, with fresh weights from torch's generator."""

    @property
    def input(self) -> InputSpec: ...

    @property
    def embedding_dim(self) -> int: ...

    def build(self) -> EmbeddingModel: ...


def check_at_least(name: str, value: int, minimum: int) -> None:
    """Raise ValueError unless `value` is a whole number of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ValueError(f"{name} must be a whole number of at least {minimum}, got {value!r}")


def check_rate(name: str, value: float) -> None:
    """Raise ValueError unless `value` is a probability below 1."""
    if not 0 <= value < 1:
        raise ValueError(f"{name} must be in [0, 1), got {value}")


def in_full_precision(layers: nn.Module, x: Tensor) -> Tensor:
    """Apply `layers` in the type of their own weights, whatever autocast says: an embedding is small and precious."""
    with torch.autocast(x.device.type, enabled=False):
        kind = next((weight.dtype for weight in layers.parameters()), x.dtype)
        return layers(x.to(kind))


def _mismatch(spec: InputSpec, images: Tensor) -> str:
    if images.ndim == 4 and images.shape[1] == spec.channels:
        return spec.size_mismatch(images.shape[2], images.shape[3])
    wanted = ", ".join(str(size) for size in spec.shape)
    return (
        f"the model takes prepared images of shape [n, {wanted}], got {list(images.shape)}: "
        "prepare them with model.input.prepare(images)"
    )
