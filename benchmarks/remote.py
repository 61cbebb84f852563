"""What a store costs: requests of each step of the road, and how long training waits for its checkpoints.

    python benchmarks/remote.py                      about a minute; results/remote_cpu.json and a table

The store is moto's S3 server in a thread of this process (tests/storage/s3_server.py): its times say nothing of a store
that is far, and its work is taken from the steps; requests are what they are anywhere. To see whether a step waits,
every PUT is answered 0.3 s late, a checkpoint is written every fifth step, and the same run is kept in a folder and in
the store, in turn, three times; compared are the medians of the longest pause between two steps, and of the whole.
"""

import argparse
import contextlib
import io
import json
import logging
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "storage"))
from s3_server import Server, serving

from angulus.cli import main as angulus
from angulus.config import load
from angulus.training import train

PEOPLE, EACH, SIDE = 12, 25, 32
SETTINGS = (
    "model={name: tiny, input: {height: 32, width: 32}}",
    "train.batch_size=32",
    "train.workers=0",
    "evaluation.hold_out=nobody",
    "device=cpu",
)
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "us-east-1"}


def draw_people(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for person in range(PEOPLE):
        (folder / f"p{person:02d}").mkdir(parents=True)
        for number in range(EACH):
            image = Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8))
            image.save(folder / f"p{person:02d}" / f"{number:02d}.jpg", quality=90)


def requests_of(server: Server, words: list[str]) -> dict[str, Any]:
    """One command, quietly: its requests by method, and seconds."""
    server.gate.requests.clear()
    started = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
        status = angulus(words)
    if status:
        raise SystemExit(f"{' '.join(words)}: {said.getvalue()}")
    counted = Counter(method for method, _, _ in server.gate.requests)
    return {
        "command": " ".join(words[:1]),
        "requests": dict(counted),
        "seconds": round(time.perf_counter() - started, 2),
    }


def longest_pause(people: Path, out: str) -> tuple[float, float]:
    """Seconds between two steps at the most, checkpoints between them, and seconds of all of them."""
    moments: list[float] = []
    words = [f"data.path={people}", f"out={out}", *SETTINGS, "train.epochs=4", "train.log_every=1"]
    recipe = load([], [*words, "train.checkpoint_every=5", "train.precision=float32", "train.layout=contiguous"])
    train(recipe, progress=lambda progress: moments.append(time.perf_counter()))
    pauses = [after - before for before, after in pairwise(moments[2:])]
    return max(pauses), moments[-1] - moments[2]


def measured(folder: Path) -> dict[str, Any]:
    people = folder / "people"
    draw_people(people)
    with serving() as server:
        os.environ |= {**CREDENTIALS, "AWS_ENDPOINT_URL": server.address, "ANGULUS_CACHE": str(folder / "cache")}
        store = fsspec.filesystem("s3", use_listings_cache=False)
        store.mkdir("bucket")
        store.put(str(people), "bucket/people", recursive=True)
        run = ["train", "data.name=packed", "data.path=s3://bucket/people.packed", "out=s3://bucket/run", *SETTINGS]
        rows = [
            requests_of(server, words)
            for words in (
                ["convert", "s3://bucket/people", "s3://bucket/people.packed", "--quiet"],
                [*run, "train.epochs=2", "--quiet"],
                ["embed", "s3://bucket/run", "s3://bucket/people.packed", "--out", "s3://bucket/e.npz", "--quiet"],
                ["evaluate", "s3://bucket/e.npz", "--json", "s3://bucket/e.json", "--report", "s3://bucket/e.html"],
            )
        ]
        logging.disable(logging.WARNING)
        pauses: dict[str, list[tuple[float, float]]] = {"folder": [], "store": []}
        server.plant("slow", "PUT", "/bucket/slow", 10**6)
        for turn in range(3):
            pauses["folder"].append(longest_pause(people, str(folder / f"here{turn}")))
            pauses["store"].append(longest_pause(people, f"s3://bucket/slow{turn}"))
    waits = {
        where: {
            "longest pause": round(statistics.median(one[0] for one in found), 3),
            "all steps": round(statistics.median(one[1] for one in found), 2),
        }
        for where, found in pauses.items()
    }
    return {
        "images": PEOPLE * EACH,
        "bytes": sum(one.stat().st_size for one in people.rglob("*.jpg")),
        "road": rows,
        "waits": waits,
    }


def table(found: dict[str, Any]) -> str:
    lines = ["| command | GET | HEAD | PUT | others |", "| --- | --- | --- | --- | --- |"]
    for row in found["road"]:
        counts = dict(row["requests"])
        named = [counts.pop(method, 0) for method in ("GET", "HEAD", "PUT")]
        lines.append(f"| {row['command']} | {' | '.join(map(str, named))} | {sum(counts.values())} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "remote_cpu.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder))
    about = {"command": "python benchmarks/remote.py", "date": datetime.now(UTC).date().isoformat()}
    options.out.write_text(
        json.dumps({**about, "machine": "two cores shared with other work", **found}, indent=2) + "\n"
    )
    print(table(found), json.dumps(found["waits"], indent=2))


if __name__ == "__main__":
    main()
