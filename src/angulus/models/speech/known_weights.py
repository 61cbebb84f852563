"""Configs of the speaker networks whose weights are public, from the names and shapes of these.

What filter bank they want is in no file. It is the one of the family's training:

    wespeaker      80 bands, 25 ms every 10, hamming, samples on the scale of int16, mean subtracted (`SpeechInput()`)
    3D-Speaker     the same with Kaldi's own window, "povey". It takes samples from -1 to 1, which after the mean
                   differs only where energies fall below its floor: digital silence, or noise of the last bit.
    SpeechBrain    its own, which is computed elsewhere; see `speechbrain_ecapa`
"""

import logging
from collections.abc import Mapping

from torch import Tensor

from angulus.errors import ModelError
from angulus.models.base import ModelConfig
from angulus.models.speech.campplus import HEAD_CHANNELS, CAMPPlus
from angulus.models.speech.ecapa import ECAPA
from angulus.models.speech.resnet import BLOCKS, BOTTLENECKED, SpeakerResNet
from angulus.models.speech.spec import SpeechInput
from angulus.models.speech.speechbrain_ecapa import SpeechBrainECAPA
from angulus.models.weights import shape_of

logger = logging.getLogger(__name__)

State = Mapping[str, Tensor]


def ecapa(state: State, where: str) -> ModelConfig:
    """wespeaker's ECAPA_TDNN. Raises ModelError for weights with a norm behind the embedding (emb_bn)."""
    if any(name.startswith("bn2.") for name in state):
        raise ModelError(f"{where} holds an ECAPA-TDNN with a norm behind its embedding (emb_bn), which is not known")
    channels, bands, _ = shape_of(state, "layer1.conv.weight", 3, where)
    seen, pooled = (shape_of(state, f"pool.{name}.weight", 3, where) for name in ("linear1", "linear2"))
    return ECAPA(
        channels=channels,
        has_context=seen[1] != pooled[0],
        embedding_dim=shape_of(state, "linear.weight", 2, where)[0],
        input=SpeechInput(bands=bands),
    )


def resnet(state: State, where: str) -> ModelConfig:
    """wespeaker's ResNet. Raises ModelError for weights with two layers behind the statistics, and for other depths."""
    if "seg_2.weight" in state:
        raise ModelError(f"{where} holds a ResNet with two embedding layers (two_emb_layer), which is not known")
    blocks = tuple(
        len({name.split(".")[1] for name in state if name.startswith(f"layer{stage}.")}) for stage in range(1, 5)
    )
    is_deep = "layer1.0.conv3.weight" in state
    depths = [depth for depth in BLOCKS if BLOCKS[depth] == blocks and (depth >= BOTTLENECKED) == is_deep]
    if not depths:
        kind = "bottleneck" if is_deep else "plain"
        raise ModelError(f"{where} is a ResNet with {blocks} {kind} blocks, known are: {', '.join(map(str, BLOCKS))}")
    width = shape_of(state, "conv1.weight", 4, where)[0]
    channels = shape_of(state, f"layer4.0.{'conv3' if is_deep else 'conv2'}.weight", 4, where)[0]
    embedding_dim, pooled = shape_of(state, "seg_1.weight", 2, where)
    spec = SpeechInput(bands=8 * (pooled // (2 * channels)))
    return SpeakerResNet(depth=depths[0], width=width, embedding_dim=embedding_dim, input=spec)


def campplus(state: State, where: str, *, is_wespeaker: bool) -> ModelConfig:
    """CAM++ of 3D-Speaker, whose files hold the network alone, or of wespeaker, whose hold a classifier beside it."""
    bands = 8 * (shape_of(state, "xvector.tdnn.linear.weight", 3, where)[1] // HEAD_CHANNELS)
    embedding_dim = shape_of(state, "xvector.dense.linear.weight", 3, where)[0]
    if is_wespeaker:
        return CAMPPlus(embedding_dim=embedding_dim, input=SpeechInput(bands=bands))
    return CAMPPlus(epsilon=0.0, embedding_dim=embedding_dim, input=SpeechInput(bands=bands, window="povey"))


def speechbrain_ecapa(state: State, where: str) -> ModelConfig:
    """SpeechBrain's ECAPA_TDNN, with a warning that its features come from elsewhere."""
    channels, bands, _ = shape_of(state, "blocks.0.conv.conv.weight", 3, where)
    logger.warning(
        "%s holds SpeechBrain's ECAPA-TDNN, trained on SpeechBrain's own filter bank, which Angulus has not: its "
        "features must come from speechbrain.lobes.features.Fbank(n_mels=%d)",
        where,
        bands,
    )
    return SpeechBrainECAPA(
        channels=channels,
        embedding_dim=shape_of(state, "fc.conv.weight", 3, where)[0],
        input=SpeechInput(content="features", bands=bands),
    )
