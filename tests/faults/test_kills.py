"""kill -9 of a study, an alignment with two jobs and a purification: nothing is left, and the next call ends as usual.

`python benchmarks/kills.py` does the same ten times each; its table is benchmarks/results/kills.json.
"""

import importlib.util
import random
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("benchmark_kills", HERE / "benchmarks" / "kills.py")
assert spec is not None
kills = importlib.util.module_from_spec(spec)
assert spec.loader is not None
spec.loader.exec_module(kills)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
@pytest.mark.parametrize("kind", ["study", "align", "purify"])
def test_kills_leave_nothing_and_change_nothing(kind, tmp_path):
    command = kills.prepare(tmp_path)[kind]
    found = kills.measured(command, tmp_path / kind, 2, random.Random(), chained=True)
    assert found["kills"] > 0
    wrong = ("left_after_10_s", "other_results", "doubled_rows", "partial_files")
    assert {name: found[name] for name in wrong} == dict.fromkeys(wrong, 0)
