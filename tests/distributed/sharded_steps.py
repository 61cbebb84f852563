"""Run by every process of test_sharded: a ShardedHead and a MarginHead with all classes do the same steps.

torchrun ... sharded_steps.py FOLDER     writes FOLDER/differences-RANK.json and checkpoints
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from angulus.heads import Dense, MarginHead, ShardedHead, Streamed
from angulus.heads.sharding.candidates import among_all
from angulus.heads.sharding.resharding import load_sharded, save_sharded
from angulus.margins import (
    MARGINS,
    AdaCos,
    AMMSoftmax,
    AMSoftmax,
    ArcFace,
    CurricularFace,
    ElasticFace,
    InterTopK,
    L2Softmax,
    Learned,
    Linear,
    Margin,
    MVSoftmax,
    NormFace,
    PerClass,
    SphereFace,
    SphereFace2,
    SphereFaceR,
)
from angulus.training.nodes.traffic import gathered_bytes, ranking_bytes, scattered_bytes

DIM, CLASSES = 5, 7
VARIANTS = {
    "amm-both": AMMSoftmax(side="both", t=0.15),
    "amm-positive-violation": AMMSoftmax(side="positive", rule="violation"),
    "amm-ema": AMMSoftmax(rule="ema", momentum=0.3),
    "curricular-fast": CurricularFace(scale=16.0, momentum=0.3),
    "mv-arc": MVSoftmax(base="arc", m=0.5),
    "normface-learned": NormFace(scale=Learned(12.0)),
    "am-learned": AMSoftmax(scale=Learned(20.0)),
    "l2softmax-learned": L2Softmax(scale=Learned(10.0)),
    "sphereface-learned": SphereFace(scale=Learned(0.8), annealing=None),
    "spherefacer-sfn": SphereFaceR(norm="sfn", gradient="exact"),
    "spherefacer-nfn-v0": SphereFaceR(norm="nfn", version="v0"),
    "spherefacer-sfn-learned": SphereFaceR(norm="sfn", scale=Learned(30.0)),
    "adacos-lagged": AdaCos(mode="lagged"),
    "elastic-ordered": ElasticFace(ordered=True),
    "arcface-straight": ArcFace(gradient="straight_through"),
    "arcface-scheduled": ArcFace(scale=16.0, m=Linear(end=0.5, until=2)),
    "topk-two": InterTopK(k=2, m=0.4, m_prime=0.3),
    "topk-all": InterTopK(k=9, scale=Learned(20.0)),
    "sphereface2-learned": SphereFace2(scale=Learned(20.0), gradient="exact"),
    "arcface-per-class": ArcFace(m=PerClass(tuple(0.1 + 0.05 * j for j in range(CLASSES)))),
}
STRATEGIES = {
    "dense": (Dense(), (1, 3)),
    "recompute": (Streamed(chunk=2, mode="recompute"), (1, 3)),
    "stash": (Streamed(chunk=2, mode="stash"), (3,)),
}
# Batch sizes of the processes in each step.
SIZES = {
    2: [(3, 5), (4, 1), (2, 2)],
    3: [(3, 5, 1), (0, 4, 2), (2, 2, 2)],
    4: [(3, 5, 1, 2), (0, 4, 2, 1), (2, 2, 2, 2)],
}
EVERY_MARGIN = (2, 3)  # processes


def margins() -> dict[str, Margin]:
    return {name: kind() for name, kind in MARGINS.items()} | VARIANTS


def batch(weight: Tensor, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Embeddings 8 to 40 long, some near their class and some not, and labels, of which some are -1."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, CLASSES, (n,), generator=generator)
    noise = torch.randn(n, DIM, generator=generator, dtype=torch.float64)
    near = torch.linspace(0.0, 1.5, n, dtype=torch.float64)[torch.randperm(n, generator=generator)]
    directions = nn.functional.normalize(weight[labels].flatten(1)[:, :DIM], dim=1) * near[:, None]
    embeddings = nn.functional.normalize(directions + 0.6 * noise / DIM**0.5, dim=1)
    lengths = 8 + 32 * torch.rand(n, 1, generator=generator, dtype=torch.float64)
    labels[torch.randperm(n, generator=generator)[: n // 4]] = -1
    return embeddings * lengths, labels


def difference(found: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest expected value where that is above 1."""
    if found.shape != expected.shape:
        return float("inf")
    if expected.numel() == 0:
        return 0.0
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1.0))


def pair(
    margin: Margin, strategy: object, subcenters: int, smoothing: float = 0.0, **options
) -> tuple[MarginHead, ShardedHead]:
    """The same head twice: with all classes on each process, and divided."""
    torch.manual_seed(3)
    whole = MarginHead(DIM, CLASSES, margin, subcenters, Dense(), label_smoothing=smoothing).double()
    nn.init.normal_(whole.weight)
    if whole.bias is not None:
        nn.init.normal_(whole.bias)
    options |= {"process_group": dist.group.WORLD, "label_smoothing": smoothing}
    parts = ShardedHead(DIM, CLASSES, margin, subcenters, strategy, **options).double()
    with torch.no_grad():
        parts.weight.copy_(rows(parts, whole.weight))
        if whole.bias is not None:
            parts.bias.copy_(rows(parts, whole.bias))
    return whole, parts


def rows(head: ShardedHead, full: Tensor) -> Tensor:
    return full[head.classes.start : head.classes.stop]


def compare_steps(
    margin: Margin, strategy: object, subcenters: int, per_sample: bool = False, smoothing: float = 0.0
) -> dict[str, float]:
    """The largest difference of each quantity over three steps of plain gradient descent."""
    whole, parts = pair(margin, strategy, subcenters, smoothing)
    worst: dict[str, float] = {}
    for number, sizes in enumerate(SIZES[dist.get_world_size()]):
        embeddings, labels = batch(whole.weight.detach(), sum(sizes), seed=number)
        own = slice(sum(sizes[: dist.get_rank()]), sum(sizes[: dist.get_rank() + 1]))
        first, second = embeddings.clone().requires_grad_(), embeddings[own].clone().requires_grad_()
        m = torch.linspace(0.1, 0.5, sum(sizes), dtype=torch.float64)
        alone = whole(first, labels, per_sample={"m": m} if per_sample else None)
        together = parts(
            second,
            labels[own],
            per_sample={"m": m[own]} if per_sample else None,
            batch_sizes=sizes if number == 2 else None,
        )
        alone.loss.backward()
        together.loss.backward()
        found = {
            "loss": (together.loss, alone.loss),
            "losses": (together.losses, alone.losses[own]),
            "cos_target": (together.cos_target, alone.cos_target[own]),
            "embeddings": (second.grad, first.grad[own]),
        } | {f"state_{name}": (parts.state[name], whole.state[name]) for name in whole.state}
        for name, parameter in whole.named_parameters():
            cut = name in ("weight", "bias")
            mine = parts.get_parameter(name)
            found[f"gradient of {name}"] = (mine.grad, rows(parts, parameter.grad) if cut else parameter.grad)
            with torch.no_grad():
                parameter -= 1e-3 * parameter.grad
                mine -= 1e-3 * mine.grad
            parameter.grad = mine.grad = None
            found[name] = (mine, rows(parts, parameter) if cut else parameter)
        for name, (one, other) in found.items():
            worst[name] = max(worst.get(name, 0.0), difference(one.detach(), other.detach()))
    return worst


def compare_backbone() -> dict[str, float]:
    """A backbone in DistributedDataParallel gets the gradient of a single process."""
    whole, parts = pair(SphereFace(), Streamed(chunk=2), 1, data_parallel=True)
    images, labels = batch(whole.weight.detach(), 8, seed=5)
    torch.manual_seed(4)
    alone = nn.Linear(DIM, DIM).double()
    together = nn.Linear(DIM, DIM).double()
    together.load_state_dict(alone.state_dict())
    sizes = SIZES[dist.get_world_size()][0]
    own = slice(sum(sizes[: dist.get_rank()]), sum(sizes[: dist.get_rank() + 1]))
    images, labels = images[: sum(sizes)], labels[: sum(sizes)]
    whole(alone(images), labels).loss.backward()
    averaging = DistributedDataParallel(together)
    parts(averaging(images[own]), labels[own]).loss.backward()
    return {
        "gradient of the backbone": difference(together.weight.grad, alone.weight.grad),
        "gradient of weight": difference(parts.weight.grad, rows(parts, whole.weight.grad)),
    }


def compare_evaluation() -> dict[str, float]:
    """In evaluation mode and without gradients statistics stay, and the values are the same."""
    whole, parts = pair(CurricularFace(momentum=0.5), Dense(), 3)
    embeddings, labels = batch(whole.weight.detach(), 2 * dist.get_world_size(), seed=6)
    own = slice(2 * dist.get_rank(), 2 * dist.get_rank() + 2)
    with torch.no_grad():
        alone, together = whole.eval()(embeddings, labels), parts.eval()(embeddings[own], labels[own])
    return {"loss": difference(together.loss, alone.loss), "t": float(parts.state["t"]), "step": float(parts.step)}


RANKED = [(9, 3, 4), (8, 5, 1), (1, 2, 3), (0, 2, 3), (5, 1, 10**6)]
"""Examples, candidates of each process, and different cosines: one makes all of them equal."""


def compare_ranking(rows: int, count: int, steps: int) -> dict[str, object]:
    """Which candidates count, beside those that come first where all are sorted at one place; and the bytes sent."""
    world, rank, sent = dist.get_world_size(), dist.get_rank(), [0.0]
    drawn = torch.randint(0, steps, (rows, world * count), generator=torch.Generator().manual_seed(rows))
    cos = (drawn / steps).unflatten(1, (world, count)).sort(dim=2, descending=True).values
    kept = torch.zeros(rows, world * count, dtype=torch.bool)
    first = cos.flatten(1).sort(dim=1, descending=True, stable=True).indices[:, :count]
    kept.scatter_(1, first, torch.ones_like(first, dtype=torch.bool))
    deal, gather = dist.all_to_all_single, dist.all_gather

    def dealing(found: Tensor, values: Tensor, **options: object) -> object:
        sent[0] += scattered_bytes(values.nbytes, world)
        return deal(found, values, **options)

    def gathering(found: list[Tensor], values: Tensor, **options: object) -> object:
        sent[0] += gathered_bytes(values.nbytes, world)
        return gather(found, values, **options)

    dist.all_to_all_single, dist.all_gather = dealing, gathering
    try:
        here = among_all(cos[:, rank], dist.group.WORLD)
    finally:
        dist.all_to_all_single, dist.all_gather = deal, gather
    share = -(-rows // world)
    return {
        "same": torch.equal(here, kept.unflatten(1, (world, count))[:, rank]),
        "bytes": sent[0],
        "formula": float(ranking_bytes(share, count, world)),
    }


def sentence(call: Callable[[], object]) -> str:
    try:
        call()
    except ValueError as error:
        return str(error)
    return "no error"


def sentences() -> dict[str, str]:
    """What a user is told, on every process."""
    group = dist.group.WORLD
    _, parts = pair(MVSoftmax(), Dense(), 1)
    embeddings = torch.ones(2, DIM, dtype=torch.float64)
    good = torch.zeros(2, dtype=torch.int64)
    bad = good + (CLASSES if dist.get_rank() == 1 else 0)
    shard_of_first = parts.state_dict() | {"_extra_state": {"step": 0, "first_class": 1}}
    return {
        "label": sentence(lambda: parts(embeddings, bad)),
        "sizes": sentence(lambda: parts(embeddings, good, batch_sizes=(2,) * 9)),
        "classes": sentence(lambda: ShardedHead(DIM, 1, ArcFace(), process_group=group)),
        "shard": sentence(lambda: parts.load_state_dict(shard_of_first)),
        "per_sample": sentence(
            lambda: parts(embeddings, good, per_sample={"t": torch.ones(2, dtype=torch.float64, requires_grad=True)})
        ),
    }


def trained(head: MarginHead, own: slice = slice(None)) -> torch.optim.Optimizer:
    """An optimizer with momentum that has made two steps."""
    optimizer = torch.optim.SGD(head.parameters(), lr=0.01, momentum=0.9)
    for step in range(2):
        optimizer.zero_grad()
        embeddings, labels = batch(torch.ones(CLASSES, DIM, dtype=torch.float64), 9, seed=10 + step)
        head(embeddings[own].to(head.weight.dtype), labels[own]).loss.backward()
        optimizer.step()
    return optimizer


def checkpoint_head() -> ShardedHead:
    torch.manual_seed(7)
    return ShardedHead(DIM, CLASSES, L2Softmax(scale=Learned(10.0)), process_group=dist.group.WORLD)


def held(head: MarginHead, optimizer: torch.optim.Optimizer) -> dict[str, object]:
    named = dict(head.named_parameters())
    momentum = {f"momentum of {name}": optimizer.state[named[name]]["momentum_buffer"] for name in named}
    return {name: value.detach() for name, value in named.items()} | momentum | {"step": head.step}


def checkpoints(folder: Path) -> None:
    """Four, then three processes save what they trained; three and two read these and what one saved.

    All write what they hold.
    """
    world, rank = dist.get_world_size(), dist.get_rank()
    head = checkpoint_head()
    torch.save(head.weight.detach().clone(), folder / f"initial-{world}-{rank}.pt")
    if world >= 3:
        optimizer = trained(head, slice(3 * rank, 3 * rank + 3))
        save_sharded(head, folder / f"by-{world}", optimizer)
        torch.save(held(head, optimizer), folder / f"by-{world}-saved-{rank}.pt")
    for name in ("by-1", "by-3", "by-4") if world < 4 else ():
        head = checkpoint_head()
        optimizer = torch.optim.SGD(head.parameters(), lr=0.01, momentum=0.9)
        load_sharded(head, folder / name, optimizer)
        torch.save(held(head, optimizer), folder / f"{name}-read-by-{world}-{rank}.pt")


def main() -> None:
    folder = Path(sys.argv[1])
    dist.init_process_group("gloo")
    found: dict[str, object] = {}
    everything = dist.get_world_size() in EVERY_MARGIN
    for name, margin in margins().items() if str(dist.get_world_size()) in sys.argv[2:] else ():
        for kind, (strategy, centers) in STRATEGIES.items():
            for subcenters in centers:
                found[f"{name}-{kind}-{subcenters}"] = compare_steps(margin, strategy, subcenters)
    if everything:
        compare_rest(found)
    else:
        found["topk"] = compare_steps(VARIANTS["topk-two"], Streamed(chunk=2), 3)
    found["ranking"] = [compare_ranking(rows, count, steps) for rows, count, steps in RANKED]
    checkpoints(folder)
    name = f"differences-{dist.get_world_size()}-{dist.get_rank()}.json"
    (folder / name).write_text(json.dumps(found, indent=1))
    dist.barrier()
    dist.destroy_process_group()


def compare_rest(found: dict[str, object]) -> None:
    found["per-sample"] = compare_steps(ArcFace(), Streamed(chunk=2), 1, per_sample=True)
    smoothed = {"arc": ArcFace(), "sphere": SphereFace(), "mv": MVSoftmax(), "l2": L2Softmax(scale=Learned(10.0))}
    for name, margin in smoothed.items():
        for kind in ("dense", "stash"):
            strategy = STRATEGIES[kind][0]
            found[f"smoothed-{name}-{kind}"] = compare_steps(margin, strategy, 3, smoothing=0.2)
    found["backbone"] = compare_backbone()
    found["evaluation"] = compare_evaluation()
    found["sentences"] = sentences()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
