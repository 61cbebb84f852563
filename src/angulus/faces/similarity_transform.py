"""Which rotation, scale and shift brings five landmarks of a photo closest to their places in a crop?

With points as complex numbers z = x + iy (photo) and w (crop), a similarity without reflection is w = a z + b. The one
with the least squared distance has the closed form, with means z0 and w0,

    a = sum conj(z - z0) (w - w0) / sum |z - z0|^2        b = w0 - a z0

which is Umeyama's solution (1991, "Least-squares estimation of transformation parameters between two point patterns")
in the plane. |a| is the scale, the angle of a the rotation. Everything is float64.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.errors import FacesError

Matrix = NDArray[np.float64]
"""[2, 3]: a point (x, y) of the photo goes to matrix[:, :2] @ (x, y) + matrix[:, 2] in the crop, pixels to pixels."""

_LEAST_SPREAD = 1e-6  # pixels; points closer together than this give no direction


def similarity(source: ArrayLike, target: ArrayLike) -> Matrix:
    """The similarity [2, 3] that brings points `source` [n, 2] closest to `target` [n, 2], by least squares.

    Raises FacesError for fewer than 2 points, coordinates that are not finite, points that coincide, and points in an
    order that fits no rotation better than any other (as a mirrored square does).
    """
    start, end = _points("source", source), _points("target", target)
    if start.shape != end.shape:
        raise FacesError(f"source and target must have as many points, got {len(start)} and {len(end)}")
    if len(start) < 2:
        raise FacesError(f"a similarity needs at least 2 points, got {len(start)}")
    from_centre, to_centre = start - start.mean(), end - end.mean()
    spread = float(np.sum(np.abs(from_centre) ** 2))
    if np.sqrt(spread) < _LEAST_SPREAD:
        raise FacesError(f"landmarks must be apart from each other, got {len(start)} at one place {start[0]:.6g}")
    turn = np.vdot(from_centre, to_centre) / spread
    room = float(np.sqrt(np.sum(np.abs(to_centre) ** 2) / spread))
    if np.abs(turn) <= 1e-9 * room or not room:
        raise FacesError("landmarks in this order fit no rotation: left and right or up and down may be exchanged")
    shift = end.mean() - turn * start.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def apply(matrix: ArrayLike, points: ArrayLike) -> NDArray[np.float64]:
    """Points [n, 2] of the photo in the crop (or back, under `inverse(matrix)`)."""
    change = np.asarray(matrix, dtype=np.float64)
    return np.asarray(points, dtype=np.float64) @ change[:, :2].T + change[:, 2]


def inverse(matrix: ArrayLike) -> Matrix:
    """The similarity [2, 3] that undoes another."""
    change = np.asarray(matrix, dtype=np.float64)
    back = np.linalg.inv(change[:, :2])
    return np.concatenate([back, -back @ change[:, 2:]], axis=1).astype(np.float64)


def scale_of(matrix: ArrayLike) -> float:
    """How many pixels of the crop a pixel of the photo becomes; below 1 the photo is shrunk."""
    change = np.asarray(matrix, dtype=np.float64)
    return float(np.hypot(change[0, 0], change[1, 0]))


def misfit(matrix: ArrayLike, source: ArrayLike, target: ArrayLike) -> float:
    """Root mean square distance of five landmarks to their places in the crop, in units of the eyes' distance there.

    About 0.05 for a face that looks into the camera; far more for profiles and for landmarks in a wrong order.
    """
    places = np.asarray(target, dtype=np.float64)
    distances = np.linalg.norm(apply(matrix, source) - places, axis=1)
    return float(np.sqrt(np.mean(distances**2)) / np.linalg.norm(places[1] - places[0]))


def _points(name: str, points: ArrayLike) -> NDArray[np.complex128]:
    values = np.asarray(points, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != 2:
        raise FacesError(f"{name} must be points [n, 2], got {list(values.shape)}")
    if not np.isfinite(values).all():
        raise FacesError(f"{name} must be finite, got {values[~np.isfinite(values).all(axis=1)][0].tolist()}")
    return values[:, 0] + 1j * values[:, 1]
