"""Where on the picture does a point of the head fall, and which point of the head does a pixel show?

The head is a sphere stretched to the half axes (a, b, a), turned in its unstretched form: a turned sphere has the same
outline, so both directions of the map have a closed form. The five landmarks are turned with it and then fitted to the
ArcFace template by least squares over similarities, as a face aligner would do.
"""

from dataclasses import dataclass, replace

import numpy as np

from angulus.data.synthetic.parameters import People, Views

TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Left eye, right eye, nose tip, left and right corner of the mouth in a crop of 112 x 112 (left of the picture)."""

ORIGIN = np.array([56.0, 72.0])
HEAD_HEIGHT = 62.0  # half axis of the ellipsoid down; deeper than the outline, so that mouth and eyes lie in front


@dataclass(frozen=True)
class Pose:
    """Turn of the head and placing of the crop, arrays [n]."""

    sin_yaw: np.ndarray
    cos_yaw: np.ndarray
    sin_pitch: np.ndarray
    cos_pitch: np.ndarray
    across: np.ndarray  # half axis of the head
    scale: np.ndarray  # head plane z (complex) -> template plane w - origin: w = scale * z + shift
    shift: np.ndarray
    landmarks: np.ndarray  # [n, 5, 2], in the template's pixels

    def turn(self, x: np.ndarray, y: np.ndarray, lift: np.ndarray | float = 0.0) -> np.ndarray:
        """Place in the head plane (complex [n]) of the surface point in front at (x, y), lifted by `lift`."""
        x, y = x / self.across, y / HEAD_HEIGHT
        z = np.sqrt(np.maximum(1.0 - x * x - y * y, 0.0)) + lift / self.across
        across = self.cos_yaw * x + self.sin_yaw * z
        depth = self.cos_yaw * z - self.sin_yaw * x
        return across * self.across + 1j * (self.cos_pitch * y + self.sin_pitch * depth) * HEAD_HEIGHT


def mouth_corner(people: People, views: Views) -> tuple[np.ndarray, np.ndarray]:
    """Half width of the mouth and how far its corners are lifted, arrays [n]."""
    width = people.mouth_width * (1.0 + 0.16 * views.smile - 0.10 * views.mouth_open)
    return width, people.mouth_curve + 3.0 * views.smile


def _turned(people: People, views: Views) -> Pose:
    """The turn alone: the crop not placed yet, landmarks empty."""
    sin_yaw, sin_pitch = np.clip(views.yaw, -0.7, 0.7), np.clip(views.pitch, -0.45, 0.45)
    cos_yaw, cos_pitch = np.sqrt(1.0 - sin_yaw * sin_yaw), np.sqrt(1.0 - sin_pitch * sin_pitch)
    one, none = np.ones(len(sin_yaw), complex), np.zeros((len(sin_yaw), 5, 2))
    return Pose(sin_yaw, cos_yaw, sin_pitch, cos_pitch, people.head_width * 1.04, one, 0 * one, none)


def pose_of(people: People, views: Views) -> Pose:
    """Turn the heads and lay the crops as an aligner would, up to the views' shift, zoom and roll."""
    pose = _turned(people, views)
    width, lift = mouth_corner(people, views)
    mouth_x, mouth_y = width, people.mouth_height - lift
    points = [
        pose.turn(-people.eye_spacing, people.eye_height),
        pose.turn(people.eye_spacing, people.eye_height),
        pose.turn(people.nose_bend, people.nose_tip, people.nose_depth),
        pose.turn(-mouth_x, mouth_y - people.mouth_tilt * mouth_x),
        pose.turn(mouth_x, mouth_y + people.mouth_tilt * mouth_x),
    ]
    scale, shift = _similarity(points)
    change = views.zoom * (1.0 + 1j * views.roll)
    scale, shift = scale * change, shift * change + (views.shift_x + 1j * views.shift_y)
    places = np.stack([scale * point + shift for point in points], axis=1)
    landmarks = np.stack([places.real, places.imag], axis=2) + ORIGIN
    return replace(pose, scale=scale, shift=shift, landmarks=landmarks)


def _similarity(points: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The scale and shift (complex [n]) that bring five points [n] nearest to the template about its origin."""
    target = [complex(x, y) for x, y in TEMPLATE - ORIGIN]
    middle, target_middle = np.add.reduce(points) / 5, sum(target) / 5
    away = [point - middle for point in points]
    products = [a.conj() * (t - target_middle) for a, t in zip(away, target, strict=True)]
    scale = np.add.reduce(products) / np.add.reduce([(a * a.conj()).real for a in away])
    return scale, target_middle - scale * middle


def landmarks_in_pixels(pose: Pose, height: int, width: int) -> np.ndarray:
    """Landmarks [n, 5, 2] as (x, y) in pixels of a crop; 0 is the middle of the first pixel."""
    scale = height / 112
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    return (pose.landmarks - 55.5) * scale + centre
