"""Small networks for speech with random weights, and drawn speakers who are told apart by them."""

from functools import cache
from unittest import mock

import numpy as np
import torch

from angulus.data.synthetic.speech import DrawnSpeech
from angulus.models import ECAPA, CAMPPlus, SpeakerResNet, SpeechBrainECAPA, SpeechInput, TinySpeech

WAVES = SpeechInput(rate=8000, bands=16, frames=60)
FEATURES = SpeechInput(content="features", bands=16, offset=2.0, scale=0.5, frames=60)
NETWORKS = {
    "tiny": TinySpeech(input=WAVES, channels=16, wide=24, embedding_dim=12),
    "edges": TinySpeech(
        input=SpeechInput(rate=8000, bands=16, frames=60, snip_edges=False, normalise=False),
        channels=16,
        wide=24,
        embedding_dim=12,
    ),
    "features": TinySpeech(input=FEATURES, channels=16, wide=24, embedding_dim=12),
    "ecapa": ECAPA(input=WAVES, channels=16, embedding_dim=12),
    "resnet": SpeakerResNet(input=WAVES, depth=18, width=4, embedding_dim=12),
    "campplus": CAMPPlus(input=WAVES, embedding_dim=12),
    "speechbrain": SpeechBrainECAPA(input=FEATURES, channels=16, embedding_dim=12),
}


@cache
def speech_network(name="tiny"):
    """A network of random weights, its batch norms moved off their beginnings, and its config."""
    config = NETWORKS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        with mock.patch("angulus.models.speech.campplus._BLOCKS", ((2, 1), (2, 2), (2, 2))):  # instead of 52 layers
            model = config.build().train()
        spec = config.input
        given = torch.randn(8, 80, spec.bands) if spec.content == "features" else torch.from_numpy(voices(8))
        with torch.no_grad():
            model(spec.prepare(given))
    return model.eval(), config


def voices(count, seconds=0.8):
    source = drawn(count, 1, seconds=(seconds, seconds))
    return np.stack([source.read(row) for row in range(count)])


def drawn(speakers=12, each=4, *, seconds=(0.4, 1.2)):
    return DrawnSpeech(num_identities=speakers, recordings_per_identity=each, rate=8000, seconds=seconds)
