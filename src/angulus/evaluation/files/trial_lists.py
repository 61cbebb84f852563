"""Trial lists of speaker verification: two recordings a line, and whether one person speaks in both.

VoxCeleb   "1 id10270/x6uYqmx31kE/00001.wav id10270/8jEAjG6SegY/00008.wav": 1 is the same person, 0 is not
Kaldi      "id10270-x6uYqmx31kE-00001 id10270-8jEAjG6SegY-00008 target": target is the same person, nontarget is not

All lines of a file have one form, and names hold no blanks.
"""

from pathlib import Path

import numpy as np

from angulus.errors import EvaluationError
from angulus.evaluation.scores.pairs import NamedPairs
from angulus.text_files import lines_of

_NUMBERS = {"1": True, "0": False}
_WORDS = {"target": True, "nontarget": False}
_FORMS = "'1 left right' (or 0), or 'left right target' (or nontarget)"


def is_trial(line: str) -> bool:
    """Whether a line is a trial of either form."""
    fields = line.split()
    return len(fields) == 3 and (fields[0] in _NUMBERS or fields[2] in _WORDS)


def parse_trials(text: str, path: str | Path) -> NamedPairs:
    """The trials in the text of a file; `path` names it in errors. Raises EvaluationError with the line number."""
    found = [(number, line.split()) for number, line in enumerate(lines_of(text), start=1) if line.strip()]
    if not found:
        raise EvaluationError(f"{path} lists no trials")
    first = found[0][1]
    by_word = len(first) == 3 and first[2] in _WORDS
    words, place = (_WORDS, 2) if by_word else (_NUMBERS, 0)
    for number, fields in found:
        if len(fields) != 3 or fields[place] not in words:
            got = " ".join(fields)
            raise EvaluationError(f"{path}: line {number} must be {_FORMS}, one form in the whole file, got {got!r}")
    start = 0 if by_word else 1
    return NamedPairs(
        left=tuple(fields[start] for _, fields in found),
        right=tuple(fields[start + 1] for _, fields in found),
        same=np.array([words[fields[place]] for _, fields in found], dtype=bool),
    )
