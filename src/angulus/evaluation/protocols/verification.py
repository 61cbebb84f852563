"""How well does an embedding tell people apart: one call from embeddings to every figure of a verification."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch.distributed as dist
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from angulus.embeddings import EmbeddingSet, View, as_set
from angulus.errors import EvaluationError
from angulus.evaluation.protocols.one_person_twice import ALIKE, Described, notes_on_alike
from angulus.evaluation.protocols.step_figures import StepFigures, step_lines
from angulus.evaluation.rates.all_pairs import AllPairs, all_pairs
from angulus.evaluation.rates.folds import (
    FoldedAccuracy,
    Protocol,
    cannot_be_folded,
    decided_rightly,
    folded_accuracy,
    folded_cosines,
    protocol_view,
)
from angulus.evaluation.rates.roc import (
    ACCEPT_RULE,
    EqualErrorRate,
    OperatingPoint,
    RocCurve,
    ScoreHistogram,
    area_under_roc,
    equal_error_rate,
    roc_curve,
    score_histogram,
    tars_at_fars,
)
from angulus.evaluation.rates.step_costs import Costs, costs_of
from angulus.evaluation.scores.cosines import Scores, all_pair_scores, check_kinds, checked_labels, hardest_pairs
from angulus.evaluation.scores.fingerprint import fingerprint_of
from angulus.evaluation.scores.pairs import Pairs
from angulus.evaluation.scores.people import people_of_pairs
from angulus.evaluation.scores.streaming.row_files import comparable
from angulus.evaluation.scores.streaming.steps import bins_of
from angulus.evaluation.uncertainty.bootstrap import Bootstrap
from angulus.evaluation.uncertainty.verification_intervals import (
    MOST_TAIL,
    Confidence,
    confidence_of_all,
    confidence_of_pairs,
    wanted_fars,
)
from angulus.plain_numbers import counted, plain, several, with_article

Labels = Sequence[int] | Sequence[str] | NDArray[Any] | Tensor
DEFAULT_FARS = (1e-1, 1e-2, 1e-3, 1e-4)
COSINE = "cosine"
# More pairs than these are counted block by block instead of held in memory; the figures are the same.
MOST_IN_MEMORY = 20_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class VerificationResult:
    """Every figure of one verification.

    points: TAR at each FAR asked for, largest FAR first. accuracy: over the folds, None without folds.
    auc_error: how far the exact AUC may be from `auc`; 0 unless all pairs of a large set were counted in steps.
    Cosines are meant wherever a threshold or score appears, except in the folds of the insightface protocol.
    costs: minDCF and min Cllr, confidence: intervals, where asked for. fingerprint: of what was compared.
    notes: what is odd about the pairs, and a figure that could not be had. scores: what a threshold is on. steps: the
    figures after each step of scoring, where there are several, with what was done in `scoring` (JSON-ready).
    noun: what an example is called, image or recording.
    """

    name: str
    protocol: Protocol
    view: View
    compared: str
    images: int
    genuine: int
    impostors: int
    points: tuple[OperatingPoint, ...]
    eer: EqualErrorRate
    auc: float
    accuracy: FoldedAccuracy | None
    roc: RocCurve
    histogram: ScoreHistogram
    auc_error: float = 0.0
    costs: Costs | None = None
    confidence: Confidence | None = None
    fingerprint: str = ""
    notes: tuple[str, ...] = ()
    scores: str = COSINE
    steps: tuple[StepFigures, ...] = ()
    scoring: dict[str, Any] | None = None
    noun: str = "image"

    def tar(self, far: float) -> float:
        """TAR at a FAR that was asked for."""
        for point in self.points:
            if point.target == far:
                return point.tar
        raise EvaluationError(f"TAR was computed at FAR {', '.join(f'{p.target:g}' for p in self.points)}, got {far:g}")

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: plain dicts, lists and numbers."""
        return {
            **{"name": self.name, "protocol": self.protocol, "view": self.view, "compared": self.compared},
            **{"images": self.images, "noun": self.noun, "genuine": self.genuine, "impostors": self.impostors},
            "accuracy": None if self.accuracy is None else self.accuracy.as_dict(),
            "tar_at_far": [point.as_dict() for point in self.points],
            "eer": self.eer.as_dict(),
            "auc": self.auc,
            "auc_error": self.auc_error,
            "costs": None if self.costs is None else self.costs.as_dict(),
            "intervals": None if self.confidence is None else self.confidence.as_dict(),
            **{"rule": ACCEPT_RULE, "fingerprint": self.fingerprint, "notes": list(self.notes)},
            **{"scores": self.scores, "steps": [step.as_dict() for step in self.steps], "scoring": self.scoring},
            "roc": self.roc.as_dict(),
            "histogram": self.histogram.as_dict(),
        }

    def table(self) -> str:
        """The figures as lines of text."""
        lines = [
            f"{self.name or 'verification'}: {self.compared}, {counted(self.images, self.noun)},"
            f" {self.genuine:,} genuine and {self.impostors:,} impostor pairs",
            f"protocol {self.protocol}, view {self.view}; {ACCEPT_RULE}",
        ]
        lines += [] if self.scores == COSINE else [f"score: {self.scores}"]
        lines += [f"note: {note}" for note in self.notes]
        if self.accuracy is not None:
            spread = f"+- {self.accuracy.std:.2%} over {len(self.accuracy.folds)} folds"
            lines.append(f"accuracy     {self.accuracy.mean:8.2%} {spread}")
        lines.append(f"EER          {self.eer.rate:8.2%} (threshold {self.eer.threshold:.4f})")
        lines.append(f"AUC          {self.auc:8.5f}")
        lines += [] if self.costs is None else self.costs.lines()
        lines.append("FAR (FMR) <=  TAR (TMR)  threshold     false accepts        true accepts")
        lines += [_point_line(point) for point in self.points]
        lines += [] if self.confidence is None else self.confidence.lines()
        lines += step_lines(self.steps)
        return "\n".join(lines)


def verify(
    embeddings: EmbeddingSet | ArrayLike | Tensor,
    pairs: Pairs | Labels | None = None,
    *,
    labels: Labels | None = None,
    protocol: Protocol = "plain",
    view: View | None = None,
    fars: Sequence[float] = DEFAULT_FARS,
    name: str = "",
    intervals: bool | None = False,
    bootstrap: Bootstrap | None = None,
    costs: bool = False,
    device: str = "cpu",
    group: "dist.ProcessGroup | None" = None,
) -> VerificationResult:
    """Accuracy over folds, TAR at FAR, EER, AUC, ROC and histogram of a pair list, or of all pairs without one.

    embeddings: a set, or an array or tensor [n, d], of any norm. pairs: a list of pairs. labels: [n], whole numbers or
    names, in a list, an array or a tensor; they may stand in the place of pairs: `verify(array, labels)`.
    view: which embedding the protocol "plain" compares; left out, the sum of plain and mirrored image where the set has
    mirrored images. The named protocols have their own (see `verification`). All pairs need labels and the protocol
    "plain". Accuracy needs two folds or more and is left out with a note where they are not there; a named protocol
    without folds is an error. intervals: True for all that can be had, None for those that take seconds (see
    `confidence`); bootstrap: how. costs: minDCF and min Cllr too. device: where all pairs are scored.  group: processes
    that share the blocks of all pairs; all must call this alike, and all get the result.
    """
    if pairs is not None and not isinstance(pairs, Pairs):
        if labels is not None:
            raise EvaluationError(f"verify takes pairs and labels, got {type(pairs).__name__} for the pairs")
        pairs, labels = None, pairs
    embeddings = as_set(embeddings, cast(ArrayLike, labels))
    view = protocol_view(protocol, view, embeddings)
    if pairs is None:
        scores, confidence, alike = verified_set(
            embeddings, protocol, view, fars, intervals, bootstrap or Bootstrap(), device=device, group=group
        )
        accuracy = None
    else:
        scores, accuracy, confidence, alike = verified_list(
            embeddings, pairs, protocol, view, fars, intervals, bootstrap or Bootstrap()
        )
    return VerificationResult(
        name=name,
        protocol=protocol,
        view=view,
        compared="all pairs" if pairs is None else "a pair list",
        images=len(embeddings) if pairs is None else len(np.union1d(pairs.left, pairs.right)),
        accuracy=accuracy,
        costs=costs_of(scores) if costs else None,
        confidence=confidence,
        fingerprint=fingerprint_of(embeddings, pairs),
        notes=(*(() if pairs is None else notes_on(embeddings, pairs)), *alike),
        noun=embeddings.noun,
        **figures_from(scores, fars),
    )


def verified_set(
    embeddings: EmbeddingSet,
    protocol: Protocol,
    view: View,
    fars: Sequence[float],
    intervals: bool | None,
    bootstrap: Bootstrap,
    *,
    device: str = "cpu",
    group: "dist.ProcessGroup | None" = None,
) -> tuple[Scores | AllPairs, Confidence | None, tuple[str, ...]]:
    """The scores of all pairs of a labelled set, their intervals where these are asked for, and notes."""
    labels = labels_of_set(embeddings, protocol)
    if intervals is False and fits_in_memory(len(labels)):
        vectors = embeddings.unit(view)
        plain = all_pair_scores(vectors, labels)
        return plain, None, alike_of_scores(embeddings, vectors, plain)
    rows, tail = comparable(embeddings, view, labels), tail_of_set(labels, fars, intervals)
    found = all_pairs(rows, labels, fars=fars, tail=tail, device=device, group=group)
    return concluded(found, embeddings, labels, fars, intervals, bootstrap)


def labels_of_set(embeddings: EmbeddingSet, protocol: Protocol) -> NDArray[np.int64]:
    """The labels of a set whose pairs are all compared. Raises EvaluationError where there are none."""
    if embeddings.labels is None:
        raise EvaluationError(
            "all pairs of a set need labels, and these embeddings have none; give labels [n], one for each embedding,"
            " or a pair list"
        )
    if protocol != "plain":
        raise EvaluationError(f"protocol {protocol!r} needs a pair list with folds; all pairs use the protocol 'plain'")
    return embeddings.labels


def concluded(
    found: AllPairs,
    named: Described,
    labels: NDArray[np.int64],
    fars: Sequence[float],
    intervals: bool | None,
    bootstrap: Bootstrap,
) -> tuple[Scores | AllPairs, Confidence | None, tuple[str, ...]]:
    """What all pairs of a set with these labels [n] say, once they are counted. named: what its images are called."""
    alike = alike_of_all(named, found)
    if intervals is False:
        return found, None, alike
    confidence = confidence_of_all(found, labels, fars, bootstrap, bool(intervals))
    if len(found.kept.tail) == found.impostors:  # all scores are here, so that nothing needs to be counted in steps
        return Scores(found.kept.genuine, found.kept.tail), confidence, alike
    return found, confidence, alike


def alike_of_all(named: Described, found: AllPairs) -> tuple[str, ...]:
    """The note on two people who score as one, from the tail that a pass over all pairs has kept."""
    kept, count = found.kept, None
    known = slice(len(kept.tail_left))  # without intervals scores are kept, not whose they are
    if not len(kept.tail_left) or (kept.tail[0] > ALIKE and len(kept.tail) < found.impostors):
        count = int(found.above[int(bins_of(np.array([ALIKE], np.float32))[0])])  # not all of them are kept
    rows = (kept.tail_left, kept.tail_right)
    return notes_on_alike(named, kept.tail[known], *rows, found.impostors, count=count)


def alike_of_scores(embeddings: EmbeddingSet, vectors: NDArray[np.float32], scores: Scores) -> tuple[str, ...]:
    """The same of scores without their rows: a few pairs are looked for where the scores show that there are some."""
    count = len(scores.impostor) - int(np.searchsorted(scores.impostor, np.float32(ALIKE), side="right"))
    if not count:
        return ()
    pairs = hardest_pairs(vectors, labels=embeddings.labels, count=min(count, 3))[1]
    found, left, right = ([getattr(pair, name) for pair in pairs] for name in ("score", "left", "right"))
    values = np.array(found, np.float32)
    return notes_on_alike(embeddings, values, left, right, len(scores.impostor), count=count)


def tail_of_set(labels: NDArray[np.int64], fars: Sequence[float], intervals: bool | None) -> int:
    """How many of the highest impostor scores of all pairs the intervals want: all, those of seconds, or none."""
    if intervals is False:
        return 0
    counts = np.unique(checked_labels(labels, len(labels)), return_counts=True)[1].astype(np.int64)
    impostors = len(labels) * (len(labels) - 1) // 2 - int((counts * (counts - 1) // 2).sum())
    return max(wanted_fars(fars, impostors, bool(intervals))[1], min(impostors, MOST_TAIL))


def verified_list(
    embeddings: EmbeddingSet,
    pairs: Pairs,
    protocol: Protocol,
    view: View,
    fars: Sequence[float],
    intervals: bool | None,
    bootstrap: Bootstrap,
) -> tuple[Scores, FoldedAccuracy | None, Confidence | None, tuple[str, ...]]:
    """The scores of listed pairs, accuracy over their folds, intervals where asked for and the people known, notes."""
    accuracy = None
    pairs.check_rows(len(embeddings))
    check_kinds(int(pairs.same.sum()), int((~pairs.same).sum()), _folds_of(pairs))
    if protocol != "plain" and pairs.fold is None:
        raise EvaluationError(cannot_be_folded(pairs))
    if cannot_be_folded(pairs):
        cosines = folded_cosines(embeddings, pairs, protocol=protocol, view=view)
    else:
        accuracy, cosines = folded_accuracy(embeddings, pairs, protocol=protocol, view=view)
    scores, other = Scores.of_pairs(cosines, pairs), ~pairs.same
    rows = (pairs.left[other], pairs.right[other])
    alike = notes_on_alike(embeddings, cosines[other], *rows, int(other.sum()))
    if intervals is False:
        return scores, accuracy, None, alike
    people = people_of_pairs(embeddings, pairs)
    if people is None:
        examples = several(embeddings.noun)
        note = f"no intervals: neither labels nor folders say who is in the {examples} of the pair list"
        return scores, accuracy, Confidence(people=0, level=bootstrap.level, points=(), notes=(note,)), alike
    confidence = confidence_of_pairs(
        *(cosines, pairs, people),
        correct=None if accuracy is None else decided_rightly(accuracy, cosines, pairs),
        **{"fars": fars, "eer": equal_error_rate(scores).rate, "options": bootstrap, "everything": bool(intervals)},
    )
    return scores, accuracy, confidence, alike


def notes_on(embeddings: EmbeddingSet, pairs: Pairs) -> tuple[str, ...]:
    """What is odd about a pair list, in words: no accuracy to be had, pairs that prove nothing or contradict."""
    notes = []
    if pairs.fold is not None and (why := cannot_be_folded(pairs)):
        notes.append(f"accuracy over folds is left out: {why}")
    if itself := int((pairs.left == pairs.right).sum()):
        noun = with_article(embeddings.noun)
        verb = "compares" if itself == 1 else "compare"
        notes.append(f"{itself:,} of the {len(pairs):,} pairs {verb} {noun} with itself")
    if embeddings.labels is not None:
        left, right = embeddings.labels[pairs.left], embeddings.labels[pairs.right]
        against = ((left == right) != pairs.same) & (left >= 0) & (right >= 0)
        if count := int(against.sum()):
            row, verb = int(np.argmax(against)), "contradicts" if count == 1 else "contradict"
            notes.append(
                f"{count:,} of the {len(pairs):,} pairs {verb} the set's own labels, first pair {row + 1}:"
                f" {embeddings.describe(int(pairs.left[row]))} and {embeddings.describe(int(pairs.right[row]))}"
            )
    return tuple(notes)


def _folds_of(pairs: Pairs) -> str:
    """In which folds a kind of pair is lacking, for a list that lacks it everywhere."""
    if pairs.fold is None or not len(pairs):
        return ""
    numbers = np.unique(pairs.fold)
    return f", in fold{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers[:10]))}"


def figures_of(scores: Scores, fars: Sequence[float]) -> dict[str, Any]:
    """What a `VerificationResult` holds of scores."""
    return {
        "genuine": len(scores.genuine),
        "impostors": len(scores.impostor),
        "points": tars_at_fars(scores, fars),
        "eer": equal_error_rate(scores),
        "auc": area_under_roc(scores),
        "roc": roc_curve(scores),
        "histogram": score_histogram(scores),
    }


def figures_counted(scores: AllPairs, fars: Sequence[float]) -> dict[str, Any]:
    """The same of scores that were counted."""
    auc, error = scores.area_under_roc()
    return {
        "genuine": len(scores.genuine),
        "impostors": scores.impostors,
        "points": scores.tars_at_fars(fars),
        "eer": scores.equal_error_rate(),
        "auc": auc,
        "auc_error": error,
        "roc": scores.roc_curve(),
        "histogram": scores.score_histogram(),
    }


def figures_from(scores: Scores | AllPairs, fars: Sequence[float]) -> dict[str, Any]:
    """What a `VerificationResult` holds of scores, in memory or counted."""
    return figures_counted(scores, fars) if isinstance(scores, AllPairs) else figures_of(scores, fars)


def fits_in_memory(images: int) -> bool:
    """Whether the scores of all pairs of so many images are held in memory where no intervals are wanted."""
    return images * (images - 1) // 2 <= MOST_IN_MEMORY


def _point_line(point: OperatingPoint) -> str:
    accepts = f"{point.false_accepts:,} of {point.impostors:,}"
    trues = f"{point.true_accepts:,} of {point.genuine:,}"
    remark = "" if point.resolved else "  (too few impostor pairs for this FAR)"
    far = plain(point.target or 0.0)
    return f"{far:>9}    {point.tar:9.2%}  {point.threshold:9.4f}  {accepts:>16}  {trues:>18}{remark}"
