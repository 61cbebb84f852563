"""Run alone or by every process of test_sharded_training: small runs with a sharded head, each in a folder of its own.

python sharded_runs.py FOLDER CASE...          alone, or under torchrun
"""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

from small_run import small

import angulus.training.loop as loop
from angulus.heads import Sampled, Streamed
from angulus.margins import AdaFace, CurricularFace, L2Softmax, Learned
from angulus.training import SGD, AdamW, Experiment, Head, train

TOGETHER = {"batch_norm": "frozen", "epochs": 2, "batch_size": 22, "optim": SGD(lr=0.02)}


def runs(folder: Path) -> dict[str, Experiment]:
    """Batches of 22 and 20 classes, which two and three processes share unevenly."""
    streamed, sampled = Streamed(chunk=3, mode="recompute"), Sampled(rate=1.0)
    experiments = {
        "dense": small(folder / "dense", **TOGETHER | {"batch_norm": "synchronised"}, head=Head(sharded=True)),
        "accumulated": small(folder / "accumulated", **TOGETHER, accumulate=2, head=Head(sharded=True, from_data=True)),
        "streamed": small(
            folder / "streamed",
            **TOGETHER,
            margin=AdaFace(scale=16.0),
            head=Head(sharded=True, strategy=streamed, update_in_backward=True, subcenters=3),
        ),
        "sampled": small(
            folder / "sampled",
            **TOGETHER,
            margin=CurricularFace(scale=16.0),
            head=Head(sharded=True, strategy=sampled, update_in_backward=True),
        ),
        "adamw": small(
            folder / "adamw",
            **TOGETHER | {"optim": AdamW(lr=1e-3)},
            margin=L2Softmax(scale=Learned(8.0)),
            head=Head(sharded=True, strategy=streamed),
        ),
    }
    return {name: replace(run, evaluation=replace(run.evaluation, every=None)) for name, run in experiments.items()}


def train_poisoned(folder: Path) -> None:
    """The second process alone finds a gradient that is not finite."""
    original = loop.gradients

    def poisoned(recogniser: Any, *args: Any, **kwargs: Any) -> Any:
        output = original(recogniser, *args, **kwargs)
        if kwargs["step"] == 4 and dist.get_rank() == 1:
            recogniser.head.weight.grad[0, 0] = float("inf")
        return output

    loop.gradients = poisoned
    train(runs(folder)["dense"])


def main() -> None:
    folder, cases = Path(sys.argv[1]), sys.argv[2:]
    together = "WORLD_SIZE" in os.environ
    if together:
        dist.init_process_group("gloo")
    if "poisoned" in cases:
        train_poisoned(folder)
    for name in cases:
        train(runs(folder)[name])
    if together:
        dist.barrier()
        dist.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
