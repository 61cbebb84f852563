"""Identification among a million distractors, and the listed pairs of templates of IJB-C: time and memory.

    python benchmarks/search.py                                  full size, one thread: some minutes
    python benchmarks/search.py --distractors 20000 --pairs 200000 --matrix 5000

Identification: 1,000 probes, half of them known, against a gallery of 1,000 people and distractors drawn by blocks
(float32 unit vectors in random directions, D = 128 and 512). "floor": the same blocks' products alone. "matrix": every
score in one array, argsort of each row and heapq for the thresholds, at a size where that fits; "streamed" is run at
that size too, and both must find the same ranks. Drawing the distractors is timed apart and subtracted.

Listed pairs: 15,658,489 pairs between 3,531 gallery and 19,593 probe templates of D = 512 in random directions, listed
by gallery template. "blocks": `listed_scores`. "indexed": templates[left] * templates[right] in batches of 100,000
pairs, in float64 as insightface's eval_ijbc.py keeps its templates, and in float32; measured on the first 2,000,000
pairs and scaled. "blocks and rates": `verify_templates`, with TAR at FAR, EER and AUC.

Each row is a fresh process on one thread. Time: CPU time. Memory: the high-water mark of the whole process, and what
Python, torch and numpy take before anything is made.
"""

import argparse
import heapq
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import machines
import numpy as np
import torch

from angulus.evaluation import Templates, verify_templates
from angulus.evaluation.rates.identification import rate_search
from angulus.evaluation.scores.listed import listed_scores
from angulus.evaluation.scores.search import search_gallery
from angulus.evaluation.scores.template_pairs import TemplatePairs

RESULTS = Path(__file__).parent / "results"
PROBES = 1000
GALLERY, PROBE_TEMPLATES, GENUINE = 3_531, 19_593, 19_557
DRAWN = 8192  # distractors in a block
BATCH = 100_000


def memory(name: str) -> int:
    """A line of /proc/self/status in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name + ":"))


def directions(rows: int, dim: int, seed: int) -> np.ndarray:
    """Unit vectors float32 [rows, dim]."""
    values = np.random.default_rng(seed).standard_normal((rows, dim), dtype=np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


class Crowd:
    """Distractors in blocks, the same for the same sizes; `seconds` counts the time that drawing them took."""

    def __init__(self, count: int, dim: int) -> None:
        self.count, self.dim, self.seconds = count, dim, 0.0

    def __iter__(self) -> Iterator[np.ndarray]:
        for start in range(0, self.count, DRAWN):
            begin = time.process_time()
            block = directions(min(DRAWN, self.count - start), self.dim, 100 + start)
            self.seconds += time.process_time() - begin
            yield block


def people(dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Probes and gallery with their labels: the first half of the probes is known, at cosines from 0.1 to 0.9."""
    gallery = directions(PROBES, dim, 1)
    share = np.linspace(0.1, 0.9, PROBES, dtype=np.float32)[:, None]
    probes = share * gallery + np.sqrt(1 - share**2) * directions(PROBES, dim, 2)
    probes /= np.linalg.norm(probes, axis=1, keepdims=True)
    labels = np.arange(PROBES)
    return probes, labels, gallery, np.where(labels % 2, labels, labels + PROBES)


# ---------------------------------------------------------------------------------------------- identification


def floor(dim: int, distractors: int) -> dict[str, Any]:
    """The products alone, in the blocks of the search."""
    probes = torch.from_numpy(people(dim)[0])
    crowd = Crowd(distractors, dim)
    begin = time.process_time()
    for block in crowd:
        for rows in torch.from_numpy(block).split(4096):
            for part in probes.split(512):
                part @ rows.T
    return {"seconds": time.process_time() - begin - crowd.seconds}


def streamed(dim: int, distractors: int) -> dict[str, Any]:
    probes, labels, gallery, gallery_labels = people(dim)
    crowd = Crowd(distractors, dim)
    begin = time.process_time()
    found = search_gallery(
        probes, gallery, probe_labels=labels, gallery_labels=gallery_labels, distractors=crowd, top=10
    )
    rates = rate_search(found, gallery_labels)
    seconds = time.process_time() - begin - crowd.seconds
    points = [[point.target, point.rank, point.hits, point.threshold] for point in rates.points]
    return {"seconds": seconds, "ranks": int(found.ranks.sum()), "rank1": rates.cmc[0].hits, "points": points}


def matrix(dim: int, distractors: int) -> dict[str, Any]:
    """All scores at once, sorted: ranks by argsort, thresholds by heapq."""
    probes, labels, gallery, _ = people(dim)
    crowd = Crowd(distractors, dim)
    entries = np.concatenate([gallery, *crowd])
    begin = time.process_time()
    scores = probes @ entries.T
    order = np.argsort(-scores, axis=1)
    known = labels % 2 == 1
    ranks = [int(np.flatnonzero(order[row] == row)[0]) + 1 for row in np.flatnonzero(known)]
    tops = [float(scores[row, order[row, 0]]) for row in np.flatnonzero(~known)]
    points = []
    for target in (0.1, 0.01):
        threshold = heapq.nlargest(int(target * len(tops)) + 1, tops)[-1]
        mates = [scores[row, row] for row in np.flatnonzero(known)]
        points.append([int(sum(s > threshold and r <= 1 for s, r in zip(mates, ranks, strict=True))), threshold])
    rank1 = sum(rank == 1 for rank in ranks)
    return {"seconds": time.process_time() - begin, "ranks": sum(ranks), "rank1": rank1, "points": points}


# ---------------------------------------------------------------------------------------------- listed pairs


def pair_list(count: int) -> TemplatePairs:
    """Listed by gallery template; right templates drawn; made in parts, so that making it is not what is measured."""
    left = np.empty(count, dtype=np.int32)
    right = np.empty(count, dtype=np.int32)
    random = np.random.default_rng(3)
    for start in range(0, count, 2**20):
        part = slice(start, min(start + 2**20, count))
        left[part] = np.arange(part.start, part.stop, dtype=np.int64) * GALLERY // count
        right[part] = random.integers(GALLERY, GALLERY + PROBE_TEMPLATES, part.stop - part.start)
    same = np.zeros(count, dtype=bool)
    same[random.integers(0, count, GENUINE)] = True
    return TemplatePairs(left=left, right=right, same=same)


def blocks(dim: int, pairs: int) -> dict[str, Any]:
    vectors, listed = directions(GALLERY + PROBE_TEMPLATES, dim, 4), pair_list(pairs)
    begin = time.process_time()
    scores = listed_scores(vectors, listed.left, listed.right)
    return {"seconds": time.process_time() - begin, "sum": float(scores[:BATCH].sum(dtype=np.float64))}


def blocks_and_rates(dim: int, pairs: int) -> dict[str, Any]:
    vectors, listed = directions(GALLERY + PROBE_TEMPLATES, dim, 4), pair_list(pairs)
    ones = np.ones(len(vectors), dtype=np.int64)
    templates = Templates(ids=np.arange(len(vectors)), vectors=vectors, images=ones, media=ones)
    begin = time.process_time()
    found = verify_templates(templates, listed)
    return {"seconds": time.process_time() - begin, "impostors": found.impostors}


def indexed(dim: int, pairs: int, kind: type = np.float64) -> dict[str, Any]:
    vectors, listed = directions(GALLERY + PROBE_TEMPLATES, dim, 4).astype(kind), pair_list(pairs)
    scores, some = np.zeros(pairs), min(pairs, 2_000_000)
    every = np.arange(pairs)
    begin = time.process_time()
    for start in range(0, some, BATCH):
        part = every[start : start + BATCH]
        scores[part] = np.sum(vectors[listed.left[part]] * vectors[listed.right[part]], -1)
    seconds = (time.process_time() - begin) * pairs / some
    return {"seconds": seconds, "measured_pairs": some, "sum": float(scores[:BATCH].sum())}


def indexed_float32(dim: int, pairs: int) -> dict[str, Any]:
    return indexed(dim, pairs, np.float32)


JOBS: dict[str, Callable[[int, int], dict[str, Any]]] = {
    job.__name__: job for job in (floor, streamed, matrix, blocks, blocks_and_rates, indexed, indexed_float32)
}


# ---------------------------------------------------------------------------------------------- what is written


def in_child(name: str, dim: int, size: int) -> dict[str, Any]:
    """One row, in a fresh process of one thread."""
    print(f"{name}: D = {dim}, {size:,}", file=sys.stderr)
    settings = {**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")}
    command = [sys.executable, __file__, "--job", name, str(dim), str(size)]
    done = subprocess.run(command, capture_output=True, text=True, env=settings, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} ended: {done.stderr.strip().splitlines()[-1:]}")
    return {"job": name, "dim": dim, "size": size, **json.loads(done.stdout)}


def child(name: str, dim: int, size: int) -> int:
    torch.set_num_threads(1)
    before = memory("VmRSS")
    found = JOBS[name](dim, size)
    print(json.dumps({**found, "memory_bytes": memory("VmHWM"), "memory_before_bytes": before}))
    return 0


def check(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Streamed and matrix must agree; thresholds to the rounding of float32 products."""
    points = [[hits, threshold] for _, rank, hits, threshold in one["points"] if rank == 1]
    same = all(a[0] == b[0] and abs(a[1] - b[1]) < 1e-6 for a, b in zip(points, other["points"], strict=True))
    if not same or (one["ranks"], one["rank1"]) != (other["ranks"], other["rank1"]):
        raise RuntimeError(f"streamed and matrix disagree: {one} and {other}")


def line(title: str, row: dict[str, Any], least: float) -> str:
    mib = (row["memory_bytes"] / 2**20, row["memory_before_bytes"] / 2**20)
    return f"| {title} | {row['seconds']:.1f} | {row['seconds'] / least:.2f} | {mib[0]:,.0f} | {mib[1]:,.0f} |"


def table(titles: list[str], rows: list[dict[str, Any]], ratio: str) -> str:
    head = f"| run | CPU seconds | {ratio} | memory, MiB | of it before, MiB |\n|---|---|---|---|---|"
    return "\n".join([head, *(line(*pair, rows[0]["seconds"]) for pair in zip(titles, rows, strict=True))])


def identification(dim: int, distractors: int, fits: int) -> list[dict[str, Any]]:
    rows = [in_child(name, dim, distractors) for name in ("floor", "streamed")]
    titles = [f"floor, {distractors:,}", f"streamed, {distractors:,}"]
    print(f"\nD = {dim}, {PROBES:,} probes\n\n{table(titles, rows, 'time / floor')}", flush=True)
    small = [in_child(name, dim, fits) for name in ("streamed", "matrix")]
    check(*small)
    titles = [f"streamed, {fits:,}", f"matrix, {fits:,}"]
    print(f"\n{table(titles, small, 'time / streamed')}", flush=True)
    return rows + small


def listed_pairs(dim: int, pairs: int) -> list[dict[str, Any]]:
    names = ("blocks", "blocks_and_rates", "indexed", "indexed_float32")
    rows = [in_child(name, dim, pairs) for name in names]
    if abs(rows[0]["sum"] - rows[2]["sum"]) > 1e-3:
        raise RuntimeError(f"scores disagree: {rows[0]['sum']} and {rows[2]['sum']}")
    titles = ["blocks", "blocks and rates", "indexed, float64", "indexed, float32"]
    print(f"\nlisted pairs, D = {dim}, {pairs:,} pairs\n\n{table(titles, rows, 'time / blocks')}", flush=True)
    return rows


def main() -> int:
    if sys.argv[1:2] == ["--job"]:
        return child(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dims", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--distractors", type=int, default=1_000_000)
    parser.add_argument("--matrix", type=int, default=100_000, help="distractors where every score is held at once")
    parser.add_argument("--pairs", type=int, default=15_658_489)
    parser.add_argument("--json", type=Path, default=RESULTS / "search_cpu.json")
    options = parser.parse_args()
    written = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", *sys.orig_argv[1:]]),
        "clock": "CPU time, 1 thread",
        "machine": {**machines.about(), "numpy": np.__version__},
        "load_average": os.getloadavg()[0],
        "identification": [
            row for dim in options.dims for row in identification(dim, options.distractors, options.matrix)
        ],
        "listed_pairs": listed_pairs(512, options.pairs),
    }
    options.json.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
