"""Bfloat16 is taken where the device computes in it; a choice is recorded and kept, an explicit one is warned of."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_run import small

from angulus.config import load
from angulus.heads import Fused, Panels, Strategy, Streamed
from angulus.models import InputSpec, TinyNet
from angulus.training import train
from angulus.training.plan import precision_choice
from angulus.training.plan.precision_choice import choose, time_factor, with_precision

CPU = torch.device("cpu")
RECIPES = Path(__file__).parents[3] / "recipes"


def network():
    return TinyNet(channels=(8, 8), units=(1, 0), embedding_dim=16, input=InputSpec(height=24, width=24)).build()


def as_if(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    monkeypatch.setattr(precision_choice, "time_factor", lambda model: factor)


@pytest.mark.parametrize(
    ("factor", "chosen"), [(0.4, "bfloat16"), (0.8, "bfloat16"), (0.9, "float32"), (13.0, "float32")]
)
def test_a_cpu_takes_what_is_faster(monkeypatch: pytest.MonkeyPatch, factor: float, chosen: str) -> None:
    as_if(monkeypatch, factor)
    assert choose("auto", network(), CPU).chosen == chosen


@pytest.mark.parametrize(("capability", "chosen"), [((7, 5), "float32"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16")])
def test_cuda_is_asked_and_not_timed(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], chosen: str) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(precision_choice, "time_factor", lambda model: pytest.fail("timed"))
    assert choose("auto", network(), torch.device("cuda")).chosen == chosen


def test_float32_is_never_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision_choice, "time_factor", lambda model: pytest.fail("timed"))
    assert choose("float32", network(), CPU).chosen == "float32"


@pytest.mark.parametrize(("factor", "said"), [(13.2, True), (1.1, False), (0.5, False)])
def test_an_explicit_bfloat16_is_kept_with_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path, factor: float, said: bool
) -> None:
    as_if(monkeypatch, factor)
    with caplog.at_level(logging.WARNING, logger="angulus"):
        found, _ = with_precision(small(tmp_path, precision="bfloat16"), network(), CPU)
    assert found.train.precision == "bfloat16"
    assert ("takes 13.2 times as long as float32" in caplog.text) == said


@pytest.mark.parametrize(
    ("strategy", "factor", "said"),
    [
        (Streamed(products="bfloat16"), 13.2, 1),
        (Panels(products="bfloat16"), 13.2, 0),  # multiplies in float32 on a CPU
        (Streamed(products="bfloat16"), 0.4, 0),
        (Streamed(), 13.2, 0),
        (Fused(products="bfloat16"), 13.2, 1),
    ],
)
def test_products_that_a_processor_emulates_are_kept_with_one_warning(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    strategy: Strategy,
    factor: float,
    said: int,
) -> None:
    monkeypatch.setattr(precision_choice, "bfloat16_factor", lambda: factor)
    experiment = small(tmp_path, precision="float32")
    experiment = replace(experiment, head=replace(experiment.head, strategy=strategy))
    with caplog.at_level(logging.WARNING, logger="angulus"):
        found, _ = with_precision(experiment, network(), CPU)
    assert found.head.strategy == strategy
    assert caplog.text.count("head.strategy.products=bfloat16 takes 13.2 times as long") == said


def test_timing_leaves_the_network_and_the_random_numbers_alone() -> None:
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.random.get_rng_state()
    assert time_factor(model) > 0
    assert model.training
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_choice_is_recorded_and_a_resumed_run_keeps_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    as_if(monkeypatch, 13.0)
    train(small(tmp_path / "run", precision="auto", epochs=1))
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert environment["choices"]["precision"]["chosen"] == "float32"
    assert "13.00 times as long" in environment["choices"]["precision"]["reason"]
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["train"]["precision"] == "float32"
    as_if(monkeypatch, 0.4)  # another machine
    assert choose("auto", network(), CPU, tmp_path / "run").chosen == "float32"
    train(small(tmp_path / "run", precision="auto", epochs=1), resume=True)


@pytest.mark.parametrize("recipe", sorted(RECIPES.glob("[!s]*.yaml")), ids=lambda path: path.name)
def test_no_recipe_asks_for_a_precision_that_a_machine_may_not_have(recipe: Path) -> None:
    assert load([recipe]).train.precision == "auto"
