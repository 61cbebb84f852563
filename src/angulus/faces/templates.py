"""Where do the five landmarks of a face lie in an aligned crop?

Five landmarks always come in this order: the eye on the left side of the picture, the eye on the right, the tip of the
nose, the left corner of the mouth, the right one. Coordinates are (x, y) in pixels and name pixel centres: (0, 0) is
the centre of the first pixel, so the picture begins at -0.5. That is how the published numbers are used by everyone,
and it decides how a template grows: a crop k times as large has its landmarks at k (x + 1/2) - 1/2, so that it shows
the same piece of the world, and k x k of its pixels cover one old pixel. (k x alone would shift it by (k - 1) / 2.)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from angulus.errors import FacesError

LANDMARKS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")


@dataclass(frozen=True, kw_only=True)
class Template:
    """Crops of height x width pixels with the five landmarks at `points` (x, y), pixel centres."""

    name: str
    height: int
    width: int
    points: tuple[tuple[float, float], ...]

    def array(self) -> NDArray[np.float64]:
        """The landmarks [5, 2]."""
        return np.array(self.points, dtype=np.float64)

    def scaled(self, height: int) -> "Template":
        """The same crop at another height, the width in proportion. Raises FacesError when that is no whole number."""
        if height < 1 or (height * self.width) % self.height:
            step = self.height // np.gcd(self.height, self.width)
            raise FacesError(
                f"the height of {self.name} crops ({self.height}x{self.width}) must be a multiple of {step}, "
                f"so that the width is a whole number, got {height}"
            )
        factor = height / self.height
        points = tuple((factor * (x + 0.5) - 0.5, factor * (y + 0.5) - 0.5) for x, y in self.points)
        return Template(name=self.name, height=height, width=height * self.width // self.height, points=points)


_ARCFACE = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))

ARCFACE = Template(name="arcface", height=112, width=112, points=_ARCFACE)
# Columns 8 to 103 of the other: the crop that SphereFace, CosFace and MobileFaceNet were published with.
SPHEREFACE = Template(name="sphereface", height=112, width=96, points=tuple((x - 8, y) for x, y in _ARCFACE))

TEMPLATES = {template.name: template for template in (ARCFACE, SPHEREFACE)}


def template_named(name: str, height: int | None = None) -> Template:
    """A known template, at another height if one is given. Raises FacesError."""
    if name not in TEMPLATES:
        raise FacesError(f"template must be one of {', '.join(TEMPLATES)}, got {name!r}")
    return TEMPLATES[name] if height is None else TEMPLATES[name].scaled(height)
