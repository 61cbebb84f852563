"""A million identities, exact softmax, on a laptop: some training steps of network and head, and the memory they take.

    python benchmarks/million.py                 1,000,000 classes, D = 512, N = 128, 20 steps
    python benchmarks/million.py --classes 200000 --steps 5

The class weights move inside the backward pass, so that beside weights and momentum nothing of size C x D is made.
Images are drawn faces at 64x64 of as many people as the batch has; labels are drawn from all classes.
"""

import argparse
import json
import resource
import time
from datetime import UTC, datetime
from pathlib import Path

import machines
import numpy as np
import torch

from angulus.data import SyntheticFaces
from angulus.heads import MarginHead, RowSGD, Streamed
from angulus.margins import ArcFace
from angulus.models import TinyNet


def peak_mib() -> float:
    """The most memory this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=1_000_000)
    parser.add_argument("--examples", type=int, default=128)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--products", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--json", type=Path, default=Path(__file__).parent / "results" / "million_cpu.json")
    options = parser.parse_args()
    torch.manual_seed(0)
    model = TinyNet(embedding_dim=options.dim).build().train()
    faces = SyntheticFaces(num_identities=options.examples, images_per_identity=1)
    images = model.input.prepare(torch.from_numpy(faces.read_many(np.arange(options.examples))))
    model(images).square().mean().backward()  # so that what the network needs for a step is counted with it
    model.zero_grad()
    before = peak_mib()
    strategy = Streamed(mode="recompute", products=options.products)
    head = MarginHead(options.dim, options.classes, ArcFace(scale=64, m=0.5), strategy=strategy, update=RowSGD())
    held = 2 * options.classes * options.dim * 4 / 2**20
    print(f"{options.classes:,} classes: weights and momentum {held:,.0f} MiB, network and data {before:,.0f} MiB")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    head.learning_rate = 0.1
    labels = torch.randint(options.classes, (options.examples,))
    seconds, losses = [], []
    for step in range(options.steps):
        started = time.perf_counter()
        output = head(model(images), labels)
        output.loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - started)
        losses.append(float(output.loss.detach()))
        print(f"step {step + 1:3d}  loss {losses[-1]:8.4f}  {seconds[-1]:6.2f} s  peak memory {peak_mib():,.0f} MiB")
    beyond = peak_mib() - before - held
    print(f"beyond all these: {beyond:,.0f} MiB; one C x D gradient would be {held / 2:,.0f} MiB")
    result = {
        "classes": options.classes,
        "examples": options.examples,
        "dim": options.dim,
        "products": options.products,
        "steps": options.steps,
        "losses": losses,
        "seconds_per_step": float(np.median(seconds)),
        "peak_mib": peak_mib(),
        "weights_and_momentum_mib": held,
        "beyond_mib": beyond,
        "threads": torch.get_num_threads(),
        "machine": machines.words(),
        "torch": torch.__version__,
        "date": datetime.now(UTC).date().isoformat(),
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
