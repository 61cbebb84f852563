"""Two "nodes", each a torchrun of its own on the loopback: one loses its process and the run goes on without a hand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import free_port

TRAINING = Path(__file__).parents[1] / "training"
KILLED_AT = 8  # two steps after the second checkpoint
LOST = {"met": True, "numbered": False}
"""Runs that lose a process, by name; whether their launches meet by a rendezvous."""
SCRIPT = f"""
import os, signal, sys
sys.path.insert(0, {str(TRAINING)!r})
from pathlib import Path
import torch
from small_run import small
import angulus.training.loop as loop
from angulus.training import Head, train

torch.set_num_threads(1)
rate, planted = loop.Run.rate, Path(sys.argv[2])

def dying(run):
    if run.group.rank == 1 and run.state.step == {KILLED_AT} and planted.exists():
        planted.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return rate(run)

if __name__ == "__main__":
    loop.Run.rate = dying
    experiment = small(Path(sys.argv[1]), epochs=3, head=Head(sharded=True))
    train(experiment)
"""


def started(folder: Path, out: str, planted: str, *words: str) -> subprocess.Popen[str]:
    """A torchrun, whose words end in a file."""
    command = [sys.executable, "-m", "torch.distributed.run", *words, str(folder / "go.py"), out, planted]
    environment = {name: value for name, value in os.environ.items() if name != "WORLD_SIZE"} | {"OMP_NUM_THREADS": "1"}
    with (folder / "said.txt").open("a") as said:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said, text=True)


def on_two_nodes(folder: Path, out: str, planted: str, *, rendezvous: bool) -> list[subprocess.Popen[str]]:
    """Two launches of one process each that meet at a port: by a rendezvous, or as they are numbered."""
    if rendezvous:
        meeting = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{free_port()}", "--rdzv-id", f"job-{out}"]
        meeting += ["--rdzv-conf", "last_call_timeout=1", "--local-addr", "127.0.0.1"]
    else:
        meeting = ["--master-addr", "127.0.0.1", "--master-port", str(free_port())]
    meeting += ["--monitor-interval", "0.2"]
    words = ["--nnodes", "2", "--nproc-per-node", "1", *meeting, "--max-restarts", "2"]
    return [started(folder, out, planted, *words, "--node-rank", str(node)) for node in range(2)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nodes")
    (folder / "go.py").write_text(SCRIPT)
    launches = [started(folder, "whole", "absent", "--standalone", "--nproc-per-node", "2")]
    for out, rendezvous in LOST.items():
        (folder / f"planted-{out}").touch()
        launches += on_two_nodes(folder, out, f"planted-{out}", rendezvous=rendezvous)
    try:
        ended = [launch.wait(timeout=600) for launch in launches]
    finally:
        for launch in launches:
            launch.kill()
    assert ended == [0] * 5, (folder / "said.txt").read_text()
    assert not list(folder.glob("planted-*"))
    return folder


def rows(folder: Path) -> list[dict[str, float]]:
    timed = ("images_per_second", "waiting_for_data")
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name not in timed} for row in found]


def figures(folder: Path) -> dict[str, float]:
    found = json.loads((folder / "result.json").read_text())["figures"]
    return {name: value for name, value in found.items() if name != "seconds"}


@pytest.mark.slow
@pytest.mark.parametrize("lost", LOST)
def test_a_node_that_loses_its_process_goes_on_by_itself_to_the_same_figures(trained, lost):
    folder = trained
    assert figures(folder / lost) == figures(folder / "whole")
    assert rows(folder / lost) == rows(folder / "whole")
    first, second = ((folder / name / "model" / "model.safetensors").read_bytes() for name in ("whole", lost))
    assert first == second
