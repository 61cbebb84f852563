"""What makes one synthetic person, and what makes one picture of that person?

A unit of length is 1/112 of the crop's height, so that numbers read as pixels of the ArcFace template. The origin is the
middle of that template (x 56, y 72: about the tip of the nose), x to the right of the picture, y down. Values are arrays
[n] of n people or pictures. Slopes and light directions are plain ratios; sines of angles stand for the angles.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from angulus.data.synthetic.draws import PEOPLE_STREAM, VIEW_STREAM, normal, sample, sometimes, uniform


@dataclass(frozen=True, kw_only=True)
class People:
    """What stays the same in all pictures of a person."""

    head_width: np.ndarray = normal(40.0, 2.6)  # half of the face's breadth
    head_top: np.ndarray = normal(65.0, 2.5)  # crown above the origin
    chin: np.ndarray = normal(38.0, 2.8)  # chin below the origin
    jaw_square: np.ndarray = uniform(0.15, 0.95)
    jaw_taper: np.ndarray = uniform(0.0, 0.34)
    eye_spacing: np.ndarray = normal(17.6, 1.5)  # half of the distance between the eyes' centres
    eye_height: np.ndarray = normal(-20.3, 1.5)
    eye_width: np.ndarray = normal(7.6, 1.0)
    eye_opening: np.ndarray = normal(3.7, 0.9)
    eye_tilt: np.ndarray = normal(0.03, 0.11)  # positive: outer corner up
    iris_radius: np.ndarray = normal(3.4, 0.25)
    iris_tone: np.ndarray = uniform(0.0, 1.0)  # brown, hazel, green, blue, grey
    lid_crease: np.ndarray = uniform(0.0, 1.0)
    lash: np.ndarray = uniform(0.4, 1.3)
    socket: np.ndarray = uniform(0.0, 0.42)  # darkness about the eye
    bags: np.ndarray = uniform(-0.3, 0.7)
    brow_distance: np.ndarray = normal(9.3, 1.5)  # above the eye
    brow_thickness: np.ndarray = normal(3.1, 1.1)
    brow_length: np.ndarray = normal(19.0, 1.8)
    brow_inner: np.ndarray = normal(7.2, 1.9)
    brow_arch: np.ndarray = normal(1.9, 1.5)
    brow_slope: np.ndarray = normal(0.0, 0.13)
    brow_density: np.ndarray = uniform(0.3, 1.0)
    nose_tip: np.ndarray = normal(0.0, 2.3)
    nose_width: np.ndarray = normal(7.8, 1.6)
    nose_bridge: np.ndarray = normal(4.2, 0.9)
    nose_depth: np.ndarray = normal(9.0, 2.3)
    nose_bulb: np.ndarray = normal(5.6, 1.0)
    nose_relief: np.ndarray = normal(5.5, 1.4)
    nose_bend: np.ndarray = normal(0.0, 0.7)
    nostril: np.ndarray = uniform(0.5, 1.5)
    mouth_height: np.ndarray = normal(20.5, 1.8)
    mouth_width: np.ndarray = normal(14.0, 1.9)
    upper_lip: np.ndarray = normal(2.7, 0.9)
    lower_lip: np.ndarray = normal(3.7, 1.1)
    cupid_bow: np.ndarray = uniform(0.0, 1.8)
    lip_red: np.ndarray = uniform(0.0, 1.0)
    mouth_curve: np.ndarray = normal(0.2, 0.9)  # corners up at rest
    mouth_tilt: np.ndarray = normal(0.0, 0.025)
    cheekbone: np.ndarray = normal(2.2, 1.3)
    brow_ridge: np.ndarray = normal(1.2, 0.9)
    chin_relief: np.ndarray = normal(2.6, 1.2)
    chin_cleft: np.ndarray = sometimes(0.25, 0.2, 0.6)
    nasolabial: np.ndarray = uniform(-0.15, 0.5)  # fold from nose to mouth
    wrinkles: np.ndarray = sometimes(0.35, 0.15, 0.6)
    blush: np.ndarray = uniform(0.0, 0.3)
    tone: np.ndarray = uniform(0.0, 1.0)  # of the skin, light to dark
    redness: np.ndarray = normal(0.0, 0.03)
    ear_size: np.ndarray = normal(9.5, 1.5)
    ear_stand: np.ndarray = normal(3.4, 1.6)
    hair_cover: np.ndarray = sometimes(0.13, 0.0, 0.7, rest=1.0)  # 0: bald
    hair_tone: np.ndarray = uniform(0.0, 1.0)  # black, brown, red, blond, grey
    hair_volume: np.ndarray = uniform(0.0, 7.0)
    hair_side: np.ndarray = uniform(0.0, 6.0)
    hair_length: np.ndarray = sometimes(0.45, 0.1, 1.0)
    hairline: np.ndarray = normal(-46.0, 4.0)
    fringe: np.ndarray = sometimes(0.22, 6.0, 15.0)  # how far it hangs below the hairline
    hair_temple: np.ndarray = uniform(35.0, 75.0)
    hair_recession: np.ndarray = uniform(-5.0, 9.0)
    hair_peak: np.ndarray = sometimes(0.3, 2.0, 6.0)
    hair_part: np.ndarray = normal(0.0, 0.16)  # slope of the hairline
    hair_curl: np.ndarray = sometimes(0.4, 0.5, 2.6)
    hair_grain: np.ndarray = uniform(0.25, 0.6)
    beard: np.ndarray = sometimes(0.32, 0.2, 0.95)
    beard_full: np.ndarray = uniform(-0.4, 1.0)  # below 0: goatee
    moustache: np.ndarray = sometimes(0.34, 0.3, 0.95)
    freckles: np.ndarray = sometimes(0.22, 0.25, 0.6)
    freckle_phase: np.ndarray = uniform(0.0, 1.0)
    mole1_x: np.ndarray = normal(0.0, 15.0)
    mole1_y: np.ndarray = uniform(-34.0, 30.0)
    mole1: np.ndarray = sometimes(0.6, 0.7, 1.7)  # radius
    mole2_x: np.ndarray = normal(0.0, 15.0)
    mole2_y: np.ndarray = uniform(-34.0, 30.0)
    mole2: np.ndarray = sometimes(0.35, 0.7, 1.4)
    mark_x: np.ndarray = normal(0.0, 18.0)
    mark_y: np.ndarray = uniform(-38.0, 26.0)
    mark: np.ndarray = sometimes(0.1, 3.0, 7.0)
    makeup: np.ndarray = sometimes(0.3, 0.2, 0.9)


@dataclass(frozen=True, kw_only=True)
class Views:
    """What changes from picture to picture: the nuisances."""

    yaw: np.ndarray = normal(0.0, 0.24)  # sine; positive turns the nose to the right of the picture
    pitch: np.ndarray = normal(0.0, 0.12)  # sine; positive turns the nose down
    roll: np.ndarray = normal(0.0, 0.05)  # what alignment leaves of it
    shift_x: np.ndarray = normal(0.0, 1.0)
    shift_y: np.ndarray = normal(0.0, 1.0)
    zoom: np.ndarray = normal(1.0, 0.03)
    light_x: np.ndarray = normal(0.0, 0.55)  # where the light comes from: right positive
    light_y: np.ndarray = normal(-0.3, 0.35)  # from above: negative
    light_strength: np.ndarray = uniform(0.1, 0.95, rest=0.4)
    light_warmth: np.ndarray = normal(0.0, 0.10)
    smile: np.ndarray = normal(0.15, 0.42)
    mouth_open: np.ndarray = sometimes(0.35, 0.1, 1.0)
    brow_raise: np.ndarray = normal(0.0, 1.1)
    eye_close: np.ndarray = normal(0.08, 0.10)
    blink: np.ndarray = sometimes(0.04, 0.8, 1.0)
    gaze_x: np.ndarray = normal(0.0, 1.0)
    gaze_y: np.ndarray = normal(0.0, 0.5)
    glasses: np.ndarray = sometimes(0.14, 0.9, 1.8)  # thickness of the frame
    sunglasses: np.ndarray = sometimes(0.25, 0.6, 0.97)  # darkness of the lenses, when glasses are worn
    lens_width: np.ndarray = uniform(10.5, 14.0)
    lens_height: np.ndarray = uniform(6.5, 10.5)
    lens_corner: np.ndarray = uniform(3.0, 9.0)
    frame_tone: np.ndarray = uniform(0.0, 1.0)
    occluder: np.ndarray = sometimes(0.10, 0.0, 3.0, rest=-1.0)  # 0..1 hand, 1..2 scarf, 2..3 box
    occluder_x: np.ndarray = uniform(-1.0, 1.0)
    occluder_y: np.ndarray = uniform(-1.0, 1.0)
    occluder_turn: np.ndarray = uniform(-1.0, 1.0)
    occluder_hue: np.ndarray = uniform(0.0, 1.0)
    exposure: np.ndarray = normal(1.02, 0.16)
    warmth: np.ndarray = normal(0.0, 0.11)
    tint: np.ndarray = normal(0.0, 0.05)
    gamma: np.ndarray = normal(0.0, 0.25)
    saturation: np.ndarray = normal(0.95, 0.18)
    grey: np.ndarray = sometimes(0.06, 1.0, 1.0)
    haze: np.ndarray = sometimes(0.2, 0.05, 0.3)
    beard_growth: np.ndarray = uniform(0.6, 1.0, rest=0.85)
    hair_tousle: np.ndarray = normal(0.0, 1.0)
    back_tone: np.ndarray = uniform(0.1, 0.95, rest=0.6)
    back_hue: np.ndarray = uniform(0.0, 1.0)
    back_colour: np.ndarray = uniform(0.0, 0.45, rest=0.0)
    back_slope_x: np.ndarray = normal(0.0, 0.18)
    back_slope_y: np.ndarray = normal(0.0, 0.18)
    back_stripes: np.ndarray = sometimes(0.5, 0.05, 0.3)
    back_turn: np.ndarray = uniform(-1.0, 1.0)
    blob_x: np.ndarray = uniform(-60.0, 60.0)
    blob_y: np.ndarray = uniform(-70.0, 30.0)
    blob: np.ndarray = sometimes(0.6, 12.0, 40.0)
    blob_tone: np.ndarray = uniform(0.0, 1.0)
    cloth_hue: np.ndarray = uniform(0.0, 1.0)
    cloth_tone: np.ndarray = uniform(0.05, 0.9)
    blur: np.ndarray = sometimes(0.4, 0.2, 1.5)  # radius
    noise: np.ndarray = uniform(0.0, 9.0, rest=0.0)  # standard deviation in grey levels
    reduction: np.ndarray = sometimes(0.22, 1.2, 3.2, rest=1.0)  # how many times lower the resolution was
    jpeg: np.ndarray = sometimes(0.6, 25.0, 90.0, rest=0.0)  # quality; 0: never compressed


def draw_people(identities: Sequence[int] | np.ndarray, *, seed: int = 0) -> People:
    """Draw the people [n] of these identity numbers (0 or more)."""
    return sample(People, seed, PEOPLE_STREAM, [(int(identity), 0) for identity in identities])


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
