"""The one threshold that a page recommends, and what happens at it, in plain words.

Of the FARs 1e-4, 1e-3 and 1e-2 the smallest whose false accepts are many enough, with an interval that says something;
a calibrated threshold comes first, since it was tried on people who had no part in the choice; none is recommended
where it did something else there than it was chosen for, and nobody can say how often it would. For a search the same
of the FPIRs 1e-3 and 1e-2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from angulus.evaluation.protocols.verification import VerificationResult
from angulus.evaluation.rates.identification import Identification, IdentificationPoint
from angulus.evaluation.rates.roc import OperatingPoint
from angulus.evaluation.uncertainty.calibration import CalibratedThreshold
from angulus.evaluation.uncertainty.intervals import Interval
from angulus.evaluation.uncertainty.search_intervals import SearchConfidence
from angulus.plain_numbers import USELESS, counted, one_in, out_of, percent, plain, span

USUAL_FARS = (1e-4, 1e-3, 1e-2)
USUAL_FPIRS = (1e-3, 1e-2)
FEW_FALSE_ACCEPTS = 10
WIDEST_SHARE = 0.5  # an interval of a share that says no more than this is said to say nothing
TRAINED_ON = "the model was trained on"
"""So begins the note of a result whose people were trained on: no threshold of theirs holds for others."""
OF_KNOWN = (
    "No threshold is recommended: the model was trained on some of these people, and on others it does worse."
    " Leave those out, or evaluate others."
)
_DO = "pairs of one person do"
_ARE_FOUND = "people who are enrolled are found"
WIDEST = 10.0  # times that the upper end of a FAR's interval may be the lower one


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """threshold: None where none can be recommended, and the sentence says what is missing.

    target_far: the FAR, or FPIR of a search, that it was chosen for.
    """

    threshold: float | None
    target_far: float | None
    sentence: str

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"threshold": self.threshold, "target_far": self.target_far, "sentence": self.sentence}


def recommended(result: VerificationResult, calibrated: Sequence[CalibratedThreshold] = ()) -> Recommendation:
    """The threshold to use after a verification; the calibration's where there is one."""
    if calibrated:
        return of_calibration(calibrated[0], result.notes)
    if are_known(result.notes):
        return _none(OF_KNOWN)
    point = recommended_point(result)
    if result.protocol == "mean-centred":
        return _none(
            "No threshold of this protocol can be used elsewhere: its cosines are taken after the mean of each fold's"
            " training images was subtracted. Evaluate with the protocol plain for one."
        )
    if point is None or point.target is None:
        few = f"{counted(result.impostors, 'pair')} of strangers {'is' if result.impostors == 1 else 'are'} too few"
        return _none(
            f"No threshold can be recommended: {few} to tell how often"
            f" strangers would pass at FAR {plain(max(USUAL_FARS))} or less. Measure more people."
        )
    sure = None if result.confidence is None else result.confidence.at(point.target)
    strangers = _strangers(point.target, None if sure is None else sure.far)
    if sure is None:
        own = f"{out_of(point.tar, _DO)}. How sure this is was not computed"
    else:
        own = _pairs_of_one(sure.person_tar)
    return Recommendation(
        threshold=point.threshold,
        target_far=point.target,
        sentence=f'Say "same person" above {point.threshold:.3f}: {strangers}, {own}.',
    )


def are_known(notes: Sequence[str]) -> bool:
    """Whether one of the notes of a result says that the model was trained on some of its people."""
    return any(note.startswith(TRAINED_ON) for note in notes)


def of_calibration(found: CalibratedThreshold, notes: Sequence[str] = ()) -> Recommendation:
    """The same of a threshold that was chosen on half of the people and tried on the others.

    notes: what else is said of these people.
    """
    if are_known(notes):
        return _none(OF_KNOWN)
    if found.tar.estimate == 0:
        return _none(
            f"No threshold can be recommended: above {found.threshold:.3f}, which was chosen for FAR"
            f" {_rounded(found.target)}, no pair of one person passes."
        )
    if not _is_told(found.target, found.achieved):
        return _none(
            f"No threshold can be recommended: above {found.threshold:.3f}, which was chosen for FAR"
            f" {_rounded(found.target)}, {percent(found.achieved.estimate)} of the pairs of strangers passed among"
            f" {found.reporting_people:,} other people ({span(found.achieved)} on others of the same kind)."
            " Measure more people."
        )
    strangers = _strangers(found.target, found.achieved)
    tried = f"tried on {found.reporting_people:,} people who had no part in the choice"
    search = ""
    if found.gallery and found.target_fpir:
        rate = one_in(found.target_fpir)
        search = (
            f" It was chosen for a gallery of {found.gallery:,} people in which {rate} strangers is taken for somebody."
        )
    return Recommendation(
        threshold=found.threshold,
        target_far=found.target,
        sentence=f'Say "same person" above {found.threshold:.3f}: {strangers}, {_pairs_of_one(found.tar)}; {tried}.'
        f"{search}",
    )


def recommended_for_search(
    result: Identification, sure: SearchConfidence | None = None, notes: Sequence[str] = ()
) -> Recommendation:
    """The threshold above which a search should name somebody, for the gallery that was searched.

    notes: what else is said of these people.
    """
    if are_known(notes):
        return _none(OF_KNOWN)
    best = {point.target: point for point in result.points if point.rank == 1 and _is_usual_fpir(point.target)}
    usable = [point for point in best.values() if _is_usable_for_search(point, sure)]
    if not best:
        low, high = plain(min(USUAL_FPIRS)), plain(max(USUAL_FPIRS))
        return _none(f"No threshold is recommended: no FPIR from {low} to {high} was asked for; add --fpir {high}.")
    if not usable:
        return _none(
            f"No threshold can be recommended for a search: {result.unknown:,} searches of strangers are too few to"
            f" tell how often one would be taken for somebody at FPIR {plain(max(USUAL_FPIRS))} or less. Search more"
            " strangers."
        )
    point = min(usable, key=lambda each: each.target)
    interval = None if sure is None else sure.at(point.target)
    around = ""
    if interval is not None:
        low, high = (end / point.target for end in (interval.far.low, interval.far.high))
        around = f" ({low:.1f} to {high:.1f} on other people of the same kind)"
    found = out_of(point.tpir, _ARE_FOUND) if interval is None else _of_people(interval.person_tar, _ARE_FOUND)
    return Recommendation(
        threshold=point.threshold,
        target_far=point.target,
        sentence=f"Name somebody above {point.threshold:.3f}: about {one_in(point.target)} strangers is taken for"
        f" somebody{around}, {found}. This holds for a gallery of {result.gallery + result.distractors:,} entries:"
        " a larger one takes more strangers for somebody.",
    )


def _is_usual_fpir(fpir: float) -> bool:
    return min(USUAL_FPIRS) * 0.99 <= fpir <= max(USUAL_FPIRS) * 1.01


def _is_usable_for_search(point: IdentificationPoint, sure: SearchConfidence | None) -> bool:
    interval = None if sure is None else sure.at(point.target)
    if interval is None:
        return point.resolved and point.false_positives >= FEW_FALSE_ACCEPTS
    return (
        point.resolved and interval.resolved and interval.far.low > 0 and interval.far.high <= WIDEST * interval.far.low
    )


def recommended_point(result: VerificationResult) -> OperatingPoint | None:
    """The point of the smallest usual FAR that the counts resolve with a usable interval; None where there is none."""
    usual = [point for point in result.points if point.target is not None and _is_usual(point.target)]
    found = [point for point in usual if is_trusted(result, point) and _is_usable(result, point)]
    return min(found, key=lambda point: point.target or 0.0) if found else None


def is_trusted(result: VerificationResult, point: OperatingPoint) -> bool:
    """Whether the counts resolve the FAR: by its interval where there is one, else by its false accepts."""
    if result.confidence is not None and result.confidence.has_too_few_people:
        return False
    sure = None if result.confidence is None or point.target is None else result.confidence.at(point.target)
    return point.resolved and (sure.resolved if sure is not None else point.false_accepts >= FEW_FALSE_ACCEPTS)


def _is_usual(far: float) -> bool:
    return min(USUAL_FARS) * 0.99 <= far <= max(USUAL_FARS) * 1.01


def _is_usable(result: VerificationResult, point: OperatingPoint) -> bool:
    sure = None if result.confidence is None or point.target is None else result.confidence.at(point.target)
    return sure is None or (sure.far.low > 0 and sure.far.high <= WIDEST * sure.far.low)


def _strangers(target: float, interval: Interval | None) -> str:
    """ "about 1 in 1,000 pairs of strangers passes (0.6 to 1.5)", or what was counted where that is not so."""
    often = one_in(target)
    if interval is None:
        return f"about {often} pairs of strangers passes"
    if target > 0.5 or interval.high - interval.low >= USELESS:
        return f"about {often} pairs of strangers passes (how often on other people cannot be told)"
    if not _is_as_asked(target, interval):
        often = f"{interval.estimate / target:.1f}{often[1:]}" if interval.estimate > 0 else f"none{often[1:]}"
    around = f"{interval.low / target:.1f} to {interval.high / target:.1f} on other people of the same kind"
    return f"about {often} pairs of strangers passes ({around})"


def _is_as_asked(target: float, interval: Interval) -> bool:
    """Whether the FAR that was counted is the one that was asked for: to half of it, and within the interval."""
    return interval.low <= target <= interval.high and 0.5 <= interval.estimate / target < 1.5


def _is_told(target: float, interval: Interval) -> bool:
    """Whether it is known how often strangers pass: as often as asked for, surely no more often, or to WIDEST."""
    if interval.high - interval.low >= USELESS:
        return False
    return _is_as_asked(target, interval) or interval.high <= max(WIDEST * interval.low, target)


def _rounded(far: float) -> str:
    return plain(float(f"{far:.3g}"))


def _pairs_of_one(interval: Interval) -> str:
    """ "8 of 10 pairs of one person do (7 to 9)"."""
    return _of_people(interval, _DO)


def _of_people(interval: Interval, what: str) -> str:
    if interval.high - interval.low > WIDEST_SHARE:
        return f"{out_of(interval.estimate, what)} (how many of other people cannot be told)"
    return out_of(interval.estimate, what, interval)


def _none(sentence: str) -> Recommendation:
    return Recommendation(threshold=None, target_far=None, sentence=sentence)
