"""With which recordings is each model enrolled: lines "model recording recording ...", as Kaldi's spk2utt.

A name may stand on several lines, whose recordings add up. Blanks, tabs or commas stand between the names.
"""

from pathlib import Path

import numpy as np

from angulus.embeddings import EmbeddingSet
from angulus.errors import EvaluationError
from angulus.evaluation.files.pair_lists import match
from angulus.evaluation.scores.enrolment import Enrolment, Trials
from angulus.evaluation.scores.pairs import NamedPairs, Pairs
from angulus.text_files import read_lines


def read_enrolment(path: str | Path) -> dict[str, list[str]]:
    """The recordings of each model; EvaluationError with the line number for a model without any or one named twice."""
    models: dict[str, list[str]] = {}
    for number, line in enumerate(read_lines(path, EvaluationError, "enrolment list"), start=1):
        names = line.replace(",", " ").split()
        if not names:
            continue
        if len(names) == 1:
            raise EvaluationError(
                f"{path}: line {number} must be 'model recording recording ...', and {names[0]!r} has no recording"
            )
        listed = models.setdefault(names[0], [])
        listed += names[1:]
        if len(set(listed)) < len(listed):
            raise EvaluationError(f"{path}: line {number} names a recording of model {names[0]!r} twice")
    if not models:
        raise EvaluationError(f"{path} lists no models")
    return models


def enrolled_trials(models: dict[str, list[str]], named: NamedPairs, embeddings: EmbeddingSet) -> Trials:
    """Trials whose left side names a model, and whose right side a recording of the embeddings.

    Raises EvaluationError for a model that is not enrolled, and as `match` for recordings.
    """
    unknown = [name for name in dict.fromkeys(named.left) if name not in models]
    if unknown:
        raise EvaluationError(
            f"the left side of a trial must be one of the {len(models)} models that are enrolled, got {unknown[0]!r}"
            f" ({len(unknown)} such names); the first model is {next(iter(models))!r}"
        )
    used = list(dict.fromkeys(named.left))
    recordings = [name for model in used for name in models[model]]
    rows = _rows(tuple(recordings), embeddings)
    sizes = [len(models[model]) for model in used]
    enrolment = Enrolment(names=tuple(used), rows=rows, models=np.repeat(np.arange(len(used)), sizes))
    place = {model: len(embeddings) + index for index, model in enumerate(used)}
    pairs = Pairs(
        left=np.array([place[name] for name in named.left]),
        right=_rows(named.right, embeddings),
        same=named.same,
        fold=named.fold,
    )
    return Trials(recordings=embeddings, pairs=pairs, enrolment=enrolment)


def _rows(names: tuple[str, ...], embeddings: EmbeddingSet) -> np.ndarray:
    return match(NamedPairs(left=names, right=names, same=np.ones(len(names), dtype=bool)), embeddings).left
