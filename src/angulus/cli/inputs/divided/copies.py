"""The pairs of one part of a search for copies, of one set or of two."""

from pathlib import Path

from angulus.evaluation.parts.divisions import Part
from angulus.inspection.copies import Seen
from angulus.inspection.copy_parts import count_copies


def part_of_copies(one: Seen, other: Seen | None, text: str, out: Path, device: str) -> str:
    """Compare the pairs of one part into its file; a sentence that says what was done."""
    part = Part.parse(text)
    pairs = count_copies(one, other, part, out, device=device)
    return f"part {part.number}/{part.of}: {pairs:,} comparisons, into {out}"
