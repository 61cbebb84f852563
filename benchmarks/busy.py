"""Commands on a quiet machine and beside processes that keep every core busy: how many times as long they take.

    python benchmarks/busy.py --rounds 3

Every command is a process of its own with its usual settings, from start to end. Quiet and busy runs take turns; busy
means beside one endless loop for each core that may be used. A fair share of such a core is half of it, so a ratio of 2
is what sharing costs; what is above comes from threads that wait for each other. The JSON is written after every
command; `--budget` stops before a command that is not expected to end in time, and what was left out is named.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import machines
import numpy as np

from angulus.devices.processors import usable_cores
from angulus.embeddings import EmbeddingSet

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
RESULTS = ROOT / "benchmarks" / "results"
AIM = 2.5
RECIPE = """
data: {name: synthetic, num_identities: 300, images_per_identity: 10, identities: {parts: {train: 0.7, test: 0.3}}}
model: {name: tiny, input: {height: 48, width: 48}}
margin: {name: arcface, scale: 20, m: 0.3}
train: {epochs: 2, precision: auto, batch_size: %d}
evaluation: {every: 2}
"""


def commands(folder: Path, data: Path) -> dict[str, list[str]]:
    """The words of each command, OUT for what it writes; those whose data is not here are left out."""
    found: dict[str, list[str]] = {}
    for size in (128, 16):
        recipe = folder / f"recipe_{size}.yaml"
        recipe.write_text(RECIPE % size, encoding="utf-8")
        found[f"train, batches of {size}"] = ["train", str(recipe), "out=OUT"]
    embeddings(6000).save(folder / "drawn.npz")
    found["evaluate all pairs"] = ["evaluate", str(folder / "drawn.npz")]
    found["evaluate identification"] = ["evaluate", "identify", str(folder / "drawn.npz")]
    photos = sorted((data / "lfw_raw").rglob("*.jpg"))
    if photos:
        some = copied(photos[:256], data / "lfw_raw", folder / "photos")
        found["align, 256 photos"] = ["align", str(some), "OUT", "--no-sheet"]
        few = copied(photos[:24], data / "lfw_raw", folder / "few")
        found["align, 24 photos"] = ["align", str(few), "OUT", "--no-sheet"]
    weights, crops = data / "mobilefacenet" / "068.ckpt", sorted((data / "lfw112").rglob("*.jpg"))
    if weights.exists() and crops:
        some = copied(crops[:640], data / "lfw112", folder / "crops")
        found["embed, 640 images"] = ["embed", str(weights), str(some), "--out", "OUT.npz"]
    return found


def embeddings(people: int) -> EmbeddingSet:
    """Drawn embeddings of so many people, three each."""
    draw = np.random.default_rng(0)
    centres = draw.standard_normal((people, 1, 256), dtype=np.float32)
    vectors = (centres + 0.8 * draw.standard_normal((people, 3, 256), dtype=np.float32)).reshape(-1, 256)
    labels = np.repeat(np.arange(people), 3)
    return EmbeddingSet(
        embeddings=vectors,
        flipped=None,
        labels=labels,
        keys=tuple(f"{label}/{number}" for number, label in enumerate(labels)),
        identities=tuple(str(person) for person in range(people)),
    )


def copied(files: list[Path], root: Path, folder: Path) -> Path:
    for file in files:
        place = folder / file.relative_to(root)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
    return folder


@contextmanager
def others(count: int) -> Generator[None, None, None]:
    """So many processes that never rest."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def seconds_of(words: list[str], folder: Path) -> float:
    """How long a command takes from start to end; what it wrote is deleted."""
    out = Path(tempfile.mkdtemp(dir=folder)) / "out"
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "angulus", *(word.replace("OUT", str(out)) for word in words)],
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - started
    shutil.rmtree(out.parent)
    if done.returncode:
        sys.exit(f"{' '.join(words)} ended with {done.returncode}: {done.stderr.strip()}")
    return seconds


def measured(words: list[str], folder: Path, rounds: int) -> dict[str, Any]:
    quiet, busy = [], []
    for _ in range(rounds):
        quiet.append(seconds_of(words, folder))
        with others(usable_cores()):
            busy.append(seconds_of(words, folder))
    ratio = statistics.median(busy) / statistics.median(quiet)
    return {
        "quiet": [round(value, 2) for value in quiet],
        "busy": [round(value, 2) for value in busy],
        **{"ratio": round(ratio, 2), "within_aim": ratio <= AIM},
    }


def kept(file: Path, about: dict[str, Any]) -> dict[str, Any]:
    """Rows that an earlier call wrote on this machine."""
    found = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return found["rows"] if found.get("machine") == about else {}


def markdown(rows: dict[str, dict[str, Any]]) -> str:
    lines = ["| command | quiet, s | beside busy processes, s | ratio |", "| --- | ---: | ---: | ---: |"]
    for name, row in rows.items():
        quiet, busy = statistics.median(row["quiet"]), statistics.median(row["busy"])
        lines.append(f"| {name} | {quiet:.1f} | {busy:.1f} | {row['ratio']:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="only commands whose names begin so; the rows of others stay")
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds")
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/busy_<machine>.json")
    options = parser.parse_args()
    about, began = machines.about(), time.perf_counter()
    target = options.json or RESULTS / f"busy_{machines.slug()}.json"
    record: dict[str, Any] = {
        **{"command": "python benchmarks/busy.py", "date": datetime.now(UTC).date().isoformat(), "machine": about},
        **{
            "load_before": round(os.getloadavg()[0], 2),
            "aim": AIM,
            "rows": kept(target, about) if options.only else {},
            "left_out": [],
        },
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        longest = 0.0
        for title, words in commands(folder, options.data).items():
            if options.only and not title.startswith(tuple(options.only)):
                continue
            begun = time.perf_counter()
            if begun - began + longest > options.budget:
                record["left_out"].append(title)
                continue
            record["rows"][title] = measured(words, folder, options.rounds)
            longest = max(longest, time.perf_counter() - begun)
            print(f"{title}: {record['rows'][title]}", flush=True)
            aside = target.with_suffix(".part")
            aside.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
            aside.replace(target)
    target.with_suffix(".md").write_text(markdown(record["rows"]), encoding="utf-8")
    print(markdown(record["rows"]))


if __name__ == "__main__":
    main()
