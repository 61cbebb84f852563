"""A network for speech as it is deployed: recordings in, one vector of length 1 for each out, and its length.

    waveform   float32 [n, samples] on the scale of 16-bit integers: filter bank and normalisation are part of it
    features   float32 [n, frames, bands] as they are stored: offset, scale and normalisation are part of it

Both axes in front may have any length. Batch norms are folded where the network has some that can be.
"""

from torch import Tensor, nn

from angulus.export.speech.front_end import FrontEnd
from angulus.models import EmbeddingModel
from angulus.models.folding import folded


class DeployedSpeech(nn.Module):
    """A copy of a network for speech on the CPU with all that is deployed with it."""

    inside, mirror = True, False
    free = ("n", "length")
    """The axes of what comes in that may have any length, by name."""

    def __init__(self, model: EmbeddingModel) -> None:
        super().__init__()
        self.input, self.embedding_dim = model.speech_input(), model.embedding_dim
        self.front = FrontEnd(self.input.bank) if self.input.content == "waveform" else None
        self.network = folded(model).cpu()
        self.eval().requires_grad_(False)

    def forward(self, examples: Tensor) -> tuple[Tensor, Tensor]:
        """Recordings of one length -> vectors [n, d] of length 1, and the lengths [n, 1] that they had."""
        given = self.input
        bands = (examples - given.offset) * given.scale if self.front is None else self.front(examples)
        if given.normalise:
            bands = bands - bands.mean(dim=1, keepdim=True)
        embeddings = self.network(bands)
        lengths = embeddings.norm(dim=1, keepdim=True)
        return embeddings / lengths, lengths

    def example(self, count: int = 2) -> Tensor:
        """Recordings of the form that it takes, which nobody said."""
        return self.input.vectors(count).float()
