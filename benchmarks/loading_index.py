"""What does it take to open an index of 42 million images and to shuffle them? An index is made up, without images.

    python benchmarks/loading_index.py                                   42,000,000 images of 2,000,000 identities
    python benchmarks/loading_index.py --images 2000000 --identities 100000

Two fresh processes are measured: one for what a recipe does (open a packed set, drop identities with one image, split
by identity, shuffle all, 100 batches of 1,024 with two workers that look up where their images lie), one for the ways
of sampling. Memory is what the system says of each process: its own pages (unique), and its share of all pages,
divided among the processes that have them (share); pages of mapped files, which the system may drop, come with the
share alone.
"""

import argparse
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import machines
import numpy as np

from angulus.config import load
from angulus.data import SAMPLINGS, Weighted, batches, fingerprint, open_source, split_identities, subset
from angulus.data.formats.packed import IMAGES, INDEX, index_header
from angulus.models import InputSpec
from angulus.training.recipe.data_sources import found_sources

BATCHES, BATCH = 100, 1024
BLOCK = 2**20
IMAGE_BYTES = 20_000
SPLIT = {"train": 0.9, "test": 0.1}


def digits(numbers: np.ndarray, width: int) -> np.ndarray:
    """Whole numbers [n] as text of one width, uint8 [n, width]."""
    powers = 10 ** np.arange(width - 1, -1, -1)
    return (numbers[:, None] // powers % 10 + ord("0")).astype(np.uint8)


def make(folder: Path, images: int, identities: int) -> None:
    """A packed set of that size whose file of images is one hole; images of an identity lie together."""
    rng = np.random.default_rng(0)
    counts = np.maximum(rng.lognormal(0.0, 1.0, identities), 0.05)
    ends = np.round(np.cumsum(counts) / counts.sum() * (images - identities)).astype(np.int64) + np.arange(
        1, identities + 1
    )
    labels = np.repeat(np.arange(identities), np.diff(ends, prepend=0))
    width = {"identity": 9, "key": 17}
    shapes = {
        "offsets": (np.dtype(np.uint64), images + 1),
        "labels": (np.dtype(np.int64), images),
        "key_ends": (np.dtype(np.uint64), images),
        "identity_ends": (np.dtype(np.uint64), identities),
        "checksums": (np.dtype(np.uint32), images),
        "key_text": (np.dtype(np.uint8), images * width["key"]),
        "identity_text": (np.dtype(np.uint8), identities * width["identity"]),
    }
    folder.mkdir()
    with (folder / INDEX).open("wb") as file:
        file.write(index_header(shapes))
        (np.arange(images + 1, dtype=np.uint64) * np.uint64(IMAGE_BYTES)).tofile(file)
        labels.tofile(file)
        (np.arange(1, images + 1, dtype=np.uint64) * np.uint64(width["key"])).tofile(file)
        (np.arange(1, identities + 1, dtype=np.uint64) * np.uint64(width["identity"])).tofile(file)
        np.zeros(images, dtype=np.uint32).tofile(file)
        for begin in range(0, images, BLOCK):
            numbers = np.arange(begin, min(begin + BLOCK, images))
            slash = np.full((len(numbers), 1), ord("/"), dtype=np.uint8)
            np.hstack([digits(labels[numbers], 8), slash, digits(numbers, 8)]).tofile(file)
        at = np.full((identities, 1), ord("p"), dtype=np.uint8)
        np.hstack([at, digits(np.arange(identities), 8)]).tofile(file)
    with (folder / IMAGES).open("wb") as file:
        file.truncate(images * IMAGE_BYTES)


@dataclass(frozen=True, eq=False)
class Places:
    """The records of a packed set, for which reading an image means to look up where it lies."""

    source: object

    @property
    def labels(self):
        return self.source.labels

    @property
    def identities(self):
        return self.source.identities

    @property
    def keys(self):
        return self.source.keys

    def __len__(self):
        return len(self.source)

    def read(self, index):
        return self.read_many(np.array([index]))[0].transpose(1, 2, 0)

    def read_many(self, indices):
        records = self.source.records
        places = records.offsets[indices].astype(np.int64), records.offsets[indices + 1], records.checksums[indices]
        return np.stack(places, axis=1).astype(np.int64).view(np.uint8).reshape(len(indices), 3, 1, 8)


def memory(process: int) -> dict[str, float]:
    """MiB of a process: unique, share, share of pages that are no file's."""
    found = {}
    for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]:
        name, size, *_ = line.split()
        found[name.rstrip(":")] = int(size) / 1024
    return {
        "unique": found["Private_Clean"] + found["Private_Dirty"],
        "share": found["Pss"],
        "share_without_files": found["Pss_Anon"],
    }


def recipe(folder: Path) -> dict[str, object]:
    """Seconds and memory of what a recipe does."""
    before, seconds = memory(os.getpid()), {}
    clock, busy = time.perf_counter(), time.process_time()

    def lap(name: str) -> None:
        nonlocal clock, busy
        seconds[name] = [time.perf_counter() - clock, time.process_time() - busy]
        clock, busy = time.perf_counter(), time.process_time()

    experiment = load([], [f"data={{name: packed, path: {folder}}}", f"data.identities.parts={json.dumps(SPLIT)}"])
    sources = found_sources(experiment, InputSpec(height=112, width=112))
    lap("open, drop, split")
    train = sources.train
    sampler = experiment.train.sampling.sampler(train, batch_size=BATCH, seed=0)
    for index in range(BATCHES):
        train.labels_of(sampler.batch(0, index))
    lap("100 shuffled batches")
    stream = batches(replace(train, source=Places(train.source)), sampler, num_workers=2)
    for _ in range(BATCHES):
        next(stream)
    lap("100 batches through two workers")
    workers = [child.pid for child in multiprocessing.active_children()]
    result = {
        "seconds": seconds,
        "before": before,
        "main": memory(os.getpid()),
        "workers": [memory(worker) for worker in workers],
        "train": [len(train), len(train.identities)],
    }
    stream.close()
    return result


def ways(folder: Path) -> dict[str, object]:
    """Seconds to make each sampler and to draw 100 batches, and of the fingerprint of the training part."""
    train = split_identities(subset(open_source(folder), min_images=2), SPLIT)["train"]
    found = {}
    for name, kind in SAMPLINGS.items():
        config = Weighted(identity_power=0.5) if kind is Weighted else kind()
        started = time.perf_counter()
        sampler = config.sampler(train, batch_size=BATCH, seed=0)
        made = time.perf_counter()
        for index in range(BATCHES):
            sampler.batch(0, index)
        found[name] = {"make": made - started, "batches": time.perf_counter() - made}
    started, busy = time.perf_counter(), time.process_time()
    fingerprint(train)
    return {"ways": found, "fingerprint": [time.perf_counter() - started, time.process_time() - busy]}


def table(result: dict) -> str:
    """The figures as two tables in Markdown."""
    steps = {**result["seconds"], "fingerprint of the training part": result["fingerprint"]}
    rows = [f"| {name} | {elapsed:.2f} | {busy:.2f} |" for name, (elapsed, busy) in steps.items()]
    processes = {"before opening": result["before"], "main process": result["main"]}
    processes |= {f"worker {number + 1}": worker for number, worker in enumerate(result["workers"])}
    memories = [
        f"| {name} | {one['unique']:.0f} | {one['share']:.0f} | {one['share_without_files']:.0f} |"
        for name, one in processes.items()
    ]
    three = [result["main"], *result["workers"]]
    processes = {name: sum(one[name] for one in three) for name in ("unique", "share", "share_without_files")}
    memories.append("| all three | {unique:.0f} | {share:.0f} | {share_without_files:.0f} |".format(**processes))
    found = [
        f"| {name} | {1e3 * one['make']:.1f} | {10 * one['batches']:.2f} |" for name, one in result["ways"].items()
    ]
    tables = {
        ("step", "seconds", "of these on a processor"): rows,
        ("MiB", "unique", "share", "share without files"): memories,
        ("sampling", "ms to make", "ms a batch of 1,024"): found,
    }
    lines = [f"{result['images']:,} images of {result['identities']:,} identities, {result['machine']}"]
    for names, body in tables.items():
        lines += ["", f"| {' | '.join(names)} |", "| --- " * len(names) + "|", *body]
    return "\n".join(lines)


def measured(part: str, folder: Path) -> dict[str, object]:
    """One part in a fresh process."""
    command = [sys.executable, __file__, "--part", part, "--folder", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=42_000_000)
    parser.add_argument("--identities", type=int, default=2_000_000)
    parser.add_argument("--folder", type=Path, help="where the index lies or is made; a temporary folder if not given")
    parser.add_argument("--part", choices=["recipe", "ways"], help="measure one part in this process (used inside)")
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "loading_index.json")
    options = parser.parse_args()
    if options.part is not None:
        print(json.dumps({"recipe": recipe, "ways": ways}[options.part](options.folder)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary) / "made_up.packed"
        if not folder.exists():
            make(folder, options.images, options.identities)
        result = {
            "images": options.images,
            "identities": options.identities,
            **measured("recipe", folder),
            **measured("ways", folder),
            "machine": machines.words(),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "date": datetime.now(UTC).date().isoformat(),
        }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=2) + "\n")
    options.json.with_suffix(".md").write_text(table(result) + "\n")
    print(table(result))


if __name__ == "__main__":
    main()
