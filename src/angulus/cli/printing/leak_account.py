"""What leaked from a test set into a training set, and what that does to the figures of a model."""

from collections.abc import Mapping
from pathlib import Path

from angulus.evaluation import VerificationResult
from angulus.inspection import Leaks


def leaks_line(leaked: Leaks, train: Path, test: Path, page: Path, listed: Path, seconds: float) -> str:
    """How many people and images are in both sets, and where that is written."""
    words = leaked.words
    copies = len({copy.right for copy in leaked.copies if copy.certain})
    people = len({each.test for each in leaked.leaked})
    found = f"{people:,} {words.person if people == 1 else words.people}"
    found += f" and {copies:,} {words.one if copies == 1 else words.many}"
    lists = f"{page}, removal list {listed}"
    return f"{found} of {test} are in {train}, {seconds:.1f} s: {lists}"


def print_metrics(metrics: Mapping[str, VerificationResult], many: str = "images") -> None:
    """The verification of a model on the test set whole, and without what leaked."""
    for name, result in metrics.items():
        points = ", ".join(f"TAR {point.tar:.2%} at FAR {point.target:g}" for point in result.points if point.resolved)
        accuracy = "" if result.accuracy is None else f"accuracy {result.accuracy.mean:.2%}, "
        print(f"{name}: {result.images:,} {many}, {accuracy}EER {result.eer.rate:.3%}, {points}")
