"""Two gloo processes train a head for each of two sets as one process does, copied or divided."""

import json
import shutil
from pathlib import Path

import pytest
from processes import run_python, run_together

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).parent / "separate_runs.py"
CASES = ["copies", "accumulated", "divided", "moved"]
ALIKE = ("loss", "loss/west", "loss/east", "cos_target", "gradient_norm", "held-out/auc", "held-out of east/eer")


def run(world: int, folder: Path, *words: str) -> None:
    if world > 1:
        run_together(world, str(SCRIPT), str(folder), *words)
    else:
        run_python(str(SCRIPT), str(folder), *words)


def rows(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """By number of processes: the folder with the runs. One process goes on with what two began, and the reverse."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    run(2, two, *(f"train:{case}" for case in CASES), "stop:moved", "stop:copies", "refuse:copies", "resume:copies")
    shutil.copytree(two / "stopped-moved", one / "stopped-moved")
    run(1, one, *(f"train:{case}" for case in CASES), "resume:moved")
    return {1: one, 2: two}


def check_alike(found: Path, expected: Path) -> None:
    pairs = list(zip(rows(found), rows(expected), strict=True))
    assert [row["step"] for row, _ in pairs] == [row["step"] for _, row in pairs]
    for row, other in pairs:
        wanted = {name: other[name] for name in ALIKE if name in other}
        assert {name: row[name] for name in wanted} == pytest.approx(wanted, rel=1e-7)


@pytest.mark.parametrize("case", CASES)
def test_two_processes_train_as_one_does(trained, case):
    check_alike(trained[2] / case, trained[1] / case)
    assert rows(trained[1] / case)[0]["loss/west"] > 0


def test_one_process_goes_on_with_the_heads_of_two(trained):
    assert len(list((trained[1] / "stopped-moved" / "checkpoints").glob("step-*/east/.metadata"))) >= 1
    check_alike(trained[1] / "stopped-moved", trained[1] / "moved")


def test_a_resumed_run_of_two_equals_the_uninterrupted_one_to_the_bit(trained):
    timed = ("images_per_second", "waiting_for_data")
    whole, resumed = (
        [{name: value for name, value in row.items() if name not in timed} for row in rows(trained[2] / folder)]
        for folder in ("copies", "stopped-copies")
    )
    assert resumed == whole


def test_a_process_without_an_example_of_a_set_is_refused(trained):
    told = (trained[2] / "refused.txt").read_text()
    assert told.startswith("the set west has 1 of 21 examples of a batch, too few for each process to have one")
