"""kill -9 at random moments: what a study, an alignment with two jobs and a purification leave, and how they go on.

    python benchmarks/kills.py --times 10 --json benchmarks/results/kills.json

Each is begun in a new folder, killed at a moment drawn from the time that it takes, and called again to its end.
Counted are processes that are still there ten seconds after a kill, results other than the uninterrupted one, doubled
rows, and half-written files.
"""

import argparse
import csv
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from angulus.data import SyntheticFaces
from angulus.faces import ARCFACE
from angulus.faces.templates import LANDMARKS

TOKEN = "ANGULUS_KILLS_TOKEN"
RECIPE = """
data: {name: synthetic, num_identities: 24, images_per_identity: 5, identities: {parts: {train: 0.6, test: 0.4}}}
model: {name: tiny, channels: [8, 8], units: [1, 0], embedding_dim: 16, input: {height: 24, width: 24}}
margin: {name: arcface, scale: 16}
train: {epochs: 6, batch_size: 20, precision: float32, log_every: 1, checkpoint_every: 2}
evaluation: {every: 3, fars: [0.1]}
"""
STUDY = """
title: Two losses
base: [recipe.yaml]
runs: {arcface: {margin: arcface}, softmax: {margin: {name: softmax, scale: 16}}}
seeds: [0]
columns: [held-out/auc, loss]
"""
PHOTOS = 40
TIMED = ("images_per_second", "waiting_for_data", "seconds")


def prepare(folder: Path) -> dict[str, list[str]]:
    """The inputs of all three, and their commands without the folder to write."""
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / "study.yaml").write_text(STUDY)
    photos, rows = folder / "photos", []
    faces = SyntheticFaces(num_identities=PHOTOS, images_per_identity=1)
    for number in range(PHOTOS):
        page = Image.new("RGB", (260, 240), (40, 60, 80))
        page.paste(Image.fromarray(faces.read(number)).resize((112, 112)), (50 + number, 60))
        name = f"{number % 6}/{number}.png"
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        page.save(photos / name)
        rows.append([name, *(ARCFACE.array() + np.array([50 + number, 60])).ravel()])
    with (folder / "landmarks.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["source", *(f"{name}_{axis}" for name in LANDMARKS for axis in "xy")], *rows])
    align = ["align", str(photos), "OUT", "--detector", "landmarks", "--file", str(folder / "landmarks.csv")]
    return {
        "study": ["study", str(folder / "study.yaml"), "--out", "OUT", "--jobs", "2", "--threads", "1"],
        "align": [*align, "--jobs", "2", "--no-sheet"],
        "purify": ["purify", str(folder / "recipe.yaml"), "--out", "OUT", "--subcenters", "2"],
    }


def started(words: list[str], out: Path, token: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "angulus", *(str(out) if word == "OUT" else word for word in words), "--quiet"]
    environment = {**os.environ, TOKEN: token, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )


def left_behind(token: str) -> list[str]:
    """Commands of the processes that carry a token and have not ended."""
    found = []
    for place in Path("/proc").iterdir():
        try:
            if place.name.isdigit() and f"{TOKEN}={token}".encode() in (place / "environ").read_bytes().split(b"\0"):
                words = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                found += [words] if words else []  # one that has ended has no words
        except OSError:
            continue
    return found


def gone_after(token: str, limit: float = 10.0) -> float | None:
    """Seconds until no process is left, None where some still are after the limit."""
    begun = time.monotonic()
    while left_behind(token):
        if time.monotonic() - begun > limit:
            return None
        time.sleep(0.1)
    return time.monotonic() - begun


def result_of(out: Path) -> dict:
    """Everything that must not depend on interruptions, by file."""
    found = {}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if path.name == "metrics.jsonl":
            found[name] = [without_times(json.loads(line)) for line in path.read_text().splitlines()]
        elif path.name == "result.json":
            found[name] = without_times(
                json.loads(path.read_text().replace(str(out), "OUT"))
            )  # lists are named by path
        elif path.name in ("edits.csv", "manifest.csv", "table.md") or path.suffix in (".jpg", ".safetensors"):
            # a network is stored with the seconds that its training took
            found[name] = path.stat().st_size if path.suffix == ".safetensors" else path.read_bytes()
    return found


def without_times(value):
    if isinstance(value, dict):
        return {name: without_times(inner) for name, inner in value.items() if name not in (*TIMED, "out")}
    return [without_times(inner) for inner in value] if isinstance(value, list) else value


def doubled_rows(out: Path) -> int:
    count = 0
    for path in out.rglob("metrics.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        kinds = Counter((row["step"], "loss" in row) for row in rows)
        count += sum(times - 1 for times in kinds.values())
    return count


def measured(words: list[str], folder: Path, times: int, moments: random.Random, *, chained: bool = False) -> dict:
    """Kill a command so often and compare what comes out in the end.

    chained: all kills in one folder, which is called to its end once, instead of a folder for each.
    """
    whole = folder / "whole" / "out"
    begun = time.monotonic()
    assert started(words, whole, "whole").wait() == 0
    seconds, expected = time.monotonic() - begun, result_of(whole)
    counts = {"kills": 0, "left_after_10_s": 0, "other_results": 0, "doubled_rows": 0, "partial_files": 0}
    longest, tries = 0.0, 0
    while counts["kills"] < times and tries < 5 * times:
        out = folder / "killed" / "out"
        if not (chained and counts["kills"]):
            shutil.rmtree(out, ignore_errors=True)
        tries += 1
        token = f"{os.getpid()}-{tries}"
        process = started(words, out, token)
        time.sleep(moments.uniform(0.1, 1.0) * seconds)
        process.kill()
        if process.wait() != -9:
            if chained and counts["kills"]:
                break
            continue  # it was done before the kill
        counts["kills"] += 1
        took = gone_after(token)
        counts["left_after_10_s"] += took is None
        longest = max(longest, took or 0.0)
        if not chained:
            judge(words, out, expected, counts)
    if chained:
        judge(words, out, expected, counts)
    return {**counts, "seconds_until_all_are_gone": round(longest, 1), "seconds_uninterrupted": round(seconds, 1)}


def judge(words: list[str], out: Path, expected: dict, counts: dict) -> None:
    """Call a command to its end and compare."""
    ended = started(words, out, "end").wait() == 0
    counts["other_results"] += not ended or result_of(out) != expected
    counts["doubled_rows"] += doubled_rows(out)
    counts["partial_files"] += sum(1 for path in out.rglob("*") if path.name.endswith((".partial", ".part")))


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--times", type=int, default=10)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--only", nargs="*")
    words.add_argument("--json", type=Path)
    given = words.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, command in prepare(folder).items():
            if given.only and kind not in given.only:
                continue
            found[kind] = measured(command, folder / kind, given.times, random.Random(given.seed))
            print(kind, found[kind], flush=True)
            if given.json is not None:
                given.json.write_text(json.dumps({"seed": given.seed, **found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
