"""LFW embedded by 1, 3 and 7 workers, some killed at random: the same bytes? What memory does a worker take?

    python benchmarks/shards.py LFW112 068.ckpt --kills 4 --small --merged --json benchmarks/results/shards.json
    python benchmarks/shards.py LFW112 068.ckpt --limit 480 --block 64 --kills 2          # a try of minutes

Each number of workers embeds into a folder of its own, `--at-once` of them at a time. A worker to be killed gets
SIGKILL at a random moment after its start, and is started again until it ends by itself. Compared are the digests of
all parts, and of the merged file. The memory of a worker is the largest resident set that the system saw (ru_maxrss).
--small also embeds a quarter and a half of the images, --merged merges and loads sets of drawn vectors of three sizes,
so that one sees whether memory grows with them.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from machines import processor

from angulus.embeddings.shards import InputShard, Manifest
from angulus.embeddings.shards.parts import write_part


@dataclass
class Worker:
    """A share of the work: the process that has it now, and what became of those before."""

    words: list[str]
    moments: list[float]
    process: subprocess.Popen | None = None
    begun: float = 0.0
    kills: int = 0
    peaks: list[float] = field(default_factory=list)

    def start(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(self.words, env=environment, stdout=subprocess.DEVNULL)
        self.begun = time.monotonic()

    def ended(self) -> bool:
        """Whether the share is done; a worker whose moment has come is killed, and one that was killed begins anew."""
        assert self.process is not None
        if self.moments and time.monotonic() - self.begun > self.moments[0]:
            os.kill(self.process.pid, signal.SIGKILL)  # Popen would look first, and take the end that is waited for
            self.moments.pop(0)
        found, status, used = os.wait4(self.process.pid, os.WNOHANG)
        if found == 0:
            return False
        self.peaks.append(used.ru_maxrss / 1024)
        if os.WIFSIGNALED(status):
            self.kills += 1
            self.start()
            return False
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode:
            raise SystemExit(f"{' '.join(self.words)} ended with {self.process.returncode}")
        return True


def limited(images: Path, limit: int | None, folder: Path) -> Path:
    """The set, or a copy of the first images of it in the order of their names."""
    if limit is None:
        return images
    left = limit
    for person in sorted(path for path in images.iterdir() if path.is_dir()):
        if left <= 0:
            break
        (folder / person.name).mkdir(parents=True)
        for image in sorted(person.iterdir())[:left]:
            (folder / person.name / image.name).write_bytes(image.read_bytes())
            left -= 1
    return folder


def embedded(model: Path, images: Path, out: Path, count: int, kills: int, given: argparse.Namespace) -> dict[str, Any]:
    """Embed with so many workers, some of them killed on the way."""
    draw = random.Random(given.seed + count)
    doomed = [draw.randrange(count) for _ in range(kills)]
    begun = time.monotonic()
    waiting: list[Worker] = []
    for index in range(count):
        words = [sys.executable, "-m", "angulus", "embed", str(model), str(images), "--out", str(out), "--quiet"]
        words += ["--shard", f"{index}/{count}", "--block", str(given.block), "--workers", "0"]
        moments = [given.begin + draw.random() * given.moments for _ in range(doomed.count(index))]
        waiting.append(Worker(words=words, moments=moments))
    workers, running = list(waiting), list[Worker]()
    while waiting or running:
        while waiting and len(running) < given.at_once:
            running.append(waiting.pop(0))
            running[-1].start()
        running = [worker for worker in running if not worker.ended()]
        time.sleep(0.05)
    seconds = time.monotonic() - begun
    merged = out.with_suffix(".npz")
    subprocess.run(
        [sys.executable, "-m", "angulus", "embed", "--merge", str(out), "--out", str(merged)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return {
        "workers": count,
        "shards": len(list(out.glob("*.safetensors"))),
        "kills": sum(worker.kills for worker in workers),
        "left_over": len(list(out.glob(".*"))),
        "seconds": round(seconds, 1),
        "parts_digest": parts_digest(out),
        "file_digest": hashlib.sha256(merged.read_bytes()).hexdigest(),
        "peak_mib_by_worker": [round(max(worker.peaks)) for worker in workers],
    }


MERGED = """
import sys
from pathlib import Path
from angulus.embeddings import EmbeddingSet
from angulus.embeddings.shards import merge_shards

def now(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name + ":")).split()[1]) / 1024

folder, what = Path(sys.argv[1]), sys.argv[2]
before = now("RssAnon")
if what == "merge":
    merge_shards(folder, folder.with_suffix(".npz"))
else:
    found = EmbeddingSet.load(folder if what == "folder" else folder.with_suffix(".npz"))
print(round(now("VmHWM")), round(now("RssAnon") - before))
"""


def merged_memory(folder: Path, rows: int, dim: int = 128) -> dict[str, Any]:
    """Memory in MiB, at most, that merging takes; and beyond the program's own, what the loaded set holds by itself."""
    block = 4096
    shards = tuple(
        InputShard(number=number, begin=begin, end=min(begin + block, rows))
        for number, begin in enumerate(range(0, rows, block))
    )
    manifest = Manifest(
        model="drawn", examples=rows, set_digest="", block=block, options={}, identities=None, shards=shards
    ).publish(folder)
    draw = np.random.default_rng(0)
    for shard in shards:
        vectors = {"embeddings": draw.normal(size=(shard.end - shard.begin, dim)).astype(np.float32)}
        write_part(folder / shard.name, vectors, {}, whole=manifest.digest(), number=shard.number)
    found: dict[str, Any] = {"rows": rows, "mib": round(rows * dim * 4 / 2**20)}
    for what in ("merge", "folder", "file"):
        words = [sys.executable, "-c", MERGED, str(folder), what]
        peak, anonymous = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
        found |= {f"{what}_peak_mib": int(peak)} if what == "merge" else {f"{what}_own_mib": int(anonymous)}
    return found


def parts_digest(folder: Path) -> str:
    """Of all names and contents."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="a folder of people")
    parser.add_argument("model", type=Path)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 3, 7])
    parser.add_argument("--kills", type=int, default=4, help="of each number of workers, but for the first")
    parser.add_argument("--at-once", type=int, default=2, help="workers that run beside each other")
    parser.add_argument("--block", type=int, default=1024)
    parser.add_argument("--limit", type=int, default=None, help="only so many images")
    parser.add_argument("--begin", type=float, default=4.0, help="seconds before which nobody is killed: the start")
    parser.add_argument("--moments", type=float, default=30.0, help="seconds after these within which some are")
    parser.add_argument("--small", action="store_true", help="also a quarter and a half of the images, with one worker")
    parser.add_argument("--merged", action="store_true", help="also merge and load drawn vectors, of three sizes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=None)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        images = limited(given.images, given.limit, home / "images")
        total = sum(1 for path in images.rglob("*") if path.is_file())
        runs: list[dict[str, Any]] = []
        found: dict[str, Any] = {"machine": processor(), "images": total, "block": given.block, "runs": runs}
        for number, count in enumerate(given.workers):
            kills = 0 if number == 0 else given.kills
            runs.append(embedded(given.model, images, home / f"of{count}", count, kills, given))
            found["same"] = len({(run["parts_digest"], run["file_digest"]) for run in runs}) == 1
            told(found, runs[-1], given.json)
        for part in (4, 2) if given.small else ():
            some = limited(images, total // part, home / f"images{part}")
            peak = embedded(given.model, some, home / f"part{part}", 1, 0, given)["peak_mib_by_worker"][0]
            found["small"] = [*found.get("small", ()), {"images": total // part, "peak_mib": peak}]
            told(found, found["small"][-1], given.json)
        for rows in (100_000, 200_000, 400_000) if given.merged else ():
            found["merged"] = [*found.get("merged", ()), merged_memory(home / f"drawn{rows}", rows)]
            told(found, found["merged"][-1], given.json)
    print("the same bytes" if found["same"] else "THE BYTES DIFFER")
    if not found["same"]:
        raise SystemExit(1)


def told(found: dict[str, Any], new: dict[str, Any], file: Path | None) -> None:
    """Print what is new, and write all that is known so far."""
    print(json.dumps(new), flush=True)
    if file is not None:
        file.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
