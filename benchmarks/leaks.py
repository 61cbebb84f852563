"""Are people and images of a test set found in a training set? Planted leaks: glint24 against lfw112, names hidden.

    python benchmarks/leaks.py                         about 15 minutes on one core
    python benchmarks/leaks.py --glint GLINT.npz       with embeddings that `angulus embed` made of data/glint24
    python benchmarks/leaks.py --only people           a part of it

People: 18 of the 24 names of data/glint24 are in data/lfw112 too (119 images). The names are hidden; people are judged
by the embeddings of data/mobilefacenet/068.ckpt alone (plain and mirrored images added), each other's nearest among
both sets and above a threshold that is calibrated on pairs of identities inside both sets. Recall and precision count a
pair as right when the names are equal. Scores: z (angulus.inspection.people), and for comparison the plain cosine of
the centres with its threshold at the same FAR. No setting was chosen on the 18 names.

Copies: images of LFW, changed in one way each, are looked for among 2,000 images of LFW that hold their originals. A
pair is right when it is the original, or one that is the same picture as the original in LFW itself.

Memory: what compares embeddings, on 100,000 made-up ones of 20,000 identities.

Writes benchmarks/results/leaks.json, leaks_people.md and leaks_copies.md. Photos are not written anywhere.
"""

import argparse
import io
import json
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import machines
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from angulus.data import FolderSource, select
from angulus.data.views.split import folded_name
from angulus.embeddings import EmbeddingSet
from angulus.extract import embed
from angulus.inspection.contents import Contents, scan, typical_spectrum
from angulus.inspection.copies import Seen, find_copies
from angulus.inspection.findings import same_people
from angulus.inspection.labels import find_mixtures, find_outliers, image_bounds
from angulus.inspection.leaks import find_leaks, prepared
from angulus.inspection.looks.photos import COLUMNS
from angulus.inspection.nearest import near_pairs
from angulus.inspection.people import alike, calibrate
from angulus.models import import_weights

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
FALSE_PAIRS = (0.05, 0.5, 5.0)
AMONG = 2000


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def cut(image: Image.Image, share: float) -> Image.Image:
    """So much of each side is cut off, and the rest scaled to the old size."""
    width, height = image.size
    box = (round(width * share), round(height * share), round(width * (1 - share)), round(height * (1 - share)))
    return image.crop(box).resize(image.size, Image.Resampling.BICUBIC)


def moved(image: Image.Image, pixels: int) -> Image.Image:
    """Cut at the left and at the top alone, as another detector's box would."""
    width, height = image.size
    return image.crop((pixels, pixels, width, height)).resize(image.size, Image.Resampling.BICUBIC)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG quality 50": lambda image: jpeg(image, 50),
    "JPEG quality 20": lambda image: jpeg(image, 20),
    "half size": lambda image: image.resize((56, 56), Image.Resampling.BICUBIC),
    "twice the size": lambda image: image.resize((224, 224), Image.Resampling.BICUBIC),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "brightness x 0.6": lambda image: ImageEnhance.Brightness(image).enhance(0.6),
    "brightness x 1.4": lambda image: ImageEnhance.Brightness(image).enhance(1.4),
    "2 % cut off each side": lambda image: cut(image, 0.02),
    "5 % cut off each side": lambda image: cut(image, 0.05),
    "10 % cut off each side": lambda image: cut(image, 0.10),
    "8 pixels cut at left and top": lambda image: moved(image, 8),
    "mirrored, 5 % cut, quality 50": lambda image: jpeg(
        cut(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 0.05), 50
    ),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Changed:
    """Images of a source, changed; labels and keys stay."""

    source: Any
    change: Callable[[Image.Image], Image.Image]

    @property
    def labels(self) -> NDArray[np.int64]:
        return self.source.labels

    @property
    def identities(self) -> Sequence[str]:
        return self.source.identities

    @property
    def keys(self) -> Sequence[str]:
        return self.source.keys

    def __len__(self) -> int:
        return len(self.source)

    def read(self, index: int) -> NDArray[np.uint8]:
        return np.array(self.change(Image.fromarray(self.source.read(index))))


def stored_lfw(data: Path, source: FolderSource) -> NDArray[np.float32]:
    """Unit embeddings [n, d] of lfw112 in the order of the source, from the stored file."""
    stored = np.load(data / "lfw_embeddings" / "lfw_mobilefacenet128.npz")
    rows = {name.decode(): row for row, name in enumerate(stored["names"])}
    order = [rows[key.rpartition("/")[2]] for key in source.keys]
    both = stored["emb"][order].astype(np.float32) + stored["emb_flip"][order].astype(np.float32)
    return both / np.linalg.norm(both, axis=1, keepdims=True)


def unscanned(count: int) -> Contents:
    """Contents that only say that every image can be read: people are found without looking at pictures."""
    rows = np.zeros(count, dtype=COLUMNS)
    rows["readable"] = True
    return Contents(rows=rows, formats=(), problems=())


def people(data: Path, glint: EmbeddingSet) -> dict[str, Any]:
    """The planted people at several settings, for both scores."""
    lfw, train = FolderSource.open(data / "lfw112"), FolderSource.open(data / "glint24")
    seen = Seen(source=train, contents=unscanned(len(train)), vectors=glint.unit("sum"))
    test = Seen(source=lfw, contents=unscanned(len(lfw)), vectors=stored_lfw(data, lfw))
    shared = {folded_name(name) for name in train.identities} & {folded_name(name) for name in lfw.identities}
    rows = []
    for false_pairs in FALSE_PAIRS:
        started = time.perf_counter()
        leaks = find_leaks(seen, test, names=False, copies=False, false_pairs=false_pairs)
        assert leaks.people is not None
        pairs = [(train.identities[each.train], lfw.identities[each.test], each.z) for each in leaks.leaked]
        halves = leaks.people.calibration.found(leaks.people.threshold)
        about = {"threshold": leaks.people.threshold, "far": leaks.people.far, "halves_found": halves}
        seconds = time.perf_counter() - started
        rows.append(figures("z", false_pairs, pairs, shared, {**about, "seconds": round(seconds, 1)}))
    sets, halved, present = prepared([seen, test], "cpu")
    names = [
        [source.identities[label] for label in labels] for source, labels in zip((train, lfw), present, strict=True)
    ]
    plain = [[replace(each, mean=0 * each.mean, std=0 * each.std + 1) for each in of] for of in (sets, halved)]
    calibration = calibrate(plain[0], plain[1])
    for false_pairs in FALSE_PAIRS:
        far = false_pairs / (len(sets[0]) * len(sets[1]))
        threshold = calibration.threshold(far)
        found = alike(plain[0][0], plain[0][1], threshold=threshold)
        pairs = [
            (names[0][left], names[1][right], float(score))
            for left, right, score, mutual in zip(found.left, found.right, found.scores, found.mutual, strict=True)
            if mutual
        ]
        about = {"threshold": threshold, "far": far, "halves_found": calibration.found(threshold)}
        rows.append(figures("cosine", false_pairs, pairs, shared, about))
    every = alike(sets[0], sets[1], threshold=-20.0)
    best = [
        {
            "train": names[0][left],
            "test": names[1][right],
            "z": round(float(score), 2),
            "mutual": bool(mutual),
            "same_name": folded_name(names[0][left]) == folded_name(names[1][right]),
        }
        for left, right, score, mutual in zip(every.left, every.right, every.scores, every.mutual, strict=True)
    ]
    return {
        "shared_names": len(shared),
        "settings": rows,
        "ranked": best[:30],
        "shared": [e for e in best if e["same_name"]],
    }


def figures(
    score: str, false_pairs: float, pairs: Sequence[tuple[str, str, float]], shared: set[str], about: Mapping[str, Any]
) -> dict[str, Any]:
    right = [pair for pair in pairs if folded_name(pair[0]) == folded_name(pair[1])]
    others = [f"{train} = {test} ({value:.2f})" for train, test, value in pairs if (train, test, value) not in right]
    return {
        "score": score,
        "false_pairs_expected": false_pairs,
        **about,
        "found": len(pairs),
        "right": len(right),
        "recall": len(right) / len(shared),
        "precision": len(right) / len(pairs) if pairs else None,
        "other_names": others,
        "missed": sorted(shared - {folded_name(pair[0]) for pair in right}),
    }


def copies(data: Path, planted: int) -> list[dict[str, Any]]:
    """Recall and precision for each change."""
    lfw = FolderSource.open(data / "lfw112")
    random = np.random.default_rng(0)
    rows = np.sort(random.choice(len(lfw), AMONG, replace=False))
    test_source = select(lfw, rows)
    typical = typical_spectrum(test_source)
    test = Seen(source=test_source, contents=scan(test_source, typical), vectors=stored_lfw(data, lfw)[rows])
    twice = {(copy.left, copy.right) for copy in find_copies(test) if copy.certain}
    chosen = np.sort(random.choice(len(test_source), planted, replace=False))
    originals = select(test_source, chosen)
    model = import_weights(data / "mobilefacenet" / "068.ckpt")
    results = []
    for name, change in CHANGES.items():
        source = Changed(source=originals, change=change)
        fitted = Changed(source=source, change=lambda image: image.resize((112, 112)).crop((8, 0, 104, 112)))
        vectors = embed(model, fitted).unit("sum")
        train = Seen(source=source, contents=scan(source, typical), vectors=vectors)
        looked = find_copies(train, test)
        cosines = np.einsum("nd,nd->n", vectors, test.vectors[chosen])
        results.append(
            {"change": name, **judged(looked, chosen, twice), "cosine_5%": round(float(np.quantile(cosines, 0.05)), 3)}
        )
        print(json.dumps(results[-1]), flush=True)
    return results


def judged(looked: Sequence[Any], chosen: NDArray[np.int64], twice: set[tuple[int, int]]) -> dict[str, Any]:
    def right(copy: Any) -> bool:
        original = int(chosen[copy.left])
        return original == copy.right or (min(original, copy.right), max(original, copy.right)) in twice

    by = {
        "hash": [copy for copy in looked if copy.bits <= 40],
        "embedding": [copy for copy in looked if copy.cosine >= 0.9],
        "verified": [copy for copy in looked if copy.certain],
    }
    return {
        "planted": len(chosen),
        **{
            name: {
                "recall": len({copy.left for copy in found if chosen[copy.left] == copy.right}) / len(chosen),
                "pairs": len(found),
                "wrong": sum(not right(copy) for copy in found),
            }
            for name, found in by.items()
        },
        "agreement_5%": round(
            float(
                np.quantile(
                    [c.agreement for c in looked if chosen[c.left] == c.right and c.agreement == c.agreement] or [0],
                    0.05,
                )
            ),
            3,
        ),
    }


def memory(images: int = 100_000, dim: int = 128, identities: int = 20_000) -> dict[str, Any]:
    """Seconds and peak memory of what compares embeddings, on made-up ones."""
    random = np.random.default_rng(0)
    labels = np.sort(random.integers(0, identities, images))
    labels = np.unique(labels, return_inverse=True)[1]
    vectors = random.standard_normal((identities, dim), dtype=np.float32)[labels]
    vectors += random.standard_normal((images, dim), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    pairs = near_pairs(vectors, threshold=0.9)
    copies_done = time.process_time()
    same, _ = same_people(vectors, labels)
    people_done = time.process_time()
    bounds = image_bounds(vectors, labels)
    assert bounds is not None
    found = len(find_outliers(vectors, labels, bounds)) + len(find_mixtures(vectors, labels, bounds))
    return {
        "images": images,
        "dim": dim,
        "identities": identities,
        "near_pairs_cpu_s": round(copies_done - started, 1),
        "people_cpu_s": round(people_done - copies_done, 1),
        "labels_cpu_s": round(time.process_time() - people_done, 1),
        "embeddings_mb": round(vectors.nbytes / 1e6),
        "peak_mb_before": round(before / 1024),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "found": [len(pairs), len(same.pairs), found],
    }


def people_table(settings: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "| score | false pairs expected | threshold | FAR per pair | found | same name | recall of 18 | halves found |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in settings:
        found, of = row["halves_found"]
        lines.append(
            f"| {row['score']} | {row['false_pairs_expected']:g} | {row['threshold']:.2f} | {row['far']:.1e} | "
            f"{row['found']} | {row['right']} | {row['recall']:.0%} | {found:,} of {of:,} |"
        )
    return "\n".join(lines) + "\n"


def copies_table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "| change | hash | embedding | both, laid over each other | wrong pairs of hash, embedding, both |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        wrong = ", ".join(str(row[name]["wrong"]) for name in ("hash", "embedding", "verified"))
        recalls = " | ".join(f"{row[name]['recall']:.0%}" for name in ("hash", "embedding", "verified"))
        lines.append(f"| {row['change']} | {recalls} | {wrong} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "data")
    parser.add_argument("--glint", type=Path, help="embeddings of data/glint24, plain and mirrored")
    parser.add_argument("--planted", type=int, default=100, help="images to change")
    parser.add_argument("--only", choices=("people", "copies", "memory"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    file = options.out / "leaks.json"
    results: dict[str, Any] = json.loads(file.read_text()) if file.exists() and options.only else {}
    results |= {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": f"{machines.words()}, torch {torch.__version__}",
        "threads": torch.get_num_threads(),
    }
    if options.only in (None, "people"):
        if options.glint is None:
            folder = FolderSource.open(options.data / "glint24", size=(112, 96), fit="crop")
            glint = embed(import_weights(options.data / "mobilefacenet" / "068.ckpt"), folder)
        else:
            glint = EmbeddingSet.load(options.glint)
        results["people"] = people(options.data, glint)
    if options.only in (None, "copies"):
        results["copies"] = copies(options.data, options.planted)
    if options.only in (None, "memory"):
        results["memory"] = memory()
    options.out.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(results, indent=1) + "\n")
    tables = {}
    if "people" in results:
        tables["leaks_people.md"] = people_table(results["people"]["settings"])
    if "copies" in results:
        tables["leaks_copies.md"] = copies_table(results["copies"])
    for name, text in tables.items():
        (options.out / name).write_text(text)
        print(text)
    if "memory" in results:
        print(json.dumps(results["memory"]))


if __name__ == "__main__":
    main()
