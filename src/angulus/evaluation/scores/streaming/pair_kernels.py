# pyrefly: ignore-errors
# (which names a kernel holds is decided when it is compiled)
"""The Triton kernel of `tallies`: a tile of scores is counted by steps, and those in windows go into a buffer."""

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["elements", "width", "top", "left", "capacity", "lowest", "bound"])
def take_tile(
    scores,  # [elements], rows of `width`; fewer than 2^31
    ends,  # [n] int32, looked at where MASKED
    copies,  # [COPIES, BINS] int32
    table,  # [BINS + 1] uint8, 1 for steps that are kept
    kept_scores,  # [capacity + 1]
    kept_rows,
    kept_columns,
    fill,  # [1] int64
    elements,
    width,
    top,
    left,
    capacity,
    lowest,
    bound,
    SCALE: tl.constexpr,
    OFFSET: tl.constexpr,
    BINS: tl.constexpr,
    COPIES: tl.constexpr,
    MASKED: tl.constexpr,
    SCREENING: tl.constexpr,
    COUNTING: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One program takes BLOCK scores. Finds of one program stand together; programs come in any order."""
    program = tl.program_id(0)
    places = program * BLOCK + tl.arange(0, BLOCK)
    belongs = places < elements
    values = tl.load(scores + places, mask=belongs, other=0.0).to(tl.float32)
    rows = places // width
    columns = places - rows * width + left
    rows += top
    if MASKED:
        belongs = belongs & (columns >= tl.load(ends + rows, mask=belongs, other=0))
    if SCREENING:
        kept = belongs & (values > bound)
    else:
        bins = (values * SCALE + OFFSET).to(tl.int32)
        if COUNTING:
            tl.atomic_add(copies + (program % COPIES) * BINS + bins, 1, mask=belongs, sem="relaxed")
        kept = belongs & (bins >= lowest)
        kept = kept & (tl.load(table + bins, mask=kept, other=0) != 0)
    number = tl.sum(kept.to(tl.int32), axis=0)
    if number > 0:
        first = tl.atomic_add(fill, number.to(tl.int64), sem="relaxed")
        targets = first + tl.cumsum(kept.to(tl.int32), axis=0) - 1
        fits = kept & (targets < capacity)
        tl.store(kept_scores + targets, values, mask=fits)
        tl.store(kept_rows + targets, rows, mask=fits)
        tl.store(kept_columns + targets, columns, mask=fits)
