"""`angulus train data.path=FOLDER init=FILE` and nothing else: network, input and fit come from the file."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from real_data import SHARED, needs_shared

from angulus.cli import main
from angulus.config import load
from angulus.models import InputSpec, MobileFaceNet
from angulus.training.recipe.defaults import with_model
from angulus.training.recipe.first_weights import with_fits

NETWORK = MobileFaceNet(embedding_dim=8, input=InputSpec(height=32, width=48, std=128.0))
SHORT = ["data.identities.parts={train: 0.5, test: 0.5}", "train.epochs=1", "train.batch_size=8", "--quiet"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """weights.ckpt for 32x48 images, and the photos of twelve people, 32x60."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    torch.save({"net_state_dict": NETWORK.build().state_dict()}, "weights.ckpt")
    draw("faces", (32, 60))


def draw(folder, size):
    random = np.random.default_rng(0)
    for person in range(12):
        Path(folder, f"person{person}").mkdir(parents=True)
        for photo in range(2):
            pixels = random.integers(0, 255, (*size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(Path(folder, f"person{person}", f"{photo}.png"))


def recipe_of(run):
    return json.loads(Path(run, "recipe.json").read_text())


def test_a_file_of_weights_is_enough(capsys):
    assert main(["train", "data.path=faces", "init=weights.ckpt", "out=runs/a", *SHORT]) == 0
    recipe = recipe_of("runs/a")
    assert recipe["model"]["name"] == "mobilefacenet"
    assert recipe["model"]["input"] == {"height": 32, "width": 48, "colour": "rgb", "mean": 127.5, "std": 128.0}
    assert recipe["data"]["fit"] == "crop"
    # each form of what came out is enough as well
    for number, init in enumerate(("runs/a", "runs/a/model", "runs/a/model/model.safetensors")):
        assert main(["train", "data.path=faces", f"init={init}", f"out=runs/b{number}", *SHORT]) == 0
        assert recipe_of(f"runs/b{number}")["model"] == recipe["model"]
        assert recipe_of(f"runs/b{number}")["data"]["fit"] == "crop"
    assert main(["train", "--resume", "runs/a", "--quiet"]) == 0


def test_what_the_recipe_says_is_honoured(caplog):
    said = ["data.fit=resize", "model=mobilefacenet", "model.embedding_dim=8", "model.input.height=32"]
    said += ["model.input.width=48", "model.input.colour=bgr"]
    assert main(["train", "data.path=faces", "init=weights.ckpt", "out=a", *said, *SHORT]) == 0
    recipe = recipe_of("a")
    assert (recipe["data"]["fit"], recipe["model"]["input"]["colour"]) == ("resize", "bgr")


SAYINGS = {
    "nothing.pt": "init: there is no model nothing.pt",
    "faces": "init: faces is a folder without a model (model.json) and without a run (recipe.json)",
    "begun": "init: the run begun has no model yet; finish it with: angulus train --resume begun",
    "other.pt": "its first weights: linear.weight",
    "damaged.pt": "init: damaged.pt",
    "weights.ckpt model=iresnet18": "leave model out to take the network from the file (name mobilefacenet",
    "weights.ckpt model=mobilefacenet": "(embedding_dim 8, input 32x48 rgb)",
    "weights.ckpt data.path=squares": "squares is 50x50 (height x width) and the network of init takes 32x48",
    "weights.ckpt data.fit=proportional": "set data.fit=crop",
}


@pytest.mark.parametrize("words", SAYINGS)
def test_what_cannot_be_is_one_sentence_and_nothing_is_written(words, capsys):
    draw("squares", (50, 50))
    torch.save({"linear.weight": torch.ones(2, 2)}, "other.pt")
    Path("damaged.pt").write_bytes(b"not a checkpoint at all")
    Path("begun").mkdir()
    Path("begun/recipe.json").write_text("{}")
    assert main(["train", "data.path=faces", *f"init={words}".split(" "), "out=a", *SHORT]) != 0
    said = capsys.readouterr().err
    assert SAYINGS[words] in said
    assert said.count("\n") == 1
    assert not Path("a").exists()


def test_a_saved_network_of_ones_own_is_named(capsys):
    assert main(["train", "data.path=faces", "init=weights.ckpt", "out=a", *SHORT]) == 0
    described = json.loads(Path("a/model/model.json").read_text())
    described["model"]["name"] = "mine:Net"
    Path("a/model/model.json").write_text(json.dumps(described))
    assert main(["train", "data.path=faces", "init=a", "out=b", *SHORT]) != 0
    assert "a network of your own, mine:Net; name it in the recipe" in capsys.readouterr().err


@needs_shared
def test_known_weights_and_real_crops():
    experiment = load([], [f"data.path={SHARED / 'lfw112'}", f"init={SHARED / 'mobilefacenet' / '068.ckpt'}"])
    experiment = with_fits(with_model(experiment, torch.device("cpu")))
    assert experiment.model == MobileFaceNet(input=InputSpec(height=112, width=96, std=128.0))
    assert experiment.data.fit == "crop"
