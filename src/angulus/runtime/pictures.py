"""Which faces were compared: two photos side by side with boxes, and the crops below, as a picture."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from angulus.faces.detectors.detection import Photo
from angulus.runtime.recognition import SeenPhoto

SIDE = 480
GAP = 8
_COLOUR = (0, 160, 80)
_PAPER = (245, 245, 245)


def compared(photos: Sequence[SeenPhoto], pixels: Sequence[Photo | None]) -> Image.Image:
    """A column for each photo: the photo with the box of the face that is meant, and its crop below."""
    columns = [_column(seen, photo) for seen, photo in zip(photos, pixels, strict=True)]
    page = Image.new(
        "RGB",
        (sum(column.width for column in columns) + GAP * (len(columns) + 1), max(c.height for c in columns) + 2 * GAP),
        _PAPER,
    )
    left = GAP
    for column in columns:
        page.paste(column, (left, GAP))
        left += column.width + GAP
    return page


def _column(seen: SeenPhoto, photo: Photo | None) -> Image.Image:
    shown = Image.new("RGB", (SIDE, SIDE // 2), _PAPER) if photo is None else _boxed(seen, photo)
    face = seen.face
    if face is None:
        return shown
    crop = Image.fromarray(face.crop)
    page = Image.new("RGB", (max(shown.width, crop.width), shown.height + GAP + crop.height), _PAPER)
    page.paste(shown, (0, 0))
    page.paste(crop, (0, shown.height + GAP))
    return page


def _boxed(seen: SeenPhoto, photo: Photo) -> Image.Image:
    """The photo at a side of at most SIDE pixels, a box around the face that is meant."""
    scale = min(1.0, SIDE / max(photo.shape[:2]))
    image = Image.fromarray(photo)
    image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    face = seen.face
    if face is not None and face.face is not None:
        box = np.round(face.face.box * scale).tolist()
        ImageDraw.Draw(image).rectangle(box, outline=_COLOUR, width=max(2, round(SIDE / 160)))
    return image
