"""One table of one or several verifications, and whether they may be compared at all.

Rows are figures, columns are results; each rate has its interval where there is one, its threshold and its counts.
"""

from collections.abc import Mapping, Sequence

from angulus.errors import EvaluationError
from angulus.evaluation.protocols.step_figures import STEP_COLUMNS, StepFigures
from angulus.evaluation.protocols.verification import VerificationResult
from angulus.evaluation.rates.roc import OperatingPoint
from angulus.evaluation.uncertainty.intervals import Interval
from angulus.plain_numbers import several

Rows = list[tuple[str, list[str]]]


def differences(first: VerificationResult, second: VerificationResult) -> list[str]:
    """In what two results differ beside the model, one sentence each; EvaluationError for different comparisons."""
    if not first.fingerprint or not second.fingerprint:
        raise EvaluationError("a result without a fingerprint cannot be compared; evaluate again to have one")
    if first.fingerprint != second.fingerprint:
        kinds = [f"{one.compared} of {one.genuine:,} genuine and {one.impostors:,} impostor" for one in (first, second)]
        raise EvaluationError(
            f"{_name(first, 0)} and {_name(second, 1)} compared different pairs ({kinds[0]}, and {kinds[1]};"
            f" fingerprints {first.fingerprint[:12]} and {second.fingerprint[:12]}), so that their figures cannot be"
            " compared; evaluate both on the same list"
        )
    found = []
    for what in ("protocol", "view", "scores"):
        one, other = getattr(first, what), getattr(second, what)
        if one != other:
            verb = "differ" if what == "scores" else "differs"
            found.append(f"the {what} {verb}, {one} and {other}: the figures differ by more than the model")
    return found


def figure_rows(results: Sequence[VerificationResult]) -> Rows:
    """(figure, one text for each result)."""
    rows: Rows = [
        ("compared", [result.compared for result in results]),
        ("protocol, view", [f"{result.protocol}, {result.view}" for result in results]),
        (several(results[0].noun if results else "image"), [f"{result.images:,}" for result in results]),
        ("genuine, impostor pairs", [f"{result.genuine:,}, {result.impostors:,}" for result in results]),
    ]
    if any(result.accuracy for result in results):
        rows.append(("accuracy over folds", [_accuracy(result) for result in results]))
    rows.append(("EER", [_eer(result) for result in results]))
    rows.append(("AUC", [f"{result.auc:.5f}" for result in results]))
    rows += _cost_rows(results)
    for far in sorted({point.target for one in results for point in one.points if point.target}, reverse=True):
        rows.append((f"TAR at FAR {far:g}", [_tar(result, far) for result in results]))
        if any(result.confidence and result.confidence.at(far) for result in results):
            rows.append((f"mean TAR of a person at FAR {far:g}", [_person_tar(result, far) for result in results]))
        rows.append((f"threshold at FAR {far:g}", [_threshold(result, far) for result in results]))
        rows.append((f"false, true accepts at FAR {far:g}", [_counts(result, far) for result in results]))
    return rows


def markdown_table(results: Sequence[VerificationResult]) -> str:
    """The rows as one Markdown table; bars in names are escaped."""
    names = [_name(result, index).replace("|", "\\|") for index, result in enumerate(results)]
    lines = [f"| figure | {' | '.join(names)} |", f"| --- |{' ---: |' * len(names)}"]
    lines += [f"| {name} | {' | '.join(values)} |" for name, values in figure_rows(results)]
    for result in results:
        lines += step_table(result.steps)
    return "\n".join(lines) + "\n"


def step_table(steps: Sequence[StepFigures]) -> list[str]:
    """The figures after each step of scoring as a Markdown table below another; nothing without steps."""
    if not steps:
        return []
    head = ["", f"| scoring | {' | '.join(STEP_COLUMNS)} |", f"| --- |{' ---: |' * len(STEP_COLUMNS)}"]
    return [*head, *(f"| {step.name} | {' | '.join(step.cells())} |" for step in steps)]


def text_table(results: Sequence[VerificationResult]) -> str:
    """The rows as aligned text."""
    rows = [("figure", [_name(result, index) for index, result in enumerate(results)]), *figure_rows(results)]
    widths = [max(len(values[column]) for _, values in rows) for column in range(len(results))]
    first = max(len(name) for name, _ in rows)
    return "\n".join(
        f"{name:<{first}}  " + "  ".join(f"{value:>{width}}" for value, width in zip(values, widths, strict=True))
        for name, values in rows
    )


def _point(result: VerificationResult, far: float) -> OperatingPoint | None:
    return next((point for point in result.points if point.target == far), None)


def _tar(result: VerificationResult, far: float) -> str:
    point = _point(result, far)
    if point is None:
        return "-"
    sure = None if result.confidence is None else result.confidence.at(far)
    text = f"{point.tar:.2%}{_span(None if sure is None else sure.tar)}"
    resolved = point.resolved and (sure is None or sure.resolved)
    return text if resolved else f"{text}, not resolved"


def _person_tar(result: VerificationResult, far: float) -> str:
    sure = None if result.confidence is None else result.confidence.at(far)
    return "-" if sure is None else f"{sure.person_tar.estimate:.2%}{_span(sure.person_tar)}"


def _threshold(result: VerificationResult, far: float) -> str:
    point = _point(result, far)
    sure = None if result.confidence is None else result.confidence.at(far)
    if point is None:
        return "-"
    return f"{point.threshold:.4f}" + (
        "" if sure is None else f" ({sure.threshold_low:.4f} to {sure.threshold_high:.4f})"
    )


def _counts(result: VerificationResult, far: float) -> str:
    point = _point(result, far)
    return "-" if point is None else f"{point.false_accepts:,}, {point.true_accepts:,}"


def _accuracy(result: VerificationResult) -> str:
    if result.accuracy is None:
        return "-"
    sure = None if result.confidence is None else result.confidence.accuracy
    return f"{result.accuracy.mean:.2%} +- {result.accuracy.std:.2%}{_span(sure)}"


def _eer(result: VerificationResult) -> str:
    return f"{result.eer.rate:.2%}{_span(None if result.confidence is None else result.confidence.eer)}"


def _cost_rows(results: Sequence[VerificationResult]) -> Rows:
    named = [{cost.model.name: cost.cost for cost in one.costs.dcf} if one.costs else {} for one in results]
    names = list(dict.fromkeys(name for one in named for name in one))
    rows: Rows = [
        (f"minDCF, {name}", [_min_dcf(one, result, name) for one, result in zip(named, results, strict=True)])
        for name in names
    ]
    if names:
        rows.append(("min Cllr, bits", [f"{one.costs.min_cllr:.4f}" if one.costs else "-" for one in results]))
    actual = [{cost.model.name: cost.cost for cost in one.costs.actual} if one.costs else {} for one in results]
    for name in dict.fromkeys(name for one in actual for name in one):
        rows.append((f"actDCF, {name}", [f"{one[name]:.4f}" if name in one else "-" for one in actual]))
    found = [None if one.costs is None else one.costs.cllr for one in results]
    if any(value is not None for value in found):
        rows.append(("Cllr, bits", ["-" if value is None else f"{value:.4f}" for value in found]))
    return rows


def _min_dcf(costs: Mapping[str, float], result: VerificationResult, name: str) -> str:
    if name not in costs:
        return "-"
    sure = None if result.confidence is None else result.confidence.cost(name)
    return f"{costs[name]:.4f}" + ("" if sure is None else f" ({sure.low:.4f} to {sure.high:.4f})")


def _span(interval: Interval | None) -> str:
    return "" if interval is None else f" ({100 * interval.low:.2f} to {100 * interval.high:.2f})"


def _name(result: VerificationResult, index: int) -> str:
    return result.name or f"result {index + 1}"
