"""Oracles of intervals, calibration and costs: the definitions as plain loops over every pair."""

import math


def weighted_rates(scores, same, left, right, drawn, threshold):
    """(FAR, TAR) at a threshold when person s is drawn drawn[s] times: w_s for genuine, w_s w_t for impostor pairs."""
    sums = {True: [0, 0], False: [0, 0]}
    for score, kind, s, t in zip(scores, same, left, right, strict=True):
        weight = drawn[s] if kind or s == t else drawn[s] * drawn[t]
        sums[kind][0] += weight * (score > threshold)
        sums[kind][1] += weight
    return tuple(accepted / total if total else math.nan for accepted, total in (sums[False], sums[True]))


def weighted_threshold(scores, same, left, right, drawn, target):
    """The smallest impostor score whose weighted FAR does not exceed the target."""
    values = sorted({score for score, kind in zip(scores, same, strict=True) if not kind})
    for value in values:
        if weighted_rates(scores, same, left, right, drawn, value)[0] <= target:
            return value
    raise AssertionError("the largest impostor score always has FAR 0")


def dyadic_sums(scores, left, right, threshold, people):
    """(sum of h_s^2 with the jackknife's divisor, sum of d_st^2) of impostor pairs."""
    rate = sum(score > threshold for score in scores) / len(scores)
    couples = {}
    for score, s, t in zip(scores, left, right, strict=True):
        couple = (min(s, t), max(s, t))
        couples[couple] = couples.get(couple, 0) + (score > threshold) - rate
    wide = 0
    for person in range(people):
        each = sum(person in pair for pair in zip(left, right, strict=True))
        total = sum(value for couple, value in couples.items() if person in couple)
        wide += (total / (1 - min(each / len(scores), 0.5))) ** 2
    return wide, sum(value**2 for value in couples.values())


def cllr(genuine, impostor):
    """Mean cost in bits of log-likelihood ratios."""
    own = sum(math.log2(1 + math.exp(-value)) for value in genuine) / len(genuine)
    return (own + sum(math.log2(1 + math.exp(value)) for value in impostor) / len(impostor)) / 2


def min_dcf(genuine, impostor, prior, miss, false):
    """Least normalised cost over every threshold."""
    blind = min(miss * prior, false * (1 - prior))
    found = []
    for threshold in (-math.inf, *genuine, *impostor):
        frr = sum(score <= threshold for score in genuine) / len(genuine)
        far = sum(score > threshold for score in impostor) / len(impostor)
        found.append((miss * prior * frr + false * (1 - prior) * far) / blind)
    return min(found)


def cohort_score(score, left, right, top):
    """AS-norm of one score; left, right: the cosines of both images to the cohort."""
    parts = []
    for cosines in (left, right):
        used = sorted(cosines)[-top:]
        mean = sum(used) / top
        std = math.sqrt(sum((value - mean) ** 2 for value in used) / top)
        parts.append((score - mean) / std)
    return sum(parts) / 2
