"""Which threshold to deploy: the rows that a stranger can act on, and one plain sentence on how sure one can be."""

from dataclasses import dataclass

from angulus.evaluation.protocols.verification import COSINE, VerificationResult
from angulus.evaluation.rates.roc import OperatingPoint
from angulus.evaluation.report.recommendation import FEW_FALSE_ACCEPTS, recommended_point
from angulus.evaluation.uncertainty.intervals import Interval
from angulus.evaluation.uncertainty.rate_intervals import TarInterval

_PLAIN_VIEWS = {
    "plain": "the embedding of the {} alone",
    "sum": "the embeddings of the image and its mirror image, added",
    "concat": "the embeddings of the image and its mirror image, end to end",
}


@dataclass(frozen=True, kw_only=True)
class DeploymentRow:
    """One target FAR: the point, its intervals (None where there are none), whether to trust it, and why not."""

    point: OperatingPoint
    sure: TarInterval | None
    trusted: bool
    remark: str
    advised: bool = False


def deployment_rows(result: VerificationResult) -> tuple[DeploymentRow, ...]:
    """A row for each FAR asked for, largest first; `advised` marks the one that the page recommends."""
    rows = [_row(result, point) for point in result.points]
    best = None if result.protocol == "mean-centred" else recommended_point(result)
    return tuple(
        DeploymentRow(
            **{"point": row.point, "sure": row.sure, "trusted": row.trusted, "remark": row.remark},
            advised=best is not None and row.point.target == best.target,
        )
        for row in rows
    )


def strictest_point(result: VerificationResult) -> OperatingPoint | None:
    """The smallest FAR asked for that the set resolves, None where there is none."""
    return next((point for point in reversed(result.points) if _row(result, point).trusted), None)


def middle_resolved_point(result: VerificationResult) -> OperatingPoint | None:
    """Of the FARs that the set resolves the middle one (of two the smaller): where groups are compared."""
    found = [point for point in result.points if _row(result, point).trusted]
    found = found or [point for point in result.points if point.resolved]
    return found[len(found) // 2] if found else None


def deployment_note(result: VerificationResult) -> str:
    """What the scores are that a threshold is meant for, and which to take where strangers are worse than owners."""
    point = recommended_point(result)
    if point is None or point.target is None or result.protocol == "mean-centred":
        return ""
    sure = None if result.confidence is None else result.confidence.at(point.target)
    stricter = ""
    if sure is not None and sure.threshold_high > point.threshold:
        stricter = (
            f" Where letting strangers in is worse than turning owners away, take {sure.threshold_high:.3f}, the upper"
            " end of what other people would have given."
        )
    if result.scores != COSINE:
        return f"The score is the {result.scores}.{stricter}"
    return f"Scores are cosines of {_PLAIN_VIEWS[result.view].format(result.noun)}.{stricter}"


def few_people(result: VerificationResult) -> str:
    """The warning that a few people with many images carry the TAR over all pairs; empty where they do not."""
    points = () if result.confidence is None else result.confidence.points
    wide = [point for point in points if point.tar.note and _width(point.tar) > 2 * _width(point.person_tar)]
    if not wide:
        return ""
    return (
        "Few people carry the TAR over the pairs, since whoever has many examples has most of the genuine pairs: its"
        " interval is wide for that reason. Go by the mean over people."
    )


def _row(result: VerificationResult, point: OperatingPoint) -> DeploymentRow:
    sure = None if result.confidence is None or point.target is None else result.confidence.at(point.target)
    if not point.resolved:
        remark = "too few impostor pairs for this FAR"
    elif sure is not None:
        remark = sure.remark
    else:
        few = point.false_accepts < FEW_FALSE_ACCEPTS
        remark = f"rests on fewer than {FEW_FALSE_ACCEPTS} false accepts" if few else ""
    return DeploymentRow(point=point, sure=sure, trusted=not remark, remark=remark)


def _width(interval: Interval) -> float:
    return interval.high - interval.low
