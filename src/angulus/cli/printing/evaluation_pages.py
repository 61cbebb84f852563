"""The HTML pages of `angulus evaluate`, each written where one was asked for."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from angulus.evaluation import CalibratedThreshold, Comparison, VerificationResult
from angulus.evaluation.rates.identification import Identification, cmc
from angulus.evaluation.rates.retrieval import RetrievalResult
from angulus.evaluation.report.page import Gallery, Search, Sections, write_report
from angulus.evaluation.report.retrievals import Retrieval
from angulus.evaluation.scores.search import SearchResult
from angulus.evaluation.uncertainty.breakdown import Breakdown
from angulus.evaluation.uncertainty.search_intervals import SearchConfidence

CURVE = (*range(1, 11), 12, 15, 20, 25, 30, 40, 50, 60, 80, 100)


def verification_page(
    path: Path | None,
    result: VerificationResult,
    facts: Mapping[str, Any],
    galleries: Callable[[], list[Gallery]],
    broken: Sequence[Breakdown],
    calibrated: Sequence[CalibratedThreshold],
) -> None:
    """A verification, with the hardest pairs where there are images."""
    if path is not None:
        told = {key: str(value) for key, value in facts.items()}
        sections = Sections(breakdowns=broken, calibrated=calibrated)
        _write(path, f"Verification: {result.name}", [result], galleries=galleries(), facts=told, sections=sections)


def search_page(
    path: Path | None,
    found: SearchResult,
    result: Identification,
    confidence: SearchConfidence | None,
    facts: Mapping[str, str],
    notes: Sequence[str] = (),
) -> None:
    """A search, with its CMC at many ranks."""
    if path is not None:
        curve = cmc(found, [k for k in CURVE if k <= result.gallery]) if result.known else ()
        search = Search(result=result, curve=curve, confidence=confidence, notes=notes)
        _write(path, f"Search: {result.name}", [], notes=notes, facts=facts, sections=Sections(searches=[search]))


def retrieval_page(path: Path | None, name: str, result: RetrievalResult, facts: Mapping[str, Any]) -> None:
    """A retrieval, with its CMC at many ranks."""
    if path is not None:
        shown = {key: str(value) for key, value in facts.items()}
        _write(
            path,
            f"Retrieval: {name}",
            [],
            facts=shown,
            sections=Sections(retrievals=[Retrieval(name=name, result=result)]),
        )


def calibration_page(
    path: Path | None,
    embeddings: Path,
    result: CalibratedThreshold,
    facts: Mapping[str, str],
    notes: Sequence[str] = (),
) -> None:
    """A threshold that was chosen on half of the people."""
    if path is not None:
        sections = Sections(calibrated=[result])
        _write(path, f"Calibration: {embeddings.stem}", [], notes=notes, facts=facts, sections=sections)


def comparison_page(
    path: Path | None,
    files: tuple[Path, Path],
    results: Sequence[VerificationResult],
    tests: Sequence[Comparison],
    notes: Sequence[str],
) -> None:
    """Two results beside each other, with the paired tests."""
    if path is not None:
        facts = {"first": str(files[0]), "second": str(files[1])}
        title = f"{results[0].name} and {results[1].name}"
        _write(path, title, results, notes=notes, facts=facts, sections=Sections(comparisons=tests))


def _write(path: Path, title: str, results: Sequence[VerificationResult], **shown: Any) -> None:
    write_report(path, title, results, **shown)
    print(f"report  {path}")
