"""Whole runs with the inter-top-k penalty and SphereFace2: from the recipe's names to a resumed run and its record."""

import json

import pytest
import torch
from small_run import small, stop_at

from angulus.config import load
from angulus.errors import ConfigError
from angulus.heads import Auto, Panels, Sampled, Streamed
from angulus.heads.expectation import expected_initial_loss
from angulus.margins import InterTopK, Linear, SphereFace2
from angulus.training import Experiment, Head, SyntheticData, train
from angulus.training.recipe.margin_rules import with_margin
from angulus.training.recording.softmax_bounds import least_binary

MARGINS = {
    "inter_topk": InterTopK(scale=16.0, k=3, m=Linear(end=0.2, until=0.5, unit="run")),
    "sphereface2": SphereFace2(),
}


def rows(folder, name="metrics.jsonl"):
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def losses(folder):
    return [(row["step"], row["loss"]) for row in rows(folder) if "loss" in row]


def head_of(folder):
    newest = max((folder / "checkpoints").glob("step-*.pt"))
    return torch.load(newest, weights_only=True)["tensors"]["head"]


@pytest.mark.slow
@pytest.mark.parametrize("name", MARGINS)
def test_a_resumed_run_is_the_uninterrupted_one_and_keeps_the_bias(name, tmp_path, monkeypatch):
    head = Head(strategy=Streamed(chunk=7), subcenters=2)
    whole = train(small(tmp_path / "whole", margin=MARGINS[name], head=head))
    with monkeypatch.context() as patch:
        stop_at(patch, 7)
        with pytest.raises(KeyboardInterrupt):
            train(small(tmp_path / "cut", margin=MARGINS[name], head=head))
    resumed = train(small(tmp_path / "cut", margin=MARGINS[name], head=head), resume=True)
    assert losses(resumed.folder) == losses(whole.folder)
    states = [head_of(folder) for folder in (whole.folder, resumed.folder)]
    assert torch.equal(states[0]["weight"], states[1]["weight"])
    start = rows(whole.folder, "diagnosis.jsonl")[0]
    assert start["reduction"] == ("binary" if name == "sphereface2" else "softmax")
    assert start["least_loss"] < losses(whole.folder)[-1][1] < start["first_loss"]
    assert losses(whole.folder)[0][1] == pytest.approx(start["first_loss"], rel=0.3)
    if name == "sphereface2":
        assert torch.equal(states[0]["learned.bias"], states[1]["learned.bias"])
        first = SphereFace2().initial_learned(20)["bias"]
        assert states[0]["learned.bias"].item() != pytest.approx(first, abs=1e-3)
        assert "best_mass" not in start


def test_recipes_name_them():
    experiment = load([], ["data=synthetic", "margin={name: inter_topk, k: 3, m: 0.2, m_prime: 0.1, scale: 32}"])
    assert experiment.margin == InterTopK(k=3, m=0.2, m_prime=0.1, scale=32)
    assert load([], ["data=synthetic", "margin=sphereface2"]).margin == SphereFace2()
    chosen, _ = with_margin(load([], ["data=synthetic", "margin=inter_topk"]).margin, 5994)
    assert chosen == InterTopK(
        scale=30.0,
        m=Linear(end=0.2, until=0.5, unit="run"),
        m_prime=Linear(end=0.06, until=0.5, unit="run"),
    )


def test_a_strategy_that_does_not_answer_is_refused_with_the_recipe():
    for strategy in (Panels(), Sampled()):
        with pytest.raises(ValueError, match=r"SphereFace2 is a binary loss.*head\.strategy=auto"):
            Experiment(data=SyntheticData(), margin=SphereFace2(), head=Head(strategy=strategy))
    Experiment(data=SyntheticData(), margin=SphereFace2(), head=Head(strategy=Auto()))
    with pytest.raises(ConfigError, match="nearest classes"):
        load([], ["data=synthetic", "margin=inter_topk", "head.strategy=panels"])
    with pytest.raises(ConfigError, match=r"leave head\.label_smoothing out"):
        load([], ["data=synthetic", "margin=sphereface2", "head.label_smoothing=0.1"])


def test_the_least_binary_loss_is_that_of_the_best_bias():
    for own, other, count, share in ((24.0, -14.0, 210, 0.7), (1.0, -0.5, 3, 0.5), (30.0, 5.0, 10**6, 0.8)):
        bias = torch.linspace(-60, 60, 240_001, dtype=torch.float64)
        plus = torch.nn.functional.softplus
        values = share * plus(-own - bias) + (1 - share) * (count - 1) * plus(other + bias)
        assert least_binary(own, other, count, share) == pytest.approx(float(values.min()), rel=1e-4)


def test_an_expected_loss_knows_the_nearest_classes():
    plain, moved = (expected_initial_loss(InterTopK(k=5, m_prime=by), 1000, 64) for by in (0.0, 0.3))
    assert moved > plain + 1.0
