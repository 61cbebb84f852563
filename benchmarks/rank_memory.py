"""What does one process hold as work and processes grow together: is the memory of a rank constant?

    python benchmarks/rank_memory.py            some five minutes on two cores; goes on where it was stopped
    python benchmarks/rank_memory.py --only classes --worlds 1 2

classes: a sharded head (D = 128, `streamed`) with its momentum takes three steps of 48 images together, on 1 to 4 gloo
processes, at three numbers of classes a process. What a process must hold is weights, gradient and momentum: 12 bytes a
number, "weights and momentum" in the table are two thirds of it. The figure is that of the process that holds most.
pairs, identify: `angulus evaluate --part` and `angulus evaluate identify --part` over sets of drawn vectors (D = 128)
that are mapped from a file, cut into as many parts as leave each the same number of comparisons.
images: `angulus embed --shard` of sets of drawn images through a tiny network, by as many workers as leave each 400.

Each cell is a fresh process with one thread. Base: what it holds when Angulus and torch are imported, and the group of
processes stands. Above it: the most that was resident (VmHWM, after the mark was set back), and of that the process's
own (RssAnon, sampled every 10 ms), in which pages of mapped files, which the system may drop, are not.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machines
import numpy as np
import torch
import torch.distributed as dist
from drawn_vectors import drawn
from evaluation_parts import MIB, Memory, held
from kept_rows import KeptRows
from PIL import Image

from angulus.cli import main as angulus
from angulus.embeddings import EmbeddingSet
from angulus.heads import ShardedHead, Streamed
from angulus.margins import ArcFace
from angulus.models import InputSpec, TinyNet, save_model

RESULTS = Path(__file__).parent / "results"
DIM, BATCH = 128, 48
CLASSES = (20_000, 40_000, 80_000)  # of each process
VECTORS = (20_000, 40_000, 80_000)
EACH, IMAGES = 400, (400, 800, 1600)
KINDS = ("classes", "pairs", "identify", "images")


def above_base(work: Callable[[], object]) -> dict[str, Any]:
    """What some work holds beyond what the process held before, in MiB."""
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM counts from here on
    base = held("VmRSS")
    with Memory() as memory:
        work()
    return {
        "base_mib": round(base / MIB, 1),
        "resident_mib": round((held("VmHWM") - base) / MIB, 1),
        "own_mib": round((memory.most - memory.begin) / MIB, 1),
    }


def classes_cell(each: int, folder: Path) -> dict[str, Any]:
    """One rank of several."""
    dist.init_process_group("gloo")
    world, rank = dist.get_world_size(), dist.get_rank()
    size = BATCH // world
    embeddings, labels = torch.randn(size, DIM, requires_grad=True), torch.randint(each * world, (size,))
    dist.all_reduce(torch.zeros(1))
    kept: list[Any] = []

    def steps() -> None:
        head = ShardedHead(DIM, each * world, ArcFace(), 1, Streamed(chunk=4096), process_group=dist.group.WORLD)
        optimizer = torch.optim.SGD(head.parameters(), lr=0.1, momentum=0.9)
        kept.extend([head, optimizer])
        for _ in range(3):
            optimizer.zero_grad()
            head(embeddings, labels, batch_sizes=(size,) * world).loss.backward()
            optimizer.step()

    row = above_base(steps)
    weight = kept[0].weight
    state = weight.nbytes + kept[1].state[weight]["momentum_buffer"].nbytes
    rows: list[Any] = [None] * world
    dist.all_gather_object(rows, {**row, "state_mib": round(state / MIB, 1)})
    dist.barrier()
    dist.destroy_process_group()
    return max(rows, key=lambda one: one["resident_mib"]) if rank == 0 else {}


def pairs_cell(images: int, folder: Path) -> dict[str, Any]:
    parts = (images // VECTORS[0]) ** 2
    asked = ["evaluate", write_drawn(images, folder / "e.npy"), "--far", "1e-4"]
    return commanded([*asked, "--part", f"{parts // 2}/{parts}", "--out", str(folder / "part.counts")])


def identify_cell(images: int, folder: Path) -> dict[str, Any]:
    parts = (images // VECTORS[0]) ** 2
    gallery, probes = (write_drawn(images, folder / f"{seed}.npy", seed) for seed in (0, 1))
    asked = ["evaluate", "identify", probes, gallery]
    return commanded([*asked, "--part", f"{parts // 2}/{parts}", "--out", str(folder / "part.counts")])


def images_cell(images: int, folder: Path) -> dict[str, Any]:
    draw = np.random.default_rng(0)
    for number in range(images):
        person = folder / "people" / f"p{number // 10:05d}"
        person.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (112, 112, 3), dtype=np.uint8)).save(person / f"{number:06d}.png")
    config = TinyNet(channels=(16, 32), units=(1, 1), embedding_dim=64, input=InputSpec())
    save_model(folder / "model", config.build(), config)
    asked = ["embed", str(folder / "model"), str(folder / "people"), "--out", str(folder / "parts"), "--quiet"]
    workers = images // EACH
    return commanded([*asked, "--shard", f"{workers - 1}/{workers}", "--block", "100", "--workers", "0"])


def commanded(words: list[str]) -> dict[str, Any]:
    def work() -> None:
        assert angulus(words) == 0

    return {"part": words[words.index("--part" if "--part" in words else "--shard") + 1], **above_base(work)}


def write_drawn(images: int, path: Path, seed: int = 0) -> str:
    """A set to be mapped, made by a process of its own, so that no memory of making it is left."""
    if os.fork() == 0:
        vectors, labels = drawn(images, DIM, seed)
        EmbeddingSet(embeddings=vectors, labels=labels).save(path)
        os._exit(0)
    os.wait()
    return str(path)


CELLS = {"classes": classes_cell, "pairs": pairs_cell, "identify": identify_cell, "images": images_cell}


def measured(kind: str, size: int, world: int) -> dict[str, Any]:
    """One cell by fresh processes."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    shared = {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    shared |= {"WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world)} if kind == "classes" else {}
    running = []
    for rank in range(world):
        own = {"RANK": str(rank), "LOCAL_RANK": str(rank)} if kind == "classes" else {}
        words = [sys.executable, __file__, "--cell", kind, str(size)]
        running.append(subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={**os.environ, **shared, **own}))
    said = [one.communicate()[0] for one in running]
    if any(one.returncode for one in running):
        raise SystemExit("".join(said))
    return json.loads(said[0].splitlines()[-1])


def table(rows: dict[str, dict[str, Any]]) -> str:
    lines = ["| what | of all | processes, part | of one process | weights, momentum | most above base | its own |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for row in sorted(rows.values(), key=lambda one: KINDS.index(one["kind"])):
        lines.append(
            f"| {row['kind']} | {row['all']:,} | {row.get('part', row['processes'])} | {row['each']} "
            f"| {row.get('state_mib', '')} | {row['resident_mib']:.0f} | {row['own_mib']:.0f} |"
        )
    return "\n".join(lines) + "\n"


def cells(asked: argparse.Namespace) -> list[dict[str, Any]]:
    found = [
        cell("classes", each, world, each * world, f"{each:,} classes") for each in CLASSES for world in asked.worlds
    ]
    found += [cell("pairs", size, 1, size, f"{VECTORS[0] ** 2 // 2 // 10**6} M pairs") for size in VECTORS]
    found += [cell("identify", size, 1, size, f"{VECTORS[0] ** 2 // 10**6} M comparisons") for size in VECTORS]
    found += [cell("images", size, 1, size, f"{EACH} images") for size in IMAGES]
    return [one for one in found if asked.only in (None, one["kind"])]


def cell(kind: str, size: int, processes: int, everything: int, each: str) -> dict[str, Any]:
    return {"kind": kind, "size": size, "processes": processes, "all": everything, "each": each}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", choices=KINDS)
    options.add_argument("--worlds", type=int, nargs="+", default=(1, 2, 3, 4))
    options.add_argument("--json", type=Path, default=RESULTS / f"rank_memory_{machines.slug()}.json")
    options.add_argument("--cell", nargs=2, help=argparse.SUPPRESS)
    asked = options.parse_args()
    torch.set_num_threads(1)
    if asked.cell:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(CELLS[asked.cell[0]](int(asked.cell[1]), Path(folder))))
        return
    kept = KeptRows(asked.json, {"command": "python benchmarks/rank_memory.py"})
    for one in cells(asked):
        name = f"{one['kind']} {one['size']} of {one['processes']}"
        if name not in kept:
            kept.add(name, {**one, **measured(one["kind"], one["size"], one["processes"])})
    asked.json.with_suffix(".md").write_text(table(kept.rows))
    print(table(kept.rows))


if __name__ == "__main__":
    main()
