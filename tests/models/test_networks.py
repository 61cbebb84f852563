"""What holds for every network: shapes, gradients, modes, sizes, configs."""

import dataclasses
import subprocess
import sys

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from angulus.errors import ModelError
from angulus.models import (
    IR,
    MBF,
    MODELS,
    EmbeddingModel,
    InceptionResNetV1,
    InputSpec,
    IResNet,
    MobileFaceNet,
    ModelConfig,
    Spec,
    SpeechInput,
    SphereFace20,
    TinyNet,
    ViT,
    config_from_dict,
    config_to_dict,
    describe,
)
from angulus.models.files import claimed

SMALL = InputSpec(height=32, width=24)
SMALL_CONFIGS = [
    MobileFaceNet(input=SMALL, embedding_dim=16),
    IResNet(depth=18, input=SMALL, embedding_dim=16),
    SphereFace20(input=SMALL, embedding_dim=16),
    ViT(input=SMALL, embedding_dim=16, width=24, depth=2, heads=2),
    ViT(input=SMALL, embedding_dim=16, width=24, depth=2, heads=2, pooling="flatten", drop_path=0.2),
    TinyNet(input=SMALL, embedding_dim=16),
    TinyNet(input=InputSpec(height=32, width=32, colour="grey"), embedding_dim=16, activation="prelu"),
    IR(depth=18, input=SMALL, embedding_dim=16),
    MBF(input=SMALL, embedding_dim=16),
    MBF(input=SMALL, embedding_dim=16, scale=1, blocks=(2, 1, 1, 1)),
    InceptionResNetV1(input=InputSpec(height=75, width=80), embedding_dim=16),
]


@pytest.fixture(params=SMALL_CONFIGS, ids=lambda config: type(config).__name__)
def config(request):
    torch.manual_seed(0)
    return request.param


def images_for(config, n=4):
    return torch.randn(n, *config.input.shape, generator=torch.Generator().manual_seed(1))


def assert_same_directions(found, wanted):
    """Equal up to rounding, measured against the length of each embedding: fresh networks give long ones."""
    assert float(((found - wanted).norm(dim=1) / wanted.norm(dim=1)).max()) < 1e-4


def test_images_become_embeddings(config):
    model = config.build()
    assert isinstance(model, EmbeddingModel)
    assert isinstance(config, ModelConfig)
    embeddings = model(images_for(config))
    assert embeddings.shape == (4, 16)
    assert embeddings.dtype == torch.float32
    assert bool(torch.isfinite(embeddings).all())


def test_every_trained_weight_gets_a_gradient(config):
    model = config.build()
    (model(images_for(config)) * torch.randn(4, 16)).sum().backward()
    idle = [name for name, weight in model.named_parameters() if weight.requires_grad and weight.grad is None]
    assert idle == []


def test_norms_biases_and_slopes_are_the_one_dimensional_weights(config):
    """The optimizer leaves one-dimensional weights undecayed; matrices and kernels must not be among them."""
    for module in config.build().modules():
        plain = isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.LayerNorm | nn.PReLU)
        for name, weight in module.named_parameters(recurse=False):
            assert (weight.ndim == 1) == (plain or name == "bias"), name


def test_evaluation_does_not_depend_on_the_batch(config):
    model = config.build().eval()
    images = images_for(config)
    with torch.no_grad():
        together = model(images)
        alone = torch.cat([model(image.unsqueeze(0)) for image in images])
    assert_same_directions(together, alone)


def test_channels_last_computes_the_same(config):
    model = config.build().eval()
    images = images_for(config)
    with torch.no_grad():
        plain = model(images)
        turned = model.to(memory_format=torch.channels_last)(images.contiguous(memory_format=torch.channels_last))
    assert_same_directions(plain, turned)


@pytest.mark.grid
def test_under_autocast_the_embedding_stays_in_float32(config):
    model = config.build().eval()
    with torch.no_grad():
        exact = model(images_for(config))
        with torch.autocast("cpu", torch.bfloat16):
            rough = model(images_for(config))
    assert rough.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(exact, rough).min() > 0.98


def test_same_seed_same_weights(config):
    torch.manual_seed(7)
    first = config.build().state_dict()
    torch.manual_seed(7)
    second = config.build().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_images_of_another_size_are_refused_with_both_sizes(config):
    model = config.build()
    height = config.input.height + 8
    with pytest.raises(ModelError, match=rf"{config.input.height}x{config.input.width}.*got {height}x"):
        model(torch.zeros(2, config.input.channels, height, config.input.width))


def test_another_number_of_channels_is_refused(config):
    other = 4 - config.input.channels
    with pytest.raises(ModelError, match=r"prepare them with model\.input\.prepare"):
        config.build()(torch.zeros(2, other, config.input.height, config.input.width))


def test_a_config_survives_a_dict(config):
    assert config_from_dict(config_to_dict(config)) == config


@pytest.mark.parametrize("name", MODELS)
def test_names_lead_to_configs_and_back(name):
    config = MODELS[name]()
    assert config_to_dict(config)["name"] == name
    assert config_from_dict(config_to_dict(config)) == config
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.embedding_dim = 3


@pytest.mark.parametrize("name", MODELS)
def test_pydantic_reads_every_config(name):
    kind = MODELS[name]
    said = {"height": 64, "width": 64, "mean": [1.0, 2.0, 3.0]}
    spec: Spec = InputSpec(height=64, width=64, mean=(1.0, 2.0, 3.0))
    if isinstance(kind().input, SpeechInput):
        said, spec = {"bands": 40, "window": "povey"}, SpeechInput(bands=40, window="povey")
    size = {} if name.startswith("resnet") else {"embedding_dim": 64}  # that of a ResNet follows from its width
    config = TypeAdapter(kind).validate_python({**size, "input": said})
    assert config == kind(**size, input=spec)


def test_the_depth_of_a_named_iresnet_is_fixed():
    with pytest.raises(TypeError, match="depth"):
        MODELS["iresnet18"](depth=50)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: IResNet(depth=20), "depth must be one of 18, 34, 50, 100, 200, got 20"),
        (lambda: IResNet(dropout=1.0), r"dropout must be in \[0, 1\), got 1.0"),
        (lambda: MobileFaceNet(embedding_dim=0), "embedding_dim must be a whole number of at least 1, got 0"),
        (lambda: ViT(patch=9), "patch must divide the input size, got patch 9 for 112x112"),
        (lambda: ViT(heads=5), "heads must divide width, got 5 heads for width 192"),
        (lambda: ViT(pooling="max"), "pooling must be one of mean, flatten, got 'max'"),
        (lambda: ViT(mlp_ratio=0.0), "mlp_ratio must be above 0"),
        (lambda: ViT(drop_path=-0.1), r"drop_path must be in \[0, 1\)"),
        (lambda: TinyNet(channels=(8, 16), units=(1,)), "same number of stages"),
        (lambda: TinyNet(channels=(0, 16), units=(1, 1)), "each of channels must be a whole number of at least 1"),
        (lambda: TinyNet(activation="gelu"), "activation must be one of prelu, relu"),
    ],
)
def test_a_bad_config_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "resmet", "input": {}}, "names the network 'resmet', known are: tiny"),
        ({"name": "tiny", "input": {}, "depth": 3}, "does not describe a tiny.*depth"),
        ({"name": "tiny"}, "does not describe a tiny.*input"),
        ({"name": "vit", "input": {"height": 111}}, "patch must divide"),
    ],
)
def test_a_bad_dict_is_refused(values, message):
    with pytest.raises(ModelError, match=message):
        config_from_dict(values)


def test_tinynet_is_tiny():
    cost = describe(TinyNet().build())
    assert 0.5e6 < cost.parameters < 0.75e6
    assert cost.macs < 60e6


def test_costs_are_the_published_ones():
    mobile = describe(MobileFaceNet().build())
    assert (mobile.parameters, mobile.macs) == (1_003_136, 220_965_376)
    assert describe(SphereFace20().build()).parameters == 22_666_944


def test_describe_leaves_the_mode_alone():
    model = TinyNet().build().train()
    describe(model)
    assert model.training
    assert int(model.features.num_batches_tracked) == 0


def test_skipped_branches_keep_the_mean():
    config = ViT(input=SMALL, width=8, depth=2, heads=1, drop_path=0.5)
    block = config.build().train().blocks[1]
    branch = torch.ones(4000, 1, 1)
    dropped = block._drop(branch)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert abs(float(dropped.mean()) - 1) < 0.1


def test_sphereface_biases_are_where_the_paper_has_them():
    biased = [name for name, _ in SphereFace20().build().named_parameters() if name.endswith("bias")]
    assert biased == [*(f"stages.{stage}.0.conv.bias" for stage in range(4)), "fc5.bias"]


@pytest.mark.slow
def test_a_network_without_memory_draws_nothing_and_does_not_import_the_compiler() -> None:
    """torch fills tensors without memory by code that imports `torch._dynamo`: two seconds for each `embed`."""
    code = """
import sys
from angulus.models import MODELS
from angulus.models.files import claimed

for name, config in MODELS.items():
    model = claimed(config(), 10**6, name)
    assert all(parameter.is_meta for parameter in model.parameters()), name
    assert "torch._dynamo" not in sys.modules, name
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.parametrize("config", SMALL_CONFIGS, ids=lambda config: type(config).__name__)
def test_a_network_without_memory_has_the_shapes_of_the_one_with_memory(config: ModelConfig) -> None:
    before = torch.random.get_rng_state()
    empty = claimed(config, 10**6, "the file")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert empty is not None
    shapes = {name: (value.shape, value.dtype) for name, value in config.build().state_dict().items()}
    assert {name: (value.shape, value.dtype) for name, value in empty.state_dict().items()} == shapes
