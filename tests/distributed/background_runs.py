"""Run by every process of test_writes_beside_steps: runs whose checkpoints are written by threads.

python background_runs.py FOLDER VERB:HEAD...     HEAD is whole or divided

wait:HEAD     into FOLDER/waiting-HEAD, whose steps wait
beside:HEAD   into FOLDER/beside-HEAD; every write takes longer than a step
kill:HEAD     into FOLDER/killed-HEAD; the second process is killed in the second write
resume:HEAD   what was killed, to the end
full:HEAD     into FOLDER/full-HEAD; the second process alone cannot write its part of the second checkpoint
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.checkpoint import FileSystemWriter

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

from small_run import small

import angulus.training.storage.checkpoint as checkpoint
import angulus.training.storage.writer as writer
from angulus.errors import AngulusError
from angulus.training import SGD, Experiment, Head, train

HEADS = {"whole": Head(), "divided": Head(sharded=True)}


def run_of(folder: Path, head: str, writes: str) -> Experiment:
    run = small(
        folder,
        head=HEADS[head],
        optim=SGD(lr=0.02),
        batch_norm="frozen",
        epochs=2,
        batch_size=22,
        checkpoint_writes=writes,
    )
    return replace(run, evaluation=replace(run.evaluation, every=None))


def before(owner: Any, name: str, action: Callable[[int], None]) -> Callable[[], None]:
    """Let an action precede a function, which is told the how manieth call it is; what puts the function back."""
    original = getattr(owner, name)
    calls: list[int] = []

    def both(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        action(len(calls))
        return original(*arguments, **named)

    setattr(owner, name, both)
    return lambda: setattr(owner, name, original)


def killed(rank: int) -> Callable[[int], None]:
    def kill(number: int) -> None:
        if number == 2 and rank == 1:
            time.sleep(0.2)  # steps have gone on
            os.kill(os.getpid(), signal.SIGKILL)

    return kill


def full(rank: int) -> Callable[[int], None]:
    def fail(number: int) -> None:
        if number == 2 and rank == 1:
            time.sleep(0.2)
            raise OSError(28, "No space left on device")

    return fail


def told(run: Experiment, rank: int) -> None:
    sentence = "nothing"
    try:
        train(run)
    except AngulusError as error:
        sentence = f"{type(error).__name__}: {error}"
    (run.out / f"told-{rank}.txt").write_text(sentence)


def act(verb: str, head: str, folder: Path, rank: int) -> None:
    if verb == "wait":
        train(run_of(folder / f"waiting-{head}", head, "waiting"))
    elif verb == "beside":
        undo = before(checkpoint, "put_in_place" if head == "divided" else "write_atomic", lambda _: time.sleep(0.3))
        train(run_of(folder / f"beside-{head}", head, "background"))
        undo()
    elif verb == "resume":
        train(run_of(folder / f"killed-{head}", head, "background"), resume=True)
    elif verb == "kill":
        before(writer, "write", killed(rank))
        told(run_of(folder / f"killed-{head}", head, "background"), rank)
        os._exit(0)  # its peer is gone: there is nobody to part from
    elif verb == "full":
        undo = before(FileSystemWriter, "write_data", full(rank))
        told(run_of(folder / f"full-{head}", head, "background"), rank)
        undo()


def main() -> None:
    folder, words = Path(sys.argv[1]), sys.argv[2:]
    dist.init_process_group("gloo")
    for word in words:
        verb, head = word.split(":")
        act(verb, head, folder, dist.get_rank())
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
