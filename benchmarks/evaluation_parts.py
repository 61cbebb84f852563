"""An evaluation in parts: is the sum the whole, what does a pair cost, and does the memory of a part stay as sets grow?

    python benchmarks/evaluation_parts.py                        some ten minutes on one core
    python benchmarks/evaluation_parts.py --only lfw --parts 5   a part of it; the JSON keeps the others

lfw: all pairs of LFW's 13,233 stored embeddings in 5 parts, each counted by a process of its own, added up and compared
with the whole in every digit of the JSON, run times apart. "evenness": pairs of the largest part over the mean.
    Whole and sum make the intervals of three FARs as well, and each part starts a program and looks at a sample.

pairs, search, copies: one part each at three sizes of the set, with as many parts as leave each part the same number
of pairs, so that what is compared is a part's memory and its pairs a second. Vectors are drawn (`drawn_vectors`,
D = 512) and mapped from a file. copies: `near_pairs` over hashes of 256 bits, which is what a search for leaks and
duplicates compares; search: 8,192 probes and fewer against the whole gallery.

Each row is a fresh process on one thread. Time: CPU time of the part alone, guessing windows and sorting included.
Memory: the most anonymous memory (RssAnon, sampled every 10 ms) beyond what Python, torch and numpy hold at the start;
pages of mapped files may be dropped at any time and are told apart. Rows are written as they are made, to
benchmarks/results/evaluation_parts_<machine>.json and .md.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import machines
import numpy as np
import torch
from drawn_vectors import drawn

from angulus.cli import main as angulus
from angulus.embeddings import EmbeddingSet
from angulus.evaluation.parts.divisions import Part
from angulus.evaluation.parts.pair_parts import PairQuestion, count_pairs
from angulus.evaluation.scores.search import search_gallery
from angulus.inspection.hashing import BITS
from angulus.inspection.nearest import cosine_of, near_pairs

RESULTS = Path(__file__).parent / "results"
LFW = Path(os.environ.get("ANGULUS_DATA", "data")) / "lfw_embeddings" / "lfw_mobilefacenet128.npz"
DIM, PROBES = 512, 8192
SIZES = (20_000, 40_000, 80_000)
KINDS = ("lfw", "pairs", "search", "copies")
MIB = 2**20


class Memory:
    """The most memory that is held while the block runs: of the process's own, and of mapped files."""

    def __enter__(self) -> "Memory":
        self.begin = self.most = held("RssAnon")
        self.mapped, self.done = 0, threading.Event()
        self.watcher = threading.Thread(target=self.watch)
        self.watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.watcher.join()

    def watch(self) -> None:
        while not self.done.wait(0.01):
            self.most, self.mapped = max(self.most, held("RssAnon")), max(self.mapped, held("RssFile"))


def held(name: str) -> int:
    """A line of /proc/self/status in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name + ":"))


def measured(work: Callable[[], int]) -> dict[str, Any]:
    """What some work costs that says how many pairs it compared."""
    with Memory() as memory:
        started = time.process_time()
        pairs = work()
        seconds = time.process_time() - started
    return {
        **{"pairs": pairs, "cpu_seconds": round(seconds, 3), "pairs_a_second": round(pairs / seconds)},
        **{"memory_mib": round((memory.most - memory.begin) / MIB, 1), "mapped_mib": round(memory.mapped / MIB, 1)},
    }


def parts_for(images: int) -> int:
    """As many parts as leave each the pairs of the smallest size."""
    return max(1, images // SIZES[0]) ** 2


def pairs_row(images: int, folder: Path) -> dict[str, Any]:
    write_drawn(images, folder)
    found, parts = EmbeddingSet.load(folder / "e.npy"), parts_for(images)
    out = folder / "part.counts"
    row = measured(lambda: count_pairs(found, Part(parts // 2, parts), out, PairQuestion(fars=(1e-3, 1e-4, 1e-6))))
    return {"parts": parts, **row, "file_mib": round(out.stat().st_size / MIB, 1)}


def search_row(images: int, folder: Path) -> dict[str, Any]:
    write_drawn(images, folder)
    gallery, labels = np.load(folder / "e.npy", mmap_mode="r"), np.load(folder / "e.labels.npy")
    parts = max(1, images // SIZES[0])
    rows = np.random.default_rng(1).choice(images, min(PROBES, images) // parts, replace=False)

    def work() -> int:
        search_gallery(np.array(gallery[rows]), gallery, probe_labels=labels[rows], gallery_labels=labels)
        return len(rows) * images

    return {"parts": parts, **measured(work)}


def copies_row(images: int, folder: Path) -> dict[str, Any]:
    hashes = np.random.default_rng(0).integers(0, 256, (images, BITS // 8), dtype=np.uint8)
    parts = parts_for(images)
    row = measured(lambda: near_pairs(hashes, threshold=cosine_of(40, BITS), share=(parts // 2, parts)).compared)
    return {"parts": parts, **row}


def write_drawn(images: int, folder: Path) -> None:
    """A set to be mapped, made by a process of its own, so that no memory of making it is left."""
    if os.fork() == 0:
        vectors, labels = drawn(images, DIM)
        order = np.random.default_rng(0).permutation(images)
        EmbeddingSet(embeddings=vectors[order], labels=labels[order]).save(folder / "e.npy")
        os._exit(0)
    os.wait()


ROWS = {"pairs": pairs_row, "search": search_row, "copies": copies_row}


def lfw(parts: int, folder: Path) -> dict[str, Any]:
    """The whole and the sum of parts, each part by a process of its own."""
    asked = ["evaluate", str(LFW), "--far", "1e-3", "--far", "1e-4", "--far", "1e-6"]
    started = time.process_time()
    assert angulus([*asked, "--json", str(folder / "whole.json")]) == 0
    whole = time.process_time() - started
    seconds, pairs, files = [], [], [str(folder / f"{number}.counts") for number in range(parts)]
    for number, file in enumerate(files):
        command = [sys.executable, "-m", "angulus", *asked, "--part", f"{number}/{parts}", "--out", file]
        before = os.times()
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        after = os.times()
        children = (after.children_user, after.children_system), (before.children_user, before.children_system)
        seconds.append(round(sum(children[0]) - sum(children[1]), 2))
        pairs.append(int(said.split(":")[1].split()[0].replace(",", "")))
    started = time.process_time()
    assert angulus(["evaluate", "--add", *files[::-1], "--json", str(folder / "sum.json")]) == 0
    adding = time.process_time() - started
    one, other = (json.loads((folder / name).read_text()) for name in ("whole.json", "sum.json"))
    differ = sorted(
        name for name in one.keys() | other.keys() if name != "seconds" and one.get(name) != other.get(name)
    )
    return {
        **{"parts": parts, "images": one["images"], "pairs": one["genuine"] + one["impostors"], "differing": differ},
        **{"pairs_by_part": pairs, "evenness": round(max(pairs) * parts / sum(pairs), 4)},
        **{"whole_cpu_seconds": round(whole, 2), "part_cpu_seconds": seconds, "adding_cpu_seconds": round(adding, 2)},
        "file_mib": [round(Path(file).stat().st_size / MIB, 1) for file in files],
    }


def measure(kind: str, size: int) -> dict[str, Any]:
    """One row by a fresh process on one thread."""
    command = [sys.executable, __file__, "--row", kind, str(size)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return {"kind": kind, "images": size, **json.loads(done.stdout.splitlines()[-1])}


def table(content: dict[str, Any]) -> str:
    lines = ["| what | images | parts | pairs of a part | million pairs a CPU second | own memory, MiB | mapped, MiB |"]
    lines.append("|---|---:|---:|---:|---:|---:|---:|")
    for row in content.get("rows", []):
        rate = row["pairs_a_second"] / 1e6
        lines.append(
            f"| {row['kind']} | {row['images']:,} | {row['parts']} | {row['pairs']:,} | {rate:.1f} |"
            f" {row['memory_mib']:.0f} | {row['mapped_mib']:.0f} |"
        )
    return "\n".join(lines) + "\n"


def save(path: Path, content: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")
    path.with_suffix(".md").write_text(table(content))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--only", choices=KINDS)
    options.add_argument("--parts", type=int, default=5, help="parts of LFW")
    options.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    options.add_argument("--row", nargs=2, help=argparse.SUPPRESS)
    asked = options.parse_args()
    torch.set_num_threads(1)
    if asked.row:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(ROWS[asked.row[0]](int(asked.row[1]), Path(folder))))
        return
    path = RESULTS / f"evaluation_parts_{machines.slug()}.json"
    content: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    content |= {"date": datetime.now(UTC).date().isoformat(), "machine": machines.words(), "torch": torch.__version__}
    content["command"] = shlex.join(["python", *sys.argv])
    for kind in [asked.only] if asked.only else KINDS:
        if kind == "lfw":
            if not LFW.exists():
                print(f"lfw: skipped, {LFW} is not here; name the folder of docs/data.md in ANGULUS_DATA")
                continue
            with tempfile.TemporaryDirectory() as folder:
                content["lfw"] = lfw(asked.parts, Path(folder))
            save(path, content)
            continue
        for size in asked.sizes:
            row = measure(kind, size)
            kept = [old for old in content.get("rows", []) if (old["kind"], old["images"]) != (kind, size)]
            content["rows"] = sorted([*kept, row], key=lambda each: (KINDS.index(each["kind"]), each["images"]))
            print(row, flush=True)
            save(path, content)
    print(table(content))


if __name__ == "__main__":
    main()
