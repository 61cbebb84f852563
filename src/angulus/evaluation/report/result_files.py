"""A verification's JSON read back, so that results of other days and machines can be compared and shown."""

from pathlib import Path
from typing import Any

import numpy as np

from angulus.errors import EvaluationError
from angulus.evaluation.protocols.step_figures import StepFigures
from angulus.evaluation.protocols.verification import COSINE, VerificationResult
from angulus.evaluation.rates.costs import CostModel, DetectionCost
from angulus.evaluation.rates.folds import FoldAccuracy, FoldedAccuracy
from angulus.evaluation.rates.roc import EqualErrorRate, OperatingPoint, RocCurve, ScoreHistogram
from angulus.evaluation.rates.step_costs import Costs
from angulus.evaluation.uncertainty.intervals import Interval
from angulus.evaluation.uncertainty.rate_intervals import TarInterval
from angulus.evaluation.uncertainty.verification_intervals import Confidence
from angulus.json_files import read_json


def read_result(path: str | Path) -> VerificationResult:
    """The result in a file that `angulus evaluate --json` wrote; EvaluationError for anything else.

    Curves that were left out (`--no-curves`) are empty.
    """
    try:
        content = read_json(path)
    except FileNotFoundError:
        raise EvaluationError(f"no result at {path}: the file does not exist") from None
    except (OSError, ValueError) as problem:
        raise EvaluationError(f"{path} is not a readable JSON file: {problem}") from problem
    try:
        return result_of(content)
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise EvaluationError(
            f"{path} is no result of a verification ({type(problem).__name__}: {problem});"
            " write one with: angulus evaluate ... --json FILE"
        ) from problem


def result_of(content: dict[str, Any]) -> VerificationResult:
    """What `VerificationResult.as_dict` was made of."""
    roc, histogram = content.get("roc") or {}, content.get("histogram") or {}
    return VerificationResult(
        **{name: content[name] for name in ("name", "protocol", "view", "compared", "images", "genuine", "impostors")},
        points=tuple(_point(point) for point in content["tar_at_far"]),
        eer=_eer(content["eer"]),
        auc=float(content["auc"]),
        auc_error=float(content.get("auc_error", 0.0)),
        accuracy=_accuracy(content.get("accuracy")),
        roc=RocCurve(**{name: np.array(roc.get(name, []), dtype=np.float64) for name in ("threshold", "far", "tar")}),
        histogram=ScoreHistogram(
            edges=np.array(histogram.get("edges", []), dtype=np.float64),
            genuine=np.array(histogram.get("genuine", []), dtype=np.int64),
            impostor=np.array(histogram.get("impostor", []), dtype=np.int64),
        ),
        costs=_costs(content.get("costs")),
        confidence=_confidence(content.get("intervals")),
        fingerprint=str(content.get("fingerprint", "")),
        notes=tuple(content.get("notes", ())),
        scores=str(content.get("scores", COSINE)),
        steps=tuple(_step(step) for step in content.get("steps", ())),
        scoring=content.get("scoring"),
        noun=str(content.get("noun", "image")),
    )


def _eer(values: dict[str, Any]) -> EqualErrorRate:
    return EqualErrorRate(rate=values["eer"], **{name: values[name] for name in ("threshold", "far", "frr")})


def _step(values: dict[str, Any]) -> StepFigures:
    costs = _costs(values["costs"])
    assert costs is not None
    confidence = _confidence(values["intervals"])
    return StepFigures(name=values["name"], eer=_eer(values["eer"]), costs=costs, confidence=confidence)


def _point(values: dict[str, Any]) -> OperatingPoint:
    names = ("threshold", "false_accepts", "impostors", "true_accepts", "genuine", "resolved")
    return OperatingPoint(target=values["target_far"], **{name: values[name] for name in names})


def _accuracy(values: dict[str, Any] | None) -> FoldedAccuracy | None:
    if values is None:
        return None
    names = ("correct", "pairs", "threshold")
    folds = tuple(FoldAccuracy(**{name: fold[name] for name in names}) for fold in values["folds"])
    return FoldedAccuracy(protocol=values["protocol"], measure=values["measure"], folds=folds)


def _costs(values: dict[str, Any] | None) -> Costs | None:
    if values is None:
        return None
    names = ("cost", "threshold", "misses", "genuine", "false_accepts", "impostors")
    least, actual = (
        tuple(DetectionCost(model=CostModel(**cost["model"]), **{name: cost[name] for name in names}) for cost in found)
        for found in (values["min_dcf"], values.get("act_dcf", ()))
    )
    return Costs(
        **{"dcf": least, "min_cllr": values["min_cllr"], "error": values["min_dcf_error"]},
        **{"actual": actual, "cllr": values.get("cllr")},
    )


def _confidence(values: dict[str, Any] | None) -> Confidence | None:
    if values is None:
        return None
    eer, accuracy = values["eer"], values["accuracy"]
    return Confidence(
        people=values["people"],
        level=values["level"],
        points=tuple(_tar_interval(point) for point in values["tar_at_far"]),
        eer=None if eer is None else Interval(**eer),
        accuracy=None if accuracy is None else Interval(**accuracy),
        min_dcf=tuple((name, Interval(**found)) for name, found in values.get("min_dcf", {}).items()),
        notes=tuple(values["notes"]),
    )


def _tar_interval(values: dict[str, Any]) -> TarInterval:
    names = ("threshold", "false_accepts", "impostors", "true_accepts", "genuine", "resolved", "smallest_far")
    low, high = values["threshold_interval"]
    return TarInterval(
        **{"target": values["target_far"], "threshold_low": low, "threshold_high": high},
        **{name: values[name] for name in names},
        tar=Interval(**values["tar"]),
        person_tar=Interval(**values["person_tar"]),
        far=Interval(**values["far"]),
    )
