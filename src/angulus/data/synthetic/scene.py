"""What comes between a face and its picture: light, glasses, things in front, and the camera's colours?"""

import numpy as np

from angulus.data.synthetic.canvas import Canvas, hue, palette
from angulus.data.synthetic.geometry import HEAD_HEIGHT
from angulus.data.synthetic.head import Colours, Outline
from angulus.data.synthetic.parameters import People, Views
from angulus.data.synthetic.shapes import capsule, edge, rounded_box, wave


def light(canvas: Canvas, views: Views, relief: np.ndarray, across: np.ndarray) -> None:
    """Shade everything on the head by one distant light and an even rest (Lambert)."""
    slope_x, slope_y = np.zeros_like(relief), np.zeros_like(relief)
    slope_x[:, :, 1:-1] = (relief[:, :, 2:] - relief[:, :, :-2]) * (0.5 * canvas.unit)
    slope_y[:, 1:-1] = (relief[:, 2:] - relief[:, :-2]) * (0.5 * canvas.unit)
    normal_x = canvas.plane_x / across - slope_x
    normal_y = canvas.plane_y * (1.0 / HEAD_HEIGHT) - slope_y
    normal_z = canvas.depth + 0.12
    length = np.sqrt(normal_x * normal_x + normal_y * normal_y + normal_z * normal_z)
    light_z = np.float32(0.75)
    norm = np.sqrt(views.light_x * views.light_x + views.light_y * views.light_y + light_z * light_z)
    facing = (normal_x * views.light_x + normal_y * views.light_y + normal_z * light_z) / (length * norm)
    facing = np.maximum(facing, 0.0)
    strength = views.light_strength
    for channel, warmth in enumerate((1.0, 0.0, -1.0)):
        ambient = (1.0 - strength * 0.82) * (1.0 - 0.5 * warmth * views.light_warmth)
        direct = strength * 1.18 * (1.0 + warmth * views.light_warmth)
        canvas.colours[:, channel] *= 1.0 + (ambient + direct * facing - 1.0) * canvas.person


def paint_glasses(canvas: Canvas, people: People, views: Views, outline: Outline) -> None:
    """Glasses on those pictures that have them."""
    if not views.glasses.any():
        return
    area = canvas.window(0, 112, 26, 84)
    x, y = canvas.place(area)
    worn = np.minimum(views.glasses, 1.0)
    x, y = x - canvas.lift_x * 4.0, y - people.eye_height - 1.0 - canvas.lift_y * 4.0
    away = np.abs(x)
    lens = rounded_box(
        away - np.maximum(people.eye_spacing, views.lens_width + 3.0),
        y,
        views.lens_width,
        views.lens_height,
        np.minimum(views.lens_corner, views.lens_height),
    )
    glass = edge(lens, canvas.soft) * worn
    canvas.paint(palette(((0.10, 0.09, 0.09), (0.20, 0.14, 0.08)), views.frame_tone), glass * views.sunglasses, area)
    shine = np.maximum(wave((x * 0.6 + y + views.gaze_x * 9.0) / 60.0) - 0.75, 0.0)
    canvas.paint(0.9, shine * glass, area)
    rim = edge(np.abs(lens) - views.glasses * 0.6, canvas.soft)
    bridge = (
        edge(np.abs(y + 2.0) - views.glasses * 0.6, canvas.soft) * edge(away - people.eye_spacing, 4.0) * (lens > 0)
    )
    outside = people.eye_spacing + views.lens_width
    temple = edge(np.abs(y + 2.0) - views.glasses * 0.7, canvas.soft) * edge(outside - away, 2.0) * (lens > 0)
    temple = temple * edge(outline.face[:, *area] - 1.0, 1.5)
    frame = palette(((0.05, 0.05, 0.05), (0.25, 0.14, 0.08), (0.55, 0.50, 0.42), (0.45, 0.10, 0.12)), views.frame_tone)
    canvas.paint(frame, np.maximum(rim, np.maximum(bridge, temple)) * worn, area)


def paint_occluders(canvas: Canvas, people: People, views: Views, colours: Colours) -> None:
    """A hand, a scarf or a box in front of those faces that have one."""
    for index in np.flatnonzero(views.occluder[:, 0, 0] >= 0):
        one = slice(index, index + 1)
        place = [float(v[index, 0, 0]) for v in (views.occluder_x, views.occluder_y, views.occluder_turn)]
        tint = hue(views.occluder_hue[one], views.cloth_tone[one], 0.35)
        x, y = canvas.plane_x[one], canvas.plane_y[one]
        kind = int(views.occluder[index, 0, 0])
        if kind == 0:
            colour, cover = _hand(x, y, place, colours.skin[one])
        elif kind == 1:
            colour, cover = _scarf(x, y, place, tint)
        else:
            colour, cover = _box(x, y, place, tint)
        picture = canvas.colours[one]
        picture += (colour - picture) * edge(cover, canvas.soft)[:, None]


def _turned(x: np.ndarray, y: np.ndarray, slope: float) -> tuple[np.ndarray, np.ndarray]:
    length = (1.0 + slope * slope) ** 0.5
    return (x + slope * y) / length, (y - slope * x) / length


def _hand(x: np.ndarray, y: np.ndarray, place: list[float], skin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Four fingers and a palm reaching in from a lower corner."""
    side = 1.0 if place[0] > 0 else -1.0
    x, y = _turned(side * x - 34.0 + 12.0 * abs(place[0]), y - 16.0 - 10.0 * place[1], 0.5 + 0.4 * place[2])
    tips = (-20.0, -25.0, -24.0, -17.0)
    fingers = [capsule(x, y, (7.5 * i - 11.0, 14.0, 7.0 * i - 12.0, tip), 3.7) for i, tip in enumerate(tips)]
    palm = rounded_box(x, y - 34.0, 15.5, 24.0, 8.0)
    cover = np.minimum(np.minimum.reduce(fingers), palm)
    shade = np.clip(0.98 + cover / 9.0, 0.62, 1.0)
    return skin * (1.55 - 0.62 * shade[:, None]) * 0.92, cover


def _scarf(x: np.ndarray, y: np.ndarray, place: list[float], tint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Striped cloth over the mouth and everything below."""
    border = 10.0 + 5.0 * place[1] + 3.0 * wave(x / 60.0 + place[0]) + 0.004 * x * x
    stripes = wave((y + 0.25 * x) / (8.0 + 4.0 * place[2])) * (0.2 + 0.15 * place[0])
    folds = 0.12 * wave((y - border) / 14.0 + x / 90.0)
    return tint * (1.0 + stripes + folds)[:, None], border - y


def _box(x: np.ndarray, y: np.ndarray, place: list[float], tint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A plain plate somewhere over the face."""
    x, y = _turned(x - 30.0 * place[0], y + 8.0 - 32.0 * place[1], 0.35 * place[2])
    cover = rounded_box(x, y, 11.0 + 5.0 * place[2], 13.0 - 4.0 * place[2], 1.0)
    return tint * (1.0 + 0.15 * wave(x / 17.0))[:, None], cover


def develop(canvas: Canvas, views: Views) -> np.ndarray:
    """Grey levels float32 [n, 3, h, w] from 0 to 255 after white balance, exposure, tone curve and haze."""
    gains = (1.0 + views.warmth + views.tint, 1.0 - views.tint, 1.0 - views.warmth + views.tint)
    picture = np.empty_like(canvas.colours)
    for channel, gain in enumerate(gains):
        picture[:, channel] = canvas.colours[:, channel] * (gain * views.exposure)
    np.clip(picture, 0.0, 1.0, out=picture)
    picture += np.clip(views.gamma, -0.7, 0.7)[:, None] * picture * (1.0 - picture)
    grey = 0.299 * picture[:, :1] + 0.587 * picture[:, 1:2] + 0.114 * picture[:, 2:]
    picture = grey + (picture - grey) * (np.maximum(views.saturation, 0.0) * (1.0 - views.grey))[:, None]
    picture += (0.75 - picture) * views.haze[:, None]
    return np.clip(picture, 0.0, 1.0, out=picture) * 255.0
