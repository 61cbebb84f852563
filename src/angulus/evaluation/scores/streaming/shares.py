"""Which blocks of rows fall to which part: there and back, since later rows of a triangle meet fewer columns.

Block k of rows meets the columns from its own on, so that blocks become shorter evenly. Parts 0 to n - 1 take one block
each, then n - 1 to 0: blocks k and 2 n - 1 - k of a turn are as long together as any other two.
"""

from collections.abc import Iterator

from angulus.errors import EvaluationError

Share = tuple[int, int]
"""(part, parts): part counts from 0."""


def check_share(share: Share) -> None:
    """Raise EvaluationError for a part that there is not."""
    part, parts = share
    if not 0 <= part < parts:
        raise EvaluationError(f"a share must be (part, parts) with 0 <= part < parts, got ({part}, {parts})")


def blocks_of(share: Share, rows: int, size: int) -> Iterator[int]:
    """The first rows of the blocks of `size` rows that fall to a part, rising."""
    part, parts = share
    for number, top in enumerate(range(0, rows, size)):
        place = number % (2 * parts)
        if place in (part, 2 * parts - 1 - part):
            yield top
