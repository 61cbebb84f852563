"""A network that rests at first, over two processes: the metrics of one, whole head or divided."""

import json
from pathlib import Path

import pytest
from processes import run_python, run_together
from small_run import small

from angulus.training import train

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parent / "tuned_runs.py"


def rows(folder):
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [(row["loss"], row["cos_target"], row["gradient_norm"]) for row in found if "loss" in row]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """By number of processes."""
    folder = tmp_path_factory.mktemp("tuned")
    init = train(small(folder / "first", epochs=1)).folder / "model"
    run_python(str(SCRIPT), str(folder / "1"), str(init))
    run_together(2, str(SCRIPT), str(folder / "2"), str(init))
    return folder / "1", folder / "2"


@pytest.mark.parametrize("name", ["whole", "sharded", "inside"])
def test_two_processes_tune_as_one_does(folders, name):
    alone, both = (rows(folder / name) for folder in folders)
    assert [norm == 0 for *_, norm in alone] == [norm == 0 for *_, norm in both] == [True] * 5 + [False] * 5
    for one, two in zip(alone, both, strict=True):
        assert two == pytest.approx(one, rel=1e-3, abs=1e-5)
