"""Oracles of the scoring steps of speaker verification: one trial at a time in float64, slow and obvious."""

import math


def centred(vector, mean):
    """A vector minus the mean, of length 1."""
    moved = [float(x) - float(m) for x, m in zip(vector, mean, strict=True)]
    norm = math.sqrt(sum(x * x for x in moved))
    return [x / norm for x in moved]


def mean_of(vectors):
    """The mean of vectors."""
    return [sum(column) / len(vectors) for column in zip(*vectors, strict=True)]


def model_of(vectors, mean):
    """The model of several recordings: the mean of their centred directions, of length 1."""
    return centred(mean_of([centred(vector, mean) for vector in vectors]), [0.0] * len(mean))


def dot(one, other):
    """Inner product."""
    return sum(x * y for x, y in zip(one, other, strict=True))


def as_norm(one, other, cohort, top):
    """Symmetric adaptive normalisation of one cosine: each side by its own highest cosines to the cohort."""
    score, parts = dot(one, other), []
    for side in (one, other):
        near = sorted((dot(side, entry) for entry in cohort), reverse=True)[:top]
        mean = sum(near) / len(near)
        std = math.sqrt(sum((x - mean) ** 2 for x in near) / len(near))
        parts.append((score - mean) / std)
    return sum(parts) / 2


def act_dcf(genuine, impostor, prior, miss, false):
    """Normalised cost of deciding by Bayes' threshold on log-likelihood ratios."""
    threshold = math.log(false * (1 - prior) / (miss * prior))
    frr = sum(value <= threshold for value in genuine) / len(genuine)
    far = sum(value > threshold for value in impostor) / len(impostor)
    return (miss * prior * frr + false * (1 - prior) * far) / min(miss * prior, false * (1 - prior))
