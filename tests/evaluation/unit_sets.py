"""Small sets of unit vectors in which ties are the rule."""

import numpy as np
from hypothesis import strategies as st

# Four coordinates of a half each: products are exact, so that a tie is a tie in every implementation.
GRID = np.array([[1 if bits >> place & 1 else -1 for place in range(4)] for bits in range(16)], np.float32) / 2


@st.composite
def unit_vectors(draw, least=1, most=12):
    """float32 [n, d]: rows of the grid (many ties and duplicates), or random directions."""
    count = draw(st.integers(least, most))
    if draw(st.booleans()):
        return GRID[draw(st.lists(st.integers(0, 15), min_size=count, max_size=count))].reshape(count, 4)
    return random_units(count, 4, draw(st.integers(0, 2**16)))


def random_units(count, dim, seed=0):
    """float32 [count, dim]."""
    values = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def some_labels(count, most=4):
    """A strategy of labels [count]."""
    return st.lists(st.integers(0, most), min_size=count, max_size=count).map(lambda v: np.array(v, dtype=np.int64))
