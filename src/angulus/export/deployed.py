"""A network as it is deployed, for images or for speech, and what its file takes."""

import dataclasses

from angulus.export.deployed_network import DeployedNetwork
from angulus.export.speech.deployed_speech import DeployedSpeech
from angulus.models import EmbeddingModel, InputSpec
from angulus.runtime.speech_preparation import SpeechPreparation

Deployed = DeployedNetwork | DeployedSpeech


def deployed(model: EmbeddingModel, *, inside: bool, mirror: bool) -> Deployed:
    """A network with what is deployed with it."""
    if isinstance(model.input, InputSpec):
        return DeployedNetwork(model, inside=inside, mirror=mirror)
    return DeployedSpeech(model)


def speech_preparation(model: EmbeddingModel) -> SpeechPreparation:
    """What is inside the file of a network for speech, as a bundle says it."""
    return SpeechPreparation(**dataclasses.asdict(model.speech_input()))
