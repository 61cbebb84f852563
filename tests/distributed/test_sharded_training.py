"""Training with the classes divided over processes: the metrics of one process, whatever the strategy."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "sharded_runs.py"
CASES = ["dense", "accumulated", "streamed", "sampled", "adamw"]
ALIKE = ("loss", "cos_target", "gradient_norm", "held-out/auc", "held-out/eer")


def run(world: int, *arguments: str, succeeds: bool = True) -> str:
    """Run the script with so many processes; what they wrote."""
    together = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(world)]
    environment = {name: value for name, value in os.environ.items() if name != "WORLD_SIZE"} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*(together if world > 1 else [sys.executable]), str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
    )
    assert (done.returncode == 0) == succeeds, done.stdout + done.stderr
    return done.stdout + done.stderr


def rows(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """By number of processes: the folder with the runs."""
    folders = {world: tmp_path_factory.mktemp(f"by-{world}") for world in (1, 2, 3)}
    for world, folder in folders.items():
        run(world, str(folder), *CASES)
    return folders


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("case", CASES)
def test_a_sharded_head_trains_as_one_process_does(trained, case, world):
    alone, together = (rows(trained[number] / case) for number in (1, world))
    assert [row["step"] for row in together] == [row["step"] for row in alone]
    for one, other in zip(alone, together, strict=True):
        expected = {name: one[name] for name in ALIKE if name in one}
        assert {name: other[name] for name in expected} == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_what_one_process_sees_stops_all_with_one_sentence(tmp_path):
    said = run(2, str(tmp_path), "poisoned", succeeds=False)
    told = [line for line in said.splitlines() if "NonFiniteError: step 4: the gradient of head.weight" in line]
    assert len(told) == 2, said
