"""The benchmark's recipes are valid, and its tables say what its rows say."""

import importlib.util
from pathlib import Path

import pytest

from angulus.data import Noise

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "purification.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("purification_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("init", [None, Path("068.ckpt")])
def test_every_noise_is_a_recipe(script, init):
    for noise in script.NOISE.values():
        experiment = script.recipe(noise, 1, init)
        rates = {name: share for name, share in noise.items() if name != "outside"}
        assert experiment.data.noise() == Noise(**rates, seed=1)
        assert script.unjudged(experiment).evaluation.also == {}


def test_tables_show_mean_and_spread_over_the_seeds(script):
    rule = {"precision": 0.5, "recall": 1.0, "f1": 2 / 3, "best_f1": 0.75, "average_precision": 0.9}
    rules = {
        f"{name} {angle}": rule for name in ("subcenter", "strict", "nearest", "combined") for angle in ("75", "auto")
    }
    judged = {"tar@0.1": 0.6, "tar@0.01": 0.2, "intervals": {"tar@0.01": [0.1, 0.3]}}
    rows = {
        "flips 20 % | 0 | noisy K=3": {**judged, "eer": 0.2, "rules": rules},
        "flips 20 % | 1 | noisy K=3": {**judged, "eer": 0.3, "rules": rules},
        "clean | 0 | noisy K=1": {**judged, "eer": 0.1},
        "flips 20 % | 0 | cleaned K=1": {"error": "nothing left"},
    }
    cleaning, verification = script.cleaning_table(rows), script.verification_table(rows)
    assert "| flips 20 % | 3 | subcenter, 75 | 0.500 +- 0.000 | 1.000 +- 0.000 | 0.667 +- 0.000 |" in cleaning
    assert (
        "| flips 20 % | noisy, K = 3 | 2 | 25.0% +- 7.1 | 60.0% +- 0.0 | 20.0% +- 0.0 | 10.0% to 30.0% |"
        in verification
    )
    assert "| clean | K = 1 | 1 | 10.0% | 60.0% | 20.0% |" in verification
    assert "cleaned by K = 1" not in verification
