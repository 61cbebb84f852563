"""A divided head over machines that share no folder is refused when the run starts."""

from pathlib import Path

import pytest
from processes import run_together

TESTS = Path(__file__).parents[2]
SCRIPT = f"""
import os, sys
sys.path[:0] = [{str(TESTS / "training")!r}, {str(TESTS / "storage")!r}]
from pathlib import Path
import angulus.training.nodes.shared_folder as shared_folder
from angulus.errors import AngulusError
from angulus.training import Head, train
from small_run import small

shared_folder.PATIENCE = 0.2
kind, sharded, folder, rank = sys.argv[1], sys.argv[2] == "sharded", Path(sys.argv[3]), os.environ["RANK"]
own = folder / f"machine{{rank}}"
own.mkdir(exist_ok=True)
os.environ["ANGULUS_CACHE"] = str(folder / "cache" if kind == "shared" else own / "cache")
out = own / "run" if kind == "folder" else "memory://runs/run"
try:
    train(small(out, epochs=1, head=Head(sharded=sharded)))
    print("trained")
except AngulusError as error:
    print("refused:", error)
"""


def said(folder: Path, *words: str) -> list[str]:
    (folder / "go.py").write_text(SCRIPT)
    printed = run_together(2, str(folder / "go.py"), *words, str(folder))
    return [line for line in printed.splitlines() if line.startswith(("refused", "trained"))]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("folder", "name a folder on a disk that they share"),
        ("store", "let ANGULUS_CACHE be on a disk that they share"),
    ],
)
def test_two_machines_with_disks_of_their_own_are_told(tmp_path: Path, kind: str, remedy: str) -> None:
    lines = said(tmp_path, kind, "sharded")
    assert len(lines) == 2
    assert all("out must be a folder that all machines see" in line and remedy in line for line in lines)
    assert all("is not seen by process 1 of 2" in line for line in lines)
    assert [path for path in tmp_path.rglob("*") if "run" in path.name or path.suffix == ".seen"] == []


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "head"), [("shared", "sharded"), ("store", "whole")])
def test_a_shared_cache_and_a_whole_head_are_not_refused(tmp_path: Path, kind: str, head: str) -> None:
    assert said(tmp_path, kind, head) == ["trained", "trained"]
