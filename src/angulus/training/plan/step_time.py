"""About how long a training step takes here: pieces of it are timed for a moment and scaled to their full size."""

import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from angulus.heads import Dense, HeadSize, MarginHead, Sampled
from angulus.margins import Margin
from angulus.models import EmbeddingModel
from angulus.training.assembly import in_steps
from angulus.training.optimization import build_optimizer, row_rule
from angulus.training.plan.footprint import forward, unchanged
from angulus.training.plan.strategy_options import Option, Task

# Multiplications and additions of the products of a timed step of a head, and how many classes it has at least.
OPERATIONS = {"cpu": 4e9, "cuda": 4e11}
FEWEST_CLASSES = 4096
FEWEST_WEIGHTS = 2**23  # for `Dense`, whose time is that of memory beyond the caches
MOMENT = 0.1  # seconds
IMAGES = {"cpu": (2, 8), "cuda": (8, 64)}  # timed at first, and at most


def seconds_of(action: Callable[[], object], device: torch.device) -> float:
    """How long an action takes: the least of some times after a first one, as many as a moment holds."""
    action()
    finish(device)
    begun, least = time.perf_counter(), float("inf")
    while least == float("inf") or time.perf_counter() - begun < MOMENT:
        started = time.perf_counter()
        action()
        finish(device)
        least = min(least, time.perf_counter() - started)
    return least


def finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def backbone_seconds(task: Task, model: EmbeddingModel, device: torch.device) -> float:
    """Forward, backward and optimizer step of the network for the images of one process; gradients are left empty."""
    half = task.experiment.train.precision == "bfloat16"
    examples = -(-task.experiment.train.batch // task.processes)
    optimizer = build_optimizer(replace(task.experiment.optim, lr=None), model, nn.Identity())

    def run(count: int) -> Callable[[], None]:
        return lambda: forward(model, count, half=half).square().mean().backward()

    with unchanged(model), torch.enable_grad():
        model.train()
        few, most = (min(max(examples, 2), count) for count in IMAGES[device.type])
        each = seconds_of(run(few), device) / few
        if each * few < 0.1 and most > few:
            each = seconds_of(run(most), device) / most
        moving = seconds_of(optimizer.step, device)
        optimizer.zero_grad()
    return each * examples + moving


def head_seconds(task: Task, option: Option, device: torch.device) -> float:
    """Forward, backward and optimizer step of the heads of one process."""
    return sum(seconds_of_head(task, option, whole, device) for whole in task.head_sizes(option))


def seconds_of_head(task: Task, option: Option, whole: HeadSize, device: torch.device) -> float:
    """The same for one head, timed with fewer classes."""
    classes = -(-whole.classes // (task.processes if option.sharded else 1))
    products = 8 * whole.examples * whole.dim * whole.subcenters
    fewest = FEWEST_WEIGHTS // (whole.dim * whole.subcenters) if isinstance(option.strategy, Dense) else FEWEST_CLASSES
    few = min(classes, max(fewest, round(OPERATIONS[device.type] / products)))
    margin = in_steps(task.experiment.margin or Margin(), 100, 1000)
    update = row_rule(task.experiment.optim) if option.moved else None
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        head = MarginHead(whole.dim, few, margin, whole.subcenters, option.strategy, update).to(device)
        embeddings = torch.randn(whole.examples, whole.dim, device=device, requires_grad=True)
        labels = torch.randint(few, (whole.examples,), device=device)
    head.learning_rate = 0.0
    optimizer = build_optimizer(replace(task.experiment.optim, lr=None), nn.Identity(), head)

    def step() -> None:
        head(embeddings, labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return seconds_of(step, device) * summed(option, classes, whole.examples) / summed(option, few, whole.examples)


def summed(option: Option, classes: int, examples: int) -> int:
    """Over how many classes a strategy sums."""
    if not isinstance(option.strategy, Sampled):
        return classes
    return min(classes, max(round(option.strategy.rate * classes), examples))
