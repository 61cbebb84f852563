"""Does `angulus verify` err as often on photos as was promised? Fold 1 of LFW, from the raw photos.

    python benchmarks/verify_photos.py BUNDLE [--data DATA]       results/verify_photos_<machine>.json

BUNDLE: from `angulus export`, with a detector. Every photo of fold 1's 600 pairs is looked at as `angulus verify` does,
face chosen among several; a pair is answered at the deployed threshold. Beside it the same pairs from LFW's aligned
crops, with landmarks of its list, as `angulus evaluate` takes them: what detection and choice add is the difference.
Intervals of shares are Wilson's. `all pairs` are all pairs of these photos, which are not independent of each other:
counts and shares alone.
"""

import argparse
import json
import math
from pathlib import Path

import machines
import numpy as np

from angulus.runtime import Bundle, Recognizer, SeenPhoto, point_of, verify

RESULTS = Path(__file__).parent / "results"
FOLD = 600


def fold_of(path: Path) -> list[tuple[str, str, bool]]:
    """The pairs of fold 1: 300 of one person, 300 of two."""
    found = []
    for line in path.read_text().splitlines()[1 : FOLD + 1]:
        words = line.split("\t")
        left, right = (words[0], words[0]) if len(words) == 3 else (words[0], words[2])
        numbers = (words[1], words[2]) if len(words) == 3 else (words[1], words[3])
        names = [f"{name}/{name}_{int(number):04d}.jpg" for name, number in zip((left, right), numbers, strict=True)]
        found.append((names[0], names[1], len(words) == 3))
    return found


def wilson(wrong: int, of: int) -> tuple[float, float]:
    """95 % interval of a share."""
    z = 1.959964
    share = wrong / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)


def rates(pairs: list[tuple[str, str, bool]], seen: dict[str, SeenPhoto], bundle: Bundle) -> dict[str, object]:
    """Errors at the deployed threshold."""
    point = point_of(bundle)
    counts = {True: [0, 0], False: [0, 0]}
    untold = 0
    for left, right, same in pairs:
        verdict = verify(seen[left], seen[right], point, bundle=bundle)
        if verdict.decision == "cannot tell":
            untold += 1
            continue
        counts[same][0] += (verdict.decision == "same") != same
        counts[same][1] += 1
    shares = {}
    for same, name in ((False, "FAR"), (True, "FRR")):
        wrong, of = counts[same]
        shares[name] = {"wrong": wrong, "of": of, "share": wrong / of, "interval": wilson(wrong, of)}
    return {"cannot tell": untold, **shares}


def all_pairs(seen: dict[str, SeenPhoto], threshold: float) -> dict[str, object]:
    """Errors among all pairs of the photos that show a face."""
    names = [name for name, photo in seen.items() if photo.face is not None]
    people = np.array([name.partition("/")[0] for name in names])
    vectors = np.stack([photo.face.vector for photo in seen.values() if photo.face is not None])
    left, right = np.triu_indices(len(names), 1)
    same = people[left] == people[right]
    accepted = (vectors @ vectors.T)[left, right] > threshold
    counts = {"FAR": (accepted & ~same, ~same), "FRR": (~accepted & same, same)}
    return {
        name: {"wrong": int(wrong.sum()), "of": int(of.sum()), "share": float(wrong.sum() / of.sum())}
        for name, (wrong, of) in counts.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--out", type=Path, default=RESULTS / f"verify_photos_{machines.slug()}.json")
    said = parser.parse_args()
    pairs = fold_of(said.data / "lfw_protocol" / "pairs.txt")
    names = sorted({name for left, right, _ in pairs for name in (left, right)})
    there = [name for name in names if (said.data / "lfw_raw" / name).is_file()]
    pairs = [pair for pair in pairs if pair[0] in there and pair[1] in there]
    recognizer = Recognizer(said.bundle)
    raw = {name: recognizer.look(said.data / "lfw_raw" / name, name=name) for name in there}
    crops = {name: recognizer.take_crops([said.data / "lfw112" / name], names=[name])[0] for name in there}
    point = point_of(recognizer.bundle)
    several = sum(1 for seen in raw.values() if seen.face is not None and seen.face.found > 1)
    figures = {
        **{"bundle": said.bundle.name, "pairs": len(pairs), "photos": len(there), "with several faces": several},
        **{"threshold": point.to_dict(), "photos verified": rates(pairs, raw, recognizer.bundle)},
        **{"crops verified": rates(pairs, crops, recognizer.bundle)},
        "all pairs of photos": all_pairs(raw, point.threshold),
        "all pairs of crops": all_pairs(crops, point.threshold),
    }
    said.out.write_text(json.dumps({"about": machines.about(), **figures}, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
