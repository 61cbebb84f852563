"""What stands in every batch of a run: the order of the examples, and whose they are where there are several sets."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from angulus.data import MixedSampler, Sampler
from angulus.data.loading.batch_loader import slice_of
from angulus.errors import ConfigError
from angulus.heads import MarginHead, Portion, SeparateHeads, each_head, expected_initial_loss
from angulus.margins import Margin
from angulus.training.assembly import build_head, build_heads
from angulus.training.distributed import Processes
from angulus.training.experiment import Experiment
from angulus.training.recipe.data_sources import Sources
from angulus.training.recipe.set_unions import Mixture
from angulus.training.step import StepOutput


def sampler_of(experiment: Experiment, sources: Sources) -> Sampler:
    """In which order a run sees its examples."""
    batch_size, seed = experiment.train.batch, experiment.seed
    if sources.mixture is not None:
        return sources.mixture.sampler(batch_size, seed)
    return experiment.train.sampling.sampler(sources.train, batch_size=batch_size, seed=seed)


def heads_of(
    experiment: Experiment,
    sources: Sources,
    embedding_dim: int,
    margin: Margin,
    group: Processes,
    device: torch.device,
) -> tuple[MarginHead | SeparateHeads, list[list[Portion]]]:
    """The head of a run, or one for each data set with which examples of a batch are whose."""
    mixture = sources.mixture
    if mixture is None or mixture.classes is None:
        return build_head(experiment, embedding_dim, len(sources.train.identities), margin, group).to(device), []
    pattern = mixture.sampler(experiment.train.batch, experiment.seed).pattern
    portions = portions_of(pattern, mixture.names, group.rank, group.world, experiment.train.accumulate)
    moved = [[replace(portion, rows=portion.rows.to(device)) for portion in some] for some in portions]
    return build_heads(experiment, embedding_dim, mixture, margin, group).to(device), moved


def portions_of(
    pattern: NDArray[np.int64], names: Sequence[str], rank: int, world: int, accumulate: int
) -> list[list[Portion]]:
    """Which of a process's examples are of which data set: [micro-batch][set].

    pattern: [batch], the number of the set in each place of every global batch.
    Raises ConfigError where a set has no example in some micro-batch of some process.
    """
    slices = [pattern[slice(*slice_of(len(pattern), other, world))] for other in range(world)]
    parts = [np.array_split(some, accumulate) for some in slices]
    found: list[list[Portion]] = []
    for micro in zip(*parts, strict=True):
        counts = [[int((part == number).sum()) for part in micro] for number in range(len(names))]
        check_portions(names, counts, np.bincount(pattern), world, accumulate)
        total = sum(map(sum, counts))
        rows = [torch.from_numpy(np.flatnonzero(micro[rank] == number)) for number in range(len(names))]
        found.append(
            [
                Portion(rows=some, sizes=tuple(sizes), share=sum(sizes) / total)
                for some, sizes in zip(rows, counts, strict=True)
            ]
        )
    return found


def check_portions(
    names: Sequence[str], counts: list[list[int]], quotas: NDArray[np.int64], world: int, accumulate: int
) -> None:
    for name, sizes, quota in zip(names, counts, quotas, strict=True):
        if min(sizes) == 0:
            raise ConfigError(
                f"the set {name} has {quota} of {sum(quotas)} examples of a batch, too few for each process to have "
                f"one in every micro-batch (processes x train.accumulate = {world} x {accumulate}); raise its "
                "weight in data.weights or train.batch_size"
            )


def losses_by_set(output: StepOutput, mixture: Mixture | None, sampler: object, group: Processes) -> dict[str, float]:
    """The mean loss of each data set in a batch, "loss/NAME", where batches have a share of each. Reads the device."""
    if mixture is None or not isinstance(sampler, MixedSampler):
        return {}
    begin, end = slice_of(output.total, group.rank, group.world)
    sets = torch.from_numpy(sampler.pattern[begin:end]).to(output.losses.device)
    sums = group.sum(output.losses.new_zeros(len(mixture.names)).index_add_(0, sets, output.losses))
    pairs = zip(mixture.names, sums.tolist(), sampler.counts, strict=True)
    return {f"loss/{name}": loss / count for name, loss, count in pairs}


def shares_in_words(mixture: Mixture, sampler: MixedSampler) -> str:
    """How often each data set is gone through in an epoch: "3 of ms1m (1.02 rounds an epoch) and ..."."""
    sizes = np.bincount(mixture.sets, minlength=len(mixture.names))
    parts = [
        f"{count} of {name} ({count * sampler.batches_per_epoch / size:.2f} rounds an epoch)"
        for name, count, size in zip(mixture.names, sampler.counts, sizes, strict=True)
    ]
    return " and ".join(parts)


def initial_loss(head: MarginHead | SeparateHeads, portions: Sequence[Sequence[Portion]], embedding_dim: int) -> float:
    """What a random network has for a loss; of separate heads, as they are weighted in the loss."""
    weights = [1.0]
    if isinstance(head, SeparateHeads):
        weights = [portion.share * factor for portion, factor in zip(portions[0], head.factors, strict=True)]
    pairs = zip(weights, each_head(head), strict=True)
    return sum(
        weight * expected_initial_loss(one.margin, one.num_classes, embedding_dim) for weight, (_, one, _) in pairs
    )
