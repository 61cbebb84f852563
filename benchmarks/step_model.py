"""Is a step as long, and does as much pass, as the model of steps on clusters says?

    python benchmarks/step_model.py                 1 to 4 processes here, then 8, 64 and 512 GPUs as the model has them

The pieces are measured with one process; the rate of the exchange with two (an all-reduce of 8 MB); processes share the
cores, so that W of them on K cores take W / K times as long where W > K. Bytes are counted where processes hand them
over.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machines
import torch
import torch.distributed as dist
from ranks import found_by, tell
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from angulus.heads import MarginHead, ShardedHead, Streamed
from angulus.margins import ArcFace
from angulus.training.nodes.hardware import BETWEEN, H200, Cluster, Link, Pieces
from angulus.training.nodes.step_model import Load, memory_of, step_of
from angulus.training.nodes.traffic import gathered_bytes, reduced_bytes, scattered_bytes, traffic_of
from angulus.training.storage.checkpoint import Checkpoint

IMAGES, DIM, CLASSES, ROUNDS = 64, 128, 40_000, 7
IRESNET50 = 43_590_976  # parameters


class Counted:
    """Bytes that this process sends, by the formulas of rings, where they are handed to torch.distributed."""

    def __init__(self) -> None:
        self.sent = 0.0
        for name, size in (
            ("all_gather", self.gathered),
            ("all_reduce", self.reduced),
            ("reduce_scatter", self.scattered),
        ):
            setattr(dist, name, self.counting(getattr(dist, name), size))

    def counting(self, original: Callable[..., Any], size: Callable[..., float]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.sent += size(*arguments)
            return original(*arguments, **named)

        return call

    def gathered(self, _: Any, own: torch.Tensor, *rest: Any) -> float:
        return gathered_bytes(own.nbytes, dist.get_world_size())

    def reduced(self, value: torch.Tensor, *rest: Any) -> float:
        return reduced_bytes(value.nbytes, dist.get_world_size())

    def scattered(self, _: Any, parts: list[torch.Tensor], *rest: Any) -> float:
        return scattered_bytes(sum(part.nbytes for part in parts), dist.get_world_size())


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.LazyLinear(DIM)
    )


def median(action: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS + 2):
        begun = time.perf_counter()
        action()
        times.append(time.perf_counter() - begun)
    return sorted(times[2:])[ROUNDS // 2]


def head_of(classes: int, group: dist.ProcessGroup | None) -> MarginHead:
    sizes = (DIM, classes, ArcFace(scale=16.0, m=0.3), 1, Streamed(mode="recompute"))
    return MarginHead(*sizes) if group is None else ShardedHead(*sizes, process_group=group, data_parallel=True)


def rank() -> None:
    """What one process of several measures."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        dist.init_process_group("gloo")
    group = dist.group.WORLD if world > 1 else None
    images, labels, model = torch.randn(IMAGES, 3, 32, 32), torch.randint(CLASSES, (IMAGES,)), network()
    model(images)
    found: dict[str, Any] = {"parameters": sum(p.numel() for p in model.parameters())}
    if group is None:
        embeddings = torch.randn(IMAGES, DIM, requires_grad=True)
        found["image"] = median(lambda: model(images).square().mean().backward()) / IMAGES
        small, large = (head_of(c, None) for c in (CLASSES // 4, CLASSES))
        times = [median(lambda h=h: h(embeddings, labels % h.num_classes).loss.backward()) for h in (small, large)]
        found["pair"] = times[1] / (IMAGES * CLASSES)
        found["head by classes"] = times
    if world == 2:
        big, little = torch.zeros(2_000_000), torch.zeros(1)
        found["rate"] = reduced_bytes(big.nbytes, 2) / median(lambda: dist.all_reduce(big))
        found["latency"] = median(lambda: dist.all_reduce(little)) / 2
    head = head_of(CLASSES, group)
    called = DistributedDataParallel(model) if group is not None else model
    counted = Counted() if group is not None else None
    found["seconds"] = median(lambda: head(called(images), labels).loss.backward())
    found["head bytes"] = 0.0 if counted is None else counted.sent / (ROUNDS + 2)
    found["weights"] = head.weight.nbytes
    if int(os.environ.get("RANK", "0")) == 0:
        tell(found)
    if group is not None:
        dist.barrier()
        dist.destroy_process_group()


def measured(world: int) -> dict[str, Any]:
    """What one of so many processes found."""
    return found_by(__file__, world, "--rank")


def written() -> float:
    """Seconds of writing a checkpoint of 256 MiB, checksum and flush in them."""
    tensors = {"weights": torch.zeros(2**26)}
    with tempfile.TemporaryDirectory() as folder:
        return median(lambda: Checkpoint(1, {}, tensors).write(Path(folder) / "step-00000001.pt"))


def copied() -> float:
    """Seconds of copying as much."""
    weights = torch.zeros(2**26)
    return median(weights.clone)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rank", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    if chosen.rank:
        return rank()
    cores = len(os.sched_getaffinity(0))
    found = {world: measured(world) for world in (1, 2, 3, 4)}
    pieces = Pieces(name="here", image=found[1]["image"], pair=found[1]["pair"], row=0.0, loading=float("inf"))
    link = Link(name="gloo", rate=found[2]["rate"], latency=found[2]["latency"], share=1.0)
    print(
        f"{machines.processor()}, {cores} cores; {found[2]['rate'] / 1e6:.0f} MB/s, {1e6 * link.latency:.0f} us a hop"
    )
    print("| processes | step, ms | model, ms | error | head bytes, counted | formula | class weights of a rank, MiB |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for world, one in found.items():
        load = Load(images=IMAGES, dim=DIM, classes=CLASSES, parameters=one["parameters"])
        step = step_of(load, Cluster(nodes=1, gpus=world, inside=link), pieces, sharing=max(1.0, world / cores))
        said = traffic_of(world, IMAGES, DIM, 0).head
        error = 100 * (step.seconds / one["seconds"] - 1)
        print(
            f"| {world} | {1000 * one['seconds']:.1f} | {1000 * step.seconds:.1f} | {error:+.0f} % "
            f"| {one['head bytes']:,.0f} | {said:,.0f} | {one['weights'] / 2**20:.1f} |"
        )
    print()
    for between in BETWEEN.values():
        print(f"\n{between.name}\n")
        print(
            "| GPUs | identities | step, ms | images/s "
            "| longest piece | memory of a GPU, GiB |\n| ---: | ---: | ---: | ---: | --- | ---: |"
        )
        for nodes in (1, 8, 64):
            for classes in (10**7, 10**8):
                load = Load(images=128, dim=512, classes=classes, parameters=IRESNET50, each=36 * 2**20)
                step = step_of(load, Cluster(nodes=nodes, gpus=8, between=between), H200)
                share = 100 * step.pieces[step.bottleneck] / step.seconds
                size = sum(memory_of(load, 8 * nodes).values()) / 2**30
                print(
                    f"| {8 * nodes} | {classes:,} | {1000 * step.seconds:.1f} | {step.images_per_second:,.0f} "
                    f"| {step.bottleneck}, {share:.0f} % | {size:.1f} |"
                )
    print(f"\n256 MiB: written in {written():.2f} s; copied on the host in {copied():.2f} s")
    if chosen.json:
        chosen.json.write_text(json.dumps({str(k): v for k, v in found.items()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
