"""What else does an embedding tell (glasses, sex, age group): accuracy of a linear probe for each binary attribute.

The identities are parted at random: no person is in training and test. Each dimension is brought to mean 0 and standard
deviation 1 as measured on the training images, `logistic.fit_probe` is trained on them, and its answers on the test
images are counted. Beside each accuracy stands that of always giving the commoner answer of the training images; only
what exceeds it is in the embedding. The mean over attributes is the figure of CelebA and LFWA (Liu et al., ICCV 2015).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.embeddings import EmbeddingSet, View
from angulus.errors import EvaluationError
from angulus.evaluation.rates.logistic import fit_probe


@dataclass(frozen=True, kw_only=True)
class AttributeAccuracy:
    """One attribute: the probe is right for `correct` of `images`, the commoner answer for `majority_correct` of them.

    true_yes of yes, true_no of no: its right answers among those whose truth is yes, and no. training: images trained
    on. problem: why it could not be measured; then all counts but the training ones are 0.
    """

    name: str
    correct: int
    images: int
    majority_correct: int
    true_yes: int
    yes: int
    true_no: int
    no: int
    training: int
    problem: str | None = None

    @property
    def accuracy(self) -> float | None:
        """Share of the test images answered rightly."""
        return self.correct / self.images if self.images else None

    @property
    def majority(self) -> float | None:
        """The same of the commoner answer."""
        return self.majority_correct / self.images if self.images else None

    @property
    def balanced(self) -> float | None:
        """Mean of the accuracies among yes and among no; None where the test images have one answer only."""
        return (self.true_yes / self.yes + self.true_no / self.no) / 2 if self.yes and self.no else None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        counts = {"correct": self.correct, "images": self.images, "majority_correct": self.majority_correct}
        sides = {"true_yes": self.true_yes, "yes": self.yes, "true_no": self.true_no, "no": self.no}
        rates = {"accuracy": self.accuracy, "majority": self.majority, "balanced_accuracy": self.balanced}
        return {"name": self.name, **rates, **counts, **sides, "training": self.training, "problem": self.problem}


@dataclass(frozen=True, kw_only=True)
class AttributesResult:
    """All attributes, and how the identities were parted."""

    attributes: tuple[AttributeAccuracy, ...]
    training_identities: int
    test_identities: int
    strength: float
    seed: int

    @property
    def measured(self) -> tuple[AttributeAccuracy, ...]:
        """Those that could be measured."""
        return tuple(each for each in self.attributes if each.problem is None)

    @property
    def mean_accuracy(self) -> float:
        """Mean of the accuracies of the attributes that could be measured."""
        return float(np.mean([each.correct / each.images for each in self.measured]))

    @property
    def mean_majority(self) -> float:
        """The same of the commoner answers."""
        return float(np.mean([each.majority_correct / each.images for each in self.measured]))

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **{"mean_accuracy": self.mean_accuracy, "mean_majority": self.mean_majority},
            **{"measured": len(self.measured), "attributes": [each.as_dict() for each in self.attributes]},
            **{"training_identities": self.training_identities, "test_identities": self.test_identities},
            **{"strength": self.strength, "seed": self.seed},
        }

    def table(self) -> str:
        """The figures as lines of text."""
        lines = [
            f"attributes by a linear probe, trained on {self.training_identities:,} identities and tested on"
            f" {self.test_identities:,} others (strength {self.strength:g}, seed {self.seed})",
            "attribute            accuracy  commoner answer  test images",
        ]
        for each in self.attributes:
            if each.accuracy is None or each.majority is None:
                lines.append(f"{each.name:<20} not measured: {each.problem}")
            else:
                lines.append(f"{each.name:<20} {each.accuracy:8.2%}  {each.majority:15.2%}  {each.images:11,}")
        lines.append(f"{f'mean of {len(self.measured)}':<20} {self.mean_accuracy:8.2%}  {self.mean_majority:15.2%}")
        return "\n".join(lines)


def probe_attributes(
    embeddings: EmbeddingSet,
    attributes: Sequence[str] | Mapping[str, ArrayLike],
    *,
    view: View = "plain",
    test_share: float = 0.3,
    strength: float = 1.0,
    seed: int = 0,
) -> AttributesResult:
    """Accuracy of a linear probe for each attribute: names of columns, or values [n] by name.

    Values are truth values, 1 and 0, or 1 and -1 (CelebA), NaN where unknown; or two texts, "" where unknown (the later
    one in the alphabet is yes). test_share: share of the identities tested. strength: see `logistic`.

    Raises EvaluationError for sets without labels, values of another kind, and when nothing can be measured.
    """
    named = (
        {name: embeddings.column(name) for name in attributes} if not isinstance(attributes, Mapping) else attributes
    )
    answers = {name: _answers(name, np.asarray(values), len(embeddings)) for name, values in named.items()}
    test, people = _parted(embeddings, test_share, seed)
    vectors = embeddings.unit(view)
    found = tuple(_probed(name, vectors, yes, known, test, strength) for name, (yes, known) in answers.items())
    if all(each.problem is not None for each in found):
        reason = f"; {found[0].name}: {found[0].problem}" if found else ""
        raise EvaluationError(f"none of the {len(found)} attributes could be measured{reason}")
    return AttributesResult(
        attributes=found, training_identities=people[0], test_identities=people[1], strength=strength, seed=seed
    )


def _parted(embeddings: EmbeddingSet, share: float, seed: int) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """Which rows are tested [n], and the numbers of identities trained on and tested."""
    if embeddings.labels is None:
        raise EvaluationError("attributes are tested on other people than trained on: the embeddings need labels")
    people = np.unique(embeddings.labels)
    if not 0 < share < 1 or len(people) < 2:
        raise EvaluationError(
            f"test_share must lie between 0 and 1 and there must be 2 identities, got {share} of {len(people)}"
        )
    count = min(max(round(share * len(people)), 1), len(people) - 1)
    chosen = np.random.default_rng(seed).permutation(people)[:count]
    return np.isin(embeddings.labels, chosen), (len(people) - count, count)


def _probed(
    name: str,
    vectors: NDArray[np.float32],
    yes: NDArray[np.bool_],
    known: NDArray[np.bool_],
    test: NDArray[np.bool_],
    strength: float,
) -> AttributeAccuracy:
    train_rows, test_rows = np.flatnonzero(known & ~test), np.flatnonzero(known & test)
    learnt, truth = yes[train_rows], yes[test_rows]
    problem = None
    if not len(test_rows):
        problem = "no test image has a known value"
    elif learnt.all() or not learnt.any():
        problem = f"the {len(learnt)} training images have one answer only"
    if problem is not None:
        counts = {"correct": 0, "images": 0, "majority_correct": 0, "true_yes": 0, "yes": 0, "true_no": 0, "no": 0}
        return AttributeAccuracy(name=name, training=len(train_rows), problem=problem, **counts)
    mean, spread = vectors[train_rows].mean(axis=0, dtype=np.float64), vectors[train_rows].std(axis=0, dtype=np.float64)
    spread = np.where(spread == 0, 1, spread)
    probe = fit_probe((vectors[train_rows] - mean) / spread, learnt, strength=strength)
    right = (probe.decide((vectors[test_rows] - mean) / spread) > 0) == truth
    commoner = 2 * learnt.sum() > len(learnt)
    return AttributeAccuracy(
        name=name,
        correct=int(right.sum()),
        images=len(truth),
        majority_correct=int((truth == commoner).sum()),
        true_yes=int(right[truth].sum()),
        yes=int(truth.sum()),
        true_no=int(right[~truth].sum()),
        no=int((~truth).sum()),
        training=len(train_rows),
    )


def _answers(name: str, values: NDArray, count: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Yes or no, and whether it is known, for each image."""
    if values.shape != (count,):
        raise EvaluationError(
            f"attribute {name!r} must have one value for each of the {count} embeddings, got {list(values.shape)}"
        )
    if values.dtype.kind in "biuf":
        known = ~np.isnan(values.astype(np.float64))
        kinds = set(values[known].tolist())
        if kinds <= {0, 1} or kinds <= {-1, 1}:
            return known & (values == 1), known
    elif values.dtype.kind == "U":
        known = values != ""
        kinds = set(values[known].tolist())
        if len(kinds) <= 2:
            return known & (values == max(kinds, default="")), known
    else:
        kinds = {str(values.dtype)}
    shown = ", ".join(str(kind) for kind in sorted(kinds)[:4])
    raise EvaluationError(f"attribute {name!r} must be 1/0, 1/-1, truth values or two texts, got {shown}")
