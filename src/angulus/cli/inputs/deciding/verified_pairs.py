"""Many pairs of photos for `angulus verify`: the table, the answers, and what they add up to."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from angulus.errors import DataError
from angulus.plain_numbers import percent
from angulus.runtime import OperatingPoint, Recognizer, SeenPhoto, Verdict, verify
from angulus.tables import read_csv, table_text
from angulus.text_files import printable
from angulus.whole_files import write_beside

_TRUTH = {"1": True, "true": True, "same": True, "0": False, "false": False, "different": False}
_TOGETHER = 16


@dataclass(frozen=True, kw_only=True)
class NamedPair:
    """Two photos, and whether they are of one person where that is known."""

    left: str
    right: str
    same: bool | None


@dataclass(frozen=True, kw_only=True)
class Answers:
    """A verdict for each pair."""

    pairs: tuple[NamedPair, ...]
    verdicts: tuple[Verdict, ...]

    def counts(self) -> dict[str, int]:
        """How often each answer was given."""
        found = {"same": 0, "different": 0, "cannot tell": 0}
        for verdict in self.verdicts:
            found[verdict.decision] += 1
        return found

    def errors(self) -> dict[str, dict[str, int]]:
        """Wrong answers of each kind among pairs whose truth is known and that could be compared."""
        found = {"false accepts": {"of": 0, "wrong": 0}, "false rejects": {"of": 0, "wrong": 0}}
        for pair, verdict in zip(self.pairs, self.verdicts, strict=True):
            if pair.same is None or verdict.decision == "cannot tell":
                continue
            kind = found["false rejects" if pair.same else "false accepts"]
            kind["of"] += 1
            kind["wrong"] += (verdict.decision == "same") != pair.same
        return found

    def lines(self) -> list[str]:
        """The counts as lines of text."""
        shown = ", ".join(f"{count:,} {name}" for name, count in self.counts().items())
        lines = [f"{len(self.pairs):,} pairs: {shown}"]
        for name, count in self.errors().items():
            if count["of"]:
                share = percent(count["wrong"] / count["of"])
                lines.append(f"  {name}: {count['wrong']:,} of {count['of']:,} ({share})")
        return lines

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"pairs": len(self.pairs), "answers": self.counts(), "errors": self.errors()}


def read_named_pairs(path: Path) -> tuple[NamedPair, ...]:
    """A csv with the columns a, b and, optionally, same. Raises DataError."""
    columns = read_csv(path)
    if not {"a", "b"} <= set(columns):
        raise DataError(f"{path} must have the columns a and b (and same), got {', '.join(columns) or 'nothing'}")
    if not columns["a"]:
        raise DataError(f"{path} lists no pairs; each row names two photos under a and b")
    words = [word.strip().lower() for word in columns.get("same", [""] * len(columns["a"]))]
    for number, word in enumerate(words, start=1):
        if word and word not in _TRUTH:
            raise DataError(f"{path}, pair {number}: same must be 1 or 0, got {word!r}")
    rows = zip(columns["a"], columns["b"], words, strict=True)
    return tuple(NamedPair(left=left, right=right, same=_TRUTH.get(word)) for left, right, word in rows)


def verified(
    recognizer: Recognizer,
    point: OperatingPoint,
    pairs: tuple[NamedPair, ...],
    photos: Path,
    *,
    crops: bool = False,
    undecided: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
) -> Answers:
    """Every photo is looked at once, then the pairs are compared. Raises DataError for a photo that is not there."""
    names = sorted({name for pair in pairs for name in (pair.left, pair.right)})
    missing = [name for name in names if not _is_there(photos / name)]
    if missing:
        raise DataError(f"{len(missing):,} of {len(names):,} photos are not in {photos}, first {missing[0][:200]}")
    seen: dict[str, SeenPhoto] = {}
    for start in range(0, len(names), _TOGETHER):
        part = names[start : start + _TOGETHER]
        paths = [photos / name for name in part]
        found = recognizer.take_crops(paths, names=part) if crops else recognizer.look_at(paths, names=part)
        seen.update(zip(part, found, strict=True))
        if progress is not None:
            progress(len(seen), len(names))
    verdicts = tuple(
        verify(seen[pair.left], seen[pair.right], point, bundle=recognizer.bundle, undecided=undecided)
        for pair in pairs
    )
    return Answers(pairs=pairs, verdicts=verdicts)


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is no name
        return False


def save_answers(path: Path, answers: Answers) -> None:
    """A csv with a row for each pair."""
    header = ("a", "b", "same", "decision", "score", "reason")
    rows = [
        (
            *(pair.left, pair.right, "" if pair.same is None else int(pair.same), verdict.decision),
            *("" if verdict.score is None else f"{verdict.score:.6f}", verdict.reason),
        )
        for pair, verdict in zip(answers.pairs, answers.verdicts, strict=True)
    ]
    write_beside(path, lambda part: part.write_text(printable(table_text([header, *rows])), encoding="utf-8"))
