# pyrefly: ignore-errors
# (which names a kernel holds is decided when it is compiled)
"""Triton kernels of the fused head; `angulus.heads.kernels.fused` explains the method and launches them.

A panel is a range of classes whose weight rows lie ready for matrix products, [k, room, width]: rounded to the
operand type, at unit length unless weights are free, and zero beyond the range and beyond the embedding's size, so that
the inner loops load without masks. Offsets into what may hold more than 2^31 numbers are int64. No atomics.

BRANCH puts the first product of a loop under a condition that always holds. Of two products in a row Triton (3.9, for
Hopper) gives every warp the whole width of the first, so that warps that have no rows of their own repeat those of
others; a branch hides the second product from it.
"""

import triton
import triton.language as tl

# The logit of a class that does not count lies below the first peak, so that its exponential is 0 in every case.
LOWEST = -1e30
EXCLUDED = tl.constexpr(2 * LOWEST)


@triton.jit
def prepare(
    rows,  # [count * CENTERS, DIM] of any row stride
    row_stride,
    panel,
    inverses,  # [CENTERS, room] one over the lengths; 1 for a zero row
    count,
    room,
    DIM: tl.constexpr,
    WIDTH: tl.constexpr,
    CENTERS: tl.constexpr,
    FREE: tl.constexpr,
    TILE: tl.constexpr,
):
    """Fill a panel; the program owns TILE classes and one sub-center."""
    places = tl.program_id(0).to(tl.int64) * TILE + tl.arange(0, TILE)
    center = tl.program_id(1)
    columns = tl.arange(0, WIDTH)
    inside = (places < count)[:, None] & (columns < DIM)[None, :]
    source = (places * CENTERS + center) * row_stride
    values = tl.load(rows + source[:, None] + columns[None, :], mask=inside, other=0.0)
    target = center.to(tl.int64) * room + places
    if not FREE:
        # by way of the largest entry, so that squares stay in float32 however long or short the row
        largest = tl.max(tl.abs(values), axis=1)
        zero = largest == 0.0
        values = values / tl.where(zero, 1.0, largest)[:, None]
        length = tl.sqrt(tl.sum(values * values, axis=1))
        values = values / tl.where(zero, 1.0, length)[:, None]
        tl.store(inverses + target, tl.where(zero, 1.0, 1.0 / tl.where(zero, 1.0, largest * length)))
    tl.store(panel + target[:, None] * WIDTH + columns[None, :], values.to(panel.dtype.element_ty))


@triton.jit(do_not_specialize=["count", "first"])
def sum_classes(
    units,  # [examples, WIDTH] operands
    labels,  # [examples] int64, -1 for none
    scales,  # [examples]
    bias,  # [count], of the panel's classes
    panel,
    peaks,  # [splits, examples] read and written, as the next two
    totals,  # [splits, examples] sum over the other classes of exp(logit - peak)
    pulls,  # [splits, examples, WIDTH] the same sum of exp(logit - peak) times the row
    count,
    first,  # the panel's first class
    room,
    examples,
    tiles_each,  # how many tiles of classes a split has
    WIDTH: tl.constexpr,
    CENTERS: tl.constexpr,
    FREE: tl.constexpr,
    ONLINE: tl.constexpr,
    BIAS: tl.constexpr,
    GRADIENT: tl.constexpr,
    PRECISION: tl.constexpr,
    BRANCH: tl.constexpr,
    OWNED: tl.constexpr,
    STREAMED: tl.constexpr,
):
    """Add a panel to the sums; the program owns OWNED examples and one split of the panel's classes."""
    split = tl.program_id(1)
    mine = tl.program_id(0).to(tl.int64) * OWNED + tl.arange(0, OWNED)
    columns = tl.arange(0, WIDTH)
    wide = tl.full([], WIDTH, tl.int64)
    unit = tl.load(units + mine[:, None] * wide + columns[None, :])
    own = tl.load(labels + mine) - first
    scale = tl.load(scales + mine)
    place = split.to(tl.int64) * examples + mine
    peak = tl.load(peaks + place)
    total = tl.load(totals + place)
    if GRADIENT:
        pull = tl.load(pulls + place[:, None] * wide + columns[None, :])
    inner = tl.arange(0, STREAMED)[:, None] * WIDTH + columns[None, :]
    last = tl.minimum((split + 1) * tiles_each, tl.cdiv(count, STREAMED))
    for tile in range(split * tiles_each, last):
        source = panel + tile * STREAMED * wide + inner
        if CENTERS == 1:
            weight = tl.load(source)
            if BRANCH:
                cos = tl.zeros([OWNED, STREAMED], tl.float32)
                if room > 0:  # always
                    cos = tl.dot(unit, tl.trans(weight), input_precision=PRECISION)
            else:
                cos = tl.dot(unit, tl.trans(weight), input_precision=PRECISION)
        else:
            cos = tl.full([OWNED, STREAMED], EXCLUDED, tl.float32)
            nearest = tl.zeros([OWNED, STREAMED], tl.int32)
            for center in range(CENTERS):
                other = tl.load(source + center * room * wide)
                found = tl.dot(unit, tl.trans(other), input_precision=PRECISION)
                nearest = tl.where(found > cos, center, nearest)  # ties go to the first
                cos = tl.maximum(cos, found)
        if not FREE:
            cos = tl.minimum(tl.maximum(cos, -1.0), 1.0)
        logit = cos * scale[:, None]
        classes = tile * STREAMED + tl.arange(0, STREAMED)
        if BIAS:
            logit += tl.load(bias + classes, mask=classes < count, other=0.0)[None, :]
        # the own class is left out, never subtracted
        logit = tl.where((classes < count)[None, :] & (classes[None, :] != own[:, None]), logit, EXCLUDED)
        if ONLINE:
            higher = tl.maximum(peak, tl.max(logit, axis=1))
            shrink = tl.exp(peak - higher)
            total = total * shrink
            if GRADIENT:
                pull = pull * shrink[:, None]
            peak = higher
        share = tl.exp(logit - peak[:, None])
        total += tl.sum(share, axis=1)
        if GRADIENT:
            if CENTERS == 1:
                pull = tl.dot(share.to(weight.dtype), weight, pull, input_precision=PRECISION)
            else:
                for center in range(CENTERS):
                    part = tl.where(nearest == center, share, 0.0)
                    other = tl.load(source + center * room * wide)
                    pull = tl.dot(part.to(other.dtype), other, pull, input_precision=PRECISION)
    tl.store(totals + place, total)
    if ONLINE:
        tl.store(peaks + place, peak)
    if GRADIENT:
        tl.store(pulls + place[:, None] * wide + columns[None, :], pull)


@triton.jit(do_not_specialize=["count", "first"])
def move_rows(
    units,  # [examples, WIDTH] operands
    labels,  # [examples] int64
    scales,  # [examples]
    rests,  # [examples]; very large where an example is only padding
    grads,  # [examples] gradient of rests
    panel,
    inverses,  # [CENTERS, room]
    bias,  # [count]
    grad_bias,  # [count]
    exact_units,  # [n, DIM] float32
    unit_stride,
    own_labels,  # [n] labels in rising order, and in the same order:
    own_examples,  # [n] whose label it is
    own_centers,  # [n] the nearest of the own sub-centers
    own_grads,  # [n] gradient of the own cosine
    bounds,  # [tiles + 1] where the labels of each tile begin among them
    rows,  # [count * CENTERS, DIM]
    row_stride,
    target,  # the same shape: where the gradient goes; unused where rows are moved
    target_stride,
    averages,  # the same shape: running gradients
    average_stride,
    rate,
    momentum,
    decay,
    count,
    first,
    room,
    blocks,  # of STREAMED examples
    DIM: tl.constexpr,
    WIDTH: tl.constexpr,
    CENTERS: tl.constexpr,
    FREE: tl.constexpr,
    BIAS: tl.constexpr,
    MOVE: tl.constexpr,
    MOMENTUM: tl.constexpr,
    NESTEROV: tl.constexpr,
    PRECISION: tl.constexpr,
    BRANCH: tl.constexpr,
    OWNED: tl.constexpr,
    STREAMED: tl.constexpr,
):
    """The gradient of weight rows, written or used at once; the program owns OWNED classes and one sub-center."""
    tile, mine = tl.program_id(0), tl.program_id(1)
    places = tile.to(tl.int64) * OWNED + tl.arange(0, OWNED)
    columns = tl.arange(0, WIDTH)
    wide = tl.full([], WIDTH, tl.int64)
    source = panel + places[:, None] * wide + columns[None, :]
    if CENTERS == 1:
        weight = tl.load(source)
    if BIAS:
        offset = tl.load(bias + places, mask=places < count, other=0.0)
        summed = tl.zeros([OWNED], tl.float32)
    gradient = tl.zeros([OWNED, WIDTH], tl.float32)
    inner = tl.arange(0, STREAMED)[:, None] * WIDTH + columns[None, :]
    for block in range(0, blocks):
        some = block * STREAMED + tl.arange(0, STREAMED)
        unit = tl.load(units + block * STREAMED * wide + inner)
        if CENTERS == 1:
            if BRANCH:
                cos = tl.zeros([OWNED, STREAMED], tl.float32)
                if room > 0:  # always
                    cos = tl.dot(weight, tl.trans(unit), input_precision=PRECISION)
            else:
                cos = tl.dot(weight, tl.trans(unit), input_precision=PRECISION)
        else:
            cos = tl.full([OWNED, STREAMED], EXCLUDED, tl.float32)
            nearest = tl.zeros([OWNED, STREAMED], tl.int32)
            for center in range(CENTERS):
                other = tl.load(source + center * room * wide)
                found = tl.dot(other, tl.trans(unit), input_precision=PRECISION)
                nearest = tl.where(found > cos, center, nearest)
                cos = tl.maximum(cos, found)
        if not FREE:
            cos = tl.minimum(tl.maximum(cos, -1.0), 1.0)
        scale = tl.load(scales + some)
        logit = cos * scale[None, :]
        if BIAS:
            logit += offset[:, None]
        own = tl.load(labels + some) - first
        logit = tl.where((places < count)[:, None] & (places[:, None] != own[None, :]), logit, EXCLUDED)
        share = tl.exp(logit - tl.load(rests + some)[None, :]) * tl.load(grads + some)[None, :]
        if BIAS:
            summed += tl.sum(share, axis=1)
        share = share * scale[None, :]
        if CENTERS > 1:
            share = tl.where(nearest == mine, share, 0.0)
        gradient = tl.dot(share.to(unit.dtype), unit, gradient, input_precision=PRECISION)
    for slot in range(tl.load(bounds + tile), tl.load(bounds + tile + 1)):
        example = tl.load(own_examples + slot)
        unit = tl.load(exact_units + example * unit_stride + columns, mask=columns < DIM, other=0.0)
        chosen = (places == tl.load(own_labels + slot) - first) & (tl.load(own_centers + slot) == mine)
        gradient += tl.where(chosen, tl.load(own_grads + slot), 0.0)[:, None] * unit[None, :]
    inside = (places < count)[:, None] & (columns < DIM)[None, :]
    place = (places * CENTERS + mine)[:, None]
    row = tl.load(rows + place * row_stride + columns[None, :], mask=inside, other=0.0)
    if not FREE:
        inverse = tl.load(inverses + mine.to(tl.int64) * room + places, mask=places < count, other=1.0)
        along = tl.sum(gradient * row, axis=1) * inverse
        # in this order no product leaves float32, however short a row is
        gradient = (gradient - row * (along * inverse)[:, None]) * inverse[:, None]
    if MOVE:
        gradient += decay * row
        if MOMENTUM:
            at = averages + place * average_stride + columns[None, :]
            average = momentum * tl.load(at, mask=inside, other=0.0) + gradient
            tl.store(at, average, mask=inside)
            gradient = gradient + momentum * average if NESTEROV else average
        tl.store(rows + place * row_stride + columns[None, :], row - rate * gradient, mask=inside)
    else:
        tl.store(target + place * target_stride + columns[None, :], gradient, mask=inside)
    if BIAS:  # noqa: SIM102 (known when compiled, the other one when run)
        if mine == 0:
            tl.store(grad_bias + places, summed, mask=places < count)
