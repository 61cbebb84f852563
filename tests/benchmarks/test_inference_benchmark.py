"""The script benchmarks/inference.py runs, writes every row, goes on where it stopped; what a GPU runs, on a CPU."""

import argparse
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "inference.py"


@pytest.mark.slow
def test_rows_are_kept_and_not_made_again(tmp_path) -> None:
    file = tmp_path / "inference.json"
    options = ("--images", "4", "--repeats", "1", "--ways", "eager", "channels_last", "--json", str(file))

    def run(*more: str) -> str:
        command = [sys.executable, str(SCRIPT), *options, *more]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("--networks", "tiny")
    assert [row["way"] for row in json.loads(file.read_text())["rows"]] == ["eager", "channels_last"]
    assert "not begun" in run("--networks", "tiny", "vit_tiny", "--budget", "0")
    assert len(json.loads(file.read_text())["rows"]) == 2
    assert max(row["cosine_distance"] for row in json.loads(file.read_text())["rows"]) < 1e-6


def test_what_a_gpu_is_asked(monkeypatch) -> None:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    spec = importlib.util.spec_from_file_location("inference_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    options = argparse.Namespace(device="cpu", packed=None, images=6, pairs=400)
    rows = {name: job() for name, job in module.device_rows(options).items()}
    assert rows["embed"]["images"] == 6
    assert rows["embed"]["by"]["runtime"] == "torch"
    assert rows["all_pairs"]["ratio"] > 0
    assert len(rows["all_pairs"]["tars"]) == 4
