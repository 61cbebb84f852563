"""The answer of `angulus verify` as sentences: the decision, how often it is wrong, and which faces were compared."""

import math

from angulus.plain_numbers import USELESS, one_in, out_of
from angulus.runtime import OperatingPoint, SeenPhoto, Verdict

ANSWERS = {"same": "SAME PERSON", "different": "DIFFERENT PEOPLE", "cannot tell": "CANNOT TELL"}


def account(verdict: Verdict) -> str:
    """All of it."""
    lines = [_answer(verdict), *rates(verdict.point)]
    if verdict.llr is not None:
        lines.append(f"  {likelihood(verdict.llr)}")
    lines += [line for photo in (verdict.left, verdict.right) for line in seen(photo)]
    return "\n".join(lines)


def _answer(verdict: Verdict) -> str:
    threshold = f"threshold {verdict.point.threshold:.3f} ({verdict.point.source})"
    if verdict.score is None:
        return f"{ANSWERS[verdict.decision]}: {verdict.reason}"
    because = f": {verdict.reason}" if verdict.decision == "cannot tell" else ""
    near = ", close to it" if verdict.point.low <= verdict.score <= verdict.point.high else ""
    return f"{ANSWERS[verdict.decision]}{because}   score {verdict.score:.3f}, {threshold}{near}"


def rates(point: OperatingPoint) -> list[str]:
    """How often the threshold is wrong, each way."""
    lines = []
    sure = f"{100 * point.level:g} %"
    if point.far is not None:
        most = f"at most {one_in(point.far.high)}" if point.far.low <= 0 else _between(point.far.low, point.far.high)
        often = "no pair" if point.far.estimate <= 0 else f"{one_in(point.far.estimate)} pairs"
        lines.append(f"  strangers taken for one person: {often} ({sure}: {most})")
    if point.frr is not None:
        if point.frr.high - point.frr.low >= USELESS:
            lines.append("  pairs of one person turned away: cannot be told from so few people")
        else:
            lines.append(f"  turned away: {out_of(point.frr.estimate, 'pairs of one person', point.frr)}")
    return lines or ["  how often this threshold is wrong was not measured"]


def _between(low: float, high: float) -> str:
    return f"{one_in(low)} to {one_in(high)}"


def likelihood(llr: float) -> str:
    """A log-likelihood ratio in words."""
    times = rounded(math.exp(abs(llr))) if abs(llr) < math.log(1e6) else "more than a million"
    whom = ("one person", "two people") if llr >= 0 else ("two people", "one person")
    return f"log-likelihood ratio {llr:+.2f}: such a score is {times} times as likely for {whom[0]} as for {whom[1]}"


def rounded(number: float) -> str:
    """A number with two digits that count: "1.2", "47", "2,200"."""
    if number < 10:
        return f"{number:.1f}"
    step = 10 ** (int(math.log10(number)) - 1)
    return f"{round(number / step) * step:,}"


def seen(photo: SeenPhoto) -> list[str]:
    """What was seen on a photo."""
    face = photo.face
    if face is None:
        return [f"  {photo.name}: {photo.problem or 'no face was found'}"]
    size = "" if face.face is None else f", {face.face.side:.0f} pixels"
    which = "taken as it is" if face.face is None else f"face {face.number} of {face.found}{size}"
    return [f"  {photo.name}: {which}", *(f"    note: {remark}" for remark in face.remarks)]
