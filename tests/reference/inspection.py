"""Naive forms of what the inspection computes: loops in float64."""

import numpy as np


def spectrum(grey):
    """Low frequencies of a two-dimensional DCT-II of a 32 x 32 picture, term by term."""
    side, kept = 32, 16
    found = np.zeros((kept, kept))
    place = np.arange(side)
    for k in range(kept):
        for m in range(kept):
            wave = np.outer(
                np.cos(np.pi * (2 * place + 1) * k / (2 * side)), np.cos(np.pi * (2 * place + 1) * m / (2 * side))
            )
            found[k, m] = (grey.astype(np.float64) * wave).sum()
    found[0, 0] = 0
    return found.ravel()


def near_pairs(rows, others, threshold):
    """(left, right) of all pairs whose cosine reaches the threshold."""
    same = others is None
    others = rows if same else others
    return {
        (i, j)
        for i in range(len(rows))
        for j in range(i + 1 if same else 0, len(others))
        if float(rows[i].astype(np.float64) @ others[j].astype(np.float64)) >= threshold
    }


def adaptive_scores(left, right, cohort, own_left, own_right, top):
    """Adaptive s-norm of every pair, each side against the cohort without itself and without its best."""

    def statistics(vector, own):
        cosines = sorted((float(vector @ other) for row, other in enumerate(cohort) if row != own), reverse=True)
        used = np.array(cosines[1 : top + 1])
        return used.mean(), max(used.std(), 1e-3)

    found = np.empty((len(left), len(right)))
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            (mean_a, std_a), (mean_b, std_b) = statistics(a, own_left[i]), statistics(b, own_right[j])
            cosine = float(a @ b)
            found[i, j] = ((cosine - mean_a) / std_a + (cosine - mean_b) / std_b) / 2
    return found


def blur(grey):
    """Crete's blur: what is left of neighbouring differences after averaging 9 pixels, the worse direction."""
    worst = 0.0
    for picture in (grey.astype(np.float64), grey.T.astype(np.float64)):
        height, width = picture.shape
        soft = np.empty_like(picture)
        for y in range(height):
            rows = [min(max(y + shift, 0), height - 1) for shift in range(-4, 5)]
            soft[y] = picture[rows].mean(axis=0)
        total = kept = 0.0
        for y in range(1, height):
            for x in range(width):
                sharp = abs(picture[y, x] - picture[y - 1, x])
                total += sharp
                kept += min(sharp, abs(soft[y, x] - soft[y - 1, x]))
        worst = max(worst, kept / total if total else 1.0)
    return worst


def heard(samples, rate):
    """Level, peak, clipped, silence and head of a recording, sample by sample."""

    def decibels(value):
        return max(-100.0, 20 * np.log10(value)) if value > 0 else -100.0

    values = [int(sample) / 32768 for sample in samples]
    frame = rate // 50
    levels = [
        decibels((sum(value**2 for value in values[begin : begin + frame]) / frame) ** 0.5)
        for begin in range(0, len(values) - frame + 1, frame)
    ]
    loud = max(float(np.quantile(levels, 0.95)) - 35, -60)
    clipped = 0
    for peak in (max(values), min(values)):
        run = 0
        for value in [*values, None]:
            if value == peak:
                run += 1
                continue
            clipped += run if run >= 3 else 0
            run = 0
    head = next((place for place, value in enumerate(values) if value != values[0]), len(values))
    return {
        "level": decibels((sum(value**2 for value in values) / len(values)) ** 0.5),
        "peak": decibels(max(abs(value) for value in values)),
        "clipped": clipped / len(values),
        "silence": sum(level <= loud for level in levels) / len(levels),
        "head": head / rate,
    }
