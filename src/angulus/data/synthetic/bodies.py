"""What does a drawn person look like to a camera in the street? Body, clothes and bag, in the colours of the camera.

A person is the same under every camera; a sighting is how it walks by; a camera has its colours, contrast, sharpness,
height and place. Arrays are [n] for n pictures, and all that is drawn depends on its numbers alone (`draws`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from PIL import Image

from angulus.data.synthetic.canvas import hue, palette, planes
from angulus.data.synthetic.draws import normal, sample, sometimes, uniform, words

BODY_STREAM, SIGHTING_STREAM, LENS_STREAM, GRAIN_STREAM = 10, 11, 12, 13
SKIN = ((0.32, 0.2, 0.14), (0.62, 0.42, 0.3), (0.94, 0.76, 0.64))
HAIR = ((0.06, 0.05, 0.05), (0.35, 0.22, 0.12), (0.8, 0.66, 0.42), (0.7, 0.7, 0.7))
Values = np.ndarray


@dataclass(frozen=True)
class Bodies:
    """What belongs to a person, [n] each; lengths in heights of the picture."""

    tall: Annotated[Values, normal(0.82, 0.04)]
    girth: Annotated[Values, normal(0.125, 0.016)]
    skin: Annotated[Values, uniform(0.0, 1.0)]
    hair: Annotated[Values, uniform(0.0, 1.0)]
    mane: Annotated[Values, uniform(0.0, 0.12)]
    top_turn: Annotated[Values, uniform(0.0, 1.0)]
    top_tone: Annotated[Values, uniform(0.15, 0.85)]
    top_strength: Annotated[Values, uniform(0.0, 0.9)]
    stripes: Annotated[Values, sometimes(0.45, 5.0, 14.0)]
    stripe_turn: Annotated[Values, uniform(0.0, 1.0)]
    stripe_tone: Annotated[Values, uniform(0.1, 0.9)]
    sleeve: Annotated[Values, uniform(0.08, 0.3)]
    legs_turn: Annotated[Values, uniform(0.0, 1.0)]
    legs_tone: Annotated[Values, uniform(0.1, 0.7)]
    legs_strength: Annotated[Values, uniform(0.0, 0.6)]
    shorts: Annotated[Values, sometimes(0.35, 0.12, 0.28, rest=0.5)]
    shoes: Annotated[Values, uniform(0.05, 0.9)]
    bag: Annotated[Values, sometimes(0.5, 0.05, 0.1)]
    bag_turn: Annotated[Values, uniform(0.0, 1.0)]
    bag_tone: Annotated[Values, uniform(0.1, 0.8)]


@dataclass(frozen=True)
class Sightings:
    """How a person walks by, [n] each. side: -1 seen from behind, 1 from the front."""

    side: Annotated[Values, uniform(-1.0, 1.0, rest=1.0)]
    stride: Annotated[Values, uniform(-0.06, 0.06)]
    across: Annotated[Values, normal(0.0, 0.03)]
    down: Annotated[Values, normal(0.0, 0.015)]
    size: Annotated[Values, normal(1.0, 0.05)]
    light: Annotated[Values, normal(1.0, 0.1)]
    hidden: Annotated[Values, sometimes(0.2, 0.05, 0.3)]
    hiding: Annotated[Values, uniform(0.1, 0.8)]


@dataclass(frozen=True)
class Lenses:
    """What belongs to a camera, [n] each. above: how much it looks down; street: the tone of what lies behind."""

    red: Annotated[Values, uniform(0.7, 1.3)]
    green: Annotated[Values, uniform(0.85, 1.15)]
    blue: Annotated[Values, uniform(0.7, 1.3)]
    contrast: Annotated[Values, uniform(0.55, 1.15, rest=1.0)]
    black: Annotated[Values, uniform(-0.05, 0.2, rest=0.0)]
    coarse: Annotated[Values, uniform(1.0, 2.2, rest=1.0)]
    above: Annotated[Values, uniform(0.0, 0.25, rest=0.0)]
    lean: Annotated[Values, uniform(-0.08, 0.08)]
    street: Annotated[Values, uniform(0.2, 0.8)]
    street_turn: Annotated[Values, uniform(0.0, 1.0)]
    horizon: Annotated[Values, uniform(0.2, 0.6)]
    grain: Annotated[Values, uniform(0.0, 0.05, rest=0.0)]


@dataclass(frozen=True)
class Place:
    """Which picture: the person's number, its sighting and the camera."""

    person: int
    sighting: int
    camera: int


def draw_bodies(places: Sequence[Place], *, height: int, width: int, seed: int, nuisance: float) -> np.ndarray:
    """Pictures uint8 [n, height, width, 3] (RGB); nuisance scales how sightings and cameras differ."""
    ways = [(place.person, place.sighting) for place in places]
    bodies = sample(Bodies, seed, BODY_STREAM, [(place.person, 0) for place in places])
    sightings = sample(Sightings, seed, SIGHTING_STREAM, ways, nuisance)
    lenses = sample(Lenses, seed, LENS_STREAM, [(place.camera, 0) for place in places], nuisance)
    colours = seen(walking(planes(bodies), planes(sightings), planes(lenses), height, width), planes(lenses))
    pairs = zip(colours, places, lenses.coarse, lenses.grain, strict=True)
    return np.stack([taken(picture, place, float(a), float(b), seed) for picture, place, a, b in pairs])


def walking(body: Bodies, way: Sightings, lens: Lenses, height: int, width: int) -> np.ndarray:
    """The scene as it is: colours [n, 3, height, width] between 0 and 1."""
    soft = np.float32(1.2 / height)
    y = ((np.arange(height, dtype=np.float32) + 0.5) / height)[None, :, None]
    x = ((np.arange(width, dtype=np.float32) + 0.5 - width / 2) / height)[None, None, :]
    canvas = street(lens, x, y)
    tall = body.tall * way.size
    foot = 0.5 + tall / 2 + way.down
    x = x - way.across - lens.lean * (foot - y)
    down = (y - (foot - tall)) / tall  # 0 the crown, 1 the ground
    down = down - lens.above * down * (1.0 - down)  # from above, what is high up takes more room
    girth = body.girth * way.size

    def box(
        middle: np.ndarray | float, half: np.ndarray, top: np.ndarray | float, end: np.ndarray | float
    ) -> np.ndarray:
        inside = np.minimum(half - np.abs(x - middle), np.minimum(down - top, end - down) * tall)
        return np.clip(inside / soft + np.float32(0.5), 0.0, 1.0)

    def paint(colour: np.ndarray, cover: np.ndarray) -> None:
        canvas[:] += (colour - canvas) * cover[:, None]

    skin = palette(SKIN, body.skin)
    legs = hue(body.legs_turn, body.legs_tone, body.legs_strength)
    for step in (way.stride, -way.stride):
        middle = step * np.clip((down - 0.5) * 2.0, 0.0, 1.0) + np.sign(step) * girth * 0.3
        paint(skin, box(middle, girth * 0.36, 0.5, 0.97))
        paint(legs, box(middle, girth * 0.42, 0.48, 0.5 + body.shorts))
        paint(body.shoes[:, None], box(middle + step * 0.2, girth * 0.46, 0.94, 1.0))
    top = hue(body.top_turn, body.top_tone, body.top_strength)
    for end, tint in ((0.5, skin), (0.18 + body.sleeve, top)):
        for side in (-1.0, 1.0):
            paint(tint, box(side * girth * 1.08 - side * way.stride * (down - 0.2), girth * 0.24, 0.18, end))
    band = np.abs((down * body.stripes) % 1.0 - 0.5) < 0.25
    striped = np.where(band & (body.stripes > 0), 1.0, 0.0)[:, None]
    other = hue(body.stripe_turn, body.stripe_tone, 0.6)
    paint(top + (other - top) * striped.astype(np.float32), box(0.0, girth, 0.16, 0.53))
    strap = hue(body.bag_turn, body.bag_tone, 0.7)
    behind = way.side < 0
    paint(strap, box(0.0, girth * 0.75, 0.2, 0.2 + body.bag * 3) * (behind & (body.bag > 0)))
    paint(strap, box(girth * 0.7, girth * 0.14, 0.16, 0.4) * (~behind & (body.bag > 0)))
    hair = palette(HAIR, body.hair)
    paint(hair, box(0.0, girth * 0.62, 0.0, 0.1 + body.mane))
    paint(skin, box(way.side * girth * 0.1, girth * 0.46, 0.035, 0.15) * ~behind)
    paint(way.hiding[:, None], np.clip((y - (1.0 - way.hidden)) / soft, 0.0, 1.0) + 0.0 * x)
    return np.clip(canvas * way.light[:, None], 0.0, 1.0)


def street(lens: Lenses, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What lies behind: a wall and a ground, with a line of its own for each camera."""
    wall = hue(lens.street_turn, lens.street, 0.25)
    ground = np.clip(wall * 0.6 + 0.15, 0.0, 1.0)
    low = np.clip((y - lens.horizon - 0.3 * lens.lean * x) * 40.0, 0.0, 1.0)[:, None]
    return (wall + (ground - wall) * low).astype(np.float32)


def seen(colours: np.ndarray, lens: Lenses) -> np.ndarray:
    """The same through the colours and the contrast of a camera, [n, 3, height, width]."""
    gains = np.stack([lens.red, lens.green, lens.blue], axis=1)
    return np.clip((colours * gains - 0.5) * lens.contrast[:, None] + 0.5 + lens.black[:, None], 0.0, 1.0)


def taken(picture: np.ndarray, place: Place, coarse: float, grain: float, seed: int) -> np.ndarray:
    """One picture [3, height, width] as it is stored, uint8 [height, width, 3]: coarser, and with grain."""
    _, height, width = picture.shape
    levels = (picture * 255.0 + 0.5).astype(np.uint8).transpose(1, 2, 0)
    if coarse > 1.0:
        small = max(round(width / coarse), 2), max(round(height / coarse), 2)
        image = Image.fromarray(np.ascontiguousarray(levels)).resize(small, Image.Resampling.BILINEAR)
        levels = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
    raw = words(seed, GRAIN_STREAM, place.person, place.sighting, -(-levels.size // 8))
    even = raw.astype("<u8").view(np.uint8)[: levels.size].reshape(levels.shape).astype(np.float32) / 255.0 - 0.5
    return np.clip(levels + even * (grain * 2.0 * 255.0) + 0.5, 0, 255).astype(np.uint8)
