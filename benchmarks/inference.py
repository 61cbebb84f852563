"""Images a second of `embed`: the former way, folded, both layouts, and the runtimes that are installed.

    python benchmarks/inference.py                              one thread, mirror images too: some minutes
    python benchmarks/inference.py --threads 2 --budget 120     wall-clock time of two threads, two minutes at most
    python benchmarks/inference.py --device cuda --packed faces.packed

eager          the network as it is trained, 32 images per pass, one pass after the other: how `embed` was
contiguous     batch norms folded, images contiguous         channels_last   ... channels last, which is the usual way
onnxruntime, openvino   where they are installed; what does not give torch's embeddings is not timed

Images lie in memory and go through as plain and as mirror images. The ways of one network take turns; each time is the
least of some rounds, CPU time of the process with one thread and wall-clock time with more. MobileFaceNet has the
public weights where they are at hand (ANGULUS_DATA), the others fresh ones. On CUDA, `embed` reads a packed file
(--packed; else random JPEGs are packed first), and all pairs of --pairs vectors of 512 dimensions are scored beside the
bare float32 products. Rows are written as they are found; a second call goes on with those that are missing, where
settings and machine are the same. What was not run is not in the file.
"""

import argparse
import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import machines
import numpy as np
import torch
from drawn_vectors import drawn

from angulus.errors import ModelError
from angulus.extract import embed
from angulus.inference.agreement import largest_distance
from angulus.inference.choice import choose
from angulus.inference.networks import TorchNetwork
from angulus.inference.passes import SourceBatches, computing, lane_of, planned, usual_size
from angulus.inference.runtimes import RUNTIMES, installed
from angulus.models import EmbeddingModel, IResNet18, IResNet50, MobileFaceNet, TinyNet, ViTTiny, import_weights

RESULTS = Path(__file__).parent / "results"
DATA = Path(os.environ.get("ANGULUS_DATA", Path(__file__).parents[2] / "shared" / "data"))
NETWORKS = ("mobilefacenet", "tiny", "iresnet18", "iresnet50", "vit_tiny")
WAYS = ("eager", "contiguous", "channels_last", *RUNTIMES)
IMAGES = {"mobilefacenet": 64, "tiny": 256, "iresnet18": 16, "iresnet50": 8, "vit_tiny": 16}
FORMER_BATCH = 32
FARS = (1e-3, 1e-4, 1e-5, 1e-6)


class Noise:
    """Random images in memory as a source."""

    identities = ("nobody",)

    def __init__(self, count: int, height: int, width: int) -> None:
        self.images = np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
        self.labels = np.zeros(count, dtype=np.int64)
        self.keys = tuple(f"{index:06d}" for index in range(count))

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int) -> np.ndarray:
        return self.images[index]


def network(name: str) -> EmbeddingModel:
    torch.manual_seed(0)
    weights = DATA / "mobilefacenet" / "068.ckpt"
    if name == "mobilefacenet" and weights.exists():
        return import_weights(weights)
    kinds = {"mobilefacenet": MobileFaceNet, "tiny": TinyNet, "iresnet18": IResNet18, "iresnet50": IResNet50}
    model = kinds.get(name, ViTTiny)().build()
    with torch.no_grad():  # batch norms that have seen a few batches: fresh deep networks overflow without
        for _ in range(3):
            model(model.input.prepare(torch.randint(0, 256, (8, 3, model.input.height, model.input.width)).byte()))
    return model.eval()


def ways_of(model: EmbeddingModel, source: Noise, wanted: list[str]) -> dict[str, Callable[[], Any]]:
    """What embeds the source once, by the name of the way; those that cannot be had are left out and named."""
    cpu = torch.device("cpu")
    batches = SourceBatches(source, usual_size(model, cpu))
    first = model.input.prepare(batches.first)
    found: dict[str, Callable[[], Any]] = {}
    for way in wanted:
        if way == "eager":
            found[way] = lambda: former(model, source)
            continue
        try:
            kind = {"layout": way} if way in ("contiguous", "channels_last") else {"runtime": way}
            choice = choose(model, first, **kind)
        except ModelError as error:
            print(f"  {way}: {error}")
            continue
        compute = computing(choice.network, model.input, cpu, flip=True)
        passes = planned(choice, batches, compute, cpu, 0)

        def run(passes: Any = passes, compute: Any = compute) -> torch.Tensor:
            with lane_of(passes, compute, cpu) as lane:
                tickets = [lane.submit(batch) for batch in batches.read(0)]
                return torch.cat([lane.collect(ticket)[0] for ticket in tickets])

        found[way] = run
    return found


def former(model: EmbeddingModel, source: Noise) -> torch.Tensor:
    """The network as it is trained."""
    compute = computing(TorchNetwork(model, False, "channels_last"), model.input, torch.device("cpu"), flip=True)
    found = []
    for start in range(0, len(source), FORMER_BATCH):
        batch = torch.from_numpy(source.images[start : start + FORMER_BATCH]).permute(0, 3, 1, 2)
        found.append(compute(batch)[0])
    return torch.cat(found)


def timed(call: Callable[[], Any], threads: int) -> float:
    clock = time.process_time if threads == 1 else time.perf_counter
    begin = clock()
    call()
    return clock() - begin


def cpu_rows(name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each way of a network."""
    model = network(name)
    source = Noise(options.images or IMAGES[name], model.input.height, model.input.width)
    ways = ways_of(model, source, options.ways)
    wanted = former(model, source)
    distances = {way: largest_distance(run(), wanted) for way, run in ways.items()}
    seconds = dict.fromkeys(ways, float("inf"))
    for _ in range(options.repeats):
        for way, run in ways.items():
            seconds[way] = min(seconds[way], timed(run, options.threads))
    return [
        {
            "network": name,
            "way": way,
            "images": len(source),
            "images_per_second": len(source) / seconds[way],
            "cosine_distance": distances[way],
        }
        for way in ways
    ]


# ---------------------------------------------------------------------------------------------- a GPU


def packed_faces(options: argparse.Namespace, folder: Path) -> Any:
    from PIL import Image

    from angulus.data import FolderSource, open_source
    from angulus.data.formats.conversion import convert

    if options.packed is None:
        options.packed = folder / "noise.packed"
        pictures = Noise(options.images or 20_000, 112, 112)
        (folder / "noise" / "nobody").mkdir(parents=True)
        for key, pixels in zip(pictures.keys, pictures.images, strict=True):
            smooth = Image.fromarray(pixels[::4, ::4]).resize((112, 112))
            smooth.save(folder / "noise" / "nobody" / f"{key}.jpg", quality=95)
        convert(FolderSource.open(folder / "noise"), options.packed)
    return open_source(options.packed, size=(112, 112), fit="resize")


def device_rows(options: argparse.Namespace) -> dict[str, Callable[[], dict[str, Any]]]:
    """What is measured on a device, by name."""
    device = torch.device(options.device)

    def embedding() -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            source = packed_faces(options, Path(folder))
            model = MobileFaceNet().build()
            how: list[Any] = []
            embed(model, source, device=device, layout="auto")  # kernels are chosen and the file is read once
            begin = time.perf_counter()
            embed(model, source, device=device, layout="auto", chosen=how.append)
            seconds = time.perf_counter() - begin
        rate = {"images": len(source), "seconds": seconds, "images_per_second": len(source) / seconds}
        return {**rate, "by": how[0].as_dict()}

    def pairs() -> dict[str, Any]:
        from angulus.evaluation.rates.all_pairs import all_pairs

        vectors, labels = drawn(options.pairs, 512)
        floor = products(vectors, device)
        all_pairs(vectors[:20_000], labels[:20_000], fars=FARS, device=options.device)  # kernels are compiled
        begin = time.perf_counter()
        found = all_pairs(vectors, labels, fars=FARS, device=options.device)
        seconds = time.perf_counter() - begin
        points = [point.tar for point in found.tars_at_fars(FARS)]
        times = {"seconds": seconds, "products_seconds": floor, "ratio": seconds / floor}
        return {"vectors": len(vectors), **times, "passes": found.passes, "tars": points}

    return {"embed": embedding, "all_pairs": pairs}


def products(vectors: np.ndarray, device: torch.device) -> float:
    """Seconds of the float32 products of all pairs, each once, in tiles as large as those of all_pairs."""
    rows = torch.from_numpy(vectors).to(device)
    room = torch.empty(min(len(rows), 4096) * min(len(rows), 65_536), device=device)
    best = float("inf")
    for _ in range(3):
        waited(device)
        begin = time.perf_counter()
        for top in range(0, len(rows), 4096):
            for left in range(top, len(rows), 65_536):
                a, b = rows[top : top + 4096], rows[left : left + 65_536]
                torch.mm(a, b.T, out=room[: len(a) * len(b)].view(len(a), len(b)))
        waited(device)
        best = min(best, time.perf_counter() - begin)
    return best


def waited(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


# ---------------------------------------------------------------------------------------------- results


class Results:
    """The rows so far, in a file that is whole after every one."""

    def __init__(self, path: Path, about: dict[str, Any], settings: dict[str, Any]) -> None:
        self.path, self.about, self.settings = path, about, settings
        kept = json.loads(path.read_text()) if path.exists() else {}
        self.rows: list[dict[str, Any]] = kept.get("rows", []) if kept.get("machine") == about else []

    def has(self, **names: str) -> bool:
        wanted = {**self.settings, **names}
        return any(all(row.get(key) == value for key, value in wanted.items()) for row in self.rows)

    def add(self, row: dict[str, Any]) -> None:
        self.rows.append({**row, **self.settings, "date": datetime.now(UTC).isoformat(timespec="seconds")})
        content = {"command": command(), "machine": self.about, "rows": self.rows}
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(content, indent=1) + "\n")
        part.replace(self.path)


def table(results: Results) -> str:
    """Images a second by network and way, of the rows with the results' settings."""
    rows = [row for row in results.rows if "way" in row and results.settings.items() <= row.items()]
    ways = [way for way in WAYS if any(row["way"] == way for row in rows)]
    lines = [f"| network | {' | '.join(ways)} |", f"| --- |{' ---: |' * len(ways)}"]
    for name in NETWORKS:
        speeds = {row["way"]: f"{row['images_per_second']:.1f}" for row in rows if row["network"] == name}
        if speeds:
            lines.append(f"| {name} | {' | '.join(speeds.get(way, '-') for way in ways)} |")
    return "\n".join(lines) + "\n"


def command() -> str:
    return shlex.join(["python", "benchmarks/inference.py", *sys.argv[1:]])


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument(
        "--ways", nargs="+", choices=WAYS, default=["eager", "contiguous", "channels_last", *installed()]
    )
    parser.add_argument("--images", type=int, help="images of a round; default: by network, on a GPU 20,000")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--budget", type=float, default=float("inf"), help="begin nothing after so many seconds")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--packed", type=Path, help="the set that embed reads on a GPU")
    parser.add_argument("--pairs", type=int, default=200_000, help="vectors of which all pairs are scored on a GPU")
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/inference_<machine>.json")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error("--device cuda: this machine has no CUDA GPU, or torch was built without CUDA")
    return options


def main() -> None:
    options = parsed()
    torch.set_num_threads(options.threads)
    about = {**machines.about(options.device), "runtimes": installed()}
    settings = {"device": options.device, "threads": options.threads}
    results = Results(options.json or RESULTS / f"inference_{machines.slug(options.device)}.json", about, settings)
    begun = time.perf_counter()
    jobs: dict[str, Callable[[], list[dict[str, Any]]]] = {}
    if options.device == "cpu":
        for name in options.networks:
            if not all(results.has(network=name, way=way) for way in options.ways):
                jobs[name] = lambda name=name: cpu_rows(name, options)
    else:
        for name, job in device_rows(options).items():
            if not results.has(job=name):
                jobs[name] = lambda name=name, job=job: [{"job": name, **job()}]
    for name, job in jobs.items():
        if time.perf_counter() - begun > options.budget:
            print(f"{name}: not begun, the time is up; the same command goes on here")
            continue
        for row in job():
            if "way" not in row or not results.has(network=row["network"], way=row["way"]):
                results.add(row)
            print(
                "  ".join(
                    f"{key} {value:.4g}" if isinstance(value, float) else f"{value}" for key, value in row.items()
                )
            )
    if options.device == "cpu":
        results.path.with_suffix(".md").write_text(table(results))
        print(table(results))
    print(results.path)


if __name__ == "__main__":
    main()
