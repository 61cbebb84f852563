"""The scripts in benchmarks/ run."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "heads.py"
INTERVALS = SCRIPT.with_name("intervals.py")


def heads(file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--repeats", "1", "--no-memory", "--json", str(file), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_heads_are_compared_timed_and_written(tmp_path):
    file = tmp_path / "heads.json"
    done = heads(file, "--classes", "200", "--examples", "8", "--only", "floor", "dense", "streamed-recompute")
    assert done.returncode == 0, done.stderr
    runs = json.loads(file.read_text())["runs"]
    assert [(run["classes"], run["examples"], run["subcenters"]) for run in runs] == [(200, 8, 1), (200, 8, 3)]
    for run in runs:
        assert list(run["heads"]) == ["floor", "dense", "streamed-recompute"]
        assert run["heads"]["floor"]["ratio"] == 1.0
        assert run["heads"]["streamed-recompute"]["ratio"] > 0.0
        differences = run["heads"]["streamed-recompute"]["difference"]
        assert set(differences) == {"loss", "embeddings", "own", "others"}
        assert max(differences.values()) < 1e-4
    assert done.stdout.count("| streamed-recompute |") == 2


def test_a_head_that_does_not_fit_is_left_out_and_says_so(tmp_path):
    file = tmp_path / "heads.json"
    options = ("--classes", "10000000000", "--examples", "8", "--subcenters", "1", "--only", "dense")
    done = heads(file, *options)
    assert done.returncode == 0, done.stderr
    assert "| dense | does not fit: needs about" in done.stdout


def test_intervals_are_simulated_and_written(tmp_path):
    file = tmp_path / "intervals.json"
    options = ("--draws", "2", "--replicates", "20", "--only", "0", "--truth-people", "100", "--json", str(file))
    done = subprocess.run([sys.executable, str(INTERVALS), *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(file.read_text())["results"].values()
    assert found["TAR at FAR 0.01 | logit-t"]["draws"] == 2
    assert file.with_suffix(".md").read_text().count("| 4 images each |") == 10
