"""How much of a plain loop's speed `angulus train` has: images/s, and the share of time without work.

    python benchmarks/training.py --threads 1               on a CPU; results/training_<machine>.json and a table
    python benchmarks/training.py --device cuda --workers 8 [--arcface-torch PATH]      (not yet run on a GPU)

own        `angulus.training.train` as the command runs it, from recipe to log lines, stopped after some steps: its loop
           is interrupted every few steps, and the others get as many
plain      a loop of torch alone: the same network, precision, layout, threads, batch, mirroring, optimizer, clipping,
           with a normalised linear layer, ArcFace and cross entropy
compiled   the same with torch.compile (CUDA)
arcface    insightface's arcface_torch, from a checkout (CUDA, IResNet-50)

Data are drawn pictures, stored as JPEG: decoded in memory before the start ("memory"), or decoded as the loop goes
("packed"). Every round measures all loops in turn; figures are medians, a share is the median of the ratios within a
round, and beside it that of the fastest turns, which other work on the machine disturbs least. On one thread of a CPU
the clock is the CPU time of this process, else the wall's.
The JSON is written after every row; rows that it holds of the same settings are not measured again unless --fresh.
With --budget nothing is begun that would go beyond it; what was left out is said.
"""

import argparse
import json
import os
import platform
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from training_peers import CLIP, DECAY, FLIPS, MARGIN, MOMENTUM, RATE, SCALE, ArcFaceTorch, Batches, Peer, Plain

from angulus.data import Augment, FolderSource, convert
from angulus.margins import ArcFace
from angulus.models import IResNet50, MobileFaceNet, ModelConfig, TinyNet
from angulus.training import SGD, Evaluation, Experiment, Identities, PackedData, Training, loop, train
from angulus.training.step import FORMATS

RESULTS = Path(__file__).parent / "results"
NETWORKS: dict[str, Callable[[], ModelConfig]] = {
    "tinynet": TinyNet,
    "mobilefacenet": MobileFaceNet,
    "iresnet50": IResNet50,
}
DATA = ("memory", "packed")
BATCHES = {
    "cpu": {"tinynet": [64], "mobilefacenet": [16], "iresnet50": [8]},
    "cuda": {"tinynet": [256, 512], "mobilefacenet": [256, 512], "iresnet50": [256, 512]},
}
Row = dict[str, Any]


class Enough(Exception):
    """The run was measured for as long as was asked."""


@dataclass
class Task:
    """What one row needs; `rounds` is filled: for every round, by loop, seconds of `steps` steps."""

    options: argparse.Namespace
    peers: Callable[[Any], dict[str, Peer]]
    clock: Callable[[], float]
    rounds: list[dict[str, float]]
    deadline: float


class Measured(loop.Run):
    """The run of the library, whose loop makes way for the others every few steps."""

    task: ClassVar[Task]

    def go(self, resume: bool) -> Any:
        self.others = self.task.peers(self)
        self.idle: list[float] = []
        for peer in self.others.values():
            for _ in range(self.task.options.steps):
                peer.step()
        return super().go(resume)

    def is_log_step(self) -> bool:
        found = super().is_log_step()
        if self.state.step % self.task.options.steps == 0:
            self.make_way()
        return found

    def make_way(self) -> None:
        """End a turn of the library, and give the others theirs."""
        task, own = self.task, getattr(self, "begun", None)
        now = task.clock()
        waited = self.feed.waited() if self.feed is not None else 0.0
        if own is not None:  # the first turn has made everything ready
            seconds = {"own": now - own[0]}
            seconds["idle"] = (waited - own[1]) / max(time.perf_counter() - own[2], 1e-9)
            for name, peer in self.others.items():
                begun = task.clock()
                for _ in range(task.options.steps):
                    peer.step()
                seconds[name] = task.clock() - begun
            task.rounds.append(seconds)
            if len(task.rounds) >= task.options.rounds or time.monotonic() > task.deadline:
                raise Enough
        self.begun = (task.clock(), waited, time.perf_counter())


def clock_of(options: argparse.Namespace) -> tuple[str, Callable[[], float]]:
    if options.device == "cuda":

        def finished() -> float:
            torch.cuda.synchronize()
            return time.perf_counter()

        return "wall, after the device has finished", finished
    if options.threads == 1 and not options.workers:
        return "CPU time, 1 thread", time.process_time
    return f"wall, {options.threads} threads", time.perf_counter


def picture(random: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """Smooth colours with some noise, about as large as a JPEG as a face is."""
    coarse = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.int16)
    return np.clip(smooth + random.integers(-12, 13, smooth.shape), 0, 255).astype(np.uint8)


def drawn_set(folder: Path, people: int, images: int, height: int, width: int) -> Path:
    """A packed set of drawn pictures, JPEG of quality 90."""
    packed = folder / f"{height}x{width}.packed"
    if packed.exists():
        return packed
    random, root = np.random.default_rng(0), folder / f"{height}x{width}"
    for person in range(people):
        (root / f"{person:06d}").mkdir(parents=True)
        for image in range(max(1, images // people)):
            path = root / f"{person:06d}" / f"{image}.jpg"
            Image.fromarray(picture(random, height, width)).save(path, quality=90)
    convert(FolderSource.open(root), packed)
    return packed


def experiment_of(config: ModelConfig, packed: Path, batch: int, data: str, out: Path, options: Any) -> Experiment:
    everyone = Identities(parts={"train": 0.98, "test": 0.02}, min_images=1)
    augment = Augment(flip=FLIPS, crop=0.0, low_resolution=0.0, photometric=0.0, grey=0.0, erase=0.0)
    training = Training(
        epochs=1000,
        batch_size=batch,
        clip_norm=CLIP,
        precision=options.precision,
        compile=options.compile,
        cache="memory" if data == "memory" else "none",
        workers=options.workers if data == "packed" else 0,
        checkpoint_every=10**9,
    )
    return Experiment(
        data=PackedData(path=packed, identities=everyone),
        model=config,
        margin=ArcFace(scale=SCALE, m=MARGIN),
        optim=SGD(lr=RATE, momentum=MOMENTUM, weight_decay=DECAY),
        augment=augment,
        train=training,
        evaluation=Evaluation(every=None),
        out=out,
        device=options.device,
    )


def measured(name: str, batch: int, data: str, folder: Path, options: argparse.Namespace, deadline: float) -> Row:
    """One row: all loops with one network, batch and place of the data."""
    config = NETWORKS[name]()
    height, width = config.input.height, config.input.width
    packed = drawn_set(folder, options.people, options.images, height, width)
    device = torch.device(options.device)
    clock_name, clock = clock_of(options)

    def peers(run: Any) -> dict[str, Peer]:
        training, source, classes = run.experiment.train, run.sources.train, run.head.num_classes
        half, layout = training.precision == "bfloat16", FORMATS[training.layout]
        row.update(precision=training.precision, layout=training.layout, compile=training.compile, classes=classes)

        def batches() -> Batches:
            return Batches(source, batch, device, training.workers, in_memory=data == "memory")

        found: dict[str, Peer] = {"plain": Plain(config, classes, batches(), layout, half=half, compiled=False)}
        if options.device == "cuda":
            found["compiled"] = Plain(config, classes, batches(), layout, half=half, compiled=True)
            if options.arcface_torch is not None and name == "iresnet50":
                found["arcface"] = ArcFaceTorch(options.arcface_torch, classes, batches())
        return found

    row: Row = {"network": name, "batch": batch, "data": data, "size": [height, width], "clock": clock_name}
    Measured.task = task = Task(options, peers, clock, [], deadline)
    original = loop.Run
    loop.Run = Measured  # pyrefly: ignore[bad-assignment]
    try:
        with tempfile.TemporaryDirectory() as out:
            train(experiment_of(config, packed, batch, data, Path(out) / "run", options))
    except Enough:
        pass
    finally:
        loop.Run = original
    return {**row, **figures(task.rounds, batch * options.steps)}


def figures(rounds: list[dict[str, float]], images: int) -> Row:
    """Images/s by loop, the library's share of each, and its share of time without work."""
    names = [name for name in rounds[0] if name != "idle"]
    found: Row = {"rounds": len(rounds), "idle": round(statistics.median(one["idle"] for one in rounds), 4)}
    for name in names:
        found[name] = round(images / statistics.median(one[name] for one in rounds), 1)
    for name in names[1:]:
        ratios = sorted(one[name] / one["own"] for one in rounds)
        found[f"own/{name}"] = round(statistics.median(ratios), 3)
        found[f"own/{name} range"] = [round(ratios[0], 3), round(ratios[-1], 3)]
        found[f"own/{name} fastest"] = round(min(one[name] for one in rounds) / min(one["own"] for one in rounds), 3)
    return {**found, "turns": [{name: round(value, 4) for name, value in one.items()} for one in rounds]}


def table(rows: list[Row]) -> str:
    """The rows for a reader."""
    peers = [name for name in ("plain", "compiled", "arcface") if any(name in row for row in rows)]
    heads = ["network", "batch", "data", "precision", "own images/s", "idle"]
    heads += [text for name in peers for text in (f"{name} images/s", f"own / {name}", "fastest turns")]
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for row in rows:
        cells = [row["network"], row["batch"], row["data"], row["precision"], row["own"], f"{100 * row['idle']:.1f} %"]
        for name in peers:
            cells += [
                row.get(name, ""),
                *(f"{row[f'own/{name}{part}']:.2f}" if name in row else "" for part in ("", " fastest")),
            ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def machine_name(device: str) -> str:
    """A short name for the file of results: cpu_avx2, cpu_avx512, or that of the GPU."""
    if device == "cuda":
        return re.sub(r"[^a-z0-9]+", "_", torch.cuda.get_device_name().lower().replace("nvidia", "")).strip("_")
    capability = torch.backends.cpu.get_cpu_capability().lower()
    return f"cpu_{capability}"


def machine(options: argparse.Namespace) -> Row:
    processor = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "cpu": processor[1] if processor else platform.machine(),
        "cores": os.cpu_count(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "gpu": torch.cuda.get_device_name() if options.device == "cuda" else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": options.threads,
        "load_average": os.getloadavg()[0],
        "date": datetime.now(UTC).date().isoformat(),
    }


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--networks", nargs="+", choices=tuple(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--batches", nargs="+", type=int, help="default: by network and device")
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--compile", choices=("auto", "on", "off"), default="auto", help="of the library's run")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--workers", type=int, default=0, help="that decode, of every loop, with packed data")
    parser.add_argument("--people", type=int, help="classes; default 1,000, on CUDA 20,000")
    parser.add_argument("--images", type=int, help="default: four of each person, two on CUDA")
    parser.add_argument("--steps", type=int, help="in a turn; default 2, on CUDA 20")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--budget", type=float, help="seconds after which nothing is begun")
    parser.add_argument("--arcface-torch", type=Path, help="the folder recognition/arcface_torch of insightface")
    parser.add_argument("--fresh", action="store_true", help="measure rows again that are there; others are kept")
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/training_<machine>.json")
    options = parser.parse_args(arguments)
    on_cuda = options.device == "cuda"
    options.people = options.people or (20_000 if on_cuda else 1_000)
    options.images = options.images or options.people * (2 if on_cuda else 4)
    options.steps = options.steps or (20 if on_cuda else 2)
    return options


def main(arguments: list[str] | None = None) -> None:
    options, started = parsed(arguments), time.monotonic()
    torch.set_num_threads(options.threads)
    path = options.json or RESULTS / f"training_{machine_name(options.device)}.json"
    rows: list[Row] = json.loads(path.read_text())["rows"] if path.exists() else []
    settings = {
        name: getattr(options, name) for name in ("precision", "compile", "threads", "workers", "people", "steps")
    }
    deadline = started + (float("inf") if options.budget is None else options.budget)
    left_out: list[str] = []
    with tempfile.TemporaryDirectory() as place:
        for name in options.networks:
            for batch in options.batches or BATCHES[options.device][name]:
                for data in options.data:
                    key = {"network": name, "batch": batch, "data": data, "settings": settings}
                    there = [row for row in rows if all(row.get(part) == value for part, value in key.items())]
                    if there and not options.fresh:
                        continue
                    begun = time.monotonic()
                    if begun + longest(rows) > deadline:
                        left_out.append(f"{name}, batch {batch}, {data}")
                        continue
                    row = measured(name, batch, data, Path(place), options, deadline)
                    rows = [one for one in rows if one not in there]
                    rows.append({**row, **key, "seconds": round(time.monotonic() - begun, 1)})
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(json.dumps({"machine": machine(options), "rows": rows}, indent=1) + "\n")
                    print(table(rows[-1:]), flush=True)
    print(table(rows))
    if left_out:
        print(f"left out, for want of time: {'; '.join(left_out)}")


def longest(rows: list[Row]) -> float:
    """Seconds that a row may take, from those that are there."""
    return max((row["seconds"] for row in rows), default=0.0)


if __name__ == "__main__":
    main()
