"""The search for copies by independent jobs: each compares its blocks of all pairs into a file, and the files add up.

Every job looks at the examples of the sets first, which takes as long as there are examples; what is divided grows with
the pairs. The list of all parts is that of one search, in its order too (`nearest.together`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from angulus.errors import EvaluationError
from angulus.evaluation.parts.divisions import Header, Part, Question, digest_of_arrays
from angulus.evaluation.parts.part_files import PartFile, read_parts, write_part
from angulus.inspection.copies import LEAST_COSINE, MOST_BITS, Seen, compared, nearest_of
from angulus.inspection.nearest import NearPairs, block_of, together


def count_copies(one: Seen, other: Seen | None, part: Part, path: Path, *, device: str = "cpu") -> int:
    """Compare the pairs of one part, of one set or of two, into a file; how many pairs were looked at."""
    found = nearest_of(one, other, device=device, share=part.share)
    arrays = {}
    for number, pairs in enumerate(found):
        arrays |= {f"left_{number}": pairs.left, f"right_{number}": pairs.right, f"scores_{number}": pairs.scores}
    facts = {"found": [pairs.found for pairs in found], "compared": [pairs.compared for pairs in found]}
    write_part(path, _header(one, other, part, facts, device), arrays)
    return sum(pairs.compared for pairs in found)


def add_copies(one: Seen, other: Seen | None, paths: Sequence[Path]) -> list[NearPairs]:
    """What all parts found of these sets, as `find_copies` takes it. Raises EvaluationError where they don't add up."""
    wanted = _header(one, other, Part(0, 1), {})
    parts = read_parts(paths, wanted.question)
    if parts[0].header.digest != wanted.digest:
        raise EvaluationError(
            f"{parts[0].path} is of other examples, or of embeddings of another model, than those at hand; count the"
            " parts again"
        )
    sizes = [(len(rows), None if others is None else len(others)) for rows, others in compared(one, other)]
    found = [together([_found(part, number) for part in parts]) for number in range(len(sizes))]
    for pairs, (rows, others) in zip(found, sizes, strict=True):
        every = rows * (rows - 1) // 2 if others is None else rows * others
        if pairs.compared != every:
            raise EvaluationError(f"the parts looked at {pairs.compared:,} of {every:,} pairs; count them again, alike")
    return found


def _header(one: Seen, other: Seen | None, part: Part, facts: dict[str, Any], device: str = "cpu") -> Header:
    question: Question = "copies" if other is None else "leaks"
    sides = [array for pair in compared(one, other) for array in pair]
    options = {"most_bits": MOST_BITS, "least_cosine": LEAST_COSINE, "block": block_of(device)}
    return Header(question=question, part=part, digest=digest_of_arrays(*sides), options=options, facts=facts)


def _found(part: PartFile, number: int) -> NearPairs:
    left, right = (part.array(f"{side}_{number}", "i").astype(np.int64) for side in ("left", "right"))
    scores, counts = part.array(f"scores_{number}", "f"), [part.fact(name, list) for name in ("found", "compared")]
    if not len(left) == len(right) == len(scores) or any(len(each) <= number for each in counts):
        raise EvaluationError(f"{part.path} holds pairs without scores; it is damaged, count this part again")
    return NearPairs(
        left=left, right=right, scores=scores, found=int(counts[0][number]), compared=int(counts[1][number])
    )
