"""A run that began with an older version goes on: what its recipe does not name is as it was then, or as it is now."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_run import small

from angulus.errors import CheckpointError
from angulus.margins import AMSoftmax, Chosen, Margin
from angulus.training import SGD, AdamW, Experiment, LearningRate, train
from angulus.training.recipe.begun_choices import as_begun, recipe_in

LATER = ("layout", "float32_precision", "threads")


def older(folder: Path) -> None:
    """What a version before these fields would have left, after some steps."""
    train(small(folder))
    recipe = json.loads((folder / "recipe.json").read_text())
    for name in LATER:
        del recipe["train"][name]
    recipe["train"]["compile"] = False
    (folder / "recipe.json").write_text(json.dumps(recipe))
    (folder / "result.json").unlink()


def test_an_older_run_is_resumed(tmp_path: Path) -> None:
    older(tmp_path / "run")
    resumed = train(small(tmp_path / "run", layout="auto"), resume=True)
    assert resumed.figures["seconds"] > 0


def test_what_it_names_must_be_the_same(tmp_path: Path) -> None:
    older(tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"Different: train\.clip_norm was 5\.0, now 1\.0"):
        train(small(tmp_path / "run", clip_norm=1.0), resume=True)


def left_open(folder: Path, margin: Margin | None = None, optim: SGD | AdamW | None = None) -> Experiment:
    """A small run that leaves open whatever can be."""
    plain = small(folder, epochs=None, batch_size=None, batch_norm=None)
    return replace(plain, margin=margin, optim=optim or SGD(), learning_rate=LearningRate(), augment=None)


def chosen_otherwise(folder: Path, **changes: Mapping[str, Any]) -> dict[str, Any]:
    """The run in a folder as other rules would have chosen its settings, before its first step."""
    recipe = json.loads((folder / "recipe.json").read_text())
    for name, values in changes.items():
        recipe[name] |= values
    (folder / "recipe.json").write_text(json.dumps(recipe))
    (folder / "result.json").unlink()
    for checkpoint in (folder / "checkpoints").iterdir():
        checkpoint.rename(folder / checkpoint.name)
    return recipe


@pytest.mark.slow
@pytest.mark.parametrize(
    ("margin", "optim"),
    [(None, SGD()), (AMSoftmax(scale=Chosen(), m=Chosen()), AdamW()), (AMSoftmax(scale=Chosen(), m=0.1), SGD(lr=0.01))],
)
def test_a_run_that_has_begun_keeps_what_was_chosen_for_it(
    tmp_path: Path, margin: Margin | None, optim: SGD | AdamW, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rules, and the device that they ask, may be others when a run is resumed by the recipe that left things open."""
    monkeypatch.setattr("angulus.training.recipe.rules.FEWEST_STEPS", 8)
    monkeypatch.setattr("angulus.training.recipe.rules.EXAMPLES", {False: 200, True: 200})
    experiment = left_open(tmp_path / "run", margin, optim)
    train(replace(experiment, train=replace(experiment.train, epochs=2)))
    before = chosen_otherwise(
        tmp_path / "run",
        train={"batch_size": 20, "epochs": 1, "batch_norm": "frozen"},
        margin={"scale": 11.5},
        augment={"crop": 0.125, "crop_scale": [0.9, 1.1]},
        learning_rate={"warmup_epochs": 0.5},
        optim={"weight_decay": 0.001},
    )
    told = json.loads((tmp_path / "run/environment.json").read_text())["settings"]
    train(experiment, resume=True)
    assert json.loads((tmp_path / "run/recipe.json").read_text()) == before
    assert json.loads((tmp_path / "run/result.json").read_text())["recipe"] == before
    assert told
    assert json.loads((tmp_path / "run/environment.json").read_text())["settings"] == told


def test_values_that_no_run_chooses_are_passed_over(tmp_path: Path) -> None:
    """recipe.json may be damaged: whatever stands there, an open field stays open or gets a value of its type."""
    train(small(tmp_path / "run"))
    experiment = replace(left_open(tmp_path / "run"), model=None)
    whole = recipe_in(tmp_path / "run")
    assert whole is not None
    for value in (
        None,
        True,
        -1,
        1.5,
        float("nan"),
        float("inf"),
        "x",
        [],
        {},
        [None],
        {"name": "arcface"},
        {"name": 5},
    ):
        for name in whole:
            as_begun(experiment, {**whole, name: value})
            for inner in whole[name] if isinstance(whole[name], dict) else ():
                found = as_begun(experiment, {**whole, name: {**whole[name], inner: value}})
                assert type(found.train.epochs) in (int, type(None))
                assert type(found.optim.lr) in (int, float, type(None))
