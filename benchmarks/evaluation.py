"""All pairs of a set: time beside the bare products and beside two common ways, and memory of a fresh process.

    python benchmarks/evaluation.py                       13,233 and 50,000 images of 512 dimensions, one thread
    python benchmarks/evaluation.py --images 3000 --quick

The embeddings are drawn: people with as many images as in LFW (heavy-tailed), 512 dimensions. Each method runs in a
process of its own; time is CPU time, the products and the method interleaved in it; memory is the highest resident size
above that before the method, with the embeddings loaded. Prints a table and writes JSON.

products        the upper triangle of the score matrix in blocks, nothing else: the floor
all_pairs       angulus.evaluation.rates.all_pairs: TAR at FAR 1e-3 to 1e-6 exact, with EER, AUC, ROC and histogram
screened        the same with bfloat16 products in front: TAR at FAR only
roc_curve       one product, the pairs' scores and scikit-learn's roc_curve
sweep           one product, 400 thresholds by 0.01 of squared distance, as a verification script does; 4 are timed
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import machines
import numpy as np
import torch
from drawn_vectors import drawn
from numpy.typing import NDArray

from angulus.evaluation.rates.all_pairs import all_pairs

FARS = (1e-3, 1e-4, 1e-5, 1e-6)
METHODS = ("products", "all_pairs", "screened", "roc_curve", "sweep")
# Beyond so many pairs the two common ways do not fit the memory of a small machine.
MOST_HELD = 100_000_000
TRILLION = 1e12


def products(vectors: NDArray[np.float32], labels: NDArray[np.int64], device: str) -> dict[str, Any]:
    rows = torch.from_numpy(vectors).to(device)
    for top in range(0, len(rows), 256):
        for left in range(top, len(rows), 2048):
            rows[top : top + 256] @ rows[left : left + 2048].T
    return {}


def streamed(vectors: NDArray[np.float32], labels: NDArray[np.int64], device: str) -> dict[str, Any]:
    found = all_pairs(vectors, labels, fars=FARS, device=device)
    return {**shown(found), "passes": found.passes, "eer": found.equal_error_rate().rate}


def screened(vectors: NDArray[np.float32], labels: NDArray[np.int64], device: str) -> dict[str, Any]:
    return shown(all_pairs(vectors, labels, fars=FARS, device=device, screen=True))


def shown(found: Any) -> dict[str, Any]:
    return {"tar": {f"{point.target:g}": point.tar for point in found.tars_at_fars(FARS)}}


def with_roc_curve(vectors: NDArray[np.float32], labels: NDArray[np.int64], device: str) -> dict[str, Any]:
    from sklearn.metrics import roc_curve

    scores = vectors @ vectors.T
    rows, columns = np.triu_indices(len(labels), 1)
    far, tar, _ = roc_curve(labels[rows] == labels[columns], scores[rows, columns], drop_intermediate=False)
    return {"tar": {f"{target:g}": float(tar[np.searchsorted(far, target, side="right") - 1]) for target in FARS}}


def swept(vectors: NDArray[np.float32], labels: NDArray[np.int64], device: str, steps: int = 4) -> dict[str, Any]:
    distances = 2 - 2 * (vectors @ vectors.T)
    same = labels[:, None] == labels
    upper = np.triu(np.ones_like(same), 1)
    for threshold in np.linspace(0.5, 2.0, steps):
        accepted = distances < threshold
        (accepted & same & upper).sum(), (accepted & ~same & upper).sum()
    return {"thresholds": steps}


RUN: dict[str, Callable[..., dict[str, Any]]] = {
    "products": products,
    "all_pairs": streamed,
    "screened": screened,
    "roc_curve": with_roc_curve,
    "sweep": swept,
}


def resident(name: str) -> int:
    """VmRSS or VmHWM of this process in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def cpu_seconds(method: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    before = time.process_time()
    found = method(*arguments)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.process_time() - before, found


def measured(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """One method in this process: seconds, ratio to the products beside it, memory."""
    torch.set_num_threads(options.threads)
    vectors, labels = drawn(options.images[0], options.dim)
    products(vectors[:2000], labels[:2000], options.device)
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    seconds, ratios, found = [], [], {}
    memory = 0
    for _ in range(1 if options.quick else options.repeats):
        spent, found = cpu_seconds(RUN[name], vectors, labels, options.device)
        memory = memory or resident("VmHWM") - before
        floor, _ = cpu_seconds(products, vectors, labels, options.device)
        seconds.append(spent)
        ratios.append(spent / floor)
    if name == "sweep":  # 400 thresholds, of which four were timed beside the product
        once = cpu_seconds(swept, vectors, labels, options.device, 0)[0]
        scaled = [once + (spent - once) * 100 for spent in seconds]
        ratios = [full / (spent / ratio) for full, spent, ratio in zip(scaled, seconds, ratios, strict=True)]
        seconds = scaled
    return {
        "seconds": statistics.median(seconds),
        "ratio": statistics.median(ratios),
        "memory": memory,
        **found,
    }


def in_child(name: str, images: int, options: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", name, "--images", str(images), "--dim", str(options.dim)]
    command += ["--threads", str(options.threads), "--device", options.device, "--repeats", str(options.repeats)]
    done = subprocess.run([*command, *(["--quick"] if options.quick else [])], capture_output=True, text=True)
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def line(name: str, row: dict[str, Any]) -> str:
    if "error" in row:
        return f"| {name} | {row['error'][:60]} | | | | |"
    tars = [f"{row['tar'][f'{far:g}']:.4%}" for far in (1e-3, 1e-6)] if "tar" in row else ["", ""]
    figures = [f"{row['seconds']:,.2f}", f"{row['ratio']:.2f}", f"{row['memory'] / 2**20:,.0f}", *tars]
    return f"| {name} | {' | '.join(figures)} |"


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[13_233, 50_000])
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true", help="one repetition")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/evaluation_cpu.json"))
    parser.add_argument("--child", choices=METHODS, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = parsed()
    if options.child:
        print(json.dumps(measured(options.child, options)))
        return
    runs = []
    text = ["| images | method | CPU s | / products | memory, MiB | TAR at 1e-3 | TAR at 1e-6 |", "|" + "---|" * 7]
    print("\n".join(text))
    for images in options.images:
        pairs = images * (images - 1) // 2
        methods: dict[str, Any] = {}
        for name in METHODS:
            if name in ("roc_curve", "sweep") and pairs > MOST_HELD:
                continue
            methods[name] = in_child(name, images, options)
            text.append(f"| {images:,} {line(name, methods[name])}")
            print(text[-1], flush=True)
        slope = methods["all_pairs"].get("seconds", float("nan")) / pairs
        runs.append(
            {"images": images, "pairs": pairs, "methods": methods, "trillion_pairs_hours": slope * TRILLION / 3600}
        )
        print(
            f"a trillion pairs at this slope: {slope * TRILLION / 3600:,.1f} hours on this thread or device", flush=True
        )
    facts = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machines.words(options.device),
        "torch": torch.__version__,
        "threads": options.threads,
        "device": options.device,
        "dim": options.dim,
        "command": " ".join(["python", *sys.argv]),
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({**facts, "runs": runs}, indent=1) + "\n")
    options.json.with_suffix(".md").write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
