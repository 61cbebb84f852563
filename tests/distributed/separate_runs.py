"""Run alone or by every process of test_separate_training: small runs with a head for each of two sets, in float64.

python separate_runs.py FOLDER VERB:CASE...     alone, or under torchrun

train:CASE    into FOLDER/CASE
stop:CASE     into FOLDER/stopped-CASE, and break off after step 3
resume:CASE   what was stopped, to the end
refuse:CASE   write what a run says that cannot have an example of each set in every process into FOLDER/refused.txt
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

from small_run import small

import angulus.training.loop as loop
from angulus.errors import ConfigError
from angulus.heads import Streamed
from angulus.margins import AdaFace, ArcFace, CurricularFace
from angulus.models import InputSpec
from angulus.training import SGD, Evaluation, Experiment, Head, Identities, SyntheticData, UnionData, train

torch.set_default_dtype(torch.float64)
prepare = InputSpec.prepare
InputSpec.prepare = lambda spec, images: prepare(spec, images).double()

STREAMED = Streamed(chunk=3, mode="recompute")
CASES = {
    "copies": {"margin": AdaFace(scale=16.0), "batch_norm": "frozen"},
    "accumulated": {"margin": ArcFace(scale=16.0, m=0.2), "batch_norm": "frozen", "accumulate": 2},
    "divided": {"margin": CurricularFace(scale=16.0), "batch_norm": "synchronised", "head": Head(sharded=True)},
    "moved": {
        "margin": AdaFace(scale=16.0),
        "batch_norm": "frozen",
        "head": Head(sharded=True, strategy=STREAMED, update_in_backward=True, subcenters=2, from_data=True),
    },
}


def run_of(folder: Path, case: str) -> Experiment:
    """Batches of 21, of which 8 and 13 are of the two sets: slices of two processes differ."""
    sets = {
        "west": SyntheticData(num_identities=18, images_per_identity=4),
        "east": SyntheticData(num_identities=16, images_per_identity=5, first_identity=12),
    }
    data = UnionData(
        sets=sets,
        join="separate",
        weights={"west": 2.0, "east": 3.3},
        loss_weights={"east": 0.5},
        identities=Identities(parts={"train": 0.65, "test": 0.35}),
    )
    accumulate = CASES[case].get("accumulate", 1)
    common = {
        "epochs": 1,
        "batch_size": 21 if accumulate == 1 else 22,
        "evaluation": Evaluation(every=None, fars=(0.1,)),
    }
    return small(folder, data=data, optim=SGD(lr=0.02), **common, **CASES[case])


class Stop(Exception):
    pass


def stop(run: Experiment) -> None:
    original = loop.Run.rate

    def stopping(running: loop.Run) -> float:
        if running.state.step == 3:
            raise Stop
        return original(running)

    loop.Run.rate = stopping
    try:
        train(run)
    except Stop:
        pass
    finally:
        loop.Run.rate = original


def refuse(run: Experiment, folder: Path) -> None:
    rare = replace(run, data=replace(run.data, weights={"west": 0.001}), out=folder / "refused")
    try:
        train(rare)
    except ConfigError as error:
        (folder / "refused.txt").write_text(str(error))


def main() -> None:
    folder, words = Path(sys.argv[1]), sys.argv[2:]
    together = "WORLD_SIZE" in os.environ
    if together:
        dist.init_process_group("gloo")
    for word in words:
        verb, case = word.split(":")
        run, stopped = run_of(folder / case, case), run_of(folder / f"stopped-{case}", case)
        if verb == "train":
            train(run)
        elif verb == "stop":
            stop(stopped)
        elif verb == "resume":
            train(stopped, resume=True)
        elif verb == "refuse":
            refuse(run, folder)
    if together:
        dist.barrier()
        dist.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
