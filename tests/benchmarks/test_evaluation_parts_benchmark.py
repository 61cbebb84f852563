"""The benchmark of an evaluation in parts measures a row of each kind."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "evaluation_parts.py"


@pytest.mark.parametrize("kind", ["pairs", "search", "copies"])
def test_a_row_says_what_a_pair_costs(kind: str) -> None:
    command = [sys.executable, str(SCRIPT), "--row", kind, "300"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout.splitlines()[-1])
    assert row["pairs"] == (300 * 300 if kind == "search" else 300 * 299 // 2)
    assert row["parts"] == 1
    assert row["pairs_a_second"] > 0
    assert row["memory_mib"] >= 0
