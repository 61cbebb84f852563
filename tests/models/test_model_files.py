"""A model on disk: it comes back the same, or not at all, with a sentence that says why."""

import errno
import json
import os
from dataclasses import dataclass, field

import pytest
import safetensors.torch
import torch
from torch import nn

from angulus import models
from angulus.errors import ModelError
from angulus.models import (
    MODELS,
    EmbeddingModel,
    InputSpec,
    IResNet,
    MobileFaceNet,
    SphereFace20,
    TinyNet,
    ViT,
    load_model,
    read_description,
    save_model,
)

SMALL = InputSpec(height=32, width=24)
CONFIG = TinyNet(input=SMALL, channels=(8, 16), units=(1, 0), embedding_dim=16)


def trained(config, seed=0):
    """A network whose batch norms have seen something."""
    torch.manual_seed(seed)
    model = config.build().train()
    for _ in range(3):
        model(torch.randn(8, *config.input.shape))
    return model


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        TinyNet(input=InputSpec(height=32, width=32, colour="grey", mean=(100.0,)), activation="prelu"),
        MobileFaceNet(input=SMALL),
        IResNet(depth=18, input=SMALL, embedding_dim=16, dropout=0.4),
        SphereFace20(input=SMALL, embedding_dim=16),
        ViT(input=SMALL, width=24, depth=2, heads=2, drop_path=0.1),
    ],
    ids=lambda config: type(config).__name__,
)
def test_what_is_saved_comes_back(tmp_path, config):
    model = trained(config)
    folder = save_model(tmp_path / "model", model, config, extra={"epoch": 3})
    loaded = load_model(folder)
    assert not loaded.training
    assert (loaded.input, loaded.embedding_dim) == (config.input, config.embedding_dim)
    images = torch.randn(4, *config.input.shape)
    with torch.no_grad():
        assert torch.equal(loaded(images), model.eval()(images))
    assert {name: weight.requires_grad for name, weight in loaded.named_parameters()} == {
        name: weight.requires_grad for name, weight in model.named_parameters()
    }


def test_saving_moves_neither_the_model_nor_the_generator(tmp_path):
    model = trained(CONFIG).to(memory_format=torch.channels_last)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    generator = torch.get_rng_state()
    load_model(save_model(tmp_path, model, CONFIG))
    assert torch.equal(torch.get_rng_state(), generator)
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_saving_under_autocast_proves_the_model_in_float32(tmp_path):
    model = trained(CONFIG)
    with torch.autocast("cpu", torch.bfloat16):
        save_model(tmp_path, model, CONFIG)
    load_model(tmp_path)


def test_the_description_says_what_the_weights_are(tmp_path):
    save_model(tmp_path, trained(CONFIG), CONFIG, extra={"tar": 0.5})
    description = read_description(tmp_path)
    assert description["model"]["name"] == "tiny"
    assert description["model"]["input"]["height"] == 32
    assert description["embedding_dim"] == 16
    assert description["extra"] == {"tar": 0.5}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_either_file_names_the_model(tmp_path, name):
    save_model(tmp_path, trained(CONFIG), CONFIG)
    assert load_model(tmp_path / name).embedding_dim == 16


def test_the_images_of_the_test_vector_never_change():
    images = InputSpec(height=64, width=48).vectors(2)
    assert images.shape == (2, 3, 64, 48)
    assert images.dtype == torch.uint8
    for image, channel, row, column in [(0, 0, 0, 0), (0, 2, 63, 47), (1, 1, 40, 7), (1, 0, 5, 33)]:
        value = column**2 * (image + 1) + row**2 * (channel + 1) + 3 * row * column + 31 * image + 17 * channel
        assert int(images[image, channel, row, column]) == value // 16 % 256
    assert int(images.long().sum()) == 2173152


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_missing_file_is_named(tmp_path, name):
    save_model(tmp_path, trained(CONFIG), CONFIG)
    (tmp_path / name).unlink()
    with pytest.raises(ModelError, match=rf"{name} is missing"):
        load_model(tmp_path)


def test_a_cut_file_is_named(tmp_path):
    save_model(tmp_path, trained(CONFIG), CONFIG)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"model\.safetensors cannot be read, it may be cut short"):
        load_model(tmp_path)
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(ModelError, match=r"model\.json cannot be read"):
        load_model(tmp_path)


def edit(folder, change):
    file = folder / "model.json"
    description = json.loads(file.read_text())
    change(description)
    file.write_text(json.dumps(description))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["model"].update(name="resmet"), "names the network 'resmet', known are: tiny, "),
        (lambda d: d["model"].update(name="sphereface20"), "does not describe a sphereface20"),
        (lambda d: d.update(model={"name": "sphereface20", "input": d["model"]["input"]}), "another architecture"),
        (lambda d: d["model"].update(channels=[8, 24]), r"stages\.1\.0\.0\.weight is \[16, 8, 3, 3\] instead of \[24,"),
        (lambda d: d["model"]["input"].update(colour="bgr"), "does not compute what it did when it was saved"),
        (lambda d: d["test_vector"].update(embeddings=[[0.0] * 16]), r"test vector has shape \[1, 16\]"),
        (lambda d: d["test_vector"].pop("embeddings"), "no usable test vector"),
        (lambda d: d.update(format=2), "reads format 1: update Angulus"),
        (lambda d: d.pop("model"), "not the description of an Angulus model"),
    ],
)
def test_a_description_of_something_else_is_refused(tmp_path, change, message):
    save_model(tmp_path, trained(CONFIG), CONFIG)
    edit(tmp_path, change)
    with pytest.raises(ModelError, match=message):
        load_model(tmp_path)


def test_weights_of_another_run_fail_the_test_vector(tmp_path):
    save_model(tmp_path / "a", trained(CONFIG, seed=0), CONFIG)
    save_model(tmp_path / "b", trained(CONFIG, seed=1), CONFIG)
    os.replace(tmp_path / "b" / "model.safetensors", tmp_path / "a" / "model.safetensors")
    with pytest.raises(ModelError, match="do not belong together"):
        load_model(tmp_path / "a")


def test_one_changed_weight_is_found(tmp_path):
    save_model(tmp_path, trained(CONFIG), CONFIG)
    state = safetensors.torch.load_file(tmp_path / "model.safetensors")
    state["fc.weight"][3] += 0.01
    safetensors.torch.save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="has another checksum"):
        load_model(tmp_path)
    description = json.loads((tmp_path / "model.json").read_text())
    del description["checksum"]  # as older versions wrote it
    (tmp_path / "model.json").write_text(json.dumps(description))
    with pytest.raises(ModelError, match="test vector off by"):
        load_model(tmp_path)


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_full_disk_leaves_the_previous_model(tmp_path, monkeypatch, broken):
    previous = trained(CONFIG, seed=0)
    save_model(tmp_path, previous, CONFIG)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, broken, full)
        with pytest.raises(ModelError, match=r"could not write the model to .*: No space left on device"):
            save_model(tmp_path, trained(CONFIG, seed=1), CONFIG)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]
    assert torch.equal(load_model(tmp_path).state_dict()["fc.weight"], previous.state_dict()["fc.weight"])


def test_what_cannot_be_proved_is_not_saved(tmp_path):
    model = trained(CONFIG)
    with torch.no_grad():
        model.fc.bias.fill_(float("nan"))
    with pytest.raises(ModelError, match="NaN or infinite embeddings for the test examples and was not saved"):
        save_model(tmp_path, model, CONFIG)
    with pytest.raises(ModelError, match="config does not describe this model"):
        save_model(tmp_path, trained(CONFIG), TinyNet())
    with pytest.raises(ModelError, match=r"another architecture|does not fit"):
        save_model(tmp_path, trained(CONFIG), TinyNet(input=SMALL, channels=(8, 24), units=(1, 0), embedding_dim=16))
    with pytest.raises(ModelError, match="EmbeddingModel, got DataParallel: unwrap it"):
        save_model(tmp_path, nn.DataParallel(trained(CONFIG)), CONFIG)
    with pytest.raises(ModelError, match="extra must be plain"):
        save_model(tmp_path, trained(CONFIG), CONFIG, extra={"when": object()})
    assert list(tmp_path.iterdir()) == []


@dataclass(frozen=True, kw_only=True)
class OwnNetwork:
    """A network as a user would write it."""

    embedding_dim: int = 4
    input: InputSpec = field(default_factory=lambda: SMALL)

    def build(self):
        return OwnModel(self)


class OwnModel(EmbeddingModel):
    def __init__(self, config):
        super().__init__(input=config.input, embedding_dim=config.embedding_dim)
        self.linear = nn.Linear(3 * 32 * 24, config.embedding_dim)

    def encode(self, images):
        return self.linear(images.flatten(1))


def test_a_network_of_the_users_own_is_loaded_only_when_named(tmp_path):
    model = OwnNetwork().build()
    save_model(tmp_path, model, OwnNetwork())
    name = read_description(tmp_path)["model"]["name"]
    assert name == f"{__name__}:OwnNetwork"
    with pytest.raises(ModelError, match="names the network"):
        load_model(tmp_path)
    loaded = load_model(tmp_path, configs={**MODELS, name: OwnNetwork})
    assert torch.equal(loaded.linear.weight, model.linear.weight)


def test_the_public_names_are_all_there():
    assert sorted(set(models.__all__)) == sorted(models.__all__)
    assert all(hasattr(models, name) for name in models.__all__)
