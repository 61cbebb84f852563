"""Pixels or planes: what a processor is faster with, if clearly so; recorded, and kept by a resumed run."""

import json
from pathlib import Path

import pytest
import torch
from small_run import small

from angulus.models import InputSpec, TinyNet
from angulus.training import train
from angulus.training.plan import layout_choice
from angulus.training.plan.layout_choice import choose, time_factor

CPU = torch.device("cpu")


def network():
    return TinyNet(channels=(8, 8), units=(1, 0), embedding_dim=16, input=InputSpec(height=24, width=24)).build()


def as_if(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    monkeypatch.setattr(layout_choice, "time_factor", lambda model, images, half: factor)


@pytest.mark.parametrize(
    ("factor", "chosen"), [(0.5, "contiguous"), (0.8, "contiguous"), (0.9, "channels_last"), (1.3, "channels_last")]
)
def test_planes_must_be_clearly_faster(monkeypatch: pytest.MonkeyPatch, factor: float, chosen: str) -> None:
    as_if(monkeypatch, factor)
    assert choose("auto", network(), CPU, 8).chosen == chosen


@pytest.mark.parametrize(("asked", "device"), [("auto", "cuda"), ("channels_last", "cpu"), ("contiguous", "cuda")])
def test_nothing_is_timed_where_the_answer_is_known(
    monkeypatch: pytest.MonkeyPatch, asked: layout_choice.Layout, device: str
) -> None:
    monkeypatch.setattr(layout_choice, "time_factor", lambda *args, **options: pytest.fail("timed"))
    assert choose(asked, network(), torch.device(device), 8).chosen == (asked if asked != "auto" else "channels_last")


def test_timing_leaves_the_network_and_the_random_numbers_alone() -> None:
    model = network().eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    strides = [parameter.stride() for parameter in model.parameters()]
    state = torch.random.get_rng_state()
    assert time_factor(model, 8) > 0
    assert not model.training
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [parameter.stride() for parameter in model.parameters()] == strides
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_choice_is_recorded_and_a_resumed_run_keeps_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    as_if(monkeypatch, 0.5)
    folder = tmp_path / "run"
    train(small(folder, layout="auto", epochs=1))
    choices = json.loads((folder / "environment.json").read_text())["choices"]
    assert choices["layout"]["chosen"] == "contiguous"
    assert "0.50 times as long" in choices["layout"]["reason"]
    assert json.loads((folder / "recipe.json").read_text())["train"]["layout"] == "contiguous"
    as_if(monkeypatch, 2.0)  # another machine
    train(small(folder, layout="auto", epochs=1), resume=True)


def test_a_run_with_planes_is_that_with_pixels_to_rounding(tmp_path: Path) -> None:
    losses = []
    for layout in layout_choice.FORMATS:
        train(small(tmp_path / layout, layout=layout, epochs=1))
        rows = [json.loads(line) for line in (tmp_path / layout / "metrics.jsonl").read_text().splitlines()]
        losses.append([row["loss"] for row in rows if "loss" in row][:2])  # rounding grows with every step
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
