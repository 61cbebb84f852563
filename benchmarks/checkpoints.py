"""How long a step is blocked by its checkpoint, where it waits for the writing and where a thread writes from a copy.

    python benchmarks/checkpoints.py                some minutes; a table, results/checkpoints_<machine>.json as it goes
    python benchmarks/checkpoints.py --only store   a run in a store; the other rows stay as they are

A divided head whose weights and momentum are of the size asked for, over one and two processes, beside a small network;
a step is a product of matrices. Both ways take turns in one run, three checkpoints each after the first, with steps
between them. "blocked" is the time in which no step can go on at a checkpoint (medians); "beside" how long a step takes
while one is being written, "quiet" how long otherwise. store: the folder is published by the thread that a run has for
it, to moto's S3 server in a process of its own; "published" is how long that takes after the last step.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import machines
import torch
import torch.distributed as dist
from ranks import found_by, tell

from angulus.heads import MarginHead, ShardedHead, Streamed
from angulus.margins import ArcFace
from angulus.models import InputSpec, TinyNet
from angulus.storage import placed
from angulus.storage.run_publication import published_run
from angulus.training import SGD
from angulus.training.distributed import Processes
from angulus.training.optimization import build_optimizer
from angulus.training.storage.checkpoint import Checkpoints
from angulus.training.storage.run_state import Trained, TrainState
from angulus.training.storage.writer import Writer

MIB, DIM, CHECKPOINTS = 2**20, 128, 3
CASES = [("folder", world, size) for world in (1, 2) for size in (16, 64, 256)] + [("store", 1, 16), ("store", 1, 64)]
BUCKET = "runs"


def trained_of(size: int, group: Processes) -> Trained:
    """A network and a divided head whose weights and momentum are `size` MiB over all processes, after a step."""
    classes = size * MIB // (DIM * 4 * 2)
    sizes = (DIM, classes, ArcFace(scale=16.0, m=0.3), 1, Streamed(mode="recompute"))
    config = TinyNet(channels=(8, 8), units=(1, 0), embedding_dim=DIM, input=InputSpec(height=24, width=24))
    model = config.build()
    head = MarginHead(*sizes) if group.group is None else ShardedHead(*sizes, process_group=group.group)
    optimizer = build_optimizer(SGD(lr=0.1), model, head)
    for parameter in (*model.parameters(), *head.parameters()):
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return Trained(
        model=model,
        config=config,
        head=head,
        optimizer=optimizer,
        classes=tuple(map(str, range(classes))),
        device=torch.device("cpu"),
        group=group,
        divided=True,
    )


def step(matrix: torch.Tensor, group: Processes) -> None:
    """About 50 ms of a core, and an exchange at its end as a step has it."""
    (matrix @ matrix).sum()
    if group.group is not None:
        dist.all_reduce(torch.zeros(1024), group=group.group)


def measured(trained: Trained, folder: Path, seconds: float) -> dict[str, dict[str, float]]:
    """Both ways in turn, in one folder. seconds: of steps between two checkpoints."""
    group = trained.group
    matrix = torch.randn(1000, 1000)
    found: dict[str, dict[str, list[float]]] = {}
    writers = {
        way: Writer(Checkpoints(folder / "checkpoints", 2), group, trained.device, background=way == "background")
        for way in ("waiting", "background")
    }
    number = 0
    for turn in range(CHECKPOINTS + 1):
        for way, writer in writers.items():
            kept = found.setdefault(way, {"blocked": [], "quiet": [], "beside": []})
            with writer:
                group.wait()
                number += 1
                begun = time.perf_counter()
                writer.save(trained, TrainState(step=number))
                group.wait()  # the next step has an exchange with the slowest
                blocked = time.perf_counter() - begun
                begun = time.perf_counter()
                while agreed(time.perf_counter() - begun < seconds, group):
                    at = time.perf_counter()
                    step(matrix, group)
                    under_way = writer.thread is not None and writer.thread.is_alive()
                    if turn:
                        kept["beside" if under_way else "quiet"].append(time.perf_counter() - at)
                writer.wait()
                if turn:  # in the first one the room for the copy is new
                    kept["blocked"].append(blocked)
                elif way == "background":
                    kept["first"] = [blocked]
    return {
        way: {name: round(statistics.median(times), 4) for name, times in kept.items() if times}
        | {"longest": round(max(kept["blocked"]), 4)}
        for way, kept in found.items()
    }


def agreed(goes_on: bool, group: Processes) -> bool:
    """What the first process says, so that all take as many steps."""
    said = torch.tensor(float(goes_on and group.is_first))
    return bool(group.sum(said))


def rank(size: int, folder: str) -> None:
    """What one process of one case measures; the first prints it."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        dist.init_process_group("gloo")
    group = Processes(dist.get_rank(), world, dist.group.WORLD) if world > 1 else Processes()
    trained, place = trained_of(size, group), placed(folder)
    with published_run(place):
        found: dict[str, Any] = measured(trained, place, seconds=0.5 + size / 120)
        begun = time.perf_counter()
    if "://" in folder:
        found["published"] = round(time.perf_counter() - begun, 4)
    if group.is_first:
        tell(found)
    if world > 1:
        dist.barrier()
        dist.destroy_process_group()


@contextmanager
def store(folder: str) -> Iterator[str]:
    """The address of a run in an S3 server of its own; what is published lies in the folder first."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "moto.server", "--port", str(port)]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    key = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ |= {**key, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "ANGULUS_CACHE": folder}
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with socket.socket() as there:
                if there.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        fsspec.filesystem("s3", skip_instance_cache=True).mkdir(BUCKET)
        yield f"s3://{BUCKET}/run"
    finally:
        server.terminate()
        server.wait()


def case(place: str, world: int, size: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        what = {"place": place, "MiB": size, "processes": world}
        if place == "folder":
            return {**what, **found_by(__file__, world, "--rank", str(size), folder)}
        with store(folder) as address:
            return {**what, **found_by(__file__, world, "--rank", str(size), address)}


def row(found: dict[str, Any]) -> str:
    waiting, beside = found["waiting"], found["background"]
    ms = [waiting["blocked"], waiting["longest"], beside["blocked"], beside["longest"], beside["first"]]
    steps = [waiting["quiet"], beside.get("beside", float("nan"))]
    cells = [
        found["place"],
        str(found["MiB"]),
        str(found["processes"]),
        *(f"{1000 * one:.0f}" for one in (*ms, *steps)),
        f"{1000 * found['published']:.0f}" if "published" in found else "",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).parent / "results" / f"checkpoints_{machines.slug()}.json"
    parser.add_argument("--out", type=Path, default=default)
    parser.add_argument("--only", choices=("folder", "store"))
    parser.add_argument("--rank", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.rank:
        size, folder = chosen.rank
        return rank(int(size), folder)
    about = {"command": "python benchmarks/checkpoints.py", "date": datetime.now(UTC).date().isoformat()}
    kept = json.loads(chosen.out.read_text())["rows"] if chosen.only and chosen.out.exists() else []
    rows: list[dict[str, Any]] = [one for one in kept if one["place"] != chosen.only]
    print("| place | MiB | processes | waiting: blocked, ms | longest | background: blocked, ms | longest | the first "
          "| a quiet step, ms | beside a write | published |")  # fmt: skip
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for place, world, size in CASES:
        if chosen.only in (None, place):
            rows.append(case(place, world, size))
            print(row(rows[-1]), flush=True)
            chosen.out.write_text(json.dumps({**about, **machines.about(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
