"""What is a head before it has features: outline, skin, ears, neck, hair, and the relief that light falls on?"""

from dataclasses import dataclass

import numpy as np

from angulus.data.synthetic.canvas import Canvas, colour, hue, palette
from angulus.data.synthetic.geometry import Pose
from angulus.data.synthetic.parameters import People, Views
from angulus.data.synthetic.shapes import bump, edge, grain, oval, wave

SKIN = (
    (0.97, 0.84, 0.76),
    (0.93, 0.75, 0.64),
    (0.87, 0.67, 0.53),
    (0.78, 0.57, 0.43),
    (0.62, 0.43, 0.31),
    (0.46, 0.31, 0.23),
)
HAIR = (
    (0.09, 0.08, 0.08),
    (0.17, 0.12, 0.09),
    (0.28, 0.18, 0.11),
    (0.42, 0.27, 0.15),
    (0.52, 0.25, 0.12),
    (0.78, 0.62, 0.38),
    (0.66, 0.64, 0.62),
)


WIDEST = -9.0  # where the outline is widest: at the cheekbones


@dataclass(frozen=True)
class Colours:
    """Colours of the people, each [n, 3, 1, 1]."""

    skin: np.ndarray
    hair: np.ndarray
    brow: np.ndarray
    lips: np.ndarray


def colours_of(people: People) -> Colours:
    """The people's colours; brows and beards are darker than the hair, lips redder than the skin."""
    skin = palette(SKIN, people.tone) + people.redness[:, None] * colour(1.0, -0.6, -0.6)
    hair = palette(HAIR, people.hair_tone)
    redder = palette(((0.70, 0.50, 0.50), (0.82, 0.38, 0.42)), np.clip(people.lip_red + people.makeup * 0.5, 0, 1))
    paint = colour(0.62, 0.12, 0.20)
    lips = skin * redder * 1.12 + people.makeup[:, None] * 0.45 * (paint - skin * redder)
    return Colours(skin=skin, hair=hair, brow=hair * 0.62 + 0.04 * skin, lips=lips)


@dataclass(frozen=True)
class Outline:
    """The border of the face as it is seen, and places relative to it, planes [n, h, w]."""

    face: np.ndarray  # about the signed distance to the border, in units of length, below 0 inside
    skull_x: np.ndarray  # from the centre line
    skull_y: np.ndarray  # 0 where the face is widest, 1 at the crown


def outline_of(canvas: Canvas, people: People, views: Views, pose: Pose) -> Outline:
    """The border of the face as it is seen: an ellipse above, a jaw between round, square and pointed below."""
    turn = canvas.lift_x
    nod = pose.sin_pitch.astype(np.float32)[:, None, None]
    chin = people.chin + 3.0 * views.mouth_open + 20.0 * nod
    top = people.head_top - 6.0 * nod
    y = canvas.plane_y
    down, up = np.maximum(y - WIDEST, 0.0) / (chin - WIDEST), np.maximum(WIDEST - y, 0.0) / (top + WIDEST)
    x = canvas.plane_x - turn * people.head_width * (0.05 + 0.30 * down - 0.16 * up)
    side = people.head_width * (1.0 - people.jaw_taper * down * np.minimum(down, 1.2))
    down *= down
    high = up * up
    across = x / np.maximum(side, 4.0)
    level = (
        across * across
        + down * ((1.0 - people.jaw_square) + people.jaw_square * down)
        + high * (0.6 + 0.4 * high)
        - 1.0
    )
    return Outline(face=level * people.head_width * 0.5, skull_x=x, skull_y=up)


def paint_background(canvas: Canvas, views: Views) -> None:
    """A wall with a gradient, stripes and a blob, all of the view's choosing."""
    height, width = canvas.colours.shape[2:]
    x = ((np.arange(width) - width / 2) / canvas.unit).astype(np.float32)
    y = ((np.arange(height) - height / 2) / canvas.unit).astype(np.float32)[:, None]
    shade = views.back_slope_x * (x / 56) + views.back_slope_y * (y / 56)
    turned = x * views.back_turn + y * (1.0 - np.abs(views.back_turn))
    shade = shade + views.back_stripes * 0.6 * wave(turned / 23.0 + views.back_hue)
    canvas.colours[...] = hue(views.back_hue, views.back_tone, views.back_colour) * (1.0 + shade[:, None])
    near = bump(oval(x - views.blob_x, y - views.blob_y, views.blob + 1.0, views.blob * 1.3 + 1.0))
    canvas.paint(hue(views.back_turn * 0.5 + 0.5, views.blob_tone, views.back_colour), np.minimum(near * 3, 1))


def paint_body(canvas: Canvas, people: People, views: Views, colours: Colours, outline: Outline) -> None:
    """Hair behind the head, neck, shoulders and ears."""
    x, y = canvas.plane_x, canvas.plane_y
    curl = people.hair_curl * grain(x * 0.16, y * 0.16 + people.grain * 64)
    breadth = people.head_width + people.hair_side + 2.0 + people.hair_length * 5.0 + curl
    across, up = x / (breadth + y * 0.06), outline.skull_y * (people.head_top / (people.head_top + people.hair_volume))
    long = edge((across * across + up * up - 1.0) * people.head_width * 0.5, canvas.soft)
    long *= edge(y + curl - (people.hair_length * 75.0 - 15.0), 3.0) * (people.hair_length > 0)
    canvas.claim(long)
    canvas.paint(colours.hair * (0.68 + 0.07 * grain(x * 0.7, y * 0.1 + people.grain * 50))[:, None], long)
    low = canvas.window(-60, 172, 80, 172)
    x, y = x[:, *low], y[:, *low]
    neck = edge(np.abs(x) - people.head_width * 0.66, 3.0) * edge(12.0 - y, 4.0)
    canvas.claim(neck, low)
    canvas.paint(colours.skin * 0.62, neck, low)
    shoulder = edge(people.chin + 4.0 - y + 0.010 * x * x * (people.hair_length + 0.5), canvas.soft) * 0.95
    canvas.paint(hue(views.cloth_hue, views.cloth_tone, 0.4), shoulder, low)
    _paint_ears(canvas, people, colours, outline)


def _paint_ears(canvas: Canvas, people: People, colours: Colours, outline: Outline) -> None:
    area = canvas.window(-10, 122, 28, 100)
    x, y = outline.skull_x[:, *area], canvas.plane_y[:, *area]
    seen = (1.0 - 0.8 * np.minimum(people.hair_length * 3.0, 1.0) * people.hair_cover) * np.ones_like(y)
    ear_x = np.abs(x + canvas.lift_x * 10.0) - people.head_width * 0.95 - people.ear_stand * 0.7
    square = oval(ear_x, y + 8.0 + ear_x * 0.25, 2.6 + people.ear_stand * 0.7, people.ear_size)
    canvas.claim(edge(square - 1.0, 0.25) * seen, area)
    canvas.paint(colours.skin * 0.93, edge(square - 1.0, 0.25) * seen, area)
    canvas.darken(0.35 * bump(square * 2.2) * seen, area)


def paint_skin(canvas: Canvas, people: People, colours: Colours, outline: Outline) -> None:
    """The face without features: skin, blush, freckles, moles, marks and wrinkles."""
    face = edge(outline.face, canvas.soft)
    canvas.claim(face)
    canvas.paint(colours.skin, face)
    area = canvas.window(6, 106, 22, 112)
    x, y = canvas.place(area)
    cheek = bump(oval(np.abs(x) - 22.0, y - 2.0, 16.0, 13.0))
    canvas.paint(colours.skin * colour(1.0, 0.72, 0.70), cheek * people.blush, area)
    _paint_freckles(canvas, people, x, y, area)
    for mole_x, mole_y, radius in (
        (people.mole1_x, people.mole1_y, people.mole1),
        (people.mole2_x, people.mole2_y, people.mole2),
    ):
        spot = edge(oval(x - mole_x, y - mole_y, radius + 0.5, radius + 0.5) - 0.8, 0.9) * np.minimum(radius, 1)
        canvas.darken(0.62 * spot, area)
    birthmark = bump(oval(x - people.mark_x, y - people.mark_y, people.mark + 0.1, people.mark * 0.7 + 0.1))
    canvas.darken(np.minimum(birthmark * 1.6, 0.45) * (people.mark > 0), area)
    forehead = edge(y + 33.0, 4.0) * edge(np.abs(x) - 22.0, 14.0)
    lines = np.maximum(wave(y / 6.3 + x * x * 0.0004 + people.grain) - 0.5, 0.0)
    canvas.darken(people.wrinkles * lines * forehead * 0.5, area)


def _paint_freckles(canvas: Canvas, people: People, x: np.ndarray, y: np.ndarray, area: tuple[slice, slice]) -> None:
    if not people.freckles.any():
        return
    spots = np.clip(1.5 * grain(x * 0.75 + people.grain * 64, y * 0.75 + people.grain * 640) - 1.2, 0.0, 1.0)
    spread = edge(np.abs(y + 3.0) - 12.0, 10.0) * edge(np.abs(x) - 27.0, 14.0)
    canvas.darken(spots * spread * people.freckles * 0.7, area)


def paint_hair(canvas: Canvas, people: People, views: Views, colours: Colours, outline: Outline) -> None:
    """Hair on the head: from its outer border down to the hairline on the forehead and the temples."""
    x, y = canvas.x, canvas.y
    curl = (people.hair_curl + 0.25) * grain(x * 0.2 + views.hair_tousle * 0.3, y * 0.2 + people.grain * 64)
    crown = (people.head_top + people.hair_volume) / people.head_top
    side = (people.head_width + people.hair_side * 0.6) / people.head_width
    face = outline.skull_x / (people.head_width * side)
    up = outline.skull_y / crown * (outline.skull_y / crown)
    level = face * face + up * (0.6 + 0.4 * up) - 1.0
    cover = edge(level * people.head_width * 0.5 + 0.5 * curl, canvas.soft) * edge(canvas.plane_y + 2.0, 6.0)
    across = x / people.head_width
    square = across * across
    line = people.hairline + people.fringe + people.hair_temple * square * square
    line = line - people.hair_recession * bump((np.abs(across) - 0.55) * (np.abs(across) - 0.55) * 16.0)
    line = line + people.hair_peak * bump(square * 14.0) + (people.hair_part * x) * edge(square - 0.5, 0.6)
    cover *= edge(y - line + curl * 0.8 + views.hair_tousle * 0.4, 2.0 + canvas.soft) * people.hair_cover
    across = x * (1.0 + (y + 60.0) * -0.006) + people.hair_part * y + 0.6 * curl  # strands spread downwards
    strands = grain(across * 0.8 + people.grain * 64, y * 0.09 + people.grain * 640)
    shine = 1.0 + people.hair_grain * (0.32 * strands + 0.9 * bump((y + 52.0) * (y + 52.0) / 120.0))
    canvas.claim(cover)
    canvas.paint(np.clip(colours.hair * shine[:, None] + 0.012, 0.0, 1.0), cover)


def relief_of(canvas: Canvas, people: People, views: Views) -> np.ndarray:
    """Height [n, h, w] of the features above the ellipsoid, in units of length."""
    height = np.zeros_like(canvas.x)
    area = canvas.window(4, 108, 26, 112)
    x, y = canvas.place(area)
    part, away = height[:, *area], np.abs(x)
    part += people.cheekbone * bump(oval(away - 24.0, y + 3.0 - views.smile * 3.0, 14.0, 11.0))
    part += people.brow_ridge * bump(oval(away - 14.0, y - people.eye_height + people.brow_distance, 15.0, 7.0))
    part -= 2.6 * bump(oval(away - people.eye_spacing + 2.0, y - people.eye_height, 14.0, 9.0))
    part += 1.6 * bump(oval(away - people.eye_spacing, y - people.eye_height, people.eye_width * 1.1, 6.0))
    part += people.chin_relief * bump(oval(x, y - people.chin + 6.0, 13.0, 9.0))
    part += 1.5 * bump(oval(x, y - people.mouth_height, people.mouth_width * 1.2, 10.0))
    part -= 1.3 * bump(oval(x, y - people.mouth_height - 8.0, 11.0, 4.5))
    part += _nose_relief(canvas, people, x, y)
    return height


def _nose_relief(canvas: Canvas, people: People, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y, along = nose_place(canvas, people, x, y)
    breadth = people.nose_bridge + (people.nose_bulb - people.nose_bridge) * along * along
    ridge = bump((x / breadth) * (x / breadth)) * (0.35 + 0.65 * along) * edge(y - 3.5, 5.0)
    ridge *= np.clip((y - people.eye_height + people.nose_tip + 6.0) / 14.0, 0.0, 1.0)
    wings = bump(oval(np.abs(x) - people.nose_width * 0.62, y - 1.5, people.nose_width * 0.55, 4.2))
    return people.nose_relief * ridge + people.nose_relief * 0.42 * wings


def nose_place(
    canvas: Canvas, people: People, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places on the nose, its tip at (0, 0), and how far along its bridge (0 between the eyes, 1 at the tip)."""
    length = people.nose_tip - people.eye_height
    y = y - canvas.lift_y * people.nose_depth
    along = np.clip((y - people.eye_height) / length, 0.0, 1.0)
    x = x - (canvas.lift_x * people.nose_depth + people.nose_bend) * along
    return x, y - people.nose_tip, along
