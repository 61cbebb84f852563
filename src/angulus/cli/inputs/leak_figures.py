"""What a model makes of a test set whole, and without the people and images that leaked into its training set."""

import logging

import numpy as np

from angulus.embeddings import EmbeddingSet
from angulus.errors import EvaluationError
from angulus.evaluation import Pairs, VerificationResult, match, verify
from angulus.evaluation.scores.pairs import NamedPairs
from angulus.inspection import Contents, Leaks

logger = logging.getLogger(__name__)


def with_and_without(
    embeddings: EmbeddingSet, named: NamedPairs | None, leaked: Leaks, contents: Contents, fars: tuple[float, ...]
) -> dict[str, VerificationResult]:
    """The verification of the readable test images whole, and without the people and images that leaked.

    What cannot be verified (a small set may have no pair left) is left out.
    """
    clean = leaked.clean_test_rows()[contents.readable]
    results = {}
    for name, rows in (("whole", np.ones(len(clean), dtype=bool)), ("without what leaked", clean)):
        try:
            if named is None:
                results[name] = verify(embeddings.select(rows), fars=fars, name=name, intervals=None)
                continue
            every = match(named, embeddings)
            inside = rows[every.left] & rows[every.right]
            fold = None if every.fold is None else every.fold[inside]
            listed = Pairs(left=every.left[inside], right=every.right[inside], same=every.same[inside], fold=fold)
            results[name] = verify(embeddings, listed, fars=fars, name=name, intervals=None)
        except EvaluationError as error:
            logger.warning("no figures for the test set %s: %s", name, error)
    return results
