"""A recipe becomes an experiment and an experiment a recipe, for every kind that there is."""

import json
from pathlib import Path

import pytest
import yaml

from angulus.config import load, resolve, schema, to_dict, to_yaml
from angulus.errors import ConfigError
from angulus.heads import STRATEGIES, Center, Dense, Fused, Panels, Sampled, Streamed, Triplet
from angulus.margins import MARGINS, SCHEDULES, ArcFace, Learned, Linear, NormFace, PerClass, Steps
from angulus.models import MODELS, InputSpec, SpeechInput, TinyNet
from angulus.training.datasets import DATA, FolderData, Identities, SyntheticData
from angulus.training.experiment import OPTIMIZERS, SGD, AdamW, Evaluation, Experiment
from angulus.training.recipe.margin_rules import open_margin

OF_IMAGES = [name for name, kind in MODELS.items() if isinstance(kind().input, InputSpec)]
SCHEDULE_SETTINGS = {
    "linear": {"end": 1.5, "until": 0.5, "unit": "run"},
    "exponential": {"end": 1.5, "until": 100},
    "inverse_decay": {},
    "steps": {"boundaries": [10, 20], "values": [1.0, 1.25, 1.5], "unit": "epoch"},
}


def round_trip(experiment: Experiment) -> None:
    assert resolve(to_dict(experiment)) == experiment
    assert resolve(json.loads(json.dumps(to_dict(experiment), allow_nan=False))) == experiment
    assert resolve(yaml.safe_load(to_yaml(experiment))) == experiment


def folder(**more: object) -> dict[str, object]:
    return {"data": {"path": "faces"}, **more}


@pytest.mark.parametrize("name", MARGINS)
def test_every_margin(name):
    experiment = resolve(folder(margin=name))
    assert type(experiment.margin) is MARGINS[name]
    assert experiment.margin == MARGINS[name](**open_margin(MARGINS[name]))
    round_trip(experiment)


@pytest.mark.parametrize("name", MODELS)
def test_every_model(name):
    said = {"height": 96, "width": 80, "std": 128} if name in OF_IMAGES else {"bands": 40, "offset": 128, "frames": 300}
    experiment = resolve(folder(model={"name": name, "input": said}))
    spec = InputSpec(height=96, width=80, std=128.0) if name in OF_IMAGES else None
    assert experiment.model == MODELS[name](input=spec or SpeechInput(bands=40, offset=128.0, frames=300))
    round_trip(experiment)


def test_a_network_takes_the_input_of_its_kind():
    with pytest.raises(ConfigError) as caught:
        resolve(folder(model={"name": "tiny_speech", "input": {"height": 96, "band": 40}}))
    assert "model.input.height: a key of another kind than the chosen one; model.input has content, rate" in str(
        caught.value
    )
    assert "model.input.band: unknown key; did you mean model.input.bands?" in str(caught.value)
    with pytest.raises(ConfigError, match=r"model\.input\.bands: a key of another kind .*input has height, width"):
        resolve(folder(model={"name": "tiny", "input": {"bands": 40}}))
    with pytest.raises(ConfigError, match=r"model\.input\.bands: must be a whole number from 1 to 512, got 0"):
        resolve(folder(model={"name": "ecapa_512", "input": {"bands": 0}}))


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy(name):
    experiment = resolve(folder(head={"strategy": name}))
    assert experiment.head.strategy == STRATEGIES[name]()
    round_trip(experiment)


@pytest.mark.parametrize("name", DATA)
def test_every_kind_of_data(name):
    known = {"union": {"sets": {"west": {"path": "faces"}}}, "noisy": {"base": {"path": "faces"}, "flips": 0.1}}
    where = {"synthetic": {}, "drawn_reid": {}, "drawn_speech": {}, **known}.get(name, {"path": "faces"})
    experiment = resolve({"data": {"name": name, **where}, "evaluation": {"also": {"second": {"name": name, **where}}}})
    assert type(experiment.data) is DATA[name]
    assert type(experiment.evaluation.also["second"]) is DATA[name]
    round_trip(experiment)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer(name):
    experiment = resolve(folder(optim={"name": name, "lr": 0.01}))
    assert experiment.optim == OPTIMIZERS[name](lr=0.01)
    round_trip(experiment)


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule(name):
    experiment = resolve(
        folder(
            margin={"name": "arcface", "m": {"name": name, **SCHEDULE_SETTINGS[name]}}
            if name != "inverse_decay"
            else {"name": "sphereface", "annealing": {"name": name}}
        )
    )
    round_trip(experiment)


def test_the_values_of_margins():
    margin = {"name": "arcface", "m": [0.25, 0.5], "scale": {"learned": 16}}
    experiment = resolve(folder(margin=margin))
    assert experiment.margin == ArcFace(m=PerClass((0.25, 0.5)), scale=Learned(16.0))
    round_trip(experiment)
    schedule = {"name": "steps", "boundaries": [0.5], "values": [0, 0.5], "unit": "run"}
    experiment = resolve(folder(margin={"name": "arcface", "m": schedule, "scale": 32}))
    assert experiment.margin == ArcFace(m=Steps(boundaries=(0.5,), values=(0.0, 0.5), unit="run"), scale=32.0)
    assert isinstance(experiment.margin.scale, float)


def test_strategies():
    assert resolve(folder(head={"strategy": "streamed"})).head.strategy == Streamed()
    experiment = resolve(folder(head={"subcenters": 3, "strategy": {"name": "streamed", "chunk": 7}}))
    assert experiment.head.strategy == Streamed(chunk=7)
    round_trip(experiment)
    assert resolve(folder()).head.strategy == Dense()
    assert resolve(folder(head={"strategy": "sampled"})).head.strategy == Sampled()
    for inner, wanted in (
        ({"chunk": 7}, Streamed(chunk=7)),
        ({"name": "panels", "products": "tf32"}, Panels(products="tf32")),
        ("fused", Fused()),
    ):
        experiment = resolve(folder(head={"strategy": {"name": "sampled", "streamed": inner}}))
        assert experiment.head.strategy == Sampled(streamed=wanted)
        round_trip(experiment)


def test_a_whole_experiment_from_python():
    round_trip(
        Experiment(
            data=FolderData(
                path=Path("a/b"),
                on_unreadable="skip",
                identities=Identities(
                    exclude=("x",), exclude_from=Path("names.txt"), parts={"train": 0.5, "test": 0.5}
                ),
            ),
            model=TinyNet(channels=(8, 16), units=(0, 1), input=InputSpec(mean=(1.0, 2.0, 3.0), std=(1.0, 1.0, 2.0))),
            margin=ArcFace(m=Linear(end=0.3, until=0.5, unit="run")),
            optim=AdamW(lr=1e-5, betas=(0.8, 0.99)),
            evaluation=Evaluation(fars=(0.1, 1e-5), also={"drawn": SyntheticData(seed=3)}),
            init=Path("model.safetensors"),
            out=Path("runs/x"),
            seed=5,
        )
    )


def test_the_shortest_recipe_has_the_defaults():
    assert resolve({"data": {"path": "faces"}}) == Experiment(data=FolderData(path=Path("faces")))
    assert load([], ["data.path=faces", "optim.lr=1e-3"]).optim == SGD(lr=1e-3)


def test_whole_numbers_are_numbers_and_a_tilde_is_the_home_folder():
    experiment = load([], ["data.path=~/faces", "optim.lr=1", "train.clip_norm=null"])
    assert experiment.optim.lr == 1.0
    assert isinstance(experiment.optim.lr, float)
    assert experiment.train.clip_norm is None
    assert experiment.data.path == Path.home() / "faces"


def test_a_class_of_ones_own(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    import own_kinds

    own = {"name": "own_kinds:OwnMargin", "m": 0.2, "times": 2, "shape": {"power": 2}}
    experiment = resolve(folder(margin=own, model="own_kinds:OwnNetwork"))
    assert experiment.margin == own_kinds.OwnMargin(m=0.2, times=2, shape=own_kinds.Shape(power=2.0))
    assert experiment.model == own_kinds.OwnNetwork()
    assert to_dict(experiment)["margin"]["name"] == "own_kinds:OwnMargin"
    round_trip(experiment)


def test_a_class_in_the_current_folder_is_found(monkeypatch, tmp_path):
    (tmp_path / "margin_of_mine.py").write_text(
        "from dataclasses import dataclass\nfrom angulus.margins import ArcFace\n\n\n"
        "@dataclass(frozen=True, kw_only=True)\nclass Mine(ArcFace):\n    extra: float = 1.0\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [entry for entry in __import__("sys").path if entry])
    experiment = load([], ["data.path=x", "margin=margin_of_mine:Mine", "margin.extra=2"])
    assert experiment.margin.extra == 2.0
    round_trip(experiment)


def test_the_base_margin_is_normface():
    assert resolve(folder(margin={"name": "normface", "scale": 16})).margin == NormFace(scale=16.0)


def test_the_schema_shows_every_key_with_its_default():
    text = schema()
    for name in (*MARGINS, *MODELS, *DATA, *OPTIMIZERS, *SCHEDULES):
        assert name in text
    assert "  batch_size: null  # a whole number, or null. examples per optimizer step" in text
    assert "    path: (required)  # a path" in text
    assert "    lr: null  # a number, or null" in text
    assert text.isascii()


def test_losses_beside_a_margin():
    settings = {"train": {"sampling": {"name": "pk", "images": 4}, "batch_size": 16}}
    for margin in ("soft", 0.5):
        experiment = resolve(folder(head={"triplet": {"margin": margin, "distance": "unit"}}, **settings))
        assert experiment.head.triplet == Triplet(margin=margin, distance="unit")
        round_trip(experiment)
    experiment = resolve(folder(head={"center": {"rate": 0.25}}))
    assert experiment.head.center == Center(weight=5e-4, rate=0.25)
    round_trip(experiment)
    with pytest.raises(ConfigError, match=r"head\.triplet needs train\.sampling=pk"):
        resolve(folder(head={"triplet": {}}))
