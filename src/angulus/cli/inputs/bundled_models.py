"""A bundle where a command takes a model: its embeddings are those of the file that is deployed."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from angulus.errors import BundleError, ModelError
from angulus.models import Colour, EmbeddingModel, InputSpec, SpeechInput
from angulus.runtime import Bundle, Embedder
from angulus.runtime.preparation import Preprocessing
from angulus.runtime.speech_preparation import SpeechPreparation


def bundled_model(path: Path, threads: int) -> EmbeddingModel:
    """The network of a bundle, for images or for speech. Raises BundleError."""
    bundle = Bundle(path)
    given = bundle.artefact.preprocessing
    if isinstance(given, SpeechPreparation):
        return BundledSpeech(bundle, given, threads)
    return BundledModel(bundle, given, threads)


class BundledModel(EmbeddingModel):
    """The network of a bundle, on the CPU. It gives no gradients."""

    def __init__(self, bundle: Bundle, given: Preprocessing, threads: int) -> None:
        colour, size = cast(Colour, given.colour), {"height": given.height, "width": given.width}
        spec = InputSpec(**size, colour=colour, mean=given.mean, std=given.std)
        super().__init__(input=spec, embedding_dim=bundle.artefact.dim)
        self.bundle = bundle
        self._embedder = Embedder(bundle, threads=threads)

    def encode(self, images: Tensor) -> Tensor:
        """Prepared images [n, channels, height, width] -> embeddings [n, d]."""
        return torch.from_numpy(self._embedder.embeddings(self._crops(images.cpu()))).to(images.device)

    def _crops(self, prepared: Tensor) -> np.ndarray:
        """The whole numbers that were prepared, which their rounding gives back; grey becomes three equal colours."""
        mean, std = (
            torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1)
            for values in (self.image_input().mean, self.image_input().std)
        )
        pixels = (prepared * std + mean).round().clamp(0, 255).to(torch.uint8)
        if self.image_input().colour == "bgr":
            pixels = pixels.flip(1)
        return np.ascontiguousarray(pixels.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy())


class BundledSpeech(EmbeddingModel):
    """The network of a bundle for speech, on the CPU: recordings in, since the filter bank is inside its file."""

    def __init__(self, bundle: Bundle, given: SpeechPreparation, threads: int) -> None:
        values: dict[str, Any] = asdict(given)
        try:
            spec = SpeechInput(**values)
        except ValueError as error:
            raise BundleError(f"{bundle.path}: {error}; export it again") from error
        super().__init__(input=spec, embedding_dim=bundle.artefact.dim)
        self.bundle = bundle
        self._embedder = Embedder(bundle, threads=threads)

    def embeddings_of(self, examples: Tensor) -> Tensor:
        """Recordings of one length -> embeddings [n, d], by the file."""
        return torch.from_numpy(self._embedder.embeddings(examples.cpu().numpy())).to(examples.device)

    def encode(self, examples: Tensor) -> Tensor:
        """Raises ModelError: what the filter bank gives cannot be put into the file."""
        raise ModelError(f"{self.bundle.path} takes recordings, not their bands: its filter bank is inside its file")


def is_bundle(path: Path) -> bool:
    """Whether a path looks like a bundle: a folder with bundle.json, or a .zip."""
    return (path / "bundle.json").is_file() or (path.is_file() and path.suffix.lower() == ".zip")
