"""What every network of Angulus is: prepared examples in, one raw embedding each out, and a config that builds it."""

from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from angulus.errors import ModelError
from angulus.models.spec import InputSpec
from angulus.models.speech.spec import SpeechInput

Spec = InputSpec | SpeechInput
"""How a network wants its examples."""


class EmbeddingModel(nn.Module):
    """Examples (images, speech) -> embeddings, not normalised (heads and scores do that).

    A network derives from this class and defines `encode`. `input` says how examples must be prepared
    (`model(model.input.prepare(images))`), `embedding_dim` how long an embedding is.
    """

    FRESH: ClassVar[tuple[str, ...]] = ()
    """What the names of weights begin with that no published file has; they begin as `build` makes them."""

    def __init__(self, *, input: Spec, embedding_dim: int) -> None:
        super().__init__()
        self.input = input
        self.embedding_dim = embedding_dim

    def image_input(self) -> InputSpec:
        """`input` of a network for images; ModelError for what has no meaning with another."""
        if not isinstance(self.input, InputSpec):
            raise ModelError(f"this works with networks for images, and the network takes {self.input.describe()}")
        return self.input

    def speech_input(self) -> SpeechInput:
        """`input` of a network for speech; ModelError for what has no meaning with another."""
        if not isinstance(self.input, SpeechInput):
            raise ModelError(f"this works with networks for speech, and the network takes {self.input.describe()}")
        return self.input

    def embeddings_of(self, examples: Tensor) -> Tensor:
        """Embeddings [n, embedding_dim] of examples as they come before `input.prepare`."""
        found = self(self.input.prepare(examples))
        assert isinstance(found, Tensor)
        return found

    def forward(self, examples: Tensor, both: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """Prepared images [n, channels, height, width] or speech [n, frames, bands] -> embeddings [n, embedding_dim].

        both: give what stands before the last norm too, as `necked` does; losses of pairs are taken there.
        Under autocast the convolutions follow its type; the last layer is computed and returned in float32.
        Raises ModelError for examples of another shape than `input` says; speech may have any number of frames.
        """
        if problem := self.input.mismatch(examples):
            raise ModelError(problem)
        return self.necked(examples) if both else self.encode(examples)

    def encode(self, examples: Tensor, /) -> Tensor:
        """The network itself: [n, *input.shape] -> [n, embedding_dim]."""
        raise NotImplementedError(f"{type(self).__name__} must define encode(examples)")

    def necked(self, examples: Tensor, /) -> tuple[Tensor, Tensor]:
        """Features before the neck and embeddings after it, [n, embedding_dim] each.

        A neck is a norm between the two that a network may have, and defines here. Without one they are the same.
        """
        embeddings = self.encode(examples)
        return embeddings, embeddings


@runtime_checkable
class ModelConfig(Protocol):
    """A frozen dataclass that describes a network and builds it, with fresh weights from torch's generator."""

    @property
    def input(self) -> Spec: ...

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
