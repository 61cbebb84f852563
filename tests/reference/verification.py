"""Oracles of verification: the definitions as plain Python loops in float64, slow and obvious."""

import math


def rates(genuine, impostor, threshold):
    """(FAR, TAR) at a threshold; accepted means greater."""
    far = sum(score > threshold for score in impostor) / len(impostor)
    tar = sum(score > threshold for score in genuine) / len(genuine)
    return far, tar


def tar_at_far(genuine, impostor, target):
    """(threshold, FAR, TAR) at the smallest threshold whose FAR does not exceed the target."""
    for threshold in sorted(set(impostor)):
        far, tar = rates(genuine, impostor, threshold)
        if far <= target:
            return threshold, far, tar
    raise AssertionError("the largest impostor score always has FAR 0")


def area_under_roc(genuine, impostor):
    """Share of (genuine, impostor) pairs in the right order, ties counting half."""
    wins = sum((g > i) + (g == i) / 2 for g in genuine for i in impostor)
    return wins / (len(genuine) * len(impostor))


def equal_error_rate(genuine, impostor):
    """Crossing of FAR and FRR on straight lines between neighbouring thresholds."""
    thresholds = [-math.inf, *sorted({*genuine, *impostor})]
    before = None
    for threshold in thresholds:
        far, tar = rates(genuine, impostor, threshold)
        frr = 1 - tar
        if far <= frr:
            assert before is not None
            share = (before[0] - before[1]) / ((before[0] - before[1]) - (far - frr))
            return before[0] + share * (far - before[0])
        before = (far, frr)
    raise AssertionError("above all scores FAR is 0")


def cosine(a, b):
    """Cosine of two vectors."""
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(y * y for y in b))


def all_pairs(vectors, labels):
    """(genuine, impostor) cosines of every pair i < j."""
    genuine, impostor = [], []
    for i in range(len(labels)):
        for j in range(i + 1, len(labels)):
            (genuine if labels[i] == labels[j] else impostor).append(cosine(vectors[i], vectors[j]))
    return genuine, impostor


def accuracy(scores, same, threshold):
    """Share of pairs decided rightly; accepted means greater."""
    return sum((score > threshold) == kind for score, kind in zip(scores, same, strict=True)) / len(scores)


def mean_centred_folds(plain, flipped, pairs):
    """Per-fold accuracy of the mean-centred protocol; pairs: (left, right, same, fold) tuples."""
    both = [[*map(float, a), *map(float, b)] for a, b in zip(plain, flipped, strict=True)]
    result = []
    for fold in sorted({pair[3] for pair in pairs}):
        train = [pair for pair in pairs if pair[3] != fold]
        used = [both[row] for pair in train for row in pair[:2]]
        mean = [sum(column) / len(used) for column in zip(*used, strict=True)]
        moved = [[x - m for x, m in zip(row, mean, strict=True)] for row in both]
        scores = {pair: cosine(moved[pair[0]], moved[pair[1]]) for pair in pairs}
        grid = [step / 10_000 for step in range(-10_000, 10_001, 1)]
        reached = [accuracy([scores[p] for p in train], [p[2] for p in train], t) for t in grid]
        most = max(reached)
        best = [t for t, value in zip(grid, reached, strict=True) if value == most]
        threshold = sum(best) / len(best)
        test = [pair for pair in pairs if pair[3] == fold]
        result.append((accuracy([scores[p] for p in test], [p[2] for p in test], threshold), threshold))
    return result


def insightface_folds(plain, flipped, pairs):
    """Per-fold accuracy of insightface's protocol: squared distance of unit sums, first best of 400 thresholds."""
    unit = []
    for a, b in zip(plain, flipped, strict=True):
        row = [float(x) + float(y) for x, y in zip(a, b, strict=True)]
        norm = math.sqrt(sum(x * x for x in row))
        unit.append([x / norm for x in row])
    distance = {pair: sum((x - y) ** 2 for x, y in zip(unit[pair[0]], unit[pair[1]], strict=True)) for pair in pairs}

    def right(part, threshold):
        return sum((distance[pair] < threshold) == pair[2] for pair in part) / len(part)

    result = []
    for fold in sorted({pair[3] for pair in pairs}):
        train, test = [p for p in pairs if p[3] != fold], [p for p in pairs if p[3] == fold]
        threshold = max((step / 100 for step in range(400)), key=lambda t: right(train, t))
        result.append((right(test, threshold), threshold))
    return result
