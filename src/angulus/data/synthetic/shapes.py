"""Which soft-edged shapes is a face drawn from? Only additions, products, quotients and square roots, so that every
machine that rounds as IEEE 754 says draws the same picture."""

from functools import cache

import numpy as np

TEXTURE_SIDE = 256
TEXELS = 4.0  # steps of the texture per unit of length


def edge(distance: np.ndarray, width: float | np.ndarray) -> np.ndarray:
    """Coverage 1 inside (distance below 0) to 0 outside, falling straight over `width` about the border."""
    cover = 0.5 - distance / width
    np.maximum(cover, 0.0, out=cover)  # twice as fast as clip on small planes
    return np.minimum(cover, 1.0, out=cover)


def bump(square: np.ndarray) -> np.ndarray:
    """Smooth hill of a squared distance: 1 at 0, and 0 from 1 on."""
    hill = np.maximum(1.0 - square, 0.0)
    return hill * hill


def wave(phase: np.ndarray) -> np.ndarray:
    """Sine-like wave of period 1 between -1 and 1, made of two parabolas."""
    part = 2.0 * (phase - np.floor(phase)) - 1.0
    return 4.0 * part * (1.0 - np.abs(part))


def oval(x: np.ndarray, y: np.ndarray, across: np.ndarray | float, down: np.ndarray | float) -> np.ndarray:
    """Squared distance from the origin in units of the half axes."""
    x, y = x / across, y / down
    return x * x + y * y


def capsule(x: np.ndarray, y: np.ndarray, ends: tuple[float, float, float, float], radius: float) -> np.ndarray:
    """Signed distance to a stroke of this radius from (ends[0], ends[1]) to (ends[2], ends[3])."""
    start_x, start_y, end_x, end_y = ends
    along_x, along_y = end_x - start_x, end_y - start_y
    x, y = x - start_x, y - start_y
    place = np.clip((x * along_x + y * along_y) / (along_x * along_x + along_y * along_y), 0.0, 1.0)
    x, y = x - place * along_x, y - place * along_y
    return np.sqrt(x * x + y * y) - radius


def rounded_box(
    x: np.ndarray,
    y: np.ndarray,
    across: np.ndarray | float,
    down: np.ndarray | float,
    corner: np.ndarray | float,
) -> np.ndarray:
    """Signed distance to a box of these half sides about the origin, with corners of this radius."""
    x = np.maximum(np.abs(x) - (across - corner), 0.0)
    y = np.maximum(np.abs(y) - (down - corner), 0.0)
    return np.sqrt(x * x + y * y) - corner


@cache
def _texture() -> np.ndarray:
    """One smooth random picture [65536] of mean about 0 and variance about 1 whose borders meet."""
    raw = np.random.Philox(key=0).random_raw(TEXTURE_SIDE * TEXTURE_SIDE)
    texture = ((raw >> np.uint64(40)) * 2.0**-24 - 0.5).reshape(TEXTURE_SIDE, TEXTURE_SIDE)
    for axis in (0, 1, 0, 1):
        texture = sum(np.roll(texture, shift, axis) for shift in range(4)) / 4
    return np.ascontiguousarray(texture * 20.4, np.float32).reshape(-1)


def grain(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Random texture of mean 0, variance 1 and spots about one unit wide; squeeze x or y to stretch its spots."""
    column = (x * TEXELS).astype(np.int32) & (TEXTURE_SIDE - 1)
    row = (y * TEXELS).astype(np.int32) & (TEXTURE_SIDE - 1)
    return np.take(_texture(), row * TEXTURE_SIDE + column)
