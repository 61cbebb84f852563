"""Trial lists of speaker verification: two recordings a line, and whether one person speaks in both.

VoxCeleb     "1 id10270/x6uYqmx31kE/00001.wav id10270/8jEAjG6SegY/00008.wav": 1 is the same person, 0 is not
label last   "a/1.jpg a/2.jpg 1": the same with the label at the end; -1 stands for 0 too
Kaldi        "id10270-x6uYqmx31kE-00001 id10270-8jEAjG6SegY-00008 target": target is the same person, nontarget is not

Blanks, tabs or commas stand between the fields. All lines of a file have one form; names hold no separator.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from angulus.errors import EvaluationError
from angulus.evaluation.scores.pairs import NamedPairs
from angulus.text_files import lines_of

_NUMBERS = {"1": True, "0": False}
_LAST = {**_NUMBERS, "-1": False}
_WORDS = {"target": True, "nontarget": False}
_FORMS = "'1 left right' (or 0), 'left right 1' (or 0), or 'left right target' (or nontarget)"


def is_trial(line: str) -> bool:
    """Whether a line is a trial of any form."""
    fields = fields_of(line)
    return len(fields) == 3 and (fields[0] in _NUMBERS or fields[2] in _WORDS or fields[2] in _LAST)


def parse_trials(text: str, path: str | Path) -> NamedPairs:
    """The trials in the text of a file; `path` names it in errors. Raises EvaluationError with the line number."""
    found = [(number, fields_of(line)) for number, line in enumerate(lines_of(text), start=1) if line.strip()]
    if not found:
        raise EvaluationError(f"{path} lists no trials")
    words, place = _form([fields for _, fields in found])
    for number, fields in found:
        if len(fields) != 3 or fields[place] not in words:
            got = " ".join(fields)
            raise EvaluationError(f"{path}: line {number} must be {_FORMS}, one form in the whole file, got {got!r}")
    start = 0 if place else 1
    return NamedPairs(
        left=tuple(fields[start] for _, fields in found),
        right=tuple(fields[start + 1] for _, fields in found),
        same=np.array([words[fields[place]] for _, fields in found], dtype=bool),
    )


def fields_of(line: str) -> list[str]:
    """The fields of a line: between tabs, blanks or commas, whichever make three or four of them."""
    by_tab, by_blank = ([field.strip() for field in line.split("\t")] if "\t" in line else []), line.split()
    by_comma = [field.strip() for field in line.split(",")]
    if len(by_tab) in (3, 4):
        return by_tab
    if len(by_comma) == 3 and (len(by_blank) not in (3, 4) or by_blank[0].endswith(",")):
        return by_comma
    return by_blank


def _form(lines: Sequence[Sequence[str]]) -> tuple[dict[str, bool], int]:
    """The words of the labels, and their place in a line, which the first line says and, where it may say both, all."""
    first = lines[0]
    if len(first) == 3 and first[2] in _WORDS:
        return _WORDS, 2
    if len(first) == 3 and first[2] in _LAST and not all(fields and fields[0] in _NUMBERS for fields in lines):
        return _LAST, 2
    return _NUMBERS, 0
