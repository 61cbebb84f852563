"""Run by every process of test_two_processes: the first step of some runs; the first process saves its gradients.

python first_step.py FOLDER          alone, or under torchrun
"""

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

from small_run import small

import angulus.training.loop as loop
import angulus.training.step as step
from angulus.margins import AdaFace, ArcFace, CurricularFace, ElasticFace, MagFace
from angulus.training import train

MARGINS = {
    "arcface": ArcFace(scale=16.0, m=0.2),
    "adaface": AdaFace(scale=16.0),
    "curricular": CurricularFace(scale=16.0),
    "elastic": ElasticFace(scale=16.0, ordered=True),
    "magface": MagFace(scale=16.0, lower_norm=1.0),
}


# Float64 throughout, so that a ReLU on its kink does not hide or feign a difference.
torch.set_default_dtype(torch.float64)
prepare = step.prepared
step.prepared = lambda model, images, layout: prepare(model, images, layout).double()


class Stop(Exception):
    pass


def first_step(name: str, batch_norm: str, folder: Path) -> None:
    outputs = []
    original = loop.gradients

    def remember(*args, **kwargs):
        outputs.append(original(*args, **kwargs))
        return outputs[-1]

    def stop(run):
        loss = outputs[-1].loss.clone()
        if run.group.group is not None:
            dist.all_reduce(loss, group=run.group.group)
            loss /= run.group.world
        if run.group.is_first:
            modules = {"backbone": run.model, "head": run.head}
            tensors = {f"{part}.{n}": p.grad for part, m in modules.items() for n, p in m.named_parameters()}
            tensors |= {f"state.{n}": value.clone() for n, value in run.head.state.items()}
            torch.save({"loss": loss, **tensors}, folder / f"{name}-{batch_norm}.pt")
        raise Stop

    loop.gradients, loop.Run.rate = remember, stop
    try:
        train(small(folder / f"run-{name}-{batch_norm}", margin=MARGINS[name], batch_norm=batch_norm, batch_size=21))
    except Stop:
        return
    finally:
        loop.gradients = original


def main() -> None:
    folder = Path(sys.argv[1])
    together = "WORLD_SIZE" in os.environ
    if together:
        dist.init_process_group("gloo")
    for name in MARGINS:
        first_step(name, "frozen" if name != "arcface" else "synchronised", folder)
    first_step("arcface", "frozen", folder)
    if together:
        dist.barrier()
        dist.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
