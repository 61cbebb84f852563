"""What do many crops look like on one page?"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from angulus.errors import FacesError
from angulus.faces.detectors.detection import Photo
from angulus.faces.photos import read_photo

_GAP = 2


def contact_sheet(crops: Sequence[Path], *, columns: int = 20, side: int = 96) -> Photo:
    """Crops in rows of `columns`, each no larger than side x side pixels, as one picture uint8 [h, w, 3] on white."""
    if not crops:
        raise FacesError("a contact sheet needs at least 1 crop, got 0")
    columns = min(columns, len(crops))
    cell = side + _GAP
    page = Image.new("RGB", (columns * cell + _GAP, -(-len(crops) // columns) * cell + _GAP), (255, 255, 255))
    for number, path in enumerate(crops):
        picture = Image.fromarray(read_photo(path))
        picture.thumbnail((side, side), Image.Resampling.BILINEAR)
        row, column = divmod(number, columns)
        page.paste(picture, (_GAP + column * cell + (side - picture.width) // 2, _GAP + row * cell))
    return np.asarray(page)
