"""Do as many strangers pass as was wanted? Thresholds for a FPIR, tried on galleries and strangers who had no part.

    python benchmarks/gallery_thresholds.py [--data DATA]       results/gallery_thresholds.json, .md; no timing

LFW through 068.ckpt (stored embeddings, plain and mirrored added). `one photo`: calibrated on half of the people who
have a single photo, galleries of 100, 1,000 and all 1,680 people with more, by their first photo. `all photos`:
calibrated on half of all people, galleries of 100, 400 and 800 of the others by templates of all their photos, at most
ten. Strangers: one photo each of people who are in neither. Draws: how often the division is made anew; a rate that was
measured is held against the interval that was said, and against the same with the strangers' own sampling error.
`independent` is the threshold of FPIR = 1 - (1 - FMR)^G from the same people, for comparison.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.export.calibration import searches
from angulus.runtime.curves import Searches

RESULTS = Path(__file__).parent / "results"
WANTED = (0.1, 0.02, 0.01)
DRAWS, MOST_PHOTOS = 6, 10


def unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


class Lfw:
    """Vectors of length 1, and the rows of each person."""

    def __init__(self, data: Path) -> None:
        stored = np.load(data / "lfw_embeddings" / "lfw_mobilefacenet128.npz", allow_pickle=False)
        self.vectors = unit(stored["emb"].astype(np.float64) + stored["emb_flip"])
        self.labels = stored["label"].astype(np.int64)
        order = np.argsort(self.labels, kind="stable")
        self.rows = np.split(order, np.unique(self.labels[order], return_index=True)[1][1:])

    def calibrated(self, people: NDArray[np.int64]) -> Searches:
        rows = np.concatenate([self.rows[person] for person in people])
        found = searches(self.vectors[rows], self.labels[rows], 0.95)
        assert found is not None
        return found

    def template(self, person: int, photos: int) -> NDArray[np.float32]:
        return unit(self.vectors[self.rows[person][:photos]].astype(np.float64).mean(0))


def tried(
    lfw: Lfw,
    known: Searches,
    gallery: NDArray[np.int64],
    strangers: NDArray[np.int64],
    photos: int,
) -> list[dict[str, Any]]:
    """What passes at the threshold for each wanted rate."""
    templates = np.stack([lfw.template(person, photos) for person in gallery])
    probes = lfw.vectors[[lfw.rows[person][0] for person in strangers]]
    best = (probes @ templates.T).max(1)
    sizes: dict[int, int] = {}
    for person in gallery:
        count = min(len(lfw.rows[person]), photos)
        sizes[count] = sizes.get(count, 0) + 1
    rows = []
    for wanted in WANTED:
        threshold = known.threshold_for(wanted, sizes)
        said = known.rate(threshold, sizes)
        rate = float((best > threshold).mean())
        noise = 1.96 * math.sqrt(wanted * (1 - wanted) / len(best))
        single = known.curves[0].fpir[0].values[0]
        far = -math.expm1(math.log1p(-wanted) / len(gallery))
        naive = float(known.thresholds[int(np.flatnonzero(single <= far)[0])])
        rows.append(
            {
                **{"wanted": wanted, "gallery": len(gallery), "threshold": threshold, "rate": rate},
                **{"low": said.low, "high": said.high, "within": said.low <= rate <= said.high},
                "within_with_noise": said.low - noise <= rate <= said.high + noise,
                "independent": float((best > naive).mean()),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    lfw = Lfw(parser.parse_args().data)
    counts = np.array([len(rows) for rows in lfw.rows])
    found: list[dict[str, Any]] = []
    for draw in range(DRAWS):
        dice = np.random.default_rng(draw)
        alone = dice.permutation(np.flatnonzero(counts == 1))
        half = len(alone) // 2
        known = lfw.calibrated(alone[:half])
        enrolled = dice.permutation(np.flatnonzero(counts > 1))
        for size in (100, 1000, len(enrolled)):
            rows = tried(lfw, known, enrolled[:size], alone[half:], 1)
            found += [{"draw": draw, "templates": "one photo", **row} for row in rows]
        people = dice.permutation(len(counts))
        known = lfw.calibrated(people[: len(people) // 2])
        others = people[len(people) // 2 :]
        several = others[counts[others] > 1]
        for size in (100, 400, 800):
            rows = tried(lfw, known, several[:size], others[counts[others] == 1], MOST_PHOTOS)
            found += [{"draw": draw, "templates": "all photos", **row} for row in rows]
    (RESULTS / "gallery_thresholds.json").write_text(json.dumps({"draws": DRAWS, "rows": found}, indent=1) + "\n")
    text = table(found)
    (RESULTS / "gallery_thresholds.md").write_text(text)
    print(text)


def table(found: list[dict[str, Any]]) -> str:
    """Means over the draws."""
    lines = [
        "| templates | gallery | FPIR wanted | strangers who passed, mean (least to most) | within the interval | with"
        " sampling error | if comparisons were independent |",
        "| --- | ---: | ---: | --- | ---: | ---: | ---: |",
    ]
    for key in dict.fromkeys((row["templates"], row["gallery"], row["wanted"]) for row in found):
        rows = [row for row in found if (row["templates"], row["gallery"], row["wanted"]) == key]
        rates = [row["rate"] for row in rows]
        within, wider = (sum(row[name] for row in rows) for name in ("within", "within_with_noise"))
        independent = np.mean([row["independent"] for row in rows])
        lines.append(
            f"| {key[0]} | {key[1]:,} | {key[2]:g} | {np.mean(rates):.4f} ({min(rates):.4f} to {max(rates):.4f}) |"
            f" {within} of {len(rows)} | {wider} of {len(rows)} | {independent:.4f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
