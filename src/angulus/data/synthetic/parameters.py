"""What makes one synthetic person, and what makes one picture of that person?

A unit of length is 1/112 of the crop's height, so that numbers read as pixels of the ArcFace template. The origin is
the middle of that template (x 56, y 72: about the tip of the nose), x to the right of the picture, y down. Values are
arrays [n] of n people or pictures. Slopes and light directions are plain ratios; sines of angles stand for the angles.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from angulus.data.synthetic.draws import PEOPLE_STREAM, VIEW_STREAM, normal, sample, sometimes, uniform


@dataclass(frozen=True, kw_only=True)
class People:
    """What stays the same in all pictures of a person."""

    head_width: Annotated[np.ndarray, normal(37.5, 2.6)]  # half of the face's breadth
    head_top: Annotated[np.ndarray, normal(65.0, 2.5)]  # crown above the origin
    chin: Annotated[np.ndarray, normal(38.0, 2.8)]  # chin below the origin
    jaw_square: Annotated[np.ndarray, uniform(0.15, 0.95)]
    jaw_taper: Annotated[np.ndarray, uniform(0.05, 0.38)]
    eye_spacing: Annotated[np.ndarray, normal(17.6, 1.5)]  # half of the distance between the eyes' centres
    eye_height: Annotated[np.ndarray, normal(-20.3, 1.5)]
    eye_width: Annotated[np.ndarray, normal(7.6, 1.0)]
    eye_opening: Annotated[np.ndarray, normal(3.4, 0.8)]
    eye_tilt: Annotated[np.ndarray, normal(0.03, 0.11)]  # positive: outer corner up
    iris_radius: Annotated[np.ndarray, normal(3.4, 0.25)]
    iris_tone: Annotated[np.ndarray, uniform(0.0, 1.0)]  # brown, hazel, green, blue, grey
    lid_crease: Annotated[np.ndarray, uniform(0.0, 1.0)]
    lash: Annotated[np.ndarray, uniform(0.4, 1.3)]
    socket: Annotated[np.ndarray, uniform(0.0, 0.42)]  # darkness about the eye
    bags: Annotated[np.ndarray, uniform(-0.3, 0.7)]
    brow_distance: Annotated[np.ndarray, normal(9.3, 1.5)]  # above the eye
    brow_thickness: Annotated[np.ndarray, normal(3.8, 1.2)]
    brow_length: Annotated[np.ndarray, normal(19.0, 1.8)]
    brow_inner: Annotated[np.ndarray, normal(7.2, 1.9)]
    brow_arch: Annotated[np.ndarray, normal(1.9, 1.5)]
    brow_slope: Annotated[np.ndarray, normal(0.0, 0.13)]
    brow_density: Annotated[np.ndarray, uniform(0.3, 1.0)]
    nose_tip: Annotated[np.ndarray, normal(0.0, 2.3)]
    nose_width: Annotated[np.ndarray, normal(7.8, 1.6)]
    nose_bridge: Annotated[np.ndarray, normal(4.2, 0.9)]
    nose_depth: Annotated[np.ndarray, normal(9.0, 2.3)]
    nose_bulb: Annotated[np.ndarray, normal(5.6, 1.0)]
    nose_relief: Annotated[np.ndarray, normal(5.5, 1.4)]
    nose_bend: Annotated[np.ndarray, normal(0.0, 0.7)]
    nostril: Annotated[np.ndarray, uniform(0.5, 1.5)]
    mouth_height: Annotated[np.ndarray, normal(20.5, 1.8)]
    mouth_width: Annotated[np.ndarray, normal(14.0, 1.9)]
    upper_lip: Annotated[np.ndarray, normal(2.7, 0.9)]
    lower_lip: Annotated[np.ndarray, normal(3.7, 1.1)]
    cupid_bow: Annotated[np.ndarray, uniform(0.0, 1.8)]
    lip_red: Annotated[np.ndarray, uniform(0.0, 1.0)]
    mouth_curve: Annotated[np.ndarray, normal(0.2, 0.9)]  # corners up at rest
    mouth_tilt: Annotated[np.ndarray, normal(0.0, 0.025)]
    cheekbone: Annotated[np.ndarray, normal(2.2, 1.3)]
    brow_ridge: Annotated[np.ndarray, normal(1.2, 0.9)]
    chin_relief: Annotated[np.ndarray, normal(2.6, 1.2)]
    chin_cleft: Annotated[np.ndarray, sometimes(0.25, 0.2, 0.6)]
    nasolabial: Annotated[np.ndarray, uniform(-0.2, 0.4)]  # fold from nose to mouth
    wrinkles: Annotated[np.ndarray, sometimes(0.35, 0.15, 0.6)]
    blush: Annotated[np.ndarray, uniform(0.0, 0.3)]
    tone: Annotated[np.ndarray, uniform(0.0, 1.0)]  # of the skin, light to dark
    redness: Annotated[np.ndarray, normal(0.018, 0.015)]
    ear_size: Annotated[np.ndarray, normal(9.5, 1.5)]
    ear_stand: Annotated[np.ndarray, normal(3.4, 1.6)]
    hair_cover: Annotated[np.ndarray, sometimes(0.13, 0.0, 0.7, rest=1.0)]  # 0: bald
    hair_tone: Annotated[np.ndarray, uniform(0.0, 1.0)]  # black, brown, red, blond, grey
    hair_volume: Annotated[np.ndarray, uniform(0.0, 8.0)]
    hair_side: Annotated[np.ndarray, uniform(0.0, 6.0)]
    hair_length: Annotated[np.ndarray, sometimes(0.45, 0.1, 1.0)]
    hairline: Annotated[np.ndarray, normal(-46.0, 4.0)]
    fringe: Annotated[np.ndarray, sometimes(0.22, 6.0, 15.0)]  # how far it hangs below the hairline
    hair_temple: Annotated[np.ndarray, uniform(35.0, 75.0)]
    hair_recession: Annotated[np.ndarray, uniform(-5.0, 9.0)]
    hair_peak: Annotated[np.ndarray, sometimes(0.3, 2.0, 6.0)]
    hair_part: Annotated[np.ndarray, normal(0.0, 0.16)]  # slope of the hairline
    hair_curl: Annotated[np.ndarray, sometimes(0.4, 0.5, 2.6)]
    hair_grain: Annotated[np.ndarray, uniform(0.25, 0.6)]
    beard: Annotated[np.ndarray, sometimes(0.28, 0.2, 0.95)]
    beard_full: Annotated[np.ndarray, uniform(-0.4, 1.0)]  # below 0: goatee
    moustache: Annotated[np.ndarray, sometimes(0.15, 0.3, 0.95)]
    freckles: Annotated[np.ndarray, sometimes(0.2, 0.25, 0.6)]
    grain: Annotated[np.ndarray, uniform(0.0, 1.0)]  # which part of the random textures
    mole1_x: Annotated[np.ndarray, uniform(-27.0, 27.0)]
    mole1_y: Annotated[np.ndarray, uniform(-34.0, 30.0)]
    mole1: Annotated[np.ndarray, sometimes(0.45, 0.7, 1.6)]  # radius
    mole2_x: Annotated[np.ndarray, uniform(-27.0, 27.0)]
    mole2_y: Annotated[np.ndarray, uniform(-34.0, 30.0)]
    mole2: Annotated[np.ndarray, sometimes(0.25, 0.7, 1.4)]
    mark_x: Annotated[np.ndarray, normal(0.0, 18.0)]
    mark_y: Annotated[np.ndarray, uniform(-38.0, 26.0)]
    mark: Annotated[np.ndarray, sometimes(0.1, 3.0, 7.0)]
    makeup: Annotated[np.ndarray, sometimes(0.3, 0.2, 0.9)]


@dataclass(frozen=True, kw_only=True)
class Views:
    """What changes from picture to picture: the nuisances."""

    yaw: Annotated[np.ndarray, normal(0.0, 0.24)]  # sine; positive turns the nose to the right of the picture
    pitch: Annotated[np.ndarray, normal(0.0, 0.12)]  # sine; positive turns the nose down
    roll: Annotated[np.ndarray, normal(0.0, 0.05)]  # what alignment leaves of it
    shift_x: Annotated[np.ndarray, normal(0.0, 1.0)]
    shift_y: Annotated[np.ndarray, normal(0.0, 1.0)]
    zoom: Annotated[np.ndarray, normal(1.0, 0.03)]
    light_x: Annotated[np.ndarray, normal(0.0, 0.55)]  # where the light comes from: right positive
    light_y: Annotated[np.ndarray, normal(-0.3, 0.35)]  # from above: negative
    light_strength: Annotated[np.ndarray, uniform(0.1, 0.95, rest=0.4)]
    light_warmth: Annotated[np.ndarray, normal(0.0, 0.07)]
    smile: Annotated[np.ndarray, normal(0.15, 0.42)]
    mouth_open: Annotated[np.ndarray, sometimes(0.35, 0.1, 1.0)]
    brow_raise: Annotated[np.ndarray, normal(0.0, 1.1)]
    eye_close: Annotated[np.ndarray, normal(0.08, 0.10)]
    blink: Annotated[np.ndarray, sometimes(0.04, 0.8, 1.0)]
    gaze_x: Annotated[np.ndarray, normal(0.0, 1.0)]
    gaze_y: Annotated[np.ndarray, normal(0.0, 0.5)]
    glasses: Annotated[np.ndarray, sometimes(0.14, 0.9, 1.8)]  # thickness of the frame
    sunglasses: Annotated[np.ndarray, sometimes(0.25, 0.6, 0.97)]  # darkness of the lenses, when glasses are worn
    lens_width: Annotated[np.ndarray, uniform(10.5, 14.0)]
    lens_height: Annotated[np.ndarray, uniform(6.5, 10.5)]
    lens_corner: Annotated[np.ndarray, uniform(3.0, 9.0)]
    frame_tone: Annotated[np.ndarray, uniform(0.0, 1.0)]
    occluder: Annotated[np.ndarray, sometimes(0.10, 0.0, 3.0, rest=-1.0)]  # 0..1 hand, 1..2 scarf, 2..3 box
    occluder_x: Annotated[np.ndarray, uniform(-1.0, 1.0)]
    occluder_y: Annotated[np.ndarray, uniform(-1.0, 1.0)]
    occluder_turn: Annotated[np.ndarray, uniform(-1.0, 1.0)]
    occluder_hue: Annotated[np.ndarray, uniform(0.0, 1.0)]
    exposure: Annotated[np.ndarray, normal(1.02, 0.16)]
    warmth: Annotated[np.ndarray, normal(0.0, 0.08)]
    tint: Annotated[np.ndarray, normal(0.0, 0.025)]
    gamma: Annotated[np.ndarray, normal(0.0, 0.25)]
    saturation: Annotated[np.ndarray, normal(0.95, 0.18)]
    grey: Annotated[np.ndarray, sometimes(0.06, 1.0, 1.0)]
    haze: Annotated[np.ndarray, sometimes(0.15, 0.03, 0.22)]
    beard_growth: Annotated[np.ndarray, uniform(0.6, 1.0, rest=0.85)]
    hair_tousle: Annotated[np.ndarray, normal(0.0, 1.0)]
    back_tone: Annotated[np.ndarray, uniform(0.1, 0.95, rest=0.6)]
    back_hue: Annotated[np.ndarray, uniform(0.0, 1.0)]
    back_colour: Annotated[np.ndarray, uniform(0.0, 0.26, rest=0.0)]
    back_slope_x: Annotated[np.ndarray, normal(0.0, 0.18)]
    back_slope_y: Annotated[np.ndarray, normal(0.0, 0.18)]
    back_stripes: Annotated[np.ndarray, sometimes(0.5, 0.05, 0.3)]
    back_turn: Annotated[np.ndarray, uniform(-1.0, 1.0)]
    blob_x: Annotated[np.ndarray, uniform(-60.0, 60.0)]
    blob_y: Annotated[np.ndarray, uniform(-70.0, 30.0)]
    blob: Annotated[np.ndarray, sometimes(0.6, 12.0, 40.0)]
    blob_tone: Annotated[np.ndarray, uniform(0.0, 1.0)]
    cloth_hue: Annotated[np.ndarray, uniform(0.0, 1.0)]
    cloth_tone: Annotated[np.ndarray, uniform(0.05, 0.9)]
    blur: Annotated[np.ndarray, sometimes(0.35, 0.2, 1.3)]  # radius
    noise: Annotated[np.ndarray, uniform(0.0, 9.0, rest=0.0)]  # standard deviation in grey levels
    reduction: Annotated[np.ndarray, sometimes(0.18, 1.2, 2.8, rest=1.0)]  # how many times lower the resolution was
    jpeg: Annotated[np.ndarray, sometimes(0.6, 25.0, 90.0, rest=0.0)]  # quality; 0: never compressed


def draw_people(identities: Sequence[int] | np.ndarray, *, seed: int = 0) -> People:
    """Draw the people [n] of these identity numbers (0 or more)."""
    people = sample(People, seed, PEOPLE_STREAM, [(int(identity), 0) for identity in identities])
    bearded = (people.beard > 0) | (people.moustache > 0)
    cropped = people.hair_cover < 1
    return replace(
        people,
        makeup=np.where(bearded, 0.0, people.makeup),
        hair_length=np.where(cropped, 0.0, people.hair_length),
        hair_volume=np.where(cropped, 0.0, people.hair_volume),
        hair_side=np.where(cropped, 0.0, people.hair_side),
    )


def draw_views(
    identities: Sequence[int] | np.ndarray,
    views: Sequence[int] | np.ndarray,
    *,
    seed: int = 0,
    nuisance: float = 1.0,
) -> Views:
    """Draw the nuisances [n] of picture number views[i] of identity identities[i]; `nuisance` 0 leaves them at rest."""
    places = [(int(identity), int(view)) for identity, view in zip(identities, views, strict=True)]
    return sample(Views, seed, VIEW_STREAM, places, nuisance)
