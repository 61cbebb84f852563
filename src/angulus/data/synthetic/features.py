"""How are eyes, brows, nose, mouth and beard drawn on the skin?"""

import numpy as np

from angulus.data.synthetic.canvas import Canvas, colour, palette
from angulus.data.synthetic.geometry import mouth_corner
from angulus.data.synthetic.head import Colours, Outline, nose_place
from angulus.data.synthetic.parameters import People, Views
from angulus.data.synthetic.shapes import bump, edge, grain, oval

IRIS = (
    (0.16, 0.10, 0.07),
    (0.30, 0.19, 0.11),
    (0.36, 0.33, 0.16),
    (0.25, 0.40, 0.30),
    (0.25, 0.42, 0.58),
    (0.48, 0.55, 0.60),
)


def paint_eyes(canvas: Canvas, people: People, views: Views, colours: Colours) -> None:
    """Both eyes with their lids, lashes and sockets, and the brows above."""
    for side in (-1.0, 1.0):
        area = canvas.window(4, 68, 18, 74) if side < 0 else canvas.window(44, 108, 18, 74)
        x, y = canvas.place(area)
        _paint_brow(canvas, people, views, colours, (x * side, y), area)
        x, y = (x * side - people.eye_spacing), y - people.eye_height
        _paint_eye(canvas, people, views, (x, y + people.eye_tilt * x, side), area)


def _paint_brow(
    canvas: Canvas,
    people: People,
    views: Views,
    colours: Colours,
    place: tuple[np.ndarray, np.ndarray],
    area: tuple[slice, slice],
) -> None:
    x, y = place
    part = (x - people.brow_inner) / people.brow_length
    rise = people.brow_arch * part * (1.3 - part) * 2.4 + people.brow_slope * (x - people.eye_spacing)
    centre = people.eye_height - people.brow_distance - views.brow_raise - rise
    thickness = people.brow_thickness * (1.0 - 0.62 * np.clip(part, 0.0, 1.0))
    cover = edge(np.abs(y - centre) - thickness * 0.5, canvas.soft + 0.5)
    cover *= edge(-part, 0.16) * edge(part - 1.0, 0.16)
    cover *= people.brow_density * (0.9 + 0.1 * grain(x * 0.5 - y * 0.5, y + x))
    canvas.paint(colours.brow, cover, area)


def _paint_eye(
    canvas: Canvas,
    people: People,
    views: Views,
    place: tuple[np.ndarray, np.ndarray, float],
    area: tuple[slice, slice],
) -> None:
    x, y, side = place
    shut = np.clip(np.maximum(views.eye_close, views.blink) + 0.12 * np.maximum(views.smile, 0.0), 0.0, 1.0)
    dome = 1.0 - (x / people.eye_width) * (x / people.eye_width)
    upper = -people.eye_opening * (1.0 - shut * 1.1) * dome - y  # above 0: over the upper lid's border
    lower = y - people.eye_opening * 0.42 * (1.0 - 0.25 * shut) * dome
    canvas.darken(people.socket * bump(oval(x + 1.0, y + 1.5, people.eye_width * 1.8, 8.5)), area)
    below = bump(oval(x, y - people.eye_opening - 3.0, people.eye_width, 2.6))
    canvas.darken(0.35 * people.bags * below, area)
    crease = upper - 1.6 - people.lid_crease * 1.6
    near = edge(np.abs(x) - people.eye_width, 4.0)
    canvas.darken(0.6 * people.lid_crease * bump(crease * crease / 1.4) * near, area)
    canvas.darken(0.55 * people.makeup * bump((upper - 1.5) * (upper - 1.5) / 9.0) * near, area)
    inside = edge(np.maximum(upper, lower), canvas.soft)
    _paint_eyeball(canvas, people, views, (x, y, side), inside, area)
    canvas.darken(0.5 * inside * bump(upper * upper / 6.0), area)
    lash = upper * upper / (people.lash * (0.8 + 0.5 * people.makeup) + canvas.soft * 0.6) ** 2
    canvas.darken(0.85 * bump(lash) * edge(np.abs(x) - people.eye_width * 1.06, 1.5), area)
    canvas.darken(0.35 * bump(lower * lower) * edge(np.abs(x) - people.eye_width, 1.5), area)


def _paint_eyeball(
    canvas: Canvas,
    people: People,
    views: Views,
    place: tuple[np.ndarray, np.ndarray, float],
    inside: np.ndarray,
    area: tuple[slice, slice],
) -> None:
    x, y, side = place
    canvas.paint(colour(0.92, 0.90, 0.87), inside, area)
    x, y = x - views.gaze_x * side, y - views.gaze_y + 0.5
    radius = np.sqrt(x * x + y * y)
    disc = edge(radius - people.iris_radius, canvas.soft) * inside
    iris = palette(IRIS, people.iris_tone)
    canvas.paint(iris * (0.6 + 0.4 * edge(radius - people.iris_radius * 0.8, 1.2)[:, None]), disc, area)
    canvas.paint(0.04, edge(radius - people.iris_radius * 0.45, canvas.soft) * disc, area)
    spark = edge(oval(x - side * views.light_x * 1.6, y - views.light_y * 1.6, 1.0, 1.0) - 0.8, 1.4)
    canvas.paint(0.97, spark * disc * 0.8, area)


def paint_nose(canvas: Canvas, people: People) -> None:
    """What light alone does not show of the nose: nostrils, the fold of its wings, the shadow beneath."""
    area = canvas.window(20, 92, 36, 104)
    x, y = canvas.place(area)
    x, y, along = nose_place(canvas, people, x, y)
    away = np.abs(x)
    under = bump(oval(x, y - 5.6, people.nose_width * 1.1, 3.4))
    canvas.darken(0.34 * under, area)
    wing = oval(away - people.nose_width * 0.58, y - 1.2, people.nose_width * 0.45, 4.4)
    fold = bump((wing - 1.0) * (wing - 1.0) / 0.45) * edge(people.nose_width * 0.5 - away, 3.0)
    canvas.darken(0.36 * fold * edge(-y - 2.5, 3.0), area)
    hole = edge(oval(away - people.nose_width * 0.44, y - 3.9, people.nose_width * 0.27, 1.35) - 0.7, 0.9)
    canvas.darken(np.minimum(0.5 * people.nostril, 0.8) * hole, area)
    side = away - people.nose_bridge * 1.25
    canvas.darken(0.13 * bump(side * side / 9.0) * along * edge(y, 3.0), area)
    canvas.paint(1.0, 0.10 * bump(oval(x, y + 1.0, 2.6, 3.0)), area)


def paint_mouth(canvas: Canvas, people: People, views: Views, colours: Colours) -> None:
    """Lips, teeth and the folds beside them."""
    area = canvas.window(18, 94, 72, 112)
    x, y = canvas.place(area)
    half, lift = mouth_corner(people, views)
    part = (x / half) * (x / half)
    y = y - people.mouth_height - people.mouth_tilt * x + lift * np.minimum(part, 1.4)
    dome = np.maximum(1.0 - part, 0.0)
    full = dome * (2.0 - dome)
    gap = 9.0 * views.mouth_open * full
    top, bottom = y + 0.25 * gap, y - 0.75 * gap  # 0 at the inner borders of the lips
    bow = people.cupid_bow * bump(x * x / 9.0)
    upper = edge(-top - people.upper_lip * full + bow, canvas.soft) * edge(top, canvas.soft)
    lower = edge(bottom - people.lower_lip * full, canvas.soft) * edge(-bottom, canvas.soft)
    within = edge(part - 1.0, 0.12)
    canvas.paint(colours.lips * 0.86, upper * within, area)
    canvas.paint(colours.lips * 1.05, lower * within, area)
    inner = edge(-top, canvas.soft) * edge(bottom, canvas.soft) * within * np.minimum(views.mouth_open * 8, 1)
    canvas.paint(colour(0.25, 0.07, 0.07), inner, area)
    canvas.paint(colour(0.93, 0.91, 0.86), inner * edge(top - 2.6, 1.0 + canvas.soft), area)
    canvas.darken(0.6 * bump(top * top / (0.9 + canvas.soft * 0.5)) * edge(part - 1.0, 0.2), area)
    canvas.darken(0.22 * bump(oval(x, bottom - people.lower_lip - 2.6, half * 0.6, 2.4)), area)
    _paint_folds(canvas, people, views, half, area)


def _paint_folds(canvas: Canvas, people: People, views: Views, half: np.ndarray, area: tuple[slice, slice]) -> None:
    x, y = canvas.place(area)
    down = np.clip((y - people.nose_tip - 1.0) / (people.mouth_height - people.nose_tip), 0.0, 1.2)
    reach = half + 3.5 - people.nose_width
    off = np.abs(x) - people.nose_width - 1.0 - reach * down * (1.6 - 0.6 * down)
    depth = np.maximum(people.nasolabial + 0.35 * np.maximum(views.smile, 0.0), 0.0)
    canvas.darken(depth * 0.45 * bump(off * off / 7.0) * edge(down - 1.0, 0.3) * (down > 0), area)
    cleft = bump(oval(x, y - people.chin + 6.0, 1.4, 4.0))
    canvas.darken(people.chin_cleft * cleft * 0.7, area)


def paint_beard(canvas: Canvas, people: People, views: Views, colours: Colours, outline: Outline) -> None:
    """Beard and moustache, from stubble to full, between the ears, the nose and the chin."""
    if not (people.beard.any() or people.moustache.any()):
        return
    area = canvas.window(0, 112, 60, 112)
    x, y = canvas.place(area)
    away, mouth = np.abs(x), people.mouth_height
    stubble = 0.82 + 0.13 * grain(x, y * 0.5 + people.grain * 64)
    face = edge(outline.face[:, *area] - 1.2, canvas.soft + 0.8)
    inner = people.head_width * (0.80 - 0.30 * people.beard_full)
    cheeks = edge(mouth + 7.0 - y - np.maximum(away - inner, 0.0) * 2.5, 5.0) * edge(-people.beard_full, 0.05)
    goatee = edge(away - people.mouth_width - 1.0, 4.0) * edge(mouth + 4.5 - y, 4.0)
    beard = np.maximum(cheeks, goatee) * people.beard
    middle = (people.nose_tip + 6.0 + mouth - people.upper_lip) * 0.5 + 0.010 * x * x
    lip = edge(np.abs(y - middle) - 2.8, 2.5) * edge(away - people.mouth_width - 2.0, 4.0)
    lip *= np.maximum(people.moustache, people.beard * (people.beard_full > 0))
    cover = np.minimum(np.maximum(beard, lip) * views.beard_growth * stubble, 1.0) * face
    canvas.paint(colours.brow, cover, area)
