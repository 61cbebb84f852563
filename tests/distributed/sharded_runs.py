"""Run alone or by every process of test_sharded_training: small runs with a sharded head, each in a folder of its own.

python sharded_runs.py FOLDER VERB:CASE...     alone, or under torchrun

train:CASE    into FOLDER/CASE
stop:CASE     into FOLDER/stopped-CASE, and break off after step 7; FOLDER/read-CASE-from-W is a copy, for others
resume:CASE   what was stopped, to the end
read:CASE     resume each FOLDER/read-CASE-*, say what is held then, and break off
take:CASE     a new run with other identities that takes over the class weights of FOLDER/read-CASE-from-3
poison:CASE   the second process alone finds a gradient that is not finite
full:CASE     the second process alone cannot write its part of the second checkpoint
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.checkpoint import FileSystemWriter

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

from small_run import small

import angulus.training.loop as loop
from angulus.data import Source
from angulus.errors import AngulusError
from angulus.heads import MarginHead, Panels, Sampled, Streamed
from angulus.margins import AdaFace, CurricularFace, L2Softmax, Learned
from angulus.training import SGD, AdamW, Experiment, Head, train
from angulus.training.distributed import Processes
from angulus.training.optimization import state_of

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
            head=Head(sharded=True, strategy=Panels(chunk=3, products="float32")),
        ),
    }
    return {name: replace(run, evaluation=replace(run.evaluation, every=None)) for name, run in experiments.items()}


class Stop(Exception):
    pass


def held(run: loop.Run) -> dict[str, Any]:
    """Everything that training goes on from: tensors by name."""
    tensors = {f"head.{name}": value for name, value in run.head.state_dict().items() if name != "_extra_state"}
    tensors |= {f"backbone.{name}": value for name, value in run.model.state_dict().items()}
    for part, module in (("head", run.head), ("backbone", run.model)):
        for name, state in state_of(run.optimizer, module).items():
            tensors |= {f"optimizer.{part}.{name}.{key}": value for key, value in state.items() if value is not None}
    moved = 0 if run.head.mover is None else run.head.mover.steps
    steps = {"steps": torch.tensor([run.state.step, run.head.step, moved])}
    return {name: value.clone() for name, value in (tensors | steps).items()}


def keep(run: loop.Run, name: str) -> None:
    torch.save(held(run), run.folder / f"{name}-{run.group.world}-{run.group.rank}.pt")


@contextmanager
def changed(owner: Any, name: str, after: Callable[..., Any]) -> Iterator[None]:
    """A function that is followed by another one, which gets the same arguments."""
    original = getattr(owner, name)

    def both(*arguments: Any, **named: Any) -> Any:
        value = original(*arguments, **named)
        after(*arguments, **named)
        return value

    setattr(owner, name, both)
    try:
        yield
    except Stop:
        pass
    finally:
        setattr(owner, name, original)


def stop(run: Experiment) -> None:
    def after_save(running: loop.Run) -> None:
        keep(running, "saved")

    def after_rate(running: loop.Run) -> None:
        if running.state.step == 7:
            raise Stop

    with changed(loop.Run, "save", after_save), changed(loop.Run, "rate", after_rate):
        train(run)


def read(run: Experiment) -> None:
    def after_restore(running: loop.Run) -> None:
        keep(running, "read")
        raise Stop

    with changed(loop.Run, "restore", after_restore):
        train(run, resume=True)


def take_over(run: Experiment, source: Path) -> None:
    """Say which class weights each process begins with."""

    def after_begin(config: Head, head: MarginHead, model: Any, images: Source, device: Any, group: Processes) -> None:
        found = {"weight": head.weight.detach(), "bias": head.bias.detach(), "names": list(images.identities)}
        torch.save(found, run.out / f"begun-{group.rank}.pt")
        raise Stop

    data = replace(run.data, num_identities=44)
    head = replace(run.head, weights_from=source, from_data=True)
    with changed(loop, "begin_classes", after_begin):
        train(replace(run, data=data, head=head))


def fail(run: Experiment, owner: Any, name: str, after: Callable[..., Any], rank: int) -> None:
    """Train with a function that fails; every process writes what it was told."""
    sentence = "nothing"
    with changed(owner, name, after):
        try:
            train(run)
        except AngulusError as error:
            sentence = f"{type(error).__name__}: {error}"
    (run.out / f"told-{rank}.txt").write_text(sentence)


def poison(run: Experiment, rank: int) -> None:
    def after_update(model: Any, *arguments: Any, **named: Any) -> None:
        if named["step"] == 4 and rank == 1:
            model.head.weight.grad[0, 0] = float("inf")

    fail(run, loop, "gradients", after_update, rank)


def fill_disk(run: Experiment, rank: int) -> None:
    calls = []

    def after_write(*arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 2 and rank == 1:
            raise OSError(28, "No space left on device")

    fail(run, FileSystemWriter, "write_data", after_write, rank)


def act(verb: str, case: str, folder: Path, rank: int, world: int) -> None:
    run = runs(folder)[case]
    stopped = replace(run, out=folder / f"stopped-{case}")
    if verb == "train":
        train(run)
    elif verb == "stop":
        stop(stopped)
        if rank == 0:
            shutil.copytree(stopped.out, folder / f"read-{case}-from-{world}")
    elif verb == "resume":
        train(stopped, resume=True)
    elif verb == "read":
        for path in sorted(folder.glob(f"read-{case}-*")):
            read(replace(run, out=path))
    elif verb == "take":
        take_over(replace(run, out=folder / f"taken-{case}"), folder / f"read-{case}-from-3")
    elif verb == "poison":
        poison(replace(run, out=folder / "poisoned"), rank)
    elif verb == "full":
        fill_disk(replace(run, out=folder / "full"), rank)


def main() -> None:
    folder, words = Path(sys.argv[1]), sys.argv[2:]
    together = "WORLD_SIZE" in os.environ
    if together:
        dist.init_process_group("gloo")
    rank, world = (dist.get_rank(), dist.get_world_size()) if together else (0, 1)
    for word in words:
        verb, case = word.split(":")
        act(verb, case, folder, rank, world)
    if together:
        dist.barrier()
        dist.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
