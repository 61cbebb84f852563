"""How long a step is blocked by its checkpoint, where it waits for the writing and where a thread writes from a copy.

    python benchmarks/checkpoints.py        a few minutes; a table, and results/checkpoints_<machine>.json as it goes

A divided head whose weights and momentum are of the size asked for, over one and two processes, beside a small network;
a step is a product of matrices of about 50 ms. Both ways take turns in one run, three checkpoints each after the first, with steps
between them for longer than a write takes. "blocked" is the time in which no step can go on at a checkpoint; "beside"
how long a step takes while one is being written, "quiet" how long otherwise. The store is moto's S3 server in a thread
of the first process, so that its work is taken from the steps.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import machines
import torch
import torch.distributed as dist

from angulus.heads import MarginHead, ShardedHead, Streamed
from angulus.margins import ArcFace
from angulus.models import InputSpec, TinyNet
from angulus.storage import placed, published_run, taken
from angulus.training import SGD
from angulus.training.distributed import Processes
from angulus.training.optimization import build_optimizer
from angulus.training.storage.checkpoint import Checkpoints
from angulus.training.storage.run_state import Trained, TrainState
from angulus.training.storage.writer import Writer

MIB, DIM, CHECKPOINTS = 2**20, 128, 3
SIZES, WORLDS, PLACES = (16, 64, 256), (1, 2), ("disk", "store")
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}


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


def rank(size: int, where: str, folder: Path) -> None:
    """What one process of one case measures; the first prints it."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        dist.init_process_group("gloo")
    group = Processes(dist.get_rank(), world, dist.group.WORLD) if world > 1 else Processes()
    with ExitStack() as stack:
        place = folder
        if where == "store":
            place = stack.enter_context(in_store(folder, group))
        found = measured(trained_of(size, group), place, seconds=0.5 + size / 120)
    if group.is_first:
        print("FOUND " + json.dumps(found))
    if world > 1:
        dist.barrier()
        dist.destroy_process_group()


def in_store(folder: Path, group: Processes) -> Any:
    """The folder of a run that the first process publishes in a store which it serves itself."""
    stack = ExitStack()
    os.environ |= {**CREDENTIALS, "ANGULUS_CACHE": str(folder / "cache")}
    if group.is_first:
        import fsspec

        sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "storage"))
        from s3_server import serving

        os.environ["AWS_ENDPOINT_URL"] = stack.enter_context(serving()).address
        fsspec.filesystem("s3", use_listings_cache=False).mkdir("bucket")
    place = placed(Path("s3://bucket/run"))
    place.mkdir(parents=True, exist_ok=True)
    stack.enter_context(taken(place))
    if group.is_first:
        stack.enter_context(published_run(place))
    return _Place(stack, place)


class _Place:
    """A folder for the time of a block."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.stack, self.folder = stack, folder

    def __enter__(self) -> Path:
        return self.folder

    def __exit__(self, *error: Any) -> None:
        self.stack.close()


def case(size: int, world: int, where: str) -> dict[str, Any]:
    together = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(world)] if world > 1 else []
    with tempfile.TemporaryDirectory() as folder:
        words = ["--rank", str(size), where, folder]
        done = subprocess.run(
            [sys.executable, *together, __file__, *words],
            capture_output=True,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
    line = next((line for line in done.stdout.splitlines() if line.startswith("FOUND ")), None)
    if line is None:
        raise SystemExit(done.stderr)
    return {"MiB": size, "processes": world, "place": where, **json.loads(line.removeprefix("FOUND "))}


def row(found: dict[str, Any]) -> str:
    waiting, beside = found["waiting"], found["background"]
    ms = [waiting["blocked"], waiting["longest"], beside["blocked"], beside["longest"], beside["first"]]
    steps = [waiting["quiet"], beside.get("beside", float("nan"))]
    cells = [
        str(found["MiB"]),
        str(found["processes"]),
        found["place"],
        *(f"{1000 * one:.0f}" for one in (*ms, *steps)),
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).parent / "results" / f"checkpoints_{machines.slug()}.json"
    parser.add_argument("--out", type=Path, default=default)
    parser.add_argument("--rank", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.rank:
        size, where, folder = chosen.rank
        return rank(int(size), where, Path(folder))
    about = {"command": "python benchmarks/checkpoints.py", "date": datetime.now(UTC).date().isoformat()}
    rows: list[dict[str, Any]] = []
    print("| MiB | processes | place | waiting: blocked, ms | longest | background: blocked, ms | longest | the first "
          "| a quiet step, ms | beside a write |")  # fmt: skip
    print("| ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for where in PLACES:
        for world in WORLDS:
            for size in SIZES:
                rows.append(case(size, world, where))
                print(row(rows[-1]), flush=True)
                chosen.out.write_text(json.dumps({**about, **machines.about(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
