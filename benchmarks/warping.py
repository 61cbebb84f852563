"""How near is a warped crop to the truth when the photo is larger than the crop? Ways to sample, side by side.

    python benchmarks/warping.py        a few seconds

The photo is made of waves of all sizes; the true crop holds those of them that its pixels can carry (frequencies below
1/2) and nothing of the others. Prints the root mean square error in grey levels; writes benchmarks/results/warping.json
and warping.md.
"""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from angulus.faces.image_warp import samples_for, warp
from angulus.faces.similarity_transform import apply, inverse

RESULTS = Path(__file__).parent / "results"
SCALES = (1.0, 0.85, 0.7, 0.5, 0.35, 0.2, 0.1)
WAYS = ("one sample", "k x k, k = 1 / scale rounded (ours)", "(k + 1) x (k + 1)", "shrunk first (triangle filter)")


def errors_at(scale: float) -> dict[str, float]:
    """Root mean square error in grey levels of each way, for one size of the crop against the photo."""
    photo, matrix, truth = waves(scale)
    count = samples_for(scale)
    crops = [warp(photo, matrix, 112, 112, samples=k) for k in (1, count, count + 1)]
    crops.append(shrunk_first(photo, matrix, scale))
    inner = slice(20, -20)
    found = [np.sqrt(np.mean((crop[inner, inner, 0] - truth[inner, inner]) ** 2)) for crop in crops]
    return {way: float(error) for way, error in zip(WAYS, found, strict=True)}


def waves(scale: float, number: int = 400) -> tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.float64]]:
    """A photo of waves of all sizes, a similarity with this scale, and the crop of frequencies below 1/2 alone."""
    random = np.random.default_rng(0)
    side = int(170 / scale)
    frequency = np.exp(random.uniform(np.log(0.02 * scale), np.log(0.45), number))
    angle, phase = random.uniform(0, 2 * np.pi, (2, number))

    def field(x: NDArray[np.float64], y: NDArray[np.float64], below: float) -> NDArray[np.float64]:
        total = np.full(x.shape, 128.0)
        for f, a, p in zip(frequency, angle, phase, strict=True):
            if f < below:
                total += 2.5 * np.cos(2 * np.pi * f * (np.cos(a) * x + np.sin(a) * y) + p)
        return total

    turn = scale * np.array([[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]])
    matrix = np.concatenate([turn, (55.5 - turn @ [side / 2, side / 2])[:, None]], axis=1)
    places = np.stack(np.meshgrid(np.arange(112), np.arange(112)), axis=-1).reshape(-1, 2)
    back = apply(inverse(matrix), places).reshape(112, 112, 2)
    photo = np.clip(np.round(field(*np.meshgrid(np.arange(side) * 1.0, np.arange(side) * 1.0), 1.0)), 0, 255)
    return (
        np.repeat(photo.astype(np.uint8)[:, :, None], 3, axis=2),
        matrix,
        field(back[..., 0], back[..., 1], scale / 2),
    )


def shrunk_first(photo: NDArray[np.uint8], matrix: NDArray[np.float64], scale: float) -> NDArray[np.uint8]:
    size = max(1, round(len(photo) * min(scale, 1)))
    small = np.asarray(Image.fromarray(photo).resize((size, size), Image.Resampling.BILINEAR))
    ratio = size / len(photo)
    turn = matrix[:, :2] / ratio
    shift = matrix[:, 2] - matrix[:, :2] @ [0.5, 0.5] + turn @ [0.5, 0.5]
    return warp(small, np.concatenate([turn, shift[:, None]], axis=1), 112, 112, samples=1)


def main() -> None:
    table = {f"{scale:g}": errors_at(scale) for scale in SCALES}
    lines = [f"| scale | {' | '.join(WAYS)} |", "| ---: |" + " ---: |" * len(WAYS)]
    lines += [f"| {scale} | {' | '.join(f'{row[way]:.2f}' for way in WAYS)} |" for scale, row in table.items()]
    text = "error of a crop, grey levels\n\n" + "\n".join(lines) + "\n"
    record = {"command": "python benchmarks/warping.py", "errors": table}
    (RESULTS / "warping.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "warping.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
