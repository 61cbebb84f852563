"""A margin and a network of a user's own, imported by recipes in the tests as own_kinds:OwnMargin."""

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field
from torch import Tensor

from angulus.margins import Margin, Seen
from angulus.models import EmbeddingModel, InputSpec, TinyNet


@dataclass(frozen=True, kw_only=True)
class Shape:
    power: float = 1.0


@dataclass(frozen=True, kw_only=True)
class OwnMargin(Margin):
    """t = c - m, with settings of types that Angulus itself does not use."""

    m: float = 0.1
    times: Annotated[int, Field(ge=1)] = 1
    shape: Shape = field(default_factory=Shape)

    def target(self, cos: Tensor, seen: Seen) -> Tensor:
        return cos - self.m


@dataclass(frozen=True, kw_only=True)
class OwnNetwork:
    embedding_dim: int = 8
    input: InputSpec = field(default_factory=lambda: InputSpec(height=16, width=16))

    def build(self) -> EmbeddingModel:
        return TinyNet(embedding_dim=self.embedding_dim, input=self.input).build()


@dataclass(frozen=True)
class NotAMargin:
    m: float = 0.1


def not_a_class() -> None:
    """Nothing that a recipe may name."""
