"""What do detectors and settings cost in landmarks, time and accuracy? Own crops against published ones, on LFW.

    python benchmarks/alignment.py                  all settings on data/lfw_raw, about 12 minutes on one core
    python benchmarks/alignment.py --only mtcnn     a part of them

Photos: data/lfw_raw (600 of fold 1, 250x250). For each setting: the share of photos with a face; the mean distance of
the five landmarks to data/lfw_protocol/lfw_landmark.txt (from which the published crops were made), divided by the
distance of the eyes; the distance by which that moves the template's points in the crop; CPU time for a photo
(decoding not included); and the accuracy of data/mobilefacenet/068.ckpt on the pairs of fold 1 that lie inside these
photos. Its thresholds come from the other nine folds with published crops. As these pairs are few, all pairs of the
600 photos are compared too: TAR at FAR 1e-3 and d', the distance between the means of genuine and impostor cosines in
units of their spread. A photo without a face keeps its middle (nothing is left out). Intervals: 95 %, by people.
Writes benchmarks/results/alignment.json and alignment.md. Photos are not written anywhere.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import machines
import numpy as np
import torch
from numpy.typing import NDArray

from angulus.embeddings import EmbeddingSet
from angulus.evaluation import Scores, match
from angulus.evaluation.files.pair_lists import read_lfw_pairs
from angulus.evaluation.rates.folds import folded_accuracy
from angulus.evaluation.rates.roc import tars_at_fars
from angulus.evaluation.scores.cosines import all_pair_scores
from angulus.evaluation.uncertainty.accuracy_intervals import accuracy_interval
from angulus.extract import embed
from angulus.faces import SPHEREFACE, ListedLandmarks, Mtcnn, MtcnnOptions, Yuface, YufaceOptions, choose, similarity
from angulus.faces.detectors.mtcnn_networks import published
from angulus.faces.image_warp import warp
from angulus.faces.photos import read_photo
from angulus.faces.similarity_transform import apply, inverse, scale_of
from angulus.models import import_weights

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
Landmarks = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """The photos by key, the landmarks that came with LFW [n, 5, 2], and what the published crops gave."""

    keys: list[str]
    photos: list[NDArray[np.uint8]]
    known: Landmarks
    crops: NDArray[np.uint8]
    stored: EmbeddingSet
    model: Any
    data: Path


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    landmarks: Landmarks
    missed: int
    several: int
    milliseconds: float


def material(data: Path) -> Material:
    keys = sorted(path.relative_to(data / "lfw_raw").as_posix() for path in (data / "lfw_raw").glob("*/*.jpg"))
    listed = ListedLandmarks.read(data / "lfw_protocol" / "lfw_landmark.txt")
    with np.load(data / "lfw_embeddings" / "lfw_mobilefacenet128.npz") as file:
        names = [name.decode() for name in file["names"]]
        stored = EmbeddingSet(
            embeddings=file["emb"].astype(np.float32),
            flipped=file["emb_flip"].astype(np.float32),
            keys=tuple(f"{name.rsplit('_', 1)[0]}/{name}" for name in names),
        )
    return Material(
        keys=keys,
        photos=[read_photo(data / "lfw_raw" / key) for key in keys],
        known=np.stack([listed.of(key)[0].landmarks for key in keys]),
        crops=np.stack([read_photo(data / "lfw112" / key)[:, 8:104] for key in keys]),
        stored=stored,
        model=import_weights(data / "mobilefacenet" / "068.ckpt"),
        data=data,
    )


def find(detector: Any, seen: Material, rule: str) -> Found:
    """One face on each photo. Where none is found the middle of the photo is taken as it is."""
    landmarks, missed, several = [], 0, 0
    started = time.process_time()
    for photo in seen.photos:
        faces = detector.detect(photo)
        missed, several = missed + (not faces), several + (len(faces) > 1)
        chosen = choose(faces, photo.shape[:2], rule)
        landmarks.append(chosen[0].face.landmarks if chosen else SPHEREFACE.array() + np.array([77, 69]))
    spent = time.process_time() - started
    return Found(
        landmarks=np.stack(landmarks), missed=missed, several=several, milliseconds=1000 * spent / len(landmarks)
    )


def cropped(landmarks: Landmarks, photos: Sequence[NDArray[np.uint8]], samples: int | None = None) -> NDArray[np.uint8]:
    matrices = [similarity(five, SPHEREFACE.array()) for five in landmarks]
    return np.stack([warp(photo, m, 112, 96, samples=samples) for photo, m in zip(photos, matrices, strict=True)])


def distances(landmarks: Landmarks, known: Landmarks) -> dict[str, float]:
    """Of landmarks, as a share of the eyes' distance; and by how many pixels the crop moves."""
    eyes = np.linalg.norm(known[:, 1] - known[:, 0], axis=1)
    away = np.linalg.norm(landmarks - known, axis=2).mean(axis=1) / eyes
    places = SPHEREFACE.array()
    moved, scales = [], []
    for own, theirs in zip(landmarks, known, strict=True):
        here, there = similarity(own, places), similarity(theirs, places)
        moved.append(np.linalg.norm(apply(here, apply(inverse(there), places)) - places, axis=1).mean())
        scales.append(scale_of(here) / scale_of(there))
    return {
        **{"mean": float(away.mean()), "median": float(np.median(away)), "p95": float(np.quantile(away, 0.95))},
        **{"crop_moved": float(np.mean(moved)), "crop_scale": float(np.mean(scales))},
    }


def judged(crops: NDArray[np.uint8], seen: Material) -> dict[str, Any]:
    """Accuracy on the pairs of fold 1 inside these photos, and what all pairs of them give."""
    batches = (torch.from_numpy(crops[i : i + 100].transpose(0, 3, 1, 2).copy()) for i in range(0, len(crops), 100))
    own = embed(seen.model, batches)
    assert own.flipped is not None
    place = {key.removesuffix(".jpg"): row for row, key in enumerate(seen.stored.keys or ())}
    rows = np.array([place[key.removesuffix(".jpg")] for key in seen.keys])
    plain, mirrored = seen.stored.embeddings.copy(), seen.stored.flipped.copy()  # type: ignore[union-attr]
    plain[rows], mirrored[rows] = own.embeddings, own.flipped
    mixed = EmbeddingSet(embeddings=plain, flipped=mirrored, keys=seen.stored.keys)
    result: dict[str, Any] = {}
    for protocol in ("mean-centred", "insightface"):
        result[protocol] = on_fold(mixed, seen, rows, protocol)
    people = np.unique([key.split("/")[0] for key in seen.keys], return_inverse=True)[1]
    mean = np.concatenate([seen.stored.embeddings, seen.stored.flipped], axis=1).mean(axis=0)  # type: ignore[list-item]
    vectors = np.concatenate([own.embeddings, own.flipped], axis=1) - mean
    scores = all_pair_scores(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), people)
    return {**result, "all_pairs": separation(scores)}


def on_fold(mixed: EmbeddingSet, seen: Material, rows: NDArray[np.int64], protocol: Any) -> dict[str, Any]:
    pairs = match(read_lfw_pairs(seen.data / "lfw_protocol" / "pairs.txt"), mixed)
    accuracy, cosines = folded_accuracy(mixed, pairs, protocol=protocol)
    inside = np.isin(pairs.left, rows) & np.isin(pairs.right, rows)
    threshold = accuracy.folds[0].threshold
    accepted = 2 - 2 * cosines < threshold if protocol == "insightface" else cosines > threshold
    correct = (accepted == pairs.same)[inside]
    names = np.array([key.split("/")[0] for key in mixed.keys or ()])
    held = accuracy_interval(correct, pairs.same[inside], names[pairs.left[inside]], names[pairs.right[inside]])
    return {
        **{"correct": int(correct.sum()), "pairs": len(correct), "genuine": int(pairs.same[inside].sum())},
        **{"accuracy": float(correct.mean()), "low": held.low, "high": held.high},
        "wrong": np.flatnonzero(~correct).tolist(),
    }


def separation(scores: Scores) -> dict[str, Any]:
    spread = np.sqrt((scores.genuine.var() + scores.impostor.var()) / 2)
    points = tars_at_fars(scores, (1e-2, 1e-3, 1e-4))
    return {
        **{"genuine": len(scores.genuine), "impostors": len(scores.impostor)},
        "d_prime": float((scores.genuine.mean() - scores.impostor.mean()) / spread),
        "tar": {f"{point.target:g}": point.tar for point in points},
    }


SETTINGS: dict[str, tuple[Callable[[], Any], str, int | None]] = {
    "mtcnn": (lambda: Mtcnn(published()), "prominent", None),
    "mtcnn, most central face": (lambda: Mtcnn(published()), "central", None),
    "mtcnn, largest face": (lambda: Mtcnn(published()), "largest", None),
    "mtcnn, one look (published)": (lambda: Mtcnn(published(), MtcnnOptions(average=False)), "prominent", None),
    "mtcnn, min_face 20": (lambda: Mtcnn(published(), MtcnnOptions(min_face=20)), "prominent", None),
    "mtcnn, min_face 60": (lambda: Mtcnn(published(), MtcnnOptions(min_face=60)), "prominent", None),
    "mtcnn, averaged 2x2": (lambda: Mtcnn(published()), "prominent", 2),
    "yuface": (lambda: Yuface(), "prominent", None),
    "yuface, enlarged twice": (lambda: Yuface(YufaceOptions(enlarge=2)), "prominent", None),
    "yuface, not enlarged": (lambda: Yuface(YufaceOptions(enlarge=1)), "prominent", None),
}


def rows_of(seen: Material, wanted: Sequence[str]) -> dict[str, dict[str, Any]]:
    table = {
        "published crops": judged(seen.crops, seen),
        "LFW's landmarks, own warp": judged(cropped(seen.known, seen.photos), seen),
    }
    for name in wanted:
        make, rule, samples = SETTINGS[name]
        found = find(make(), seen, rule)
        facts = {"found": 1 - found.missed / len(seen.keys), "missed": found.missed, "several": found.several}
        facts |= {"milliseconds": found.milliseconds, "landmarks": distances(found.landmarks, seen.known)}
        table[name] = {**facts, **judged(cropped(found.landmarks, seen.photos, samples), seen)}
        print(name, json.dumps(table[name]), flush=True)
    return table


def markdown(table: dict[str, dict[str, Any]]) -> str:
    lines = [
        "| crops | photos with a face | landmarks off, of the eyes' distance: mean, 95 % | crop moved by | ms a photo |"
        " pairs right, mean-centred | 95 % interval | insightface | all pairs: TAR at FAR 1e-3 | d' |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, row in table.items():
        cells = ["", "", "", ""]
        if "landmarks" in row:
            off = row["landmarks"]
            cells = [f"{row['found']:.1%}", f"{off['mean']:.3f}, {off['p95']:.3f}", f"{off['crop_moved']:.2f} px"]
            cells.append(f"{row['milliseconds']:.0f}")
        centred, other, every = row["mean-centred"], row["insightface"], row["all_pairs"]
        cells.append(f"{centred['correct']} of {centred['pairs']} ({centred['accuracy']:.2%})")
        cells.append(f"{centred['low']:.2%} to {centred['high']:.2%}")
        cells += [f"{other['correct']}", f"{every['tar']['0.001']:.2%}", f"{every['d_prime']:.2f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "data")
    parser.add_argument("--only", nargs="*", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--json", type=Path, default=RESULTS / "alignment.json")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    seen = material(chosen.data)
    table = rows_of(seen, chosen.only)
    record = {
        **{"date": datetime.now(UTC).date().isoformat(), "machine": machines.words(), "photos": len(seen.keys)},
        **{"command": "python benchmarks/alignment.py", "threads": 1, "rows": table},
    }
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    text = f"{len(seen.keys)} photos of LFW\n\n{markdown(table)}"
    chosen.json.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
