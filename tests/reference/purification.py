"""Purification image by image, in float64 and with loops, as the definitions say."""

import math

import numpy as np


def evidence(units, labels, directions):
    """Per image: cosines to the centers of the own class, the nearest other class and its cosine."""
    rows = []
    for unit, label in zip(units, labels, strict=True):
        own = [float(np.dot(unit, center)) for center in directions[label]]
        best, which = -1.0, -1
        for other, centers in enumerate(directions):
            if other == label:
                continue
            for center in centers:
                cosine = float(np.dot(unit, center))
                if cosine > best:
                    best, which = cosine, other
        rows.append((own, which, best))
    return rows


def dominant(labels, nearest, classes, subcenters):
    """The center that most images of each class are nearest to."""
    found = []
    for label in range(classes):
        counts = [
            sum(1 for y, k in zip(labels, nearest, strict=True) if y == label and k == place)
            for place in range(subcenters)
        ]
        found.append(counts.index(max(counts)))
    return found


def goes(rule, own, label, other_cos, views, dominants, angle):
    """Whether the rule drops an image."""
    to_dominant = math.degrees(math.acos(own[dominants[label]]))
    nearest = own.index(max(own))
    if rule == "subcenter":
        return to_dominant > angle
    if rule == "strict":
        return to_dominant > angle or nearest != dominants[label]
    if rule == "nearest":
        return math.degrees(math.acos(max(own))) > angle
    to_nearest, to_other = (math.degrees(math.acos(cosine)) for cosine in (max(own), other_cos))
    return to_dominant + to_nearest - to_other - math.degrees(math.acos(views)) / 4 > angle


def average_precision(scores, wrong):
    """Sum over thresholds of precision times what recall gains."""
    total, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        gone = [score >= threshold for score in scores]
        hits = sum(1 for one, bad in zip(gone, wrong, strict=True) if one and bad)
        recall = hits / sum(wrong)
        total += (recall - before) * hits / sum(gone)
        before = recall
    return total
