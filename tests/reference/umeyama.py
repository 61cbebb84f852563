"""Umeyama's solution (1991, equations 38 to 43) by a singular value decomposition, in any number of dimensions."""

import numpy as np


def umeyama(source, target):
    """Rotation, scale and shift [d, d + 1] that bring points `source` [n, d] closest to `target` [n, d]."""
    x, y = np.asarray(source, dtype=np.float64), np.asarray(target, dtype=np.float64)
    mean_x, mean_y = x.mean(0), y.mean(0)
    covariance = (y - mean_y).T @ (x - mean_x) / len(x)
    left, values, right = np.linalg.svd(covariance)
    signs = np.ones(x.shape[1])
    if np.linalg.det(left) * np.linalg.det(right) < 0:
        signs[-1] = -1
    rotation = left @ np.diag(signs) @ right
    scale = (values * signs).sum() / ((x - mean_x) ** 2).sum(1).mean()
    return np.concatenate([scale * rotation, (mean_y - scale * rotation @ mean_x)[:, None]], axis=1)
