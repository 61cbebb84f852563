"""Which pairs does a published protocol compare: pair files by image name, and how names find their embeddings.

Formats: LFW's `pairs.txt` (a header "folds<TAB>pairs", then for each fold that many genuine lines "name i j" and that
many impostor lines "name i other j"; or such lines without a header), CSV with the header `a,b,same` and an optional
column `fold`, and the trial lists of speaker verification (see `trial_lists`).
"""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from angulus.embeddings import EmbeddingSet
from angulus.errors import EvaluationError
from angulus.evaluation.files.named_images import check_named_once
from angulus.evaluation.files.trial_lists import is_trial, parse_trials
from angulus.evaluation.scores.pairs import NamedPairs, Pairs
from angulus.plain_numbers import counted
from angulus.text_files import parse_rows, read_lines, read_text, slashed

logger = logging.getLogger(__name__)

_REPEATED = 0.01
_HEADER = ("a", "b", "same")
_SAME_WORDS = {"1": True, "true": True, "same": True, "0": False, "false": False, "different": False}


def read_pairs(path: str | Path) -> NamedPairs:
    """Read a pair file as its first line says: the header of a CSV or of a pairs.txt, a trial, or a line of LFW's.

    A warning is logged where more than one pair in a hundred stands there already.
    """
    pairs = _read_pairs(path)
    different = len({frozenset(pair) for pair in zip(pairs.left, pairs.right, strict=True)})
    repeated = len(pairs.left) - different
    if repeated > _REPEATED * len(pairs.left):
        logger.warning(
            "%s: %d of its %d pairs stand there already, so that intervals are narrower than the set allows; each "
            "counts as often as it is listed",
            *(path, repeated, len(pairs.left)),
        )
    return pairs


def _read_pairs(path: str | Path) -> NamedPairs:
    lines = read_lines(path, EvaluationError, "pair list")
    first = next((line for line in lines if line.strip()), "")
    if not first:
        raise EvaluationError(f"{path} lists no pairs")
    trial = is_trial(first) and not _is_lfw_line(lines[0].split())
    if [name.strip().lower() for name in first.split(",")][:3] == list(_HEADER):
        return read_csv_pairs(path)
    if Path(path).suffix.lower() == ".csv":
        return read_trials(path) if trial else read_csv_pairs(path)
    return read_trials(path) if trial else read_lfw_pairs(path)


def read_trials(path: str | Path) -> NamedPairs:
    """Read a trial list: "1 left right" as VoxCeleb's, "left right 1", or "left right target" as Kaldi's; no folds."""
    return parse_trials(read_text(path, EvaluationError, "pair list"), path)


def read_lfw_pairs(path: str | Path) -> NamedPairs:
    """Read LFW's pairs.txt (or pairsDevTest.txt, whose header is one number, as a single fold); no header, no folds.

    "Ada 1 4" names Ada/Ada_0001.jpg and Ada/Ada_0004.jpg. Raises EvaluationError with the line number.
    """
    texts = read_lines(path, EvaluationError, "pair list")
    lines = [line.split("\t") if "\t" in line else line.split() for line in texts]
    if lines and _is_lfw_line(lines[0]):
        return _without_header(path, lines)
    folds, per_kind = _lfw_header(path, lines)
    expected = 1 + 2 * folds * per_kind
    if len(lines) != expected:
        raise EvaluationError(
            f"{path}: line 1 announces {folds} folds of {per_kind} genuine and {per_kind} impostor pairs,"
            f" which is {expected} lines, got {len(lines)}"
        )
    same = np.tile(np.repeat([True, False], per_kind), folds)
    names = [_lfw_names(path, number, line, bool(same[number - 2])) for number, line in enumerate(lines[1:], start=2)]
    left, right = zip(*names, strict=True)
    return NamedPairs(left=left, right=right, same=same, fold=np.repeat(np.arange(folds), 2 * per_kind))


def _without_header(path: str | Path, lines: Sequence[Sequence[str]]) -> NamedPairs:
    same = [len(line) == 3 for line in lines]
    pairs = [
        _lfw_names(path, number, list(line), genuine)
        for number, (line, genuine) in enumerate(zip(lines, same, strict=True), start=1)
        if any(field.strip() for field in line)
    ]
    left, right = zip(*pairs, strict=True)
    kept = [genuine for line, genuine in zip(lines, same, strict=True) if any(field.strip() for field in line)]
    return NamedPairs(left=left, right=right, same=np.array(kept, dtype=bool))


def _is_lfw_line(fields: Sequence[str]) -> bool:
    """Whether these are "name i j" or "name i other j" and no header; a name is no number."""
    fields = [field.strip() for field in fields]
    numbers = fields[1:] if len(fields) == 3 else fields[1::2]
    return len(fields) in (3, 4) and not fields[0].isdigit() and all(number.isdigit() for number in numbers)


def read_csv_pairs(path: str | Path) -> NamedPairs:
    """Read a CSV of pairs: columns a, b (image names), same (1/0, true/false, same/different), optionally fold.

    Folds may have any names or numbers; they are numbered from 0 in the order of first use.
    """
    rows = list(parse_rows(read_lines(path, EvaluationError, "pair list"), path, EvaluationError))
    header = [name.strip().lower() for name in rows[0][1]] if rows else []
    if header not in (["a", "b", "same"], ["a", "b", "same", "fold"]):
        raise EvaluationError(f"{path}: line 1 must be the header a,b,same or a,b,same,fold, got {_shown(header)}")
    left, right, same, fold = [], [], [], []
    for number, row in rows[1:]:
        fields = [field.strip() for field in row]
        if len(fields) != len(header) or not all(fields):
            raise EvaluationError(f"{path}: line {number} must have {len(header)} fields, got {_shown(row)}")
        if fields[2].lower() not in _SAME_WORDS:
            raise EvaluationError(
                f"{path}: line {number}: same must be one of {', '.join(_SAME_WORDS)}, got {_shown(fields[2:3])}"
            )
        left.append(fields[0])
        right.append(fields[1])
        same.append(_SAME_WORDS[fields[2].lower()])
        fold += fields[3:]
    if not left:
        raise EvaluationError(f"{path} lists no pairs")
    order = {name: index for index, name in enumerate(dict.fromkeys(fold))}
    return NamedPairs(
        left=tuple(left),
        right=tuple(right),
        same=np.array(same, dtype=bool),
        fold=np.array([order[name] for name in fold], dtype=np.int64) if fold else None,
    )


def _shown(fields: Sequence[str]) -> str:
    return repr(",".join(fields)[:80])


def match(pairs: NamedPairs, embeddings: EmbeddingSet) -> Pairs:
    """Turn image names into row numbers of an embedding set.

    A name matches the key it equals; else the one that has its folders and its name with another ending, or joined by
    "-" as Kaldi's keys are ("id1/video/1.wav", "id1/video/1.flac", "id1-video-1"); else by file name without folder
    and ending ("Ada/Ada_0001.jpg", "Ada_0001.png", "crops/Ada_0001"), if that is unambiguous. Raises EvaluationError
    for names that are not in the set, those that stand for several examples of it, and two of unlike folders that would
    be one example.
    """
    if embeddings.keys is None:
        raise EvaluationError("pairs by name need embeddings with keys, and this set has none")
    keys = [slashed(key) for key in embeddings.keys]
    check_named_once((slashed(name) for name in pairs.names()), keys, "the pair list")
    exact = {key: row for row, key in enumerate(keys)}
    rows = {name: exact.get(slashed(name), -1) for name in pairs.names()}
    if others := [name for name, row in rows.items() if row == -1]:
        forms = [(form, _rows_by(form, keys)) for form in (_without_ending, _joined, _stem)]
        for name in others:
            rows[name] = _alike(name, keys, forms)
    noun = embeddings.noun
    unknown = [name for name, row in rows.items() if row == -1]
    if unknown:
        raise EvaluationError(
            f"{len(unknown)} of the {counted(len(rows), noun)} that the pairs name are not in the embeddings, first"
            f" {unknown[0]!r}; the embeddings' first key is {embeddings.keys[0]!r}"
        )
    shared = [name for name, row in rows.items() if row == -2]
    if shared:
        raise EvaluationError(
            f"{noun} {shared[0]!r} is no key of the embeddings and its file name stands for several of them;"
            " use the full keys in the pair list"
        )
    _check_claimed_once(rows, embeddings.keys, noun)
    left, right = ([rows[name] for name in side] for side in (pairs.left, pairs.right))
    return Pairs(left=np.array(left), right=np.array(right), same=pairs.same, fold=pairs.fold)


def _alike(name: str, keys: Sequence[str], forms: Sequence[tuple[Callable[[str], str], dict[str, int]]]) -> int:
    """The row whose key has the first form that a name shares; -1 where there is none, -2 where there are several."""
    for form, known in forms:
        row = known.get(form(name), -1)
        if form is _joined and row >= 0 and ("/" in keys[row]) == ("/" in slashed(name)):
            continue  # "a-b/c" and "a/b-c" are two recordings: only one side may have joined its folders
        if row != -1:
            return row
    return -1


def _check_claimed_once(rows: dict[str, int], keys: Sequence[str], noun: str) -> None:
    """Raise where a file name alone would make one example of two that the list tells apart by their folders."""
    claims: dict[int, list[str]] = {}
    for name, row in rows.items():
        others = claims.setdefault(row, [])
        if other := next((other for other in others if not _may_be_one(name, other)), None):
            raise EvaluationError(
                f"the pairs name {other!r} and {name!r}, and by file name both are the {noun} {keys[row]!r} of the"
                " embeddings; use the full keys in the pair list"
            )
        others.append(name)


def _may_be_one(name: str, other: str) -> bool:
    """Whether one name is the other with another ending, joined folders, or further folders in front."""
    if _joined(name) == _joined(other):
        return True
    short, long = sorted((_without_ending(name).split("/"), _without_ending(other).split("/")), key=len)
    return long[-len(short) :] == short


def _rows_by(form: Callable[[str], str], keys: Sequence[str]) -> dict[str, int]:
    """A form of the keys -> row, or -2 when several keys share it."""
    rows: dict[str, int] = {}
    for row, key in enumerate(keys):
        name = form(key)
        rows[name] = -2 if name in rows else row
    return rows


def _without_ending(name: str) -> str:
    """Folders and file name."""
    path = PurePosixPath(slashed(name))
    return str(path.parent / path.stem)


def _joined(name: str) -> str:
    """Folders and file name with "-" between, as in Kaldi's keys."""
    return _without_ending(name).replace("/", "-")


def _stem(name: str) -> str:
    return PurePosixPath(slashed(name)).stem


def _lfw_header(path: str | Path, lines: list[list[str]]) -> tuple[int, int]:
    fields = [field.strip() for field in lines[0]] if lines else []
    if len(fields) not in (1, 2) or not all(field.isdigit() and int(field) > 0 for field in fields):
        raise EvaluationError(
            f"{path}: line 1 must be 'folds pairs' or 'pairs' in whole numbers, got {' '.join(fields)!r}"
        )
    return (1, int(fields[0])) if len(fields) == 1 else (int(fields[0]), int(fields[1]))


def _lfw_names(path: str | Path, number: int, line: list[str], same: bool) -> tuple[str, str]:
    fields = [field.strip() for field in line]
    form = "'name i j' (genuine)" if same else "'name i other j' (impostor)"
    numbers = fields[1::2] if not same else fields[1:]
    if len(fields) != (3 if same else 4) or not all(fields) or not all(field.isdigit() for field in numbers):
        raise EvaluationError(f"{path}: line {number} must be {form}, got {' '.join(fields)!r}")
    one, other = (fields[0], fields[0]) if same else (fields[0], fields[2])
    return _lfw_key(one, numbers[0]), _lfw_key(other, numbers[1])


def _lfw_key(name: str, number: str) -> str:
    return f"{name}/{name}_{int(number):04d}.jpg"
