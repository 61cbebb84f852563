"""Two processes whose checkpoints are written by threads: the same run to the bit, killed or with a full disk."""

import json
import signal
from pathlib import Path

import pytest
from processes import free_port, run_together, started

pytestmark = pytest.mark.slow

SCRIPT = str(Path(__file__).parent / "background_runs.py")
HEADS = ("whole", "divided")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the runs; those that were killed are resumed."""
    folder = tmp_path_factory.mktemp("runs")
    words = [f"{verb}:{head}" for verb in ("wait", "beside") for head in HEADS]
    run_together(2, SCRIPT, str(folder), *words, "full:divided")
    for head in HEADS:
        codes = killed_in_a_write(folder, head)
        assert codes == [0, -signal.SIGKILL]
        (folder / f"left-{head}.json").write_text(json.dumps(checkpoints(folder / f"killed-{head}")))
    run_together(2, SCRIPT, str(folder), *(f"resume:{head}" for head in HEADS))
    return folder


def killed_in_a_write(folder: Path, head: str) -> list[int | None]:
    """How the two processes ended of which the second is killed."""
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    words = [SCRIPT, str(folder), f"kill:{head}"]
    both = [
        started(words, folder / f"kill-{head}-{rank}.txt", None, shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in (0, 1)
    ]
    for one in both:
        one.join(120)
        one.kill()
    return [one.exitcode for one in both]


def checkpoints(folder: Path) -> list[str]:
    return sorted(path.name.removesuffix(".pt") for path in (folder / "checkpoints").glob("step-*"))


def rows(folder: Path) -> list[dict[str, float]]:
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    timed = ("images_per_second", "waiting_for_data")
    return [{name: value for name, value in row.items() if name not in timed} for row in found]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", ["beside", "killed"])
def test_a_run_equals_one_that_waits_to_the_bit(runs, name, head):
    found, waiting = runs / f"{name}-{head}", runs / f"waiting-{head}"
    assert rows(found) == rows(waiting)
    first, second = ((folder / "model" / "model.safetensors").read_bytes() for folder in (found, waiting))
    assert first == second
    assert checkpoints(found) == checkpoints(waiting) == ["step-00000006", "step-00000008"]
    assert not list((found / "checkpoints").glob(".*"))


@pytest.mark.parametrize("head", HEADS)
def test_a_process_that_is_killed_in_a_write_leaves_the_checkpoint_before(runs, head):
    left = json.loads((runs / f"left-{head}.json").read_text())
    # a whole head is written by the first process alone, which may come to the end of it
    assert left == ["step-00000003"] or (head == "whole" and left == ["step-00000003", "step-00000006"])
    told = (runs / f"killed-{head}" / "told-0.txt").read_text()
    assert told.startswith("LostProcessError: process 1 (number ")


def test_a_disk_that_is_full_for_one_process_stops_all_at_the_same_step(runs):
    folder = runs / "full-divided"
    told = [(folder / f"told-{rank}.txt").read_text() for rank in (0, 1)]
    assert told[0] == told[1]
    assert told[0].startswith("CheckpointError: ")
    assert "could not be written (OSError: [Errno 28] No space left on device)" in told[0]
    assert checkpoints(folder) == ["step-00000003"]
