"""Which threshold to deploy: the rows that a stranger can act on, and one plain sentence on how sure one can be."""

from dataclasses import dataclass

from angulus.evaluation.protocols.verification import VerificationResult
from angulus.evaluation.rates.roc import OperatingPoint
from angulus.evaluation.uncertainty.intervals import Interval
from angulus.evaluation.uncertainty.rate_intervals import TarInterval

FEW_FALSE_ACCEPTS = 10
_CENTRED = (
    "These thresholds are cosines after the mean of each fold's training images was taken off: no threshold to deploy."
    " Evaluate with the protocol plain for one."
)
_PLAIN_VIEWS = {
    "plain": "the embedding of the image alone",
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
    """A row for each FAR asked for, largest first; `advised` marks the smallest one that the set resolves."""
    rows = [_row(result, point) for point in result.points]
    best = advised_point(result)
    return tuple(
        DeploymentRow(
            **{"point": row.point, "sure": row.sure, "trusted": row.trusted, "remark": row.remark},
            advised=best is not None and row.point.target == best.target,
        )
        for row in rows
    )


def advised_point(result: VerificationResult) -> OperatingPoint | None:
    """The smallest FAR asked for that the set resolves, None where there is none."""
    return next((point for point in reversed(result.points) if _row(result, point).trusted), None)


def middle_resolved_point(result: VerificationResult) -> OperatingPoint | None:
    """Of the FARs that the set resolves the middle one (of two the smaller): where groups are compared."""
    found = [point for point in result.points if _row(result, point).trusted]
    found = found or [point for point in result.points if point.resolved]
    return found[len(found) // 2] if found else None


def deployment_sentence(result: VerificationResult) -> str:
    """What happens at the advised threshold, and how sure that is, in plain words."""
    if result.protocol == "mean-centred":
        return _CENTRED
    point = advised_point(result)
    if point is None or point.target is None:
        return (
            f"None of these FARs can be resolved with {result.impostors:,} impostor pairs:"
            " deploy no threshold on this evidence, and measure more people."
        )
    sure = None if result.confidence is None else result.confidence.at(point.target)
    opening = (
        f"Take the row of the FAR that you can afford; the strictest that this set can vouch for is {point.target:g}."
        f" Deploy {point.threshold:.4f} if about one stranger in {_one_in(point.far)} may be let in by mistake (accept"
        f" a pair when its cosine is greater; cosines of {_PLAIN_VIEWS[result.view]})"
    )
    if sure is None:
        return f"{opening}: {point.tar:.2%} of the genuine pairs are then accepted. How sure this is was not computed."
    return (
        f"{opening}: a person is then recognised in {sure.person_tar.estimate:.1%} of the comparisons"
        f" ({sure.person_tar.low:.1%} to {sure.person_tar.high:.1%}). On other people of the same kind expect"
        f" between one stranger in {_one_in(sure.far.high)} and one in {_one_in(sure.far.low)} to be let in,"
        f" {100 * sure.tar.level:g} times in 100."
        f" Where letting strangers in is worse than turning owners away, take {sure.threshold_high:.4f}."
    )


def few_people(result: VerificationResult) -> str:
    """The warning that a few people with many images carry the TAR over all pairs; empty where they do not."""
    points = () if result.confidence is None else result.confidence.points
    wide = [point for point in points if point.tar.note and _width(point.tar) > 2 * _width(point.person_tar)]
    if not wide:
        return ""
    return (
        "Few people carry the TAR over the pairs, since somebody with many images has most of the genuine pairs: its"
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


def _one_in(rate: float) -> str:
    """ "1,000" for 0.001, rounded to two digits; "very many" for 0."""
    if rate <= 0:
        return "very many"
    number = 1 / rate
    digits = max(len(str(int(number))) - 2, 0)
    return f"{round(number / 10**digits) * 10**digits:,}" if number >= 10 else f"{number:.1f}"
