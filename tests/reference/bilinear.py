"""Bilinear sampling of a photo under a similarity, pixel by pixel."""

import numpy as np


def bilinear_warp(photo, matrix, height, width):
    """The crop [height, width, 3] as rounded numbers, and which pixels have all four neighbours on the photo."""
    back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    crop = np.zeros((height, width, 3))
    inside = np.zeros((height, width), dtype=bool)
    for row in range(height):
        for column in range(width):
            x, y, _ = back @ [column, row, 1]
            left, top = int(np.floor(x)), int(np.floor(y))
            if not (0 <= left < photo.shape[1] - 1 and 0 <= top < photo.shape[0] - 1):
                continue
            inside[row, column] = True
            for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
                share = (1 - abs(y - top - i)) * (1 - abs(x - left - j))
                crop[row, column] += share * photo[top + i, left + j]
    return np.round(crop).astype(int), inside
