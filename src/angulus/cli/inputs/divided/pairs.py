"""All pairs of a stored set as one part of several, and the sum of all parts."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from angulus.cli.inputs.divided.processes import comparing_device
from angulus.cli.inputs.verification_inputs import SETS, is_stored, stored_set
from angulus.cli.inputs.words.known_people import notes_on_known
from angulus.cli.inputs.words.named_places import what_lies_at
from angulus.errors import EvaluationError
from angulus.plain_numbers import counted

if TYPE_CHECKING:
    from angulus.cli.options import TwoRounds, View
    from angulus.evaluation import VerificationResult


def count_part(
    what: Path,
    division: "TwoRounds",
    *,
    labels: Path | None,
    fars: Sequence[float],
    view: "View | None",
    intervals: bool | None,
    device: str,
    name: str,
) -> str:
    """Count one part into its file; a sentence that says what was done."""
    from angulus.evaluation.parts.divisions import Part
    from angulus.evaluation.parts.pair_parts import PairQuestion, count_pairs

    check_stored(what)
    assert division.part is not None
    assert division.out is not None
    part = Part.parse(division.part)
    embeddings = stored_set(what, labels)
    asked = PairQuestion(fars=tuple(fars), view=view, intervals=intervals, device=comparing_device(device))
    facts = {"embeddings": str(what), "name": name, "notes": list(notes_on_known(embeddings))}
    pairs = count_pairs(embeddings, part, division.out, asked, after=division.after, facts=facts)
    of = counted(len(embeddings), embeddings.noun)
    return f"part {part.number}/{part.of}: {pairs:,} pairs of {of}, counted into {division.out}"


def check_stored(what: Path) -> None:
    """Raise EvaluationError for a model, whose images every part would embed anew."""
    if not is_stored(what):
        raise EvaluationError(
            f"--part divides stored embeddings ({', '.join(SETS)}), and {what} is {what_lies_at(what)};"
            " embed the images first: angulus embed"
        )


def added_parts(paths: Sequence[Path], name: str | None) -> "tuple[VerificationResult, dict[str, Any], list[str]]":
    """The result of all parts, what is told beside it, and what the first part noted of the set."""
    from angulus.evaluation.parts.pair_parts import add_pairs, verification_of_parts

    added = add_pairs(paths)
    told = added.header.facts
    result = verification_of_parts(added, name=name or str(told.get("name", "")), costs=True)
    facts = {"embeddings": str(told.get("embeddings", "")), "pairs": "all"}
    return result, facts, [str(note) for note in told.get("notes", [])]
