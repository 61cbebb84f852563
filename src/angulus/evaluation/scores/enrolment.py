"""Who is compared where a person is enrolled with several recordings: models, and trials of models and recordings.

    model = mean of the recordings' directions (embeddings divided by their norms), divided by its own norm

so that a loud or sure recording counts no more than the others. In a trial, rows 0 to n - 1 are the recordings of a
set, and the rows after them the models.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.embeddings import EmbeddingSet
from angulus.errors import EvaluationError
from angulus.evaluation.scores.pairs import Pairs
from angulus.evaluation.scores.templates import pool_templates

SECONDS = "seconds"
"""The column of durations: those of a model's recordings are added, and a pair has that of its shorter side."""
MOST_LISTED = 20_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Enrolment:
    """m models by name; recording rows[i] belongs to model models[i], both int64 [k]. A recording may serve several."""

    names: tuple[str, ...]
    rows: NDArray[np.int64]
    models: NDArray[np.int64]

    def __post_init__(self) -> None:
        for name in ("rows", "models"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.int64))
        counts = np.bincount(self.models, minlength=len(self.names))
        if len(counts) != len(self.names) or not counts.all() or self.rows.shape != self.models.shape:
            raise EvaluationError(
                f"each of the {len(self.names)} models must have a recording, and each recording one of these models"
            )

    def __len__(self) -> int:
        return len(self.names)

    def pooled(self, unit: NDArray[np.float32]) -> NDArray[np.float32]:
        """The models [m, d] of unit vectors [n, d]."""
        media = np.arange(len(self.rows))
        return pool_templates(unit[self.rows], self.models, media, keep_norms=False).vectors

    def of_models(self, values: NDArray[Any], *, total: bool) -> NDArray[np.float64]:
        """The sum, or the mean, of each model's recordings [m]."""
        sums = np.bincount(self.models, weights=values[self.rows].astype(np.float64), minlength=len(self))
        counts = np.ones(len(self)) if total else np.bincount(self.models, minlength=len(self)).astype(np.float64)
        return sums / counts


@dataclass(frozen=True, kw_only=True, eq=False)
class Trials:
    """Pairs among the recordings of a set and the models made of them; listed: False for all pairs of a set."""

    recordings: EmbeddingSet
    pairs: Pairs
    enrolment: Enrolment | None = None
    listed: bool = True

    @cached_property
    def sides(self) -> EmbeddingSet:
        """Recordings and models as one set, with keys, labels and columns."""
        return self.recordings if self.enrolment is None else _joined(self.recordings, self.enrolment)

    def unit(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Unit vectors of all sides [n + m, d] from those of the recordings [n, d]."""
        return vectors if self.enrolment is None else np.concatenate([vectors, self.enrolment.pooled(vectors)])

    def quality(self, name: str, values: NDArray[Any] | None = None) -> NDArray[Any]:
        """A quality of all sides [n + m] from that of the recordings [n]; left out, the column of this name.

        Raises EvaluationError where there is no such column.
        """
        if values is None:
            values = self.recordings.columns.get(name)
        if values is None:
            there = ", ".join(self.recordings.columns) or "none"
            raise EvaluationError(
                f"the quality {name} needs a column of this name in the embeddings of both sets of trials, got columns:"
                f" {there}; store it with the embeddings, or leave the quality out"
            )
        if self.enrolment is None or values.dtype.kind not in "biuf":
            return values
        return np.concatenate([values, self.enrolment.of_models(values, total=name == SECONDS)])


def all_trials(embeddings: EmbeddingSet) -> Trials:
    """Each two recordings of a labelled set; EvaluationError without labels, and for more than MOST_LISTED pairs."""
    labels = _labels_of(embeddings, "all pairs of a set")
    left, right = _upper(len(labels))
    pairs = Pairs(left=left, right=right, same=labels[left] == labels[right])
    return Trials(recordings=embeddings, pairs=pairs, listed=False)


def drawn_trials(embeddings: EmbeddingSet, count: int, *, seed: int = 0) -> Trials:
    """Each speaker is enrolled with `count` recordings, and every other recording is compared with every model.

    Speakers with `count` recordings or fewer have no model; theirs are compared with the others' models. Raises
    EvaluationError where nobody has more, or there are more than MOST_LISTED trials.
    """
    if count < 1:
        raise EvaluationError(f"recordings to enrol must be at least 1, got {count}")
    labels, random = _labels_of(embeddings, "enrolment by labels"), np.random.default_rng(seed)
    speakers, sizes = np.unique(labels, return_counts=True)
    known = speakers[sizes > count]
    if not len(known):
        raise EvaluationError(
            f"no speaker has more than {count} recordings, the most are {sizes.max()}; enrol with fewer recordings"
        )
    rows = np.concatenate([random.permutation(np.flatnonzero(labels == one))[:count] for one in known])
    names = embeddings.identities
    enrolment = Enrolment(
        names=tuple(str(one) if names is None else names[one] for one in known),
        rows=rows,
        models=np.repeat(np.arange(len(known)), count),
    )
    tests = np.setdiff1d(np.arange(len(labels)), rows)
    if len(known) * len(tests) > MOST_LISTED:
        raise EvaluationError(
            f"{len(known):,} models and {len(tests):,} other recordings make {len(known) * len(tests):,} trials, more"
            f" than {MOST_LISTED:,}; give a trial list"
        )
    left, right = np.repeat(np.arange(len(known)), len(tests)), np.tile(tests, len(known))
    pairs = Pairs(left=left + len(labels), right=right, same=known[left] == labels[right])
    return Trials(recordings=embeddings, pairs=pairs, enrolment=enrolment)


def _labels_of(embeddings: EmbeddingSet, what: str) -> NDArray[np.int64]:
    labels = embeddings.labels
    if labels is None or (labels < 0).any():
        lacking = "these embeddings have none" if labels is None else f"row {int(np.argmax(labels < 0))} has none"
        raise EvaluationError(f"{what} needs labels that say who speaks, and {lacking}; give a trial list")
    return labels


def _upper(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if count * (count - 1) // 2 > MOST_LISTED:
        raise EvaluationError(
            f"scoring steps list their pairs, at most {MOST_LISTED:,}, and all pairs of {count:,} recordings are"
            f" {count * (count - 1) // 2:,}; give a trial list"
        )
    left, right = np.triu_indices(count, 1)
    return left.astype(np.int64), right.astype(np.int64)


def _joined(recordings: EmbeddingSet, enrolment: Enrolment) -> EmbeddingSet:
    keys = recordings.keys or tuple(str(row) for row in range(len(recordings)))
    labels = recordings.labels
    first = np.unique(enrolment.models, return_index=True)[1]
    if labels is not None:
        own = labels[enrolment.rows[first]]
        mixed = np.flatnonzero(labels[enrolment.rows] != own[enrolment.models])
        if len(mixed):
            model = enrolment.names[enrolment.models[mixed[0]]]
            raise EvaluationError(
                f"a model must have recordings of one speaker, and {model!r} has"
                f" {recordings.describe(int(enrolment.rows[mixed[0]]))} of another; correct the enrolment or the labels"
            )
        labels = np.concatenate([labels, own])
    models = enrolment.pooled(recordings.unit())
    columns = {name: _joined_column(name, values, enrolment, first) for name, values in recordings.columns.items()}
    return replace(
        recordings,
        embeddings=np.concatenate([recordings.embeddings, models]),
        flipped=None,
        keys=(*keys, *enrolment.names),
        labels=labels,
        columns=columns,
    )


def _joined_column(name: str, values: NDArray[Any], enrolment: Enrolment, first: NDArray[np.int64]) -> NDArray[Any]:
    """With the models' values: the seconds added, else what all recordings of a model share, or nothing."""
    if name == SECONDS and values.dtype.kind in "biuf":
        return np.concatenate([values, enrolment.of_models(values, total=True)])
    own = values[enrolment.rows[first]]
    differ = np.bincount(enrolment.models, values[enrolment.rows] != own[enrolment.models], len(enrolment)) > 0
    if differ.any():
        own = np.where(differ, "" if values.dtype.kind == "U" else np.nan, own)
    return np.concatenate([values, own])
