"""How does a batch of people become a batch of pictures with landmarks?"""

from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np

from angulus.data.synthetic.camera import degrade
from angulus.data.synthetic.canvas import new_canvas, planes
from angulus.data.synthetic.features import paint_beard, paint_eyes, paint_mouth, paint_nose
from angulus.data.synthetic.geometry import landmarks_in_pixels, pose_of
from angulus.data.synthetic.head import (
    colours_of,
    outline_of,
    paint_background,
    paint_body,
    paint_hair,
    paint_skin,
    relief_of,
)
from angulus.data.synthetic.parameters import People, Views
from angulus.data.synthetic.scene import develop, light, paint_glasses, paint_occluders

Record = TypeVar("Record", People, Views)

PIXELS_AT_ONCE = 65536  # planes of this size stay in a processor's cache


@dataclass(frozen=True)
class Rendered:
    """Pictures uint8 [n, h, w, 3] (RGB) and their landmarks float64 [n, 5, 2], (x, y) in pixels."""

    images: np.ndarray
    landmarks: np.ndarray


def render(
    people: People,
    views: Views,
    *,
    height: int = 64,
    width: int = 64,
    places: list[tuple[int, int, int]] | None = None,
) -> Rendered:
    """Draw n people, each under the view of the same place in the arrays.

    The crop's height spans the 112 units of the ArcFace template, and its middle columns stay the middle: 112 x 96 is
    columns 8 to 103 of 112 x 112. Landmarks: left eye, right eye, nose tip, left and right corner of the mouth, left
    being the picture's left; 0 is the middle of the first pixel.

    places: the (seed, identity, view) of each picture, which makes its noise; (0, index, 0) unless given.
    """
    count = len(people.head_width)
    places = [(0, index, 0) for index in range(count)] if places is None else places
    images = np.empty((count, height, width, 3), np.uint8)
    landmarks = np.empty((count, 5, 2))
    step = max(PIXELS_AT_ONCE // (height * width), 1)
    for start in range(0, count, step):
        part = slice(start, min(start + step, count))
        some, seen = _part(people, part), _part(views, part)
        pictures, landmarks[part] = _paint(some, seen, height, width)
        for index, picture in enumerate(pictures):
            images[start + index] = degrade(picture, seen, index, places[start + index])
    return Rendered(images, landmarks)


def _part(record: Record, part: slice) -> Record:
    return type(record)(**{f.name: getattr(record, f.name)[part] for f in fields(record)})


def _paint(people: People, views: Views, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures float32 [n, 3, h, w] from 0 to 255, before the camera's faults, and landmarks [n, 5, 2]."""
    pose = pose_of(people, views)
    landmarks = landmarks_in_pixels(pose, height, width)
    canvas = new_canvas(pose, height, width)
    people, views = planes(people), planes(views)
    colours = colours_of(people)
    outline = outline_of(canvas, people, views, pose)
    paint_background(canvas, views)
    paint_body(canvas, people, views, colours, outline)
    paint_skin(canvas, people, colours, outline)
    paint_beard(canvas, people, views, colours, outline)
    paint_nose(canvas, people)
    paint_mouth(canvas, people, views, colours)
    paint_eyes(canvas, people, views, colours)
    paint_hair(canvas, people, views, colours, outline)
    light(canvas, views, relief_of(canvas, people, views), people.head_width)
    paint_glasses(canvas, people, views, outline)
    paint_occluders(canvas, people, views, colours)
    return develop(canvas, views), landmarks
