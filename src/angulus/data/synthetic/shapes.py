"""Which soft-edged shapes is a face drawn from? Only additions, products, quotients and square roots, so that every
machine that rounds as IEEE 754 says draws the same picture."""

import numpy as np


def edge(distance: np.ndarray, width: float | np.ndarray) -> np.ndarray:
    """Coverage 1 inside (distance below 0) to 0 outside, falling straight over `width` about the border."""
    return np.clip(0.5 - distance / width, 0.0, 1.0)


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


def capsule(
    x: np.ndarray, y: np.ndarray, ends: tuple[float, float, float, float], radius: float
) -> np.ndarray:
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
