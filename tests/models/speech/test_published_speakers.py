"""Public speaker weights are read into the right network: against oracles from the published layer lists."""

import logging

import pytest
import torch
from reference.published_networks import Weights, shapes_for, weights_for
from reference.published_speakers import campplus, ecapa, resnet, speechbrain_ecapa

from angulus.errors import ModelError
from angulus.models import (
    ECAPA,
    CAMPPlus,
    SpeakerResNet,
    SpeechBrainECAPA,
    SpeechInput,
    import_weights,
    recognise,
)
from angulus.models.folding import folded

KALDI = SpeechInput(window="povey")
FEW = SpeechInput(bands=16)
GIVEN = SpeechInput(content="features")
PROJECTION = {"projection.weight": torch.ones(3, 24)}  # wespeaker's files hold the classifier


# name: oracle, prefix in the file, what lies beside, what must be recognised
CASES = {
    "wespeaker ECAPA with context": (
        lambda w, x: ecapa(w, x, 32, 24),
        "",
        PROJECTION,
        ECAPA(channels=32, embedding_dim=24),
    ),
    "wespeaker ECAPA": (
        lambda w, x: ecapa(w, x, 16, 24, False),
        "module.",
        {},
        ECAPA(channels=16, has_context=False, embedding_dim=24, input=SpeechInput(bands=40)),
    ),
    "wespeaker ResNet34": (
        lambda w, x: resnet(w, x, 34, 24, 8),
        "",
        PROJECTION,
        SpeakerResNet(depth=34, width=8, embedding_dim=24, input=FEW),
    ),
    "3D-Speaker CAM++": (
        lambda w, x: campplus(w, x, 24),
        "module.",
        {},
        CAMPPlus(epsilon=0.0, embedding_dim=24, input=SpeechInput(bands=16, window="povey")),
    ),
    "SpeechBrain ECAPA": (
        lambda w, x: speechbrain_ecapa(w, x, 32, 24),
        "",
        {},
        SpeechBrainECAPA(channels=32, embedding_dim=24, input=GIVEN),
    ),
}

WHOLE = {
    "ECAPA_TDNN_GLOB_c512": (lambda w, x: ecapa(w, x, 512), ECAPA()),
    "ECAPA_TDNN_GLOB_c1024": (lambda w, x: ecapa(w, x, 1024), ECAPA(channels=1024)),
    "ECAPA_TDNN_c512": (lambda w, x: ecapa(w, x, 512, context=False), ECAPA(has_context=False)),
    "ResNet34": (lambda w, x: resnet(w, x, 34), SpeakerResNet()),
    "ResNet50": (lambda w, x: resnet(w, x, 50), SpeakerResNet(depth=50)),
    "campplus": (campplus, CAMPPlus(epsilon=0.0, input=KALDI)),
    "spkrec-ecapa-voxceleb": (lambda w, x: speechbrain_ecapa(w, x, 1024), SpeechBrainECAPA()),
}


@pytest.mark.parametrize("name", WHOLE)
def test_whole_networks_are_recognised_and_have_the_published_names_and_shapes(name) -> None:
    oracle, wanted = WHOLE[name]
    state = shapes_for(oracle, (200, 80))
    assert recognise(state) == wanted
    with torch.device("meta"):
        own = {key: tensor.shape for key, tensor in wanted.build().state_dict().items() if "num_batches" not in key}
    assert own == {key: tensor.shape for key, tensor in state.items()}


@pytest.mark.grid
@pytest.mark.parametrize("name", CASES)
def test_an_import_gives_the_vectors_of_the_published_layers(tmp_path, name) -> None:
    oracle, prefix, beside, wanted = CASES[name]
    generator = torch.Generator().manual_seed(1)
    speech = torch.randn(2, 210, wanted.input.bands, generator=generator, dtype=torch.float64)
    state = weights_for(oracle, speech[:1, :20])
    content = {f"{prefix}{key}": tensor for key, tensor in state.items()} | beside
    torch.save(content, tmp_path / "avg_model.pt")
    model = import_weights(tmp_path / "avg_model.pt")
    assert recognise(content) == wanted
    exact = wanted.build().double().eval()
    exact.load_state_dict({**exact.state_dict(), **state})
    own = {key for key in model.state_dict() if not key.endswith("num_batches_tracked")}
    quick = folded(model)
    for frames in (210, 9):
        asked = Weights(dict(state))
        expected = oracle(asked, speech[:, :frames])
        assert own == asked.asked == set(state)
        scale = expected.norm(dim=1, keepdim=True)
        with torch.no_grad():
            vectors = exact(speech[:, :frames])
            singles = [each(speech[:, :frames].float()).double() for each in (model, quick)]
        torch.testing.assert_close(vectors / scale, expected / scale, rtol=0, atol=1e-10)
        for found in singles:
            torch.testing.assert_close(found / scale, expected / scale, rtol=0, atol=1e-5)


def test_a_classifier_beside_tells_wespeakers_front_end() -> None:
    state = shapes_for(lambda w, x: campplus(w, x, 24, 1e-7), (200, 80))
    assert recognise({**state, **PROJECTION}) == CAMPPlus(embedding_dim=24)
    assert recognise(state) == CAMPPlus(embedding_dim=24, epsilon=0.0, input=KALDI)


def test_features_that_must_come_from_elsewhere_are_said(caplog) -> None:
    state = shapes_for(lambda w, x: speechbrain_ecapa(w, x, 16), (20, 80))
    with caplog.at_level(logging.WARNING):
        recognise(state, "embedding_model.ckpt")
    assert "features must come from speechbrain.lobes.features.Fbank(n_mels=80)" in caplog.text


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (
            {**shapes_for(lambda w, x: ecapa(w, x, 16), (20, 80)), "bn2.weight": torch.ones(192)},
            "norm behind its embedding",
        ),
        (
            {**shapes_for(lambda w, x: resnet(w, x, 34), (20, 80)), "seg_2.weight": torch.ones(256, 256)},
            "two embedding layers",
        ),
        (
            {
                name: tensor
                for name, tensor in shapes_for(lambda w, x: resnet(w, x, 34), (20, 80)).items()
                if "layer3.5" not in name
            },
            r"a ResNet with \(3, 4, 5, 3\) plain blocks, known are: 18, 34",
        ),
    ],
    ids=["emb_bn", "two_emb_layer", "blocks"],
)
def test_what_is_nearly_known_is_said(state, message) -> None:
    with pytest.raises(ModelError, match=message):
        recognise(state, "avg_model.pt")
