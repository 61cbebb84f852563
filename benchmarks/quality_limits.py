"""Where do the remarks on a photo begin? Sharpness, turn, brightness and enlargement of LFW's photos.

    python benchmarks/quality_limits.py [--data DATA]        the table behind the limits of runtime/quality.py

The 600 photos of lfw_raw, aligned by the landmarks of LFW's list to the ArcFace template; and what blurring and turning
do: the same crops after a Gaussian blur of so many pixels.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from angulus.faces import ARCFACE, ListedLandmarks, align, similarity
from angulus.faces.photos import read_photo
from angulus.faces.similarity_transform import scale_of
from angulus.runtime.quality import sharpness, turn

SHARES = (0, 1, 5, 50, 95, 99, 100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    data = parser.parse_args().data
    listed = ListedLandmarks.read(data / "lfw_protocol" / "lfw_landmark.txt")
    figures: dict[str, list[float]] = {}
    for path in sorted((data / "lfw_raw").glob("*/*.jpg")):
        points = listed.of(path.relative_to(data / "lfw_raw").as_posix())[0].landmarks
        crop = align(read_photo(path), points, ARCFACE)
        values = {
            "sharpness": sharpness(crop),
            "turn, either side": abs(turn(points)),
            "mean grey": float(crop.mean()),
            "enlarged": scale_of(similarity(points, ARCFACE.array())),
        }
        for radius in (1, 2, 4):
            blurred = np.asarray(Image.fromarray(crop).filter(ImageFilter.GaussianBlur(radius)))
            values[f"sharpness, blurred by {radius}"] = sharpness(blurred)
        for name, value in values.items():
            figures.setdefault(name, []).append(value)
    print(f"{'percent of photos below':28s}" + "".join(f"{share:>9d}" for share in SHARES))
    for name, values in figures.items():
        print(f"{name:28s}" + "".join(f"{np.percentile(values, share):9.2f}" for share in SHARES))


if __name__ == "__main__":
    main()
