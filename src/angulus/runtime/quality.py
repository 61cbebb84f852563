"""What about a photo of a face makes a decision less sure: remarks for people, never a decision by themselves.

No figure of quality in the sense of ISO/IEC 29794-5 is claimed. Sharpness and turn are remarked where 1 in 100 of LFW's
photos lies (`python benchmarks/quality_limits.py`), brightness beyond what LFW has, the size where a crop is enlarged
twofold.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from angulus.faces.detectors.detection import Face

ENLARGED = 2.0
BLURRED = 12.0
TURNED = 0.45
DARK, BRIGHT = 50.0, 200.0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """enlarged: how many times a face may be enlarged to fill the crop.  blurred: least sharpness.  turned: most turn.

    dark, bright: mean grey of the crop, 0 to 255.
    """

    enlarged: float = ENLARGED
    blurred: float = BLURRED
    turned: float = TURNED
    dark: float = DARK
    bright: float = BRIGHT


def remarks_on(face: Face, crop: NDArray[np.uint8], scale: float, limits: Limits | None = None) -> tuple[str, ...]:
    """Sentences about a face, its crop [h, w, 3] and the scale from photo to crop; none for a good photo."""
    most = limits or Limits()
    found = []
    if scale > most.enlarged:
        found.append(f"the face is small ({face.side:.0f} pixels): it was enlarged {scale:.1f} times")
    if (sharp := sharpness(crop)) < most.blurred:
        found.append(f"the face is blurred (sharpness {sharp:.1f}, usual is {most.blurred:g} and more)")
    if abs(side := turn(face.landmarks)) > most.turned:
        found.append(f"the face is turned away, to the {'right' if side > 0 else 'left'} of the picture")
    if not most.dark <= (grey := float(crop.mean())) <= most.bright:
        found.append(f"the face is too {'dark' if grey < most.dark else 'bright'} (mean {grey:.0f} of 255)")
    return tuple(found)


def sharpness(crop: NDArray[np.uint8]) -> float:
    """Standard deviation of the Laplacian of a crop's grey values, relative to that of the grey values, in percent."""
    grey = crop.astype(np.float64).mean(axis=2)
    inner = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    return float(100 * laplacian.std() / max(inner.std(), 1.0))


def turn(landmarks: NDArray[np.float64]) -> float:
    """How far the nose lies beside the middle of eyes and mouth, in units of their distance: 0 seen from the front.

    landmarks [5, 2]; positive to the right side of the picture.
    """
    left_eye, right_eye, nose, left_mouth, right_mouth = landmarks
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    down = mouth - eyes
    height = float(np.linalg.norm(down))
    if height == 0:
        return 0.0
    across = np.array([down[1], -down[0]]) / height
    width = max(float(np.linalg.norm(right_eye - left_eye)), 1e-9)
    return float((nose - eyes) @ across) / max(width, height / 2)


def is_usable(crop: NDArray[np.uint8]) -> bool:
    """Whether there is anything on the crop at all: more than one grey value."""
    return bool(crop.min() != crop.max())
