"""Two results to compare: read from JSON files, or made anew from two sets of embeddings of the same images."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from angulus.cli.inputs.subject_scores import subject_scores
from angulus.cli.inputs.verification_inputs import SETS, descending, is_stored, listed_pairs, stored_set
from angulus.embeddings import EmbeddingSet, View
from angulus.errors import EvaluationError
from angulus.evaluation import Comparison, Pairs, VerificationResult, compare_accuracy, compare_tar, verify
from angulus.evaluation.files.named_images import check_named_once
from angulus.evaluation.protocols.verification import DEFAULT_FARS
from angulus.evaluation.rates.folds import Protocol, decided_rightly, folded_accuracy
from angulus.evaluation.report.result_files import read_result
from angulus.evaluation.scores.people import people_of_pairs


def both_results(
    first: Path, second: Path, pairs: Path | None, protocol: Protocol, view: View | None, far: list[float] | None
) -> tuple[list[VerificationResult], list[Comparison]]:
    """Both results, and the paired tests where both are embeddings."""
    kinds = {path.suffix == ".json" for path in (first, second)}
    if kinds == {True, False}:
        raise EvaluationError(f"compare two results or two sets of embeddings, got {first} and {second}")
    names = [first.stem, second.stem] if first.stem != second.stem else [str(first), str(second)]
    if kinds == {True}:
        if pairs is not None or far is not None or view is not None or protocol != "plain":
            raise EvaluationError("results are compared as they are: leave out --pairs, --protocol, --views and --far")
        return [replace(read_result(p), name=name) for p, name in zip((first, second), names, strict=True)], []
    for path in (first, second):
        if not is_stored(path):
            raise EvaluationError(f"{path} is neither a result (.json) nor a file of embeddings ({', '.join(SETS)})")
    one = stored_set(first)
    other = _in_order(stored_set(second), one, second)
    listed = listed_pairs(one, pairs)
    fars = descending(far, DEFAULT_FARS)
    results = [
        verify(each, listed, protocol=protocol, view=view, fars=fars, name=name, intervals=None, costs=True)
        for each, name in zip((one, other), names, strict=True)
    ]
    return results, paired_tests((one, other), listed, results, protocol)


def paired_tests(
    sets: tuple[EmbeddingSet, EmbeddingSet],
    pairs: Pairs | None,
    results: Sequence[VerificationResult],
    protocol: Protocol,
) -> list[Comparison]:
    """TAR at each FAR that both resolve, and accuracy over folds; none without people."""
    if pairs is not None and people_of_pairs(sets[0], pairs) is None:
        return []
    tests: list[Comparison] = []
    if pairs is not None and results[0].accuracy is not None:
        tests.append(_accuracies(sets, pairs, protocol))
    if protocol != "plain":
        return tests  # other protocols move each fold's scores; their TAR is in the table
    sure = [{p.target for p in one.confidence.points if p.resolved} if one.confidence else set() for one in results]
    kept = sorted(sure[0] & sure[1], reverse=True)
    if not kept:
        return tests
    both = [subject_scores(each, pairs, max(kept), results[k].view) for k, each in enumerate(sets)]
    return [*tests, *(compare_tar(both[0], both[1], far, per_person=each) for far in kept for each in (False, True))]


def _accuracies(sets: tuple[EmbeddingSet, EmbeddingSet], pairs: Pairs, protocol: Protocol) -> Comparison:
    people = people_of_pairs(sets[0], pairs)
    assert people is not None
    decided = []
    for each in sets:
        accuracy, cosines = folded_accuracy(each, pairs, protocol=protocol)
        decided.append(decided_rightly(accuracy, cosines, pairs))
    return compare_accuracy(decided[0], decided[1], pairs.same, *people)


def _in_order(second: EmbeddingSet, first: EmbeddingSet, path: Path) -> EmbeddingSet:
    """The second set with its rows in the order of the first, by keys; without keys both must be in one order."""
    if first.keys is None or second.keys is None:
        if len(first) != len(second):
            raise EvaluationError(f"both sets must hold the same examples, got {len(first)} and {len(second)} rows")
    else:
        rows = {key: row for row, key in enumerate(second.keys)}
        check_named_once(first.keys, second.keys, "the first set")
        missing = [key for key in first.keys if key not in rows]
        if missing or len(second) != len(first):
            example = f", {missing[0]!r} is not in {path}" if missing else ""
            raise EvaluationError(
                f"both sets must hold the same examples, got {len(first)} and {len(second)} rows{example};"
                " embed one set with both models"
            )
        second = second.select(np.array([rows[key] for key in first.keys], dtype=np.int64))
    if first.labels is not None and second.labels is not None and not _same_people(first.labels, second.labels):
        raise EvaluationError("both sets must say alike who is in which example, and their labels differ")
    return second


def _same_people(first: NDArray[np.int64], second: NDArray[np.int64]) -> bool:
    """Whether equal labels here are equal labels there."""
    couples = np.unique(np.stack([first, second]), axis=1).shape[1]
    return couples == len(np.unique(first)) == len(np.unique(second))
