"""The Frechet distance of two Gaussians, the matrix root by the iteration of Denman and Beavers (1976), float64."""

import numpy as np


def covariance(features):
    mean = [float(column.sum()) / len(features) for column in features.T]
    total = np.zeros((features.shape[1],) * 2)
    for row in features:
        gap = row - mean
        total += np.outer(gap, gap)
    return np.array(mean), total / (len(features) - 1)


def matrix_root(matrix, steps=60):
    root, inverse = matrix.copy(), np.eye(len(matrix))
    for _ in range(steps):
        root, inverse = (root + np.linalg.inv(inverse)) / 2, (inverse + np.linalg.inv(root)) / 2
    return root


def frechet_distance(first, second):
    (mean_one, one), (mean_two, two) = covariance(first), covariance(second)
    return float(((mean_one - mean_two) ** 2).sum() + np.trace(one + two - 2 * matrix_root(one @ two)))
