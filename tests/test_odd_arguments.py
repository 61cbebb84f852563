"""What a program gives to verify, embed and a head by mistake is answered with a sentence that names it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from angulus import embed, verify
from angulus.errors import DataError, EvaluationError, ModelError
from angulus.heads import MarginHead
from angulus.models import InputSpec

SPEC = InputSpec(height=8, width=8)
ROWS = np.random.default_rng(0).normal(size=(20, 8))
PEOPLE = np.repeat(np.arange(5), 4)
IMAGES = np.random.default_rng(0).integers(0, 255, (2, 8, 8, 3)).astype(np.uint8)


class Whole(nn.Module):
    """Pixels as an embedding, changed by a function."""

    def __init__(self, change: Callable[[torch.Tensor], Any] = lambda found: found) -> None:
        super().__init__()
        self.change = change

    def forward(self, images: torch.Tensor) -> Any:
        return self.change(images.flatten(1))


@pytest.mark.parametrize("fars", [0.1, "0.1", ("a",), (None,), ([0.1],)])
def test_fars_are_rates(fars: Any) -> None:
    with pytest.raises(EvaluationError, match="fars must be rates"):
        verify(ROWS, PEOPLE, fars=fars)


def test_a_tensor_without_values_is_refused() -> None:
    with pytest.raises(EvaluationError, match="meta has no values"):
        verify(torch.empty(20, 8, device="meta"), PEOPLE)
    with pytest.raises(DataError, match="meta have no values"):
        embed(Whole(), torch.empty(2, 3, 8, 8, device="meta"), input=SPEC)


@pytest.mark.parametrize("images", [np.array(["a"]), np.array([None] * 3), IMAGES * 1j])
def test_images_are_numbers(images: Any) -> None:
    with pytest.raises(DataError, match=r"images must be uint8 or floats from 0 to 255, got an array of"):
        embed(Whole(), images, input=SPEC)


def test_complex_embeddings_do_not_lose_half_of_themselves() -> None:
    with pytest.raises(ModelError, match=r"must give real numbers, got torch\.complex64"):
        embed(Whole(lambda found: found * 1j), IMAGES, input=SPEC)


def test_a_head_names_types_and_devices_that_do_not_fit() -> None:
    head, labels = MarginHead(embedding_dim=8, num_classes=5, margin="arcface"), torch.as_tensor(PEOPLE)
    with pytest.raises(ValueError, match=r"embeddings are torch\.float64 and the class weights torch\.float32"):
        head(torch.as_tensor(ROWS), labels)
    with pytest.raises(ValueError, match="embeddings are on meta and the class weights on cpu"):
        head(torch.empty(20, 8, device="meta"), labels)
    assert torch.isfinite(head.double()(torch.as_tensor(ROWS), labels).loss)
