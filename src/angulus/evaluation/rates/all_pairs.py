"""The rates of all pairs of a labelled set of any size: TAR at FAR and EER exact, AUC with its bound.

Built on `streaming`: a first pass counts and keeps the scores around the thresholds that a sample suggests; the exact
counts certify that each wanted threshold was among them, and where one was not, a second pass keeps the scores there.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from angulus.devices.bfloat16 import bfloat16_pays
from angulus.errors import EvaluationError
from angulus.evaluation.rates.roc import (
    EqualErrorRate,
    OperatingPoint,
    RocCurve,
    ScoreHistogram,
    allowed_false_accepts,
    descending,
)
from angulus.evaluation.scores.cosines import checked_labels
from angulus.evaluation.scores.streaming.kept import PairScores, join
from angulus.evaluation.scores.streaming.passes import stream_pairs
from angulus.evaluation.scores.streaming.row_files import OrderedRows
from angulus.evaluation.scores.streaming.steps import BINS, Windows, bins_of, upper_ends
from angulus.plain_numbers import counted

log = logging.getLogger(__name__)

# The rows of both images are kept with the highest scores, for FARs up to this and at most so many pairs.
TAIL_FAR = 1e-3
MOST_TAIL = 20_000_000
MOST_GENUINE = 200_000_000
_SAMPLE = 3000


@dataclass(frozen=True, eq=False)
class AllPairs:
    """The scores of all pairs of a set, as far as its figures need them.

    images: how many.  kept: what the passes kept; the windows of the wanted FARs and of the EER are among it.
    passes: how often all pairs were scored.
    """

    images: int
    kept: PairScores
    passes: int

    @property
    def genuine(self) -> NDArray[np.float32]:
        """float32 [g] ascending."""
        return self.kept.genuine

    @cached_property
    def impostors(self) -> int:
        """The number of impostor pairs."""
        return int(self.kept.counts.sum())

    @cached_property
    def above(self) -> NDArray[np.int64]:
        """[BINS] impostors in higher steps."""
        counts = self.kept.counts
        return counts[::-1].cumsum()[::-1] - counts

    def step_of_rank(self, rank: int) -> int:
        """The step that holds the impostor score with so many above it."""
        return int(np.flatnonzero(self.above + self.kept.counts > rank)[-1])

    def inside(self, step: int) -> NDArray[np.float32]:
        """The impostor scores of one step, ascending. Raises EvaluationError where they were not kept."""
        if not self.kept.counts[step]:
            return np.empty(0, np.float32)
        if not self.kept.windows.holds(step, step):
            low, high = (float(upper_ends(np.array([b]))[0]) for b in (step - 1, step))
            raise EvaluationError(
                f"impostor scores between {low:.6f} and {high:.6f} were counted but not kept; "
                "name the FAR when all pairs are scored"
            )
        scores = self.kept.tail if step >= self.kept.windows.tail else self.kept.middle
        bins = bins_of(scores)
        return scores[np.searchsorted(bins, step, side="left") : np.searchsorted(bins, step, side="right")]

    def rates_at(self, threshold: float) -> OperatingPoint:
        """The rates at a threshold that lies in a window."""
        bound = np.float32(threshold)
        bound = bound if float(bound) <= threshold else np.nextafter(bound, np.float32(-2))
        step = int(bins_of(np.array([bound]))[0])
        own = self.inside(step)
        higher = len(own) - int(np.searchsorted(own, bound, side="right"))
        return self.point(float(threshold), int(self.above[step]) + higher, bound)

    def point(self, threshold: float, false_accepts: int, bound: np.float32) -> OperatingPoint:
        return OperatingPoint(
            target=None,
            threshold=threshold,
            false_accepts=false_accepts,
            impostors=self.impostors,
            true_accepts=len(self.genuine) - int(np.searchsorted(self.genuine, bound, side="right")),
            genuine=len(self.genuine),
        )

    def tar_at_far(self, far: float) -> OperatingPoint:
        """As `roc.tar_at_far`, exact."""
        allowed = allowed_false_accepts(far, self.impostors)
        step = self.step_of_rank(allowed)
        threshold = float(self.inside(step)[::-1][allowed - int(self.above[step])])
        return replace(self.rates_at(threshold), target=float(far), resolved=allowed >= 1)

    def tars_at_fars(self, fars: Sequence[float]) -> tuple[OperatingPoint, ...]:
        """`tar_at_far` for several targets, largest first."""
        return tuple(self.tar_at_far(far) for far in descending(fars))

    def crossing_step(self) -> int:
        """The lowest step at whose upper end FAR is no larger than FRR."""
        counts = np.bincount(bins_of(self.genuine), minlength=BINS).cumsum()
        gap = self.above / self.impostors - counts / len(self.genuine)
        return int(np.flatnonzero(gap <= 0)[0])

    def equal_error_rate(self) -> EqualErrorRate:
        """As `roc.equal_error_rate`, exact; a threshold in the step below stands at that step's end."""
        step = self.crossing_step()
        genuine = self.genuine[bins_of(self.genuine) == step]
        values = np.union1d(self.inside(step), genuine)
        below = float(upper_ends(np.array([step - 1]))[0])
        points = [self.point(below, int(self.above[step - 1]), np.float32(below))]
        points += [self.rates_at(float(value)) for value in self.around(values)]
        gaps = [point.far - point.frr for point in points]
        strict = next(k for k, gap in enumerate(gaps) if gap <= 0)  # never the first: the step was chosen so
        low, high = points[strict - 1], points[strict]
        share = gaps[strict - 1] / (gaps[strict - 1] - gaps[strict])
        nearer = low if abs(gaps[strict - 1]) < abs(gaps[strict]) else high
        return EqualErrorRate(
            rate=low.far + share * (high.far - low.far), threshold=nearer.threshold, far=nearer.far, frr=nearer.frr
        )

    def around(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of the sorted scores of the crossing's step the two neighbours between which it lies."""
        low, high = -1, len(values) - 1  # gap above 0 at low, at most 0 at high
        while high - low > 1:
            middle = (low + high) // 2
            point = self.rates_at(float(values[middle]))
            low, high = (middle, high) if point.far > point.frr else (low, middle)
        return values[max(low, 0) : high + 1]

    def area_under_roc(self) -> tuple[float, float]:
        """The AUC and how far from it the exact one may be: pairs within one step count half."""
        genuine = np.bincount(bins_of(self.genuine), minlength=BINS).astype(np.float64)
        counts = self.kept.counts.astype(np.float64)
        below = counts.cumsum() - counts
        total = len(self.genuine) * self.impostors
        half = float((genuine * counts).sum()) / 2
        return (float((genuine * below).sum()) + half) / total, half / total

    def roc_curve(self, *, most_points: int = 600) -> RocCurve:
        """Points of the ROC at the ends of steps, dense where FAR or FRR is small."""
        steps = np.flatnonzero(self.kept.counts + np.bincount(bins_of(self.genuine), minlength=BINS))
        accepted = self.above[steps]
        third = max(most_points // 3, 2)
        ranks = np.unique(np.geomspace(1, max(self.impostors, 2), third).astype(np.int64))
        picked = np.searchsorted(-accepted, -ranks)
        wanted = np.geomspace(1, len(self.genuine), third).astype(np.int64) - 1
        high = np.searchsorted(steps, bins_of(self.genuine[wanted]))
        low = np.searchsorted(steps, bins_of(self.genuine[::-1][wanted]))
        even = np.linspace(0, len(steps) - 1, third).astype(np.int64)
        chosen = np.unique(np.concatenate([picked, high, low, even]).clip(0, len(steps) - 1))[::-1]
        ends = upper_ends(np.concatenate([steps[chosen], [max(steps[0] - 1, 0)]]))
        far = np.append(self.above[steps[chosen]], self.impostors) / self.impostors
        tar = 1 - np.searchsorted(self.genuine, ends, side="right") / len(self.genuine)
        return RocCurve(threshold=ends.astype(np.float64), far=far, tar=tar)

    def score_histogram(self, *, bins: int = 80) -> ScoreHistogram:
        """Counts of both kinds in groups of steps from the lowest score to the highest."""
        genuine = np.bincount(bins_of(self.genuine), minlength=BINS)
        steps = np.flatnonzero(genuine + self.kept.counts)
        cuts = np.unique(np.linspace(steps[0], steps[-1] + 1, bins + 1).astype(np.int64))
        sums = [np.add.reduceat(np.append(counts, 0), cuts)[:-1] for counts in (genuine, self.kept.counts)]
        return ScoreHistogram(edges=upper_ends(cuts - 1).astype(np.float64), genuine=sums[0], impostor=sums[1])


def all_pairs(
    vectors: NDArray[np.float32] | OrderedRows,
    labels: NDArray[np.int64],
    *,
    fars: Sequence[float],
    device: str = "cpu",
    group: "dist.ProcessGroup | None" = None,
    screen: bool | None = False,
    tail: int = 0,
    seed: int = 0,
) -> AllPairs:
    """Score all pairs of a labelled set in blocks.

    vectors: unit vectors float32 [n, d], or mapped ones (`row_files`); labels: int64 [n], at least 0.
    fars: the FARs whose thresholds are wanted; lower ones than the lowest come free.  device: where the products are
    computed.  group: processes that share the blocks; all must call this with the same set, and all get the result.
    screen: look for high scores with bfloat16 products, which cannot miss one, and score those again in float32:
    faster, the same TAR at FAR, but for FARs up to TAIL_FAR only, and without EER, AUC and curves. None: where FARs
    allow it, one process computes, and bfloat16 products are faster on the device.
    tail: keep at least so many of the highest impostor scores (all, where there are no more), and with them and the
    genuine scores the rows of both images, as intervals want them (`needed_tail`).
    """
    labels = checked_labels(labels, len(vectors))
    check_genuine(labels)
    if screen is None:
        screen = group is None and max(fars) <= TAIL_FAR and bfloat16_pays(torch.device(device))
    if screen and max(fars) > TAIL_FAR:
        raise EvaluationError(f"a screen finds thresholds for FARs up to {TAIL_FAR:g}, got {max(fars):g}")
    windows = guessed(vectors, labels, fars, device, seed, tail)
    if screen:
        windows = Windows(tail=windows.tail)
    found = AllPairs(len(vectors), scored(vectors, labels, windows, device, group, screen, tail > 0), 1)
    check_found(found)
    second = lacking(found, fars, tail, crossing=not screen)
    if second is None:
        return found
    log.info("all pairs are scored a second time: thresholds lay elsewhere than in the sample")
    if screen:  # below the tail nothing was counted, so that the rank is found by a pass that counts
        return all_pairs(vectors, labels, fars=fars, device=device, group=group, tail=tail, seed=seed)
    return AllPairs(len(vectors), scored(vectors, labels, second, device, group, False, tail > 0), 2)


def check_found(found: AllPairs) -> None:
    """Raise EvaluationError where there is no pair of one kind."""
    if not len(found.genuine) or not found.impostors:
        kind = "one person" if not len(found.genuine) else "two people"
        held = counted(found.images, "example")
        raise EvaluationError(f"all pairs need at least one pair of {kind}, and there is none among {held}")


def lacking(found: AllPairs, fars: Sequence[float], tail: int, *, crossing: bool = True) -> Windows | None:
    """The windows that a second pass needs; None where every wanted threshold and the whole tail were kept.

    This is the certificate: the counts are of all pairs, so that the step of each wanted rank is known for sure, and
    with it whether the scores there were kept. A second pass with these windows lacks nothing.
    """
    wanted = wanted_steps(found, fars, crossing=crossing)
    missing = [step for step in wanted if not found.kept.windows.holds(step, step)]
    deepest = found.step_of_rank(min(tail, found.impostors) - 1) if tail else BINS
    if not missing and deepest >= found.kept.windows.tail:
        return None
    tails = [step for far, step in zip(fars, wanted, strict=False) if far <= TAIL_FAR]
    first = min([found.kept.windows.tail, deepest, *tails])
    return Windows(tail=first, middle=tuple((step, step + 1) for step in wanted))


def wanted_steps(found: AllPairs, fars: Sequence[float], *, crossing: bool) -> list[int]:
    """The steps in which the thresholds of the FARs lie, and that of the EER behind them."""
    steps = [found.step_of_rank(allowed_false_accepts(far, found.impostors)) for far in fars]
    if crossing and found.kept.counts[step := found.crossing_step()]:
        steps.append(step)
    return steps


def scored(
    vectors: NDArray[np.float32] | OrderedRows,
    labels: NDArray[np.int64],
    windows: Windows,
    device: str,
    group: "dist.ProcessGroup | None",
    screen: bool,
    with_rows: bool,
) -> PairScores:
    if group is None:
        return stream_pairs(vectors, labels, windows, device=device, screen=screen, with_rows=with_rows)
    world = dist.get_world_size(group)
    share = (dist.get_rank(group), world)
    parts: list[PairScores | None] = [None] * world
    own = stream_pairs(vectors, labels, windows, device=device, share=share, screen=screen, with_rows=with_rows)
    dist.all_gather_object(parts, own, group=group)
    return join([part for part in parts if part is not None])


def guessed(
    vectors: NDArray[np.float32] | OrderedRows,
    labels: NDArray[np.int64],
    fars: Sequence[float],
    device: str,
    seed: int,
    tail: int = 0,
) -> Windows:
    """Windows around the thresholds that a sample of the images suggests, wide enough for most sets."""
    count = len(labels)
    picked = np.arange(count)
    if count > _SAMPLE:
        picked = np.random.default_rng(seed).choice(count, _SAMPLE, replace=False)
    sample = stream_pairs(vectors[picked], labels[picked], Windows(tail=BINS), device=device)
    sampled = AllPairs(len(picked), sample, 1)
    pairs = count * (count - 1) // 2
    if not sampled.impostors:
        return Windows(tail=BINS)
    if tail >= pairs:
        return Windows(tail=0)
    largest = min(TAIL_FAR, MOST_TAIL / pairs)
    tail_fars = [far for far in fars if far <= largest]
    first, _ = window_of(max([*tail_fars, *([tail / pairs] if tail else [])], default=largest / 10), sampled)
    middle = [window_of(far, sampled) for far in fars if far > largest]
    if len(sample.genuine):
        crossing = sampled.above[sampled.crossing_step()] / sampled.impostors
        middle.append(window_of(float(crossing), sampled))
    return Windows(tail=first, middle=tuple(middle))


def spread(far: float, sampled: AllPairs) -> float:
    """By what factor a FAR in a sample may be off; the scores of one image go up and down together."""
    return 1.2 + 20 / float(np.sqrt(far * sampled.impostors + 1))


def window_of(far: float, sampled: AllPairs) -> tuple[int, int]:
    """Steps around the threshold of a FAR."""
    factor = spread(far, sampled)
    ranks = [min(int(value * sampled.impostors), sampled.impostors - 1) for value in (far * factor, far / factor)]
    low, high = (sampled.step_of_rank(rank) for rank in ranks)
    return low, high + 1


def check_genuine(labels: NDArray[np.int64]) -> None:
    counts = np.unique(labels, return_counts=True)[1].astype(np.int64)
    genuine = int((counts * (counts - 1) // 2).sum())
    if genuine > MOST_GENUINE:
        raise EvaluationError(
            f"genuine scores are held in memory, at most {MOST_GENUINE:,}, and these people have {genuine:,} pairs; "
            "take fewer images of each"
        )
