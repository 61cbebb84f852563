"""SIGTERM and SIGINT to a training, alone and under torchrun, and a process of several that is killed."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

RECIPE = """
data: {name: synthetic, num_identities: 24, images_per_identity: 5, identities: {parts: {train: 0.6, test: 0.4}}}
model: {name: tiny, channels: [8, 8], units: [1, 0], embedding_dim: 16, input: {height: 24, width: 24}}
margin: {name: arcface, scale: 16}
train: {epochs: 9000, batch_size: 20, log_every: 1, checkpoint_every: 100000}
evaluation: {every: null, fars: [0.1]}
"""
TOGETHER = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def begun(folder, *python):
    """A training that has done some steps."""
    (folder / "recipe.yaml").write_text(RECIPE)
    command = [sys.executable, *python, "-m", "angulus", "train", "recipe.yaml", "out=run", "--quiet"]
    environment = {name: value for name, value in os.environ.items() if name != "WORLD_SIZE"} | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    metrics, deadline = folder / "run" / "metrics.jsonl", time.monotonic() + 120
    while not (metrics.exists() and metrics.read_text().count("\n") > 4) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return process


def saved_step(folder):
    (checkpoint,) = (folder / "run" / "checkpoints").iterdir()
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    assert checkpoint.name == f"step-{json.loads(lines[-1])['step']:08d}.pt"
    return int(checkpoint.stem.removeprefix("step-"))


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_is_answered_with_a_checkpoint(tmp_path, number, status):
    process = begun(tmp_path)
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == status
    assert "Traceback" not in said
    step = saved_step(tmp_path)
    assert said.strip().splitlines()[-1] == (
        f"interrupted; step {step} of 27000 is saved; go on with: angulus train recipe.yaml out=run --resume"
    )


@pytest.mark.slow
def test_under_torchrun_the_last_words_are_ours(tmp_path):
    process = begun(tmp_path, *TOGETHER)
    process.terminate()
    said = process.communicate(timeout=100)[1]
    assert process.returncode != 0
    step = saved_step(tmp_path)
    assert said.strip().splitlines()[-1].startswith(f"interrupted; step {step} of 27000 is saved; go on with: angulus")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
def test_a_killed_process_of_several_is_named_by_the_others(tmp_path):
    process = begun(tmp_path, *TOGETHER)
    children = open(f"/proc/{process.pid}/task/{process.pid}/children").read().split()  # noqa: SIM115
    ranks = {}
    for child in children:
        environment = open(f"/proc/{child}/environ", "rb").read().decode().split("\0")  # noqa: SIM115
        ranks |= {line.removeprefix("RANK="): int(child) for line in environment if line.startswith("RANK=")}
    os.kill(ranks["1"], signal.SIGKILL)
    said = process.communicate(timeout=100)[1]
    last = said.strip().splitlines()[-1]
    assert last.startswith(f"error: process 1 (number {ranks['1']} on ")
    assert last.endswith(
        "is gone: killed, for example for want of memory, or ended by an error of its own; "
        "what was saved is whole: start all processes again with --resume"
    )
