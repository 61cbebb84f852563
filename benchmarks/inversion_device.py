"""Iterations a second of an inversion on a device: each step computed, and recorded once and replayed.

    python benchmarks/inversion_device.py --device cuda                       64 and 256 images through 068.ckpt
    python benchmarks/inversion_device.py --device cuda --whole               20,000 iterations of 256 images as well
    python benchmarks/inversion_device.py --device cpu --counts 4 --iterations 6     tries the command

The published objective, without views and with those of `best`. Both ways in one run, in turns; the first iterations of
each are left out. Writes benchmarks/results/inversion_device_<machine>.json and .md.
"""

import argparse
import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import machines
import torch

from angulus.inversion import BEST, InversionOptions
from angulus.inversion.attack.batch import InvertedBatch
from angulus.inversion.attack.captured_step import cuda_graph
from angulus.inversion.attack.frozen_network import attacked
from angulus.inversion.attack.identity import OpenSet
from angulus.models import EmbeddingModel, import_weights

RESULTS = Path(__file__).parent / "results"
WARM_UP = 5


def unrecorded(step: Any) -> Any:
    """Refuses to record."""
    raise RuntimeError("as asked")


def rate(
    model: EmbeddingModel, count: int, options: InversionOptions, device: torch.device, *, recorded: bool
) -> float:
    """Iterations a second."""
    batch = InvertedBatch(model, count, options, 0, device)
    random = torch.Generator().manual_seed(0)
    term = OpenSet(targets=torch.randn(count, model.embedding_dim, generator=random).to(device))
    begun = [0.0]

    def watch(at: InvertedBatch) -> None:
        if at.done in (WARM_UP, options.iterations):
            if device.type == "cuda":
                torch.cuda.synchronize()
            begun.append(time.perf_counter())

    with attacked(model, device):
        batch.run(term, watch, capture=None if recorded else unrecorded)
    return (options.iterations - WARM_UP) / (begun[2] - begun[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--counts", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--whole", action="store_true")
    asked = parser.parse_args()
    device = torch.device(asked.device)
    model = import_weights(asked.data / "mobilefacenet" / "068.ckpt")
    published = InversionOptions(iterations=asked.iterations)
    rows: list[dict[str, Any]] = []
    for count in asked.counts:
        for name, options in (("published", published), ("with views", replace(published, views=BEST.views))):
            found: dict[bool, list[float]] = {False: [], True: []}
            for _ in range(asked.turns):
                for recorded, rates in found.items():
                    rates.append(rate(model, count, options, device, recorded=recorded))
            plain, captured = (median(rates) for rates in found.values())
            rows.append({"images": count, "settings": name, "each step": plain, "replayed": captured})
            print(rows[-1], flush=True)
            save(asked.device, rows)
    if asked.whole:
        options = replace(published, iterations=20_000)
        found_rate = rate(model, 256, options, device, recorded=True)
        rows.append(
            {"images": 256, "settings": "published, whole", "replayed": found_rate, "minutes": 20_000 / found_rate / 60}
        )
        save(asked.device, rows)


def save(device: str, rows: list[dict[str, Any]]) -> None:
    about = {"date": datetime.now(UTC).date().isoformat(), "graph": cuda_graph.__name__, **machines.about(device)}
    path = RESULTS / f"inversion_device_{machines.slug(device)}.json"
    path.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
    lines = ["| images | settings | each step | replayed | minutes |", "| ---: | --- | ---: | ---: | ---: |"]
    for row in rows:
        cells = (f"{row[key]:.1f}" if key in row else "" for key in ("each step", "replayed", "minutes"))
        lines.append(f"| {row['images']} | {row['settings']} | {' | '.join(cells)} |")
    path.with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
