"""How often do 95 % intervals hold what they should? Simulated people with unequal numbers of images.

    python benchmarks/intervals.py                 500 draws of each population, about 7 minutes on one core
    python benchmarks/intervals.py --draws 40      a quick look

Embeddings are drawn: a direction for each person (some people more alike than others), a spread of their own, noise for
each image; all pairs are compared, so that pairs share people. The truth comes from 3 x 8,000 other people of the same
population. Each draw asks for the intervals of FMR and FNMR at a threshold fixed beforehand and of TAR at FAR 1e-2 and
1e-3, and chooses a threshold for FAR 1e-2 on half of its people. The Monte-Carlo error of a coverage of 95 % in 500
draws is 1.0 % (one standard error). Writes benchmarks/results/intervals.json and intervals.md.
"""

import argparse
import json
import os
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import machines
import numpy as np

from angulus.evaluation import SubjectScores, calibrate_threshold
from angulus.evaluation.uncertainty.bootstrap import Bootstrap
from angulus.evaluation.uncertainty.intervals import wilson
from angulus.evaluation.uncertainty.rate_intervals import far_interval, frr_interval, tar_at_far_intervals

RESULTS = Path(__file__).parent / "results"
FARS = (1e-2, 1e-3)
METHODS = ("logit-t", "percentile", "bca")
DIM = 24


@dataclass(frozen=True)
class Population:
    """people: in each draw. most: images of the person with most; the number n has probability ~ n^-power.

    alike: how strongly some people resemble each other. noise: of an image. unrest: spread of the noise over people.
    """

    name: str
    people: int
    most: int
    least: int = 1
    power: float = 2.0
    alike: float = 0.12
    noise: float = 0.67
    unrest: float = 0.2


POPULATIONS = (
    Population("4 images each", 300, 4, least=4),
    Population("1 to 15 images, heavy tail", 600, 15),
    Population("1 to 40 images, few errors", 400, 40, noise=0.5),
    Population("1 to 20 images, people very unlike", 500, 20, alike=0.3, noise=0.48, unrest=0.35),
)


def draw(population: Population, people: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Unit embeddings float32 [n, d] and labels [n], images of one person side by side."""
    sizes = np.arange(population.least, population.most + 1)
    chances = sizes**-population.power
    images = random.choice(sizes, size=people, p=chances / chances.sum())
    centres = random.normal(size=(people, DIM)) / np.sqrt(DIM)
    centres[:, 0] += population.alike * random.gamma(1.0, size=people)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    spread = population.noise * np.exp(population.unrest * random.normal(size=people))
    labels = np.repeat(np.arange(people), images)
    vectors = centres[labels] + spread[labels, None] * random.normal(size=(len(labels), DIM)) / np.sqrt(DIM)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), labels


def scores_of(vectors: np.ndarray, labels: np.ndarray, share: float = 0.03) -> SubjectScores:
    """All pairs: every genuine score, and the highest `share` of the impostor scores."""
    cosines = vectors @ vectors.T
    later = np.arange(len(labels))[None, :] > np.arange(len(labels))[:, None]
    same = labels[:, None] == labels[None, :]
    own = np.nonzero(same & later)
    other = ~same & later
    wanted = max(int(share * other.sum()), min(int(other.sum()), 2000))
    values = cosines[other]
    bound = np.partition(values, len(values) - wanted)[len(values) - wanted]
    left, right = np.nonzero(other & (cosines >= bound))
    return SubjectScores.of_all_pairs(
        labels,
        genuine=cosines[own],
        genuine_rows=own[0],
        tail=cosines[left, right],
        tail_left=left,
        tail_right=right,
    )


@dataclass(frozen=True)
class Truth:
    genuine: np.ndarray
    edges: np.ndarray
    fars: np.ndarray

    def far(self, threshold: float) -> float:
        return float(np.interp(threshold, self.edges, self.fars))

    def threshold(self, far: float) -> float:
        return float(self.edges[np.searchsorted(-self.fars, -far)])

    def tar(self, threshold: float) -> float:
        return 1 - np.searchsorted(self.genuine, threshold, side="right") / len(self.genuine)


def truth_of(population: Population, parts: int = 3, people: int = 8000) -> Truth:
    """FAR on a fine grid and all genuine scores of many other people."""
    bins = 200_000
    genuine, counts = [], np.zeros(bins, dtype=np.int64)
    for part in range(parts):
        vectors, labels = draw(population, people, np.random.default_rng((99, part)))
        for start in range(0, len(labels), 1000):
            block = vectors[start : start + 1000] @ vectors[start:].T
            later = np.arange(block.shape[1])[None, :] > np.arange(len(block))[:, None]
            same = labels[start : start + 1000, None] == labels[None, start:]
            genuine.append(block[same & later])
            places = ((block[~same & later] + 1) * (bins / 2.0001)).astype(np.int32)
            counts += np.bincount(places, minlength=bins)
    fars = np.append(np.cumsum(counts[::-1])[::-1], 0) / counts.sum()
    return Truth(np.sort(np.concatenate(genuine)), np.arange(bins + 1) * (2.0001 / bins) - 1, fars)


def run(population: Population, draws: int, replicates: int, truth_people: int) -> dict[str, dict[str, float]]:
    truth = truth_of(population, people=truth_people)
    held: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    worth = []
    for number in range(draws):
        scores = scores_of(*draw(population, population.people, np.random.default_rng((7, number))))
        counts = np.bincount(scores.genuine_subject).astype(float)
        worth.append(counts.sum() ** 2 / (counts**2).sum())
        for name, low, high, value in questions(scores, truth, replicates, number):
            held[name].append((low, high, value))
    table = {}
    for name, rows in held.items():
        low, high, value = np.array(rows).T
        table[name] = {
            "coverage": float(np.mean((low <= value) & (value <= high))),
            **{"below": float(np.mean(value < low)), "above": float(np.mean(value > high))},
            **{"width": float(np.mean(high - low)), "truth": float(np.mean(value)), "draws": len(rows)},
        }
    table["equal people that the genuine pairs are worth"] = {"mean": float(np.mean(worth))}
    return table


def questions(scores: SubjectScores, truth: Truth, replicates: int, seed: int):
    """(name, low, high, value that should lie between) of one draw."""
    for method in METHODS:
        options = Bootstrap(replicates=replicates, seed=seed, method=method)
        for point in tar_at_far_intervals(scores, FARS, options):
            fixed = truth.threshold(point.target)
            false, missed = far_interval(scores, fixed, options), frr_interval(scores, fixed, options)
            yield f"FMR {point.target:g} | {method}", false.low, false.high, truth.far(fixed)
            yield f"FNMR at FMR {point.target:g} | {method}", missed.low, missed.high, 1 - truth.tar(fixed)
            yield f"TAR at FAR {point.target:g} | {method}", point.tar.low, point.tar.high, truth.tar(fixed)
            if method == METHODS[0]:
                naive = wilson(round(false.estimate * scores.impostors), scores.impostors)
                yield f"FMR {point.target:g} | Wilson by pairs", naive.low, naive.high, truth.far(fixed)
                naive = wilson(round(missed.estimate * len(scores.genuine)), len(scores.genuine))
                yield f"FNMR at FMR {point.target:g} | Wilson by pairs", naive.low, naive.high, 1 - truth.tar(fixed)
                naive = wilson(point.true_accepts, point.genuine)
                yield f"TAR at FAR {point.target:g} | Wilson by pairs", naive.low, naive.high, truth.tar(fixed)
    found = calibrate_threshold(scores, FARS[0], seed=seed, bootstrap=Bootstrap(replicates=100, seed=seed))
    real = truth.far(found.threshold)
    yield "true FAR of the chosen threshold, in the reported interval | logit-t", *ends(found.achieved), real
    yield "true FAR of the chosen threshold, in the expected interval | logit-t", *found.expected, real
    yield (
        "FAR measured on the other half, in the predicted interval | logit-t",
        *found.predicted,
        found.achieved.estimate,
    )
    yield (
        "TAR of the chosen threshold, in the reported interval | logit-t",
        *ends(found.tar),
        truth.tar(found.threshold),
    )


def ends(interval) -> tuple[float, float]:
    return interval.low, interval.high


def markdown(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """One row for each population and question, one column for each way of making the interval."""
    columns = ["Wilson by pairs", *METHODS]
    lines = [
        "| people | question | truth | " + " | ".join(columns) + " | width, logit-t |",
        "|---|---|---|" + "---|" * (len(columns) + 1),
    ]
    for population, table in results.items():
        rows: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
        for name, found in table.items():
            question, _, method = name.partition(" | ")
            if method:
                rows[question][method] = found
        for question, found in rows.items():
            cells = [f"{100 * found[name]['coverage']:.1f} %" if name in found else "" for name in columns]
            own = found["logit-t"]
            lines.append(
                f"| {population} | {question} | {own['truth']:.4f} | {' | '.join(cells)} | {own['width']:.4f} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--replicates", type=int, default=300)
    parser.add_argument("--truth-people", type=int, default=8000, help="three times so many people are the truth")
    parser.add_argument("--only", type=int, nargs="*", help="numbers of populations")
    parser.add_argument("--json", type=Path, default=RESULTS / "intervals.json")
    chosen = parser.parse_args()
    populations = [POPULATIONS[n] for n in chosen.only] if chosen.only else POPULATIONS
    results = {}
    for population in populations:
        results[population.name] = run(population, chosen.draws, chosen.replicates, chosen.truth_people)
        print(f"{population.name}: {time.process_time():.0f} s of CPU time so far", flush=True)
    head = f"coverage of 95 % intervals in {chosen.draws} draws of each population, {chosen.replicates} replicates each"
    record = {
        **{"what": head, "monte_carlo_error": (0.95 * 0.05 / chosen.draws) ** 0.5},
        **{"date": datetime.now(UTC).date().isoformat(), "machine": machines.words(), "cores": os.cpu_count()},
        **{"command": "python benchmarks/intervals.py", "cpu_seconds": round(time.process_time(), 1)},
        **{"populations": [asdict(population) for population in populations], "results": results},
    }
    chosen.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    text = f"{head}\n\n{markdown(results)}"
    chosen.json.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text, f"\n{record['cpu_seconds']} s of CPU time")


if __name__ == "__main__":
    main()
