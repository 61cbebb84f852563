"""Which runtime and which layout embed a set: asked for, or the fastest on its first images; proved before it is used.

A runtime beside torch takes its place only after both embedded the first images and their views alike (`agreement`).
"""

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from angulus.errors import ModelError
from angulus.inference.agreement import TOLERANCE, largest_distance
from angulus.inference.networks import LAYOUTS, Layout, Network, torch_network
from angulus.inference.processors import compute_threads
from angulus.inference.runtimes import RuntimeName, installed, open_runtime
from angulus.models import EmbeddingModel

_REPEATS = 3
WORTH_IT = 1.1
"""By how much another layout or runtime must be faster than the usual one: less is noise."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What embeds, and why.

    seconds: for the first images, by what was timed; empty where nothing was.  distance: the largest cosine distance
    from torch on the first images; None for torch itself.
    """

    network: Network = field(repr=False)
    runtime: str
    layout: Layout | None
    reason: str
    seconds: Mapping[str, float] = field(default_factory=dict)
    distance: float | None = None

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        kept = ("runtime", "layout", "reason", "distance")
        return {name: getattr(self, name) for name in kept} | {"seconds": dict(self.seconds)}


def choose(
    model: EmbeddingModel,
    first: Tensor,
    *,
    runtime: RuntimeName = "torch",
    layout: Layout | Literal["auto"] = "channels_last",
    device: torch.device | None = None,
) -> Choice:
    """What embeds a set whose first prepared images, float32 [n, c, h, w] on the device, are `first`.

    Raises ModelError for a runtime that is not there, that does not run on the device, or that gives other vectors.
    """
    device = device or torch.device("cpu")
    own = _torch_choice(model, first, layout, device)
    if runtime == "torch":
        return own
    if device.type != "cpu":
        raise ModelError(
            f"the runtime {runtime!r} computes on the CPU, got the device {str(device)!r}; take torch there"
        )
    views = torch.cat([first, first.flip(-1)])
    wanted = own.network(views)
    if runtime != "auto":
        network = open_runtime(runtime, model, compute_threads())
        distance = _proved(runtime, network, views, wanted)
        reason = f"asked for; the first {len(first)} images agree with torch to {distance:.1e}"
        return Choice(network=network, runtime=runtime, layout=None, reason=reason, distance=distance)
    return _fastest(model, views, own, wanted)


def _torch_choice(
    model: EmbeddingModel, first: Tensor, layout: Layout | Literal["auto"], device: torch.device
) -> Choice:
    if layout != "auto":
        network = torch_network(model, device, layout)
        return Choice(network=network, runtime="torch", layout=layout, reason="the usual layout")
    usual = torch_network(model, device)
    networks = {name: replace(usual, layout=name) for name in LAYOUTS}
    seconds: dict[str, float] = {name: _seconds(network, first) for name, network in networks.items()}
    usual_name, other = LAYOUTS
    chosen: Layout = other if seconds[other] * WORTH_IT < seconds[usual_name] else usual_name
    ratio = seconds[other] / seconds[usual_name]
    reason = f"{other} takes {ratio:.2f} of the time of {usual_name} for the first {len(first)} images"
    return Choice(network=networks[chosen], runtime="torch", layout=chosen, reason=reason, seconds=seconds)


def _fastest(model: EmbeddingModel, views: Tensor, own: Choice, wanted: Tensor) -> Choice:
    """The fastest of torch and what is installed, among those that agree."""
    first = views[: len(views) // 2]
    choices = {"torch": own}
    seconds = {"torch": _seconds(own.network, first)}
    refused = []
    for name in installed():
        try:
            network = open_runtime(name, model, compute_threads())
            distance = _proved(name, network, views, wanted)
        except ModelError as error:
            refused.append(str(error))
            continue
        seconds[name] = _seconds(network, first)
        choices[name] = Choice(network=network, runtime=name, layout=None, reason="", distance=distance)
    best = min(seconds, key=lambda name: seconds[name])
    if seconds[best] * WORTH_IT > seconds["torch"]:
        best = "torch"
    shown = ", ".join(f"{name} {1000 * value / len(first):.2f} ms" for name, value in seconds.items())
    reason = "; ".join([f"an image takes {shown}" if len(seconds) > 1 else "no other runtime is installed", *refused])
    return replace(choices[best], reason=reason, seconds=seconds)


def _proved(name: str, network: Network, views: Tensor, wanted: Tensor) -> float:
    """The largest distance from torch's embeddings `wanted` of some images, where it is small enough."""
    distance = largest_distance(network(views), wanted)
    if not distance <= TOLERANCE:
        raise ModelError(
            f"the runtime {name} gives other embeddings than torch for these images (largest cosine distance "
            f"{distance:.1e}, allowed {TOLERANCE:.0e}), so it is not used; take the runtime torch"
        )
    return distance


def _seconds(network: Network, images: Tensor) -> float:
    """The least of a few passes after a first one; on one thread where passes run beside each other."""
    with one_thread(network.parallel and images.device.type == "cpu"):
        network(images)
        return min(_timed(lambda: network(images), images.device) for _ in range(_REPEATS))


def _timed(call: Callable[[], object], device: torch.device) -> float:
    waits = device.type == "cuda"
    if waits:
        torch.cuda.synchronize(device)
    begin = time.perf_counter()
    call()
    if waits:
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin


@contextmanager
def one_thread(wanted: bool = True) -> Generator[None, None, None]:
    """torch computes on one thread where this thread is while the block runs, if `wanted`."""
    before = torch.get_num_threads()
    if wanted:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
