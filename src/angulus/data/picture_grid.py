"""How do many pictures become one that can be looked at?"""

from collections.abc import Sequence

import numpy as np


def montage(
    images: Sequence[np.ndarray] | np.ndarray, columns: int, *, padding: int = 2, background: int = 255
) -> np.ndarray:
    """Lay pictures uint8 [h, w, 3] out in rows of `columns`, as one uint8 picture.

    Pictures may differ in size: each sits in the middle of a cell of the largest. Missing ones of the last row are left
    empty. Raises ValueError for no pictures, another shape or type, or columns below 1.
    """
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    if len(images) == 0:
        raise ValueError("a montage needs at least one image, got none")
    if not padding >= 0:
        raise ValueError(f"padding must be at least 0, got {padding}")
    for number, image in enumerate(images):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(
                f"images of a montage must be uint8 [h, w, 3], got {image.dtype} {list(image.shape)} at {number}"
            )
    height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
    rows = -(-len(images) // columns)
    size = (rows * (height + padding) + padding, columns * (width + padding) + padding, 3)
    page = np.full(size, background, np.uint8)
    for number, image in enumerate(images):
        row, column = divmod(number, columns)
        top = padding + row * (height + padding) + (height - image.shape[0]) // 2
        left = padding + column * (width + padding) + (width - image.shape[1]) // 2
        page[top : top + image.shape[0], left : left + image.shape[1]] = image
    return page
