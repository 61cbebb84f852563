"""Python programs in processes of their own, forked from one that has imported torch already.

Importing torch takes three to five seconds of a core; a test that starts ten processes has them for a tenth of that.
What a program sees is what it sees when it is started by itself, or by torchrun: its words, folder and environment.
"""

import multiprocessing
import os
import runpy
import socket
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

LAUNCHED = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["torch", "torch.distributed", "angulus.training", "angulus.cli"])


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def started(
    words: Sequence[str], output: Path, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> BaseProcess:
    """A program that runs: a script with its words, or -m and a module. What it prints goes to the file `output`."""
    kept = {name: value for name, value in os.environ.items() if name not in LAUNCHED}
    given = kept | {"OMP_NUM_THREADS": "1"} | dict(environment or {})
    process = FORKS.Process(target=_run, args=(list(words), str(output), str(folder or Path.cwd()), given))
    process.start()
    return process


def run_python(*words: str, folder: Path | None = None, timeout: float = 300.0) -> str:
    """What a program prints that must end well."""
    return _ended([("program", list(words), {})], folder, timeout)


def run_together(world: int, *words: str, folder: Path | None = None, timeout: float = 300.0) -> str:
    """What the processes print that torchrun would start on one machine, the first one's first; all must end well."""
    shared = {"WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    programs = []
    for rank in range(world):
        own = {name: str(value) for name, value in (shared | {"RANK": rank, "LOCAL_RANK": rank}).items()}
        programs.append((f"rank {rank}", list(words), own))
    return _ended(programs, folder, timeout)


def _ended(programs: list[tuple[str, list[str], dict[str, str]]], folder: Path | None, timeout: float) -> str:
    """All outputs, when all have ended; as soon as one fails the others are killed, as torchrun does."""
    with tempfile.TemporaryDirectory() as place:
        outputs = [Path(place) / str(number) for number in range(len(programs))]
        running = [
            started(words, output, folder, own) for (_, words, own), output in zip(programs, outputs, strict=True)
        ]
        until = time.monotonic() + timeout
        while any(one.exitcode is None for one in running) and not any(one.exitcode for one in running):
            if time.monotonic() > until:
                break
            time.sleep(0.02)
        codes = [one.exitcode for one in running]
        for one in running:
            one.kill()
            one.join()
        texts = [output.read_text(errors="replace") if output.exists() else "" for output in outputs]
    told = "\n".join(
        f"{name} ended with {code}:\n{text}" for (name, *_), code, text in zip(programs, codes, texts, strict=True)
    )
    assert codes == [0] * len(codes), told
    return "".join(texts)


def _run(words: list[str], output: str, folder: str, environment: Mapping[str, str]) -> None:
    """Become the program."""
    with open(output, "wb", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False, encoding="utf-8") for number in (1, 2))
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))
    try:
        if words[0] == "-m":
            sys.argv = words[1:]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = words
            sys.path.insert(0, str(Path(words[0]).parent))
            runpy.run_path(words[0], run_name="__main__")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
