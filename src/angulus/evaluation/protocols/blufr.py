"""BLUFR on LFW: verification at low FAR and open-set identification, over ten trials (Liao et al., IJCB 2014).

In each trial every two images of the test set are compared: verification rate (TAR) at FAR 0.1 % and 0.01 %. Then every
probe is searched in the gallery: detection and identification rate (DIR, which is TPIR) at rank 1 and FAR 1 % over the
impostor probes (FPIR). Published figures are the mean over the trials minus one standard deviation ("mu - sigma",
divided by trials - 1 as MATLAB does); mean and standard deviation are given too. The rules for thresholds and ties are
those of `tar_at_far` and `tpir_at_fpir`; the toolkit's own may differ in the last place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from angulus.embeddings import EmbeddingSet, View
from angulus.errors import EvaluationError
from angulus.evaluation.files.blufr_lists import BlufrTrial, BlufrTrials
from angulus.evaluation.rates.identification import IdentificationPoint, tpir_at_fpir
from angulus.evaluation.rates.roc import OperatingPoint, tars_at_fars
from angulus.evaluation.scores.cosines import all_pair_scores
from angulus.evaluation.scores.search import search_gallery

BLUFR_FARS = (1e-3, 1e-4)
BLUFR_FPIR = 0.01


@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """One trial: TAR at each FAR, largest first, and DIR at each rank; test images and gallery size."""

    images: int
    gallery: int
    verification: tuple[OperatingPoint, ...]
    identification: tuple[IdentificationPoint, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **{"images": self.images, "gallery": self.gallery},
            "verification": [point.as_dict() for point in self.verification],
            "identification": [point.as_dict() for point in self.identification],
        }


@dataclass(frozen=True, kw_only=True)
class TrialMean:
    """A rate over the trials."""

    name: str
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the trials."""
        return float(np.mean(self.values))

    @property
    def std(self) -> float:
        """Standard deviation, divided by trials - 1; 0 for one trial."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else 0.0

    @property
    def fused(self) -> float:
        """Mean minus standard deviation, the published figure."""
        return self.mean - self.std

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **{"name": self.name, "mean": self.mean, "std": self.std, "mean_minus_std": self.fused},
            "values": list(self.values),
        }


@dataclass(frozen=True, kw_only=True)
class BlufrResult:
    """All trials, and what they have in common."""

    trials: tuple[TrialResult, ...]

    @property
    def rates(self) -> tuple[TrialMean, ...]:
        """Verification rate at each FAR, then DIR at each rank."""
        first = self.trials[0]
        found = [
            TrialMean(
                name=f"VR at FAR {point.target:g}",
                values=tuple(trial.verification[index].tar for trial in self.trials),
            )
            for index, point in enumerate(first.verification)
        ]
        found += [
            TrialMean(
                name=f"DIR at rank {point.rank}, FAR {point.target:g}",
                values=tuple(trial.identification[index].tpir for trial in self.trials),
            )
            for index, point in enumerate(first.identification)
        ]
        return tuple(found)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "rates": [rate.as_dict() for rate in self.rates],
            "trials": [trial.as_dict() for trial in self.trials],
        }

    def table(self) -> str:
        """The figures as lines of text."""
        lines = [f"{len(self.trials)} trials", f"{'rate':28s} {'mean':>8s} {'std':>8s} {'mean - std':>11s}"]
        lines += [f"{rate.name:28s} {rate.mean:8.2%} {rate.std:8.2%} {rate.fused:11.2%}" for rate in self.rates]
        return "\n".join(lines)


def evaluate_blufr(
    embeddings: EmbeddingSet,
    trials: BlufrTrials,
    *,
    view: View = "plain",
    fars: Sequence[float] = BLUFR_FARS,
    fpir: float = BLUFR_FPIR,
    ranks: Sequence[int] = (1,),
    device: str | torch.device = "cpu",
) -> BlufrResult:
    """Every trial on one labelled set; raises EvaluationError without labels, or for a gallery person listed twice."""
    if embeddings.labels is None:
        raise EvaluationError("BLUFR needs labels, and these embeddings have none")
    rows = trials.matched(embeddings.keys)
    results = []
    for number, trial in enumerate(rows.trials):
        _check_trial(number, trial, embeddings)
        results.append(_one_trial(embeddings, trial, view, fars, fpir, ranks, device))
    return BlufrResult(trials=tuple(results))


def _one_trial(
    embeddings: EmbeddingSet,
    trial: BlufrTrial,
    view: View,
    fars: Sequence[float],
    fpir: float,
    ranks: Sequence[int],
    device: str | torch.device,
) -> TrialResult:
    part = embeddings.select(trial.test)
    vectors, labels = part.unit(view), part.labels
    assert labels is not None
    gallery, probe = np.searchsorted(trial.test, trial.gallery), np.searchsorted(trial.test, trial.probe)
    found = search_gallery(
        vectors[probe],
        vectors[gallery],
        probe_labels=labels[probe],
        gallery_labels=labels[gallery],
        device=device,
    )
    return TrialResult(
        images=len(part),
        gallery=len(gallery),
        verification=tars_at_fars(all_pair_scores(vectors, labels), fars),
        identification=tuple(tpir_at_fpir(found, fpir, rank=rank) for rank in sorted(set(ranks))),
    )


def _check_trial(number: int, trial: BlufrTrial, embeddings: EmbeddingSet) -> None:
    assert embeddings.labels is not None
    if trial.test[-1] >= len(embeddings):
        raise EvaluationError(
            f"trial {number + 1} names row {trial.test[-1]}, and there are {len(embeddings)} embeddings"
        )
    people, counts = np.unique(embeddings.labels[trial.gallery], return_counts=True)
    if (counts > 1).any():
        raise EvaluationError(
            f"a gallery person must have one image, got {counts.max()} of label {people[int(counts.argmax())]} in"
            f" trial {number + 1}"
        )
