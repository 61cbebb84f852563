"""Random small sets with ties, people of one image and repeated scores."""

import numpy as np
from hypothesis import strategies as st

from angulus.evaluation import SubjectScores


def drawn_pairs(sizes, seed, *, levels=None):
    """All pairs of people with so many images: (scores, same, left rows, right rows, labels), scores tied on levels."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    left, right = np.triu_indices(len(labels), 1)
    same = labels[left] == labels[right]
    scores = random.normal(np.where(same, 1.0, 0.0), 1.0)
    if levels:
        scores = np.round(scores * levels) / levels
    return scores.astype(np.float32), same, left, right, labels


def all_pairs(sizes, seed, *, levels=None, tail=None):
    """The set as `of_all_pairs` takes it, with the `tail` highest impostor scores."""
    scores, same, left, right, labels = drawn_pairs(sizes, seed, levels=levels)
    other = np.flatnonzero(~same)
    other = other[np.argsort(-scores[other], kind="stable")][:tail]
    return SubjectScores.of_all_pairs(
        labels,
        genuine=scores[same],
        genuine_rows=left[same],
        tail=scores[other],
        tail_left=left[other],
        tail_right=right[other],
    )


some_sizes = st.lists(st.integers(1, 4), min_size=3, max_size=6).filter(lambda sizes: max(sizes) > 1)
some_seed = st.integers(0, 10_000)
