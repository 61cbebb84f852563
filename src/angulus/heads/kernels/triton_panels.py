# pyrefly: ignore-errors
# (which names a kernel holds is decided when it is compiled)
"""Triton kernels of what happens between the products of a panel; `panel_launches` launches them.

A panel is a range of classes with CENTERS rows each; column class * CENTERS + center of a matrix of products belongs to
one of them. Offsets into what may hold more than 2^31 numbers are int64. No atomics, no loop whose length is known only
when it runs: every sum has one order.
"""

import triton
import triton.language as tl

# The logit of a class that does not count lies below the first peak, so that its exponential is 0 in every case.
EXCLUDED = tl.constexpr(-2e30)
# Below this no gradient flows through a sine; see `angulus.margins.angles`.
FLOOR = tl.constexpr(1e-7)


@triton.jit
def copy_rows(
    rows,  # [count, DIM] of any row stride
    row_stride,
    panel,  # [count, DIM]
    inverses,  # [count] one over the lengths; 1 for a zero row
    count,
    DIM: tl.constexpr,
    WIDTH: tl.constexpr,
    FREE: tl.constexpr,
    TILE: tl.constexpr,
):
    """Fill a panel; the program owns TILE rows."""
    places = tl.program_id(0).to(tl.int64) * TILE + tl.arange(0, TILE)
    columns = tl.arange(0, WIDTH)
    inside = (places < count)[:, None] & (columns < DIM)[None, :]
    values = tl.load(rows + places[:, None] * row_stride + columns[None, :], mask=inside, other=0.0)
    if not FREE:
        # by way of the largest entry, so that squares stay in float32 however long or short the row
        largest = tl.max(tl.abs(values), axis=1)
        zero = largest == 0.0
        values = values / tl.where(zero, 1.0, largest)[:, None]
        length = tl.sqrt(tl.sum(values * values, axis=1))
        values = values / tl.where(zero, 1.0, length)[:, None]
        inverse = tl.where(zero, 1.0, 1.0 / tl.where(zero, 1.0, largest * length))
        tl.store(inverses + places, inverse, mask=places < count)
    tl.store(panel + places[:, None] * DIM + columns[None, :], values.to(panel.dtype.element_ty), mask=inside)


@triton.jit
def nearest_of(source, inside, CENTERS: tl.constexpr, FREE: tl.constexpr):
    """The largest product of each class, and whose it is; ties go to the first."""
    best = tl.load(source, mask=inside, other=0.0).to(tl.float32)
    nearest = tl.zeros(best.shape, tl.int32)
    for center in tl.static_range(1, CENTERS):
        found = tl.load(source + center, mask=inside, other=0.0).to(tl.float32)
        nearest = tl.where(found > best, center, nearest)
        best = tl.maximum(best, found)
    if not FREE:
        best = tl.minimum(tl.maximum(best, -1.0), 1.0)
    return best, nearest


@triton.jit
def emphasised(
    cos, reference, first, second, third, above, KIND: tl.constexpr, STRAIGHT: tl.constexpr, FILTER: tl.constexpr
):
    """Cosines of other classes after the margin's emphasis, and its slope; see `angulus.margins.Formula`."""
    value = cos
    slope = tl.full(cos.shape, 1.0, tl.float32)
    if KIND == "quadratic":
        hard = cos > reference
        value = tl.where(hard, (first * cos + second) * cos + third, cos)
        slope = tl.where(hard, 2.0 * first * cos + second, 1.0)
    if KIND == "turned":
        square = (1.0 - cos) * (1.0 + cos)
        sine = tl.sqrt(tl.maximum(square, 0.0))
        ratio = tl.where(square > FLOOR, cos / tl.where(square > FLOOR, sine, 1.0), 0.0)
        hard = cos > reference
        turns = cos < first
        value = tl.where(hard, tl.where(turns, cos * first + sine * second, 1.0), cos)
        slope = tl.where(hard, tl.where(turns, first - ratio * second, 0.0), 1.0)
    if KIND == "weighted":
        weight = tl.maximum(cos + first, 0.0)
        value = weight * (cos - first)
        slope = weight
    if STRAIGHT:
        slope = tl.full(cos.shape, 1.0, tl.float32)
    if FILTER:
        value = tl.where(cos > above, 0.0, value)
        slope = tl.where(cos > above, 0.0, slope)
    return value, slope


@triton.jit
def logits_of(
    cos,
    mine,
    there,
    classes,
    count,
    scales,
    bias,
    references,
    firsts,
    seconds,
    thirds,
    above,
    BIAS: tl.constexpr,
    KIND: tl.constexpr,
    STRAIGHT: tl.constexpr,
    FILTER: tl.constexpr,
):
    """Logits, emphasised cosines, slopes and scales. mine: the examples; there: which of them exist."""
    reference = tl.load(references + mine, mask=there, other=0.0)[:, None]
    first = tl.load(firsts + mine, mask=there, other=0.0)[:, None]
    second = tl.load(seconds + mine, mask=there, other=0.0)[:, None]
    third = tl.load(thirds + mine, mask=there, other=0.0)[:, None]
    value, slope = emphasised(cos, reference, first, second, third, above, KIND, STRAIGHT, FILTER)
    logit = value * tl.load(scales + mine, mask=there, other=0.0)[:, None]
    if BIAS:
        logit += tl.load(bias + classes, mask=classes < count, other=0.0)[None, :]
    return logit, value, slope


@triton.jit
def store_nearest(target, values, nearest, inside, CENTERS: tl.constexpr):
    """Values to the nearest sub-centers, 0 to the others."""
    if CENTERS == 1:
        tl.store(target, values.to(target.dtype.element_ty), mask=inside)
    else:
        for center in tl.static_range(CENTERS):
            part = tl.where(nearest == center, values, 0.0)
            tl.store(target + center, part.to(target.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["start"])
def add_panel(
    products,  # [examples, count * CENTERS]
    kept,  # the same shape: exp(logit - shift), where they are kept
    labels,  # [examples] int64, -1 for none
    scales,  # [examples], as the next four
    references,
    firsts,
    seconds,
    thirds,
    bias,  # [count] of the panel's classes
    peaks,  # [slots, examples] read and written, as the next two
    totals,
    plains,
    above,
    examples,
    count,
    start,  # the panel's first class
    CENTERS: tl.constexpr,
    FREE: tl.constexpr,
    BIAS: tl.constexpr,
    KIND: tl.constexpr,
    STRAIGHT: tl.constexpr,
    FILTER: tl.constexpr,
    ONLINE: tl.constexpr,
    TOTAL: tl.constexpr,
    KEEP: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Add a panel to the sums; the program owns ROWS examples and one slot, which is one block of classes."""
    mine = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    classes = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    there = mine < examples
    inside = there[:, None] & (classes < count)[None, :]
    at = (mine * count)[:, None] * CENTERS + (classes * CENTERS)[None, :]
    cos, nearest = nearest_of(products + at, inside, CENTERS, FREE)
    logit, _value, _slope = logits_of(
        cos,
        mine,
        there,
        classes,
        count,
        scales,
        bias,
        references,
        firsts,
        seconds,
        thirds,
        above,
        BIAS,
        KIND,
        STRAIGHT,
        FILTER,
    )
    own = tl.load(labels + mine, mask=there, other=-1) - start
    counts = inside & (classes[None, :] != own[:, None])
    place = tl.program_id(1).to(tl.int64) * examples + mine
    if TOTAL:
        plain = tl.load(plains + place, mask=there, other=0.0) + tl.sum(tl.where(counts, logit, 0.0), axis=1)
        tl.store(plains + place, plain, mask=there)
    logit = tl.where(counts, logit, EXCLUDED)
    peak = tl.load(peaks + place, mask=there, other=0.0)
    total = tl.load(totals + place, mask=there, other=0.0)
    if ONLINE:
        higher = tl.maximum(peak, tl.max(logit, axis=1))
        total = total * tl.exp(peak - higher)
        peak = higher
        tl.store(peaks + place, peak, mask=there)
    share = tl.exp(logit - peak[:, None])
    tl.store(totals + place, total + tl.sum(share, axis=1), mask=there)
    if KEEP:
        store_nearest(kept + at, share, nearest, inside, CENTERS)


@triton.jit(do_not_specialize=["start"])
def share_panel(
    products,  # [examples, count * CENTERS]
    shares,  # the same shape, maybe the same memory
    labels,
    scales,
    references,
    firsts,
    seconds,
    thirds,
    bias,
    rests,  # [examples] log-sums, as the next two
    grads,
    grad_totals,
    grad_scales,  # [slots, examples] read and written
    grad_biases,  # [blocks of examples, count]
    above,
    examples,
    count,
    start,
    CENTERS: tl.constexpr,
    FREE: tl.constexpr,
    BIAS: tl.constexpr,
    KIND: tl.constexpr,
    STRAIGHT: tl.constexpr,
    FILTER: tl.constexpr,
    TOTAL: tl.constexpr,
    GRAD_SCALE: tl.constexpr,
    GRAD_BIAS: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Write the gradients of a panel's cosines, less what rides on the embeddings; programs as in `add_panel`."""
    mine = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    classes = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    there = mine < examples
    inside = there[:, None] & (classes < count)[None, :]
    at = (mine * count)[:, None] * CENTERS + (classes * CENTERS)[None, :]
    cos, nearest = nearest_of(products + at, inside, CENTERS, FREE)
    logit, value, slope = logits_of(
        cos,
        mine,
        there,
        classes,
        count,
        scales,
        bias,
        references,
        firsts,
        seconds,
        thirds,
        above,
        BIAS,
        KIND,
        STRAIGHT,
        FILTER,
    )
    own = tl.load(labels + mine, mask=there, other=-1) - start
    counts = inside & (classes[None, :] != own[:, None])
    rest = tl.load(rests + mine, mask=there, other=0.0)
    share = tl.exp(tl.where(counts, logit - rest[:, None], EXCLUDED))
    if TOTAL or GRAD_SCALE or GRAD_BIAS:
        grad = tl.load(grads + mine, mask=there, other=0.0)[:, None]
        weighted = share * grad
        if TOTAL:
            weighted = tl.where(counts, weighted + tl.load(grad_totals + mine, mask=there, other=0.0)[:, None], 0.0)
            share = weighted
        if GRAD_SCALE:
            place = tl.program_id(1).to(tl.int64) * examples + mine
            grad_scale = tl.load(grad_scales + place, mask=there, other=0.0) + tl.sum(weighted * value, axis=1)
            tl.store(grad_scales + place, grad_scale, mask=there)
        if GRAD_BIAS:
            place = tl.program_id(0).to(tl.int64) * count + classes
            tl.store(grad_biases + place, tl.sum(weighted, axis=0), mask=classes < count)
    store_nearest(shares + at, share * slope, nearest, inside, CENTERS)


@triton.jit(do_not_specialize=["count"])
def project_rows(
    rows,  # [count, DIM] of any row stride
    row_stride,
    gradient,  # [count, DIM] of the unit rows, of any row stride; overwritten where rows are not moved
    gradient_stride,
    inverses,  # [count]
    averages,  # [count, DIM] running gradients
    average_stride,
    rate,
    momentum,
    decay,
    count,
    DIM: tl.constexpr,
    WIDTH: tl.constexpr,
    FREE: tl.constexpr,
    MOVE: tl.constexpr,
    MOMENTUM: tl.constexpr,
    NESTEROV: tl.constexpr,
    TILE: tl.constexpr,
):
    """The gradient of rows as stored, written or used at once; the program owns TILE rows."""
    places = tl.program_id(0).to(tl.int64) * TILE + tl.arange(0, TILE)
    columns = tl.arange(0, WIDTH)
    inside = (places < count)[:, None] & (columns < DIM)[None, :]
    from_row = rows + places[:, None] * row_stride + columns[None, :]
    target = gradient + places[:, None] * gradient_stride + columns[None, :]
    row = tl.load(from_row, mask=inside, other=0.0)
    pull = tl.load(target, mask=inside, other=0.0)
    if not FREE:
        inverse = tl.load(inverses + places, mask=places < count, other=1.0)
        along = tl.sum(pull * row, axis=1) * inverse
        # in this order no product leaves float32, however short a row is
        pull = (pull - row * (along * inverse)[:, None]) * inverse[:, None]
    if MOVE:
        pull += decay * row
        if MOMENTUM:
            at = averages + places[:, None] * average_stride + columns[None, :]
            average = momentum * tl.load(at, mask=inside, other=0.0) + pull
            tl.store(at, average, mask=inside)
            pull = pull + momentum * average if NESTEROV else average
        tl.store(from_row, row - rate * pull, mask=inside)
    else:
        tl.store(target, pull, mask=inside)
