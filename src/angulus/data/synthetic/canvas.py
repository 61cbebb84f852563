"""What are faces painted on? A batch of pictures with, for every pixel, its place on the head.

Layers are laid over each other with a coverage between 0 and 1. A layer that is small works on a window, a fixed part
of the crop: the same one for all faces, so that a picture never depends on the others of its batch.
"""

from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np

from angulus.data.synthetic.geometry import HEAD_HEIGHT, ORIGIN, Pose

Record = TypeVar("Record")
Window = tuple[slice, slice]
Stops = tuple[tuple[float, float, float], ...]

SKIN_LOSS = np.array([0.85, 1.0, 1.05], np.float32)[:, None, None]
CIRCLE: Stops = ((1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1), (1, 0, 0))


def planes(record: Record) -> Record:
    """The same record with every array [n] as float32 [n, 1, 1], ready to meet planes of pixels."""
    values = {f.name: getattr(record, f.name).astype(np.float32)[:, None, None] for f in fields(record)}  # type: ignore[arg-type]
    return type(record)(**values)


def colour(red: float, green: float, blue: float) -> np.ndarray:
    """The same colour [3, 1, 1] for all."""
    return np.array([red, green, blue], np.float32)[:, None, None]


def palette(stops: Stops, tone: np.ndarray) -> np.ndarray:
    """Colours [n, 3, 1, 1] at the tones [n, 1, 1], 0 the first stop and 1 the last."""
    table = np.array(stops, np.float32)
    place = np.clip(tone[:, 0, 0], 0.0, 1.0) * np.float32(len(stops) - 1)
    before = np.minimum(place.astype(np.intp), len(stops) - 2)
    part = (place - before)[:, None].astype(np.float32)
    return (table[before] + (table[before + 1] - table[before]) * part)[:, :, None, None]


def hue(turn: np.ndarray, tone: np.ndarray, strength: np.ndarray | float) -> np.ndarray:
    """Colours [n, 3, 1, 1] round the colour circle (turn 0 to 1) about a grey tone, all arrays [n, 1, 1]."""
    strength = np.reshape(strength, (-1, 1, 1, 1)).astype(np.float32)
    return np.clip(tone[:, None] + (palette(CIRCLE, turn) - 0.5) * strength, 0.0, 1.0)


@dataclass(frozen=True)
class Canvas:
    """Colours [n, 3, h, w] between 0 and 1 (painted over in place) and the geometry of n crops."""

    colours: np.ndarray
    unit: float  # pixels per unit of length
    plane_x: np.ndarray  # [n, h, w]: the pixel in the head plane, as it is seen
    plane_y: np.ndarray
    depth: np.ndarray  # [n, h, w]: of the head's surface there, 1 in front and 0 at its border
    x: np.ndarray  # [n, h, w]: the pixel on the surface of the head, as if the head looked straight ahead
    y: np.ndarray
    lift_x: np.ndarray  # [n, 1, 1]: how far a point moves in x when it stands out by one unit
    lift_y: np.ndarray
    person: np.ndarray  # [n, h, w]: how much of the pixel the person covers (painted over in place)

    @property
    def soft(self) -> float:
        """Width of a border that is smooth at this resolution, in units of length."""
        return 1.3 / self.unit

    def window(self, left: float, right: float, top: float, bottom: float) -> Window:
        """Rows and columns of a part of the crop, given in the template's pixels."""
        height, width = self.colours.shape[2:]
        rows = [round((place - 55.5) * self.unit + (height - 1) / 2) for place in (top, bottom)]
        columns = [round((place - 55.5) * self.unit + (width - 1) / 2) for place in (left, right)]
        return slice(max(rows[0], 0), max(rows[1], 0)), slice(max(columns[0], 0), max(columns[1], 0))

    def place(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Places on the head [n, rows, columns] of the pixels of a window."""
        return self.x[:, *window], self.y[:, *window]

    def paint(self, colour: np.ndarray | float, cover: np.ndarray, window: Window = (slice(None), slice(None))) -> None:
        """Lay a colour [n, 3, 1 or rows, 1 or columns] (or a grey) over a window with coverage [n, rows, columns]."""
        under = self.colours[:, :, *window]
        under += (colour - under) * cover[:, None]

    def claim(self, cover: np.ndarray, window: Window = (slice(None), slice(None))) -> None:
        """Note that the person covers this part of the pixels of a window."""
        person = self.person[:, *window]
        np.maximum(person, cover, out=person)

    def darken(self, amount: np.ndarray, window: Window) -> None:
        """Take away this part [n, rows, columns] of the light in a window, red the least, as skin does."""
        self.colours[:, :, *window] *= 1.0 - SKIN_LOSS * amount[:, None]


def new_canvas(pose: Pose, height: int, width: int) -> Canvas:
    """An unpainted canvas for n turned heads."""
    unit = height / 112
    across = ((np.arange(width) - (width - 1) / 2) / unit + 55.5 - ORIGIN[0]).astype(np.float32)
    down = ((np.arange(height) - (height - 1) / 2) / unit + 55.5 - ORIGIN[1]).astype(np.float32)
    turn, shift = 1.0 / pose.scale, -pose.shift / pose.scale

    def plane(values: np.ndarray) -> np.ndarray:
        return values.astype(np.float32)[:, None, None]

    plane_x = plane(turn.real) * across - plane(turn.imag) * down[:, None] + plane(shift.real)
    plane_y = plane(turn.imag) * across + plane(turn.real) * down[:, None] + plane(shift.imag)
    half = plane(pose.across)
    x, y = plane_x / half, plane_y / np.float32(HEAD_HEIGHT)
    depth = np.sqrt(np.maximum(1.0 - x * x - y * y, 0.0))
    sin_pitch, cos_pitch = plane(pose.sin_pitch), plane(pose.cos_pitch)
    level_y, level_depth = cos_pitch * y - sin_pitch * depth, cos_pitch * depth + sin_pitch * y
    return Canvas(
        colours=np.empty((len(turn), 3, height, width), np.float32),
        unit=unit,
        plane_x=plane_x,
        plane_y=plane_y,
        depth=depth,
        x=(plane(pose.cos_yaw) * x - plane(pose.sin_yaw) * level_depth) * half,
        y=level_y * np.float32(HEAD_HEIGHT),
        lift_x=plane(pose.sin_yaw / pose.cos_yaw),
        lift_y=plane(pose.sin_pitch * pose.cos_yaw / pose.cos_pitch * HEAD_HEIGHT / pose.across),
        person=np.zeros((len(turn), height, width), np.float32),
    )
