"""Runs in stages over two processes: the metrics of one, whole head or divided, and resumption to the bit."""

import json
from pathlib import Path

import pytest
import torch
from processes import run_python, run_together

from angulus.models import load_model

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parent / "staged_runs.py"


def rows(folder):
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [(row["stage"], row["loss"], row["cos_target"], row["gradient_norm"]) for row in found if "loss" in row]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """By number of processes."""
    folder = tmp_path_factory.mktemp("staged")
    run_python(str(SCRIPT), str(folder / "1"))
    run_together(2, str(SCRIPT), str(folder / "2"))
    return folder / "1", folder / "2"


@pytest.mark.parametrize("name", ["whole", "sharded", "inside"])
def test_two_processes_train_in_stages_as_one_does(folders, name):
    alone, both = (rows(folder / name) for folder in folders)
    assert [stage for stage, *_ in both] == [1] * 5 + [2] * 10
    for one, two in zip(alone, both, strict=True):
        assert two == pytest.approx(one, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("world", [1, 2])
def test_a_divided_run_that_was_resumed_in_its_second_stage_is_the_same(folders, world):
    folder = folders[world - 1]
    assert rows(folder / "resumed") == rows(folder / "sampled")
    found, expected = (load_model(folder / name / "model").state_dict() for name in ("resumed", "sampled"))
    assert all(torch.equal(value, expected[name]) for name, value in found.items())
