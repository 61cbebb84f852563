"""Which bfloat16 products may belong to pairs of the tail: a bound that misses none."""

import numpy as np

from angulus.evaluation.scores.streaming.steps import upper_ends


def largest_error(score: float) -> float:
    """How far the bfloat16 product of two unit vectors may be from their cosine, where the product is `score`.

    Rounding to 8 bits moves each factor by at most 2^-8 of itself, the sum of the moduli of the terms is at most 1
    (Cauchy-Schwarz), so operands cost at most 2^-7 + 2^-16; the rounded result costs 2^-8 of itself; the float32
    sum in between and vectors that are a little longer than 1 stay below 5e-5 for up to 4096 dimensions.
    """
    return 1.01 * 2**-7 + 2**-8 * abs(score) + 5e-5


def least_shown(tail: int) -> float:
    """What the bfloat16 product of a pair in the steps from `tail` on shows at least; below is none of them."""
    bound = float(upper_ends(np.array([tail - 1]))[0])
    # |score| is at most 1 + its error
    return (bound - largest_error(0.0)) / (1 + 2**-8) if bound > 0 else bound - largest_error(1.02)
