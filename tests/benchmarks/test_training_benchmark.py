"""The benchmark of training measures both loops, keeps its rows, and stops in time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "training.py"


def training(file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    sizes = ("--people", "400", "--images", "800", "--batches", "8", "--steps", "1", "--rounds", "1", "--threads", "1")
    command = [sys.executable, str(SCRIPT), "--json", str(file), "--networks", "tinynet", *sizes, *options]
    settings = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=settings, timeout=300)


@pytest.mark.slow
def test_both_loops_are_timed_written_and_kept(tmp_path):
    file = tmp_path / "training.json"
    done = training(file, "--data", "memory", "--precision", "float32")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(file.read_text())["rows"]
    assert (row["network"], row["batch"], row["data"], row["rounds"]) == ("tinynet", 8, "memory", 1)
    assert min(row["own"], row["plain"], row["own/plain"]) > 0
    assert 0 <= row["idle"] < 1
    assert "| tinynet | 8 | memory | float32 |" in done.stdout
    again = training(file, "--data", "memory", "packed", "--precision", "float32", "--budget", "0")
    assert again.returncode == 0, again.stderr
    assert json.loads(file.read_text())["rows"] == [row]
    assert "left out, for want of time: tinynet, batch 8, packed" in again.stdout
