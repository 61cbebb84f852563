"""The script benchmarks/search.py runs, and its rows agree with each other."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "search.py"


@pytest.mark.slow
def test_searches_are_compared_timed_and_written(tmp_path):
    file = tmp_path / "search.json"
    sizes = ("--dims", "16", "--distractors", "9000", "--matrix", "500", "--pairs", "5000")
    command = [sys.executable, str(SCRIPT), *sizes, "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    written = json.loads(file.read_text())
    assert [row["job"] for row in written["identification"]] == ["floor", "streamed", "streamed", "matrix"]
    assert [row["job"] for row in written["listed_pairs"]][:2] == ["blocks", "blocks_and_rates"]
    assert all(row["memory_bytes"] > row["memory_before_bytes"] for row in written["listed_pairs"])
    assert done.stdout.count("| run |") == 3
