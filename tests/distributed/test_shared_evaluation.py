"""`angulus evaluate` under torchrun: two gloo processes share the blocks, and the first reports what one alone does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from angulus.cli import main
from angulus.embeddings import EmbeddingSet


def people(images: int = 300, identities: int = 40) -> EmbeddingSet:
    random = np.random.default_rng(0)
    labels = random.integers(0, identities, images).astype(np.int64)
    vectors = random.standard_normal((identities, 8))[labels] + 0.7 * random.standard_normal((images, 8))
    keys = tuple(f"p{label}/{row}.jpg" for row, label in enumerate(labels))
    return EmbeddingSet(embeddings=vectors.astype(np.float32), labels=labels, keys=keys)


def torchrun(folder: Path, *words: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name not in ("WORLD_SIZE", "RANK", "LOCAL_RANK")}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "angulus"]
    done = subprocess.run(
        [*launch, *words], capture_output=True, text=True, timeout=300, cwd=folder, env=kept | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def figures(path: Path) -> dict:
    return {key: value for key, value in json.loads(path.read_text()).items() if key != "seconds"}


@pytest.mark.parametrize("words", [["evaluate", "e.npz", "--far", "0.01"]], ids=["all-pairs"])
def test_two_processes_report_once_what_one_does(
    tmp_path: Path, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    people().save(tmp_path / "e.npz")
    monkeypatch.chdir(tmp_path)
    assert main([*words, "--json", "one.json"]) == 0
    alone = capsys.readouterr().out
    assert torchrun(tmp_path, *words, "--json", "two.json") == alone
    assert figures(tmp_path / "two.json") == figures(tmp_path / "one.json")
