"""What holds for every network for speech: any length, gradients, modes, sizes, configs, files."""

import copy

import pytest
import torch
from models.test_folding import distances, with_statistics
from models.test_networks import assert_same_directions
from torch import nn

from angulus.errors import ModelError
from angulus.models import (
    ECAPA,
    MODELS,
    CAMPPlus,
    InputSpec,
    SpeakerResNet,
    SpeechBrainECAPA,
    SpeechInput,
    TinyNet,
    TinySpeech,
    config_from_dict,
    config_to_dict,
    describe,
    load_model,
    save_model,
)
from angulus.models.folding import folded, is_foldable
from angulus.models.speech.campplus import of_frames, part_means
from angulus.models.speech.pooling import AttentiveStatistics

FEW = SpeechInput(bands=20, frames=30)
ODD = SpeechInput(content="features", bands=13, frames=30)
CONFIGS = [
    TinySpeech(input=FEW, embedding_dim=16, channels=24, wide=32),
    TinySpeech(input=ODD, embedding_dim=16, channels=24, wide=32, dilations=(), dropout=0.3),
    ECAPA(input=FEW, embedding_dim=16, channels=16),
    ECAPA(input=ODD, embedding_dim=16, channels=24, has_context=False),
    SpeakerResNet(input=FEW, embedding_dim=16, depth=18, width=4),
    SpeakerResNet(input=ODD, embedding_dim=16, depth=50, width=4),
    CAMPPlus(input=ODD, embedding_dim=16),
    SpeechBrainECAPA(input=FEW, embedding_dim=16, channels=16),
]
NAMES = [name for name, kind in MODELS.items() if isinstance(kind().input, SpeechInput)]


@pytest.fixture(params=CONFIGS, ids=lambda config: type(config).__name__)
def config(request):
    torch.manual_seed(0)
    return request.param


def speech_for(config, frames=30, n=3):
    return torch.randn(n, frames, config.input.bands, generator=torch.Generator().manual_seed(1))


def least_of(config):
    return 5 if isinstance(config, SpeechBrainECAPA) else 1


def test_any_number_of_frames_becomes_an_embedding(config) -> None:
    model = with_statistics(config.build(), 0)
    for frames in (least_of(config), least_of(config) + 1, 8, 31, 101, 300):
        with torch.no_grad():
            embeddings = model(speech_for(config, frames))
        assert embeddings.shape == (3, 16)
        assert embeddings.dtype == torch.float32
        assert bool(torch.isfinite(embeddings).all())


def test_the_fewest_frames_have_finite_gradients(config) -> None:
    model = config.build()
    for frames in (least_of(config), 20):
        model.zero_grad()
        examples = speech_for(config, frames).requires_grad_(True)
        (model(examples) * torch.randn(3, 16)).sum().backward()
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        assert all(weight.grad is not None and bool(torch.isfinite(weight.grad).all()) for weight in weights)
        assert examples.grad is not None
        assert bool(torch.isfinite(examples.grad).all())


def test_evaluation_does_not_depend_on_the_batch(config) -> None:
    model = with_statistics(config.build(), 0)
    examples = speech_for(config)
    with torch.no_grad():
        together = model(examples)
        alone = torch.cat([model(example.unsqueeze(0)) for example in examples])
    assert_same_directions(together, alone)


def test_under_autocast_the_embedding_stays_in_float32(config) -> None:
    model = with_statistics(config.build(), 0)
    with torch.no_grad():
        exact = model(speech_for(config))
        with torch.autocast("cpu", torch.bfloat16):
            rough = model(speech_for(config))
    assert rough.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(exact, rough).min() > 0.98


def test_norms_biases_and_slopes_are_the_one_dimensional_weights(config) -> None:
    """The optimizer leaves one-dimensional weights undecayed; matrices and kernels must not be among them."""
    for module in config.build().modules():
        plain = isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
        for name, weight in module.named_parameters(recurse=False):
            assert (weight.ndim == 1) == (plain or name == "bias"), name


@pytest.mark.grid
def test_a_folded_copy_is_the_same_map(config) -> None:
    model = with_statistics(config.build(), 1)
    assert is_foldable(model)
    for frames in (least_of(config), 33):
        examples = speech_for(config, frames)
        with torch.no_grad():
            exact = copy.deepcopy(model).double()(examples.double())
            found = folded(model)(examples)
            rounded = folded(copy.deepcopy(model).double())(examples.double())
        assert float(distances(found, exact).max()) < 1e-5
        torch.testing.assert_close(rounded, exact, rtol=1e-9, atol=1e-9 * float(exact.abs().max()))


@pytest.mark.parametrize(
    ("config", "left"),
    [
        (CONFIGS[0], 0),
        (CONFIGS[2], 1 + 3 * (2 + 7)),  # behind ReLU, all but the one of the statistics
        (CONFIGS[4], 0),
        (CONFIGS[5], 0),
        (CONFIGS[6], 52 + 3 + 1),  # before ReLU: the first of each layer, of each transit, the one at the end
    ],
)
def test_norms_that_can_go_are_gone(config, left) -> None:
    norms = [part for part in folded(config.build()).modules() if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert len(norms) == left


def test_a_file_gives_the_same_network(tmp_path, config) -> None:
    model = with_statistics(config.build(), 0)
    read = load_model(save_model(tmp_path, model, config))
    examples = speech_for(config)
    with torch.no_grad():
        assert torch.equal(read(examples), model(examples))
    assert read.input == config.input


def test_a_config_survives_a_dict(config) -> None:
    assert config_from_dict(config_to_dict(config)) == config


def test_other_bands_are_refused(config) -> None:
    model = config.build()
    with pytest.raises(ModelError, match=r"prepared speech of shape .*model\.input\.prepare"):
        model(torch.zeros(2, 30, config.input.bands + 1))
    with pytest.raises(ModelError, match="prepared speech"):
        model(torch.zeros(2, 3, 30, config.input.bands))


def test_too_few_frames_to_mirror_are_refused() -> None:
    with pytest.raises(ModelError, match="at least 5 frames, got 4"):
        CONFIGS[-1].build()(torch.zeros(2, 4, 20))
    with pytest.raises(ValueError, match=r"input\.frames must be at least 5 .*got 3"):
        SpeechBrainECAPA(input=SpeechInput(content="features", frames=3))


def test_waveforms_go_all_the_way() -> None:
    spec = SpeechInput(bands=20, rate=8000)
    model = TinySpeech(input=spec, embedding_dim=8, channels=8, wide=8).build().eval()
    with torch.no_grad():
        assert model(spec.prepare(spec.vectors(2))).shape == (2, 8)


@pytest.mark.parametrize("name", NAMES)
def test_spec_of_images_is_refused(name) -> None:
    with pytest.raises(ValueError, match="input must be a SpeechInput, got InputSpec"):
        MODELS[name](input=InputSpec())
    with pytest.raises(ModelError, match=f"does not describe a {name}"):
        config_from_dict({"name": name, "input": InputSpec().to_dict()})


def test_spec_of_speech_is_refused_for_images() -> None:
    with pytest.raises(ModelError, match="its input must be InputSpec, got SpeechInput"):
        config_from_dict({**config_to_dict(TinyNet()), "input": SpeechInput().to_dict()})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TinySpeech(channels=0), "channels must be a whole number of at least 1, got 0"),
        (lambda: TinySpeech(dilations=(0,)), "each of dilations must be a whole number of at least 1, got 0"),
        (lambda: TinySpeech(dropout=1.0), r"dropout must be in \[0, 1\), got 1.0"),
        (lambda: ECAPA(channels=100), "channels must be a multiple of 8, got 100"),
        (lambda: ECAPA(embedding_dim=0), "embedding_dim must be a whole number"),
        (lambda: SpeakerResNet(depth=20), "depth must be one of 18, 34, 50, 101, 152, 221, 293, got 20"),
        (lambda: CAMPPlus(epsilon=-1.0), "epsilon must be a number of at least 0, got -1.0"),
        (lambda: CAMPPlus(epsilon=float("nan")), "epsilon must be a number of at least 0, got nan"),
    ],
)
def test_a_bad_config_is_refused(make, message) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [
        ("ecapa_512", 6_190_720, 1.04e9),
        ("ecapa_1024", 14_657_088, 2.65e9),
        ("speaker_resnet34", 6_634_336, 4.55e9),
        ("campplus", 7_176_224, 1.10e9),  # published 1.15: masks are computed once for a part, not for each frame
    ],
)
def test_costs_are_the_published_ones(name, parameters, macs) -> None:
    """wespeaker, examples/voxceleb/v2/README.md: 6.19, 14.65, 6.63 and 7.18 M, at 200 frames of 80 bands.

    They are those of ECAPA_TDNN_GLOB_c512 and c1024 with ASTP (context in the attention) and 192 dimensions, ResNet34
    with TSTP and 256, CAMPPlus with TSTP and 512.
    """
    cost = describe(MODELS[name]().build())
    assert cost.parameters == parameters
    assert 0.97 < cost.macs / macs < 1.0 + 1e-3


def test_a_deeper_resnet_has_as_many_weights_as_published() -> None:
    """23.79 M in the same table."""
    with torch.device("meta"):
        assert sum(weight.numel() for weight in SpeakerResNet(depth=221).build().parameters()) == 23_792_224


def test_an_exported_network_takes_any_length() -> None:
    config = CONFIGS[0]
    check_export(with_statistics(config.build(), 0), speech_for(config, 30, 2), speech_for(config, 230))


def test_parts_are_exported_for_any_length() -> None:
    class Parts(nn.Module):
        def __init__(self):
            super().__init__()
            self.pool = AttentiveStatistics(4, has_context=True)

        def forward(self, x):
            turned = x.transpose(1, 2)
            return self.pool(of_frames(part_means(turned), x.shape[1]) * turned)

    check_export(Parts(), torch.randn(2, 130, 4), torch.randn(3, 9, 4), torch.randn(3, 230, 4))


def check_export(model, given, *others) -> None:
    axes = {0: torch.export.Dim("n", min=1, max=64), 1: torch.export.Dim("frames", min=9, max=3000)}
    exported = torch.export.export(model, (given,), dynamic_shapes=(axes,)).module()
    with torch.no_grad():
        for other in others:
            torch.testing.assert_close(exported(other), model(other))


def test_tiny_speech_is_tiny() -> None:
    cost = describe(TinySpeech().build())
    assert 0.3e6 < cost.parameters < 0.8e6
    assert cost.macs < 60e6


@pytest.mark.parametrize("frames", [1, 99, 100, 101, 250])
def test_means_of_parts(frames) -> None:
    x = torch.randn(2, 3, frames, dtype=torch.float64)
    found = of_frames(part_means(x), frames)
    assert found.shape == x.shape
    for begin in range(0, frames, 100):
        part = x[..., begin : begin + 100]
        torch.testing.assert_close(found[..., begin : begin + 100], part.mean(-1, keepdim=True).expand_as(part))
