"""Oracles of retrieval and re-ranking: the definitions as plain Python loops, slow and obvious."""

import math


def ranked_list(scores, label, labels, camera=None, cameras=None, own_row=None, distractors=()):
    """Right or wrong, best first, wrong before right among ties; junk, own row and same camera taken out."""
    found = []
    for row, (score, other) in enumerate(zip(scores, labels, strict=True)):
        right = other == label and label >= 0 and label not in distractors
        if other < 0 or row == own_row or (right and cameras is not None and cameras[row] == camera):
            continue
        found.append((-score, right))
    return [right for _, right in sorted(found)]


def figures(rights, at):
    """Every figure of one query, walking down its list; None when there is nothing to find."""
    total = sum(rights)
    if not total:
        return None
    result = {"recall": [any(rights[:k]) for k in at], "ap": 0.0, "trapezoid": 0.0, "ap_at_r": 0.0}
    found, last, before_precision, before_recall = 0, 0, 1.0, 0.0
    for position, right in enumerate(rights, start=1):
        found += right
        precision, recall = found / position, found / total
        result["ap"] += right * precision / total
        result["ap_at_r"] += right * precision / total if position <= total else 0
        result["trapezoid"] += (recall - before_recall) * (before_precision + precision) / 2
        before_precision, before_recall = precision, recall
        last = position if right else last
    result["r_precision"] = sum(rights[:total]) / total
    result["inp"] = total / last
    return result


def reranked(queries, gallery, k1, k2, original):
    """Distances [q][g] of k-reciprocal re-ranking, from dense matrices; gallery None: the set in itself."""
    vectors = [*queries, *(gallery or [])]
    every = range(len(vectors))
    distance = [[0.0 if p == q else max(2 - 2 * _dot(vectors[p], vectors[q]), 0) for q in every] for p in every]
    near = [sorted(every, key=lambda q, p=p: (q != p, distance[p][q], q)) for p in every]
    scaled = [[value / (max(row) or 1) for value in row] for row in distance]

    def reciprocal(p, k):
        return {q for q in near[p][: k + 1] if p in near[q][: k + 1]}

    weights = []
    for p in every:
        members = set(reciprocal(p, k1))
        for q in reciprocal(p, k1):
            others = reciprocal(q, round(k1 / 2))
            if len(others & reciprocal(p, k1)) > 2 / 3 * len(others):
                members |= others
        raw = [math.exp(-scaled[p][q]) if q in members else 0.0 for q in every]
        weights.append([value / sum(raw) for value in raw])
    means = [[sum(weights[o][q] for o in near[p][:k2]) / len(near[p][:k2]) for q in every] for p in every]
    first = len(queries) if gallery else 0
    result = []
    for p in range(len(queries)):
        overlaps = [sum(min(a, b) for a, b in zip(means[p], means[g], strict=True)) for g in every[first:]]
        jaccard = [1 - overlap / (2 - overlap) for overlap in overlaps]
        result.append([(1 - original) * j + original * d for j, d in zip(jaccard, scaled[p][first:], strict=True)])
    return result


def _dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))
