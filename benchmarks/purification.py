"""Does cleaning with sub-centers find injected noise, and is the model trained on what is left better?

Identities of glint24 (200 images of each, 22 train, 2 are held out by the recipe) with flips or outliers from LFW; a
TinyNet at 32x32 is trained on the noisy set with K = 1 and K = 3 centers, cleaned by either, and retrained plain. All
models verify the same people of LFW: neither in glint24 nor used as outliers.

    python benchmarks/purification.py                          the whole grid, 3 seeds; what is there is not done again
    python benchmarks/purification.py --only "flips 20 %" --seeds 0
    python benchmarks/purification.py --init data/mobilefacenet/068.ckpt --runs runs/purification_068   fine-tuning
    python benchmarks/purification.py --audit glint24.npz lfw112.npz     without training, from stored embeddings
    python benchmarks/purification.py --table                  the tables from the JSON alone

The stored embeddings: angulus embed data/mobilefacenet/068.ckpt data/glint24 --out glint24.npz, and data/lfw112.
"""

import argparse
import json
import logging
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import machines
import numpy as np
import torch

from angulus.config import load
from angulus.data import Edit, InMemory, Source, truth_of, write_edits
from angulus.embeddings import EmbeddingSet
from angulus.evaluation import verify
from angulus.extract import embed
from angulus.purification import (
    RULES,
    Evidence,
    Purification,
    angles_of,
    average_precision,
    best_f1,
    decide,
    gather,
    purify,
    score_cleaning,
)
from angulus.purification.identity_groups import group_images
from angulus.purification.label_audit import evidence_of
from angulus.purification.rules import default_angle
from angulus.purification.runs import is_finished, open_run, training_images, with_edits
from angulus.training import Experiment, train
from angulus.training.recipe.data_sources import found_sources, open_evaluated
from angulus.training.storage.atomic_files import write_json, write_text

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
LFW = {
    "name": "folder",
    "path": "data/lfw112",
    "identities": {
        **{"exclude_from": "data/glint24", "parts": {"outliers": 0.4, "test": 0.6}},
        **{"train_on": ["outliers"], "evaluate_on": "test"},
    },
}
NOISE: dict[str, dict[str, Any]] = {
    "flips 10 %": {"flips": 0.1},
    "flips 20 %": {"flips": 0.2},
    "flips 40 %": {"flips": 0.4},
    "outliers 20 %": {
        "outliers": 0.2,
        "outside": {**LFW, "identities": {**LFW["identities"], "min_images": 1}},
    },
}
FARS = (1e-1, 1e-2, 1e-3)


def recipe(noise: dict[str, Any], seed: int, init: Path | None) -> Experiment:
    base = {"name": "folder", "path": "data/glint24", "identities": {"max_images": 200}}
    people = {"parts": {"train": 0.95, "test": 0.05}, "split_seed": 1211}
    settings = {
        "data": {"name": "noisy", "base": base, "identities": people, "seed": seed, **noise},
        "seed": seed,
        "margin": {"name": "arcface", "scale": 16, "m": {"name": "linear", "end": 0.3, "until": 0.5, "unit": "run"}},
        "train": {"epochs": 12, "keep_best": False, "keep_last": 1},
        "evaluation": {"every": None, "fars": [0.1], "also": {"lfw": LFW}},
    }
    if init is None:
        size = {"height": 32, "width": 32}
        net = {"name": "tiny", "channels": [16, 32, 64, 96], "units": [1, 1, 1, 0], "embedding_dim": 64, "input": size}
        settings["model"] = net
    else:
        base["fit"], settings["evaluation"]["also"]["lfw"] = "crop", {**LFW, "fit": "crop"}
        if "outside" in settings["data"]:
            settings["data"]["outside"] = {**settings["data"]["outside"], "fit": "crop"}
        size = {"height": 112, "width": 96, "mean": [127.5] * 3, "std": [128.0] * 3}
        settings["model"] = {"name": "mobilefacenet", "embedding_dim": 128, "input": size}
        settings |= {"init": str(init), "optim": {"lr": 0.01}}
        settings["train"] |= {"epochs": 3, "batch_norm": "frozen"}
        settings["head"] = {"from_data": True}
    return load([], [f"{key}={json.dumps(value)}" for key, value in settings.items()])


def held_out(experiment: Experiment) -> Source:
    """The people of LFW that all models verify, decoded once."""
    assert experiment.model is not None
    source = open_evaluated(experiment, experiment.evaluation.also["lfw"], experiment.model.input)
    return InMemory.load(source)


def unjudged(experiment: Experiment) -> Experiment:
    """The experiment without the further sets, which the grid verifies itself, decoded once."""
    return replace(experiment, evaluation=replace(experiment.evaluation, also={}))


def scored_rules(source: Source, evidence: Evidence) -> dict[str, Any]:
    """What every rule drops, scored with the truth; how right and wrong labels lie."""
    truth = truth_of(source)
    assert truth is not None
    angles, wrong = angles_of(evidence, len(source.identities)), truth.is_wrong
    found: dict[str, Any] = {"images": len(source), "wrong": int(wrong.sum())}
    for rule in RULES:
        for angle in dict.fromkeys([default_angle(rule), "auto"]):
            verdict = decide(angles, rule, angle)
            best, at = best_f1(verdict.suspicion, wrong)
            found[f"{rule} {angle if angle == 'auto' else f'{angle:g}'}"] = {
                **asdict(score_cleaning(verdict.dropped, wrong)),
                **{"angle": verdict.angle, "share": verdict.fit.share, "best_f1": best, "best_angle": at},
                "average_precision": average_precision(verdict.suspicion, wrong),
            }
    share = {
        f"{kind}, {place}": float((mask & (angles.is_dominant == (place == "dominant"))).mean())
        for kind, mask in (("right", ~wrong), ("wrong", wrong))
        for place in ("dominant", "other")
    }
    spread = {
        kind: [float(value) for value in np.percentile(angles.dominant_angle[mask], [5, 50, 95])]
        for kind, mask in (("right", ~wrong), ("wrong", wrong))
    }
    return found | {"composition": share, "degrees": spread}


def audited(noise: str, seed: int, files: list[Path]) -> dict[str, Any]:
    """The rules on centers that the images themselves make, from stored embeddings of glint24 and LFW."""
    experiment = recipe(NOISE[noise], seed, None)
    assert experiment.model is not None
    source = found_sources(unjudged(experiment), experiment.model.input).train
    place: dict[str, tuple[EmbeddingSet, int]] = {}
    for prefix, file in zip(("", "outlier/"), files, strict=True):
        stored = EmbeddingSet.load(file)
        place |= {prefix + key: (stored, row) for row, key in enumerate(stored.keys or ())}
    picked = [place[key] for key in source.keys]
    plain, flipped = (
        np.stack([getattr(kept, name)[row] for kept, row in picked]) for name in ("embeddings", "flipped")
    )
    embeddings = EmbeddingSet(embeddings=plain, flipped=flipped)
    labels = np.asarray(source.labels)
    groups = group_images(embeddings.unit("sum"), labels, list(source.identities))
    return scored_rules(source, evidence_of(embeddings, labels, groups, None))


class Grid:
    """The grid with what of it is done, in a JSON file that grows."""

    def __init__(self, file: Path, runs: Path, init: Path | None) -> None:
        self.file, self.runs, self.init = file, runs, init
        self.rows: dict[str, Any] = json.loads(file.read_text())["rows"] if file.exists() else {}
        self.lfw: Source | None = None

    def add(self, name: str, row: dict[str, Any]) -> None:
        self.rows[name] = row
        record = {
            **{"date": datetime.now(UTC).date().isoformat(), "machine": machines.words(), "threads": 1},
            **{"command": "python benchmarks/purification.py", "init": str(self.init or ""), "rows": self.rows},
        }
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.file, record)
        print(name, json.dumps(row), flush=True)

    def judged(self, folder: Path) -> dict[str, Any]:
        """Verification of the held-out people of LFW by the network of a run."""
        opened = open_run(folder)
        self.lfw = self.lfw or held_out(recipe({}, 0, self.init))
        result = verify(embed(opened.model, self.lfw, batch_size=256), view="sum", fars=FARS, intervals=True)
        known = result.confidence
        assert known is not None
        return {
            "eer": result.eer.rate,
            "intervals": {f"tar@{point.target:g}": [point.tar.low, point.tar.high] for point in known.points},
            **{f"tar@{point.target:g}": point.tar for point in result.points},
            "seconds": json.loads((folder / "result.json").read_text())["figures"]["seconds"],
        }

    def rules(self, folder: Path) -> dict[str, Any]:
        """What every rule would drop of the training set of a run."""
        opened = open_run(folder)
        source = training_images(opened)
        centers = opened.centers.in_order(source.identities)
        return scored_rules(source, gather(opened.model, source, centers, folder=folder / "evidence"))

    def cell(self, noise: str, seed: int) -> None:
        """All trainings of one noise and seed."""
        experiment, place = (
            unjudged(recipe(NOISE[noise], seed, self.init)),
            self.runs / f"{noise.replace(' %', '')}_{seed}",
        )
        ways = {
            "K=3": Purification(subcenters=3),
            "K=1": Purification(subcenters=1, rule="nearest"),
            "combined": Purification(subcenters=3, rule="combined"),
        }
        for name, options in ways.items():
            run = place / "K=3" / "round-1" / "subcenters" if name == "combined" else None
            noisy, cleaned = f"{noise} | {seed} | noisy {name}", f"{noise} | {seed} | cleaned {name}"
            if noisy in self.rows:  # the evidence is kept, so that rules that were changed are scored at once
                rescored = self.rules(place / name / "round-1" / "subcenters")
                self.add(noisy, {**self.rows[noisy], "rules": rescored})
            if cleaned in self.rows and (noisy in self.rows or name == "combined"):
                continue
            try:
                done = purify(experiment, place / name, options, run=run)
            except Exception as error:  # a cell that cannot be cleaned is a result too
                self.add(cleaned, {"error": str(error)})
                continue
            found = run or place / name / "round-1" / "subcenters"
            if run is None:
                self.add(noisy, {**self.judged(found), "rules": self.rules(found)})
            assert done.retrained is not None
            self.add(cleaned, {**self.judged(done.retrained), "scored": done.figures["rounds"][0].get("scored")})

    def known(self, noise: str, seed: int) -> None:
        """The noisy set without its wrong labels: what a faultless cleaning would give."""
        name = f"{noise} | {seed} | cleaned by truth"
        if name in self.rows:
            return
        folder = self.runs / f"{noise.replace(' %', '')}_{seed}" / "truth"
        run = open_run(folder.parent / "K=3" / "round-1" / "subcenters")
        source = training_images(run)
        truth = truth_of(source)
        assert truth is not None
        drops = [Edit(action="drop", key=source.keys[row]) for row in np.flatnonzero(truth.is_wrong).tolist()]
        write_edits(folder / "edits.csv", drops)
        experiment = with_edits(unjudged(recipe(NOISE[noise], seed, self.init)), (folder / "edits.csv",))
        if not is_finished(folder / "run"):
            train(replace(experiment, out=folder / "run"), resume=True)
        self.add(name, self.judged(folder / "run"))

    def with_subcenters(self, noise: str, seed: int) -> None:
        """The set that the combined rule left, trained with K = 3 once more."""
        name = f"{noise} | {seed} | cleaned combined, K=3"
        place = self.runs / f"{noise.replace(' %', '')}_{seed}"
        lists = place / "combined" / "round-1" / "edits.csv"
        if name in self.rows or not lists.exists():
            return
        experiment = with_edits(unjudged(recipe(NOISE[noise], seed, self.init)), (lists,))
        experiment = replace(experiment, head=replace(experiment.head, subcenters=3), out=place / "again")
        if not is_finished(place / "again"):
            train(experiment, resume=True)
        self.add(name, self.judged(place / "again"))

    def clean(self, seed: int) -> None:
        """The set without noise."""
        for subcenters in (1, 3):
            name = f"clean | {seed} | noisy K={subcenters}"
            if name in self.rows:
                continue
            folder = self.runs / f"clean_{seed}" / f"K={subcenters}"
            experiment = replace(unjudged(recipe({}, seed, self.init)), out=folder)
            if not is_finished(folder):
                train(replace(experiment, head=replace(experiment.head, subcenters=subcenters)), resume=True)
            self.add(name, self.judged(folder))


def spread(values: list[float], shown: str = ".1%") -> str:
    mean = f"{np.mean(values):{shown}}"
    if len(values) < 2:
        return mean
    deviation = np.std(values, ddof=1)
    return f"{mean} +- {100 * deviation:.1f}" if shown.endswith("%") else f"{mean} +- {deviation:{shown}}"


def cleaning_table(rows: dict[str, Any]) -> str:
    lines = [
        "| noise | centers | rule, angle | precision | recall | F1 | best F1 of all angles | average precision |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for noise in NOISE:
        for centers, rules in (
            ("K=1", ("nearest 75", "nearest auto", "combined auto")),
            ("K=3", ("subcenter 75", "strict 75", "subcenter auto", "nearest 75", "combined auto")),
            ("068", ("subcenter 75", "subcenter auto", "combined auto")),
        ):
            found = [row["rules"] for name, row in rows.items() if matches(name, noise, f"noisy {centers}", row)]
            for rule in rules if found else ():
                cells = [
                    spread([row[rule][key] for row in found], ".3f")
                    for key in ("precision", "recall", "f1", "best_f1", "average_precision")
                ]
                lines.append(
                    f"| {noise} | {centers.removeprefix('K=')} | {rule.replace(' ', ', ')} | {' | '.join(cells)} |"
                )
    return "\n".join(lines) + "\n"


def verification_table(rows: dict[str, Any]) -> str:
    kinds = {
        "noisy K=1": "noisy, K = 1",
        "noisy K=3": "noisy, K = 3",
        "cleaned K=1": "cleaned by K = 1, nearest 75",
        "cleaned K=3": "cleaned by K = 3, subcenter 75",
        "cleaned combined": "cleaned by K = 3, combined auto",
        "cleaned combined, K=3": "the same, trained with K = 3",
        "cleaned by truth": "cleaned without fault",
    }
    lines = [
        "| noise | trained on | seeds | EER | TAR at FAR 0.1 | TAR at FAR 0.01 | 95 % of the last, first seed |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for noise in ("clean", *NOISE):
        for kind, words in kinds.items():
            found = [row for name, row in rows.items() if matches(name, noise, kind, row)]
            if not found:
                continue
            cells = [spread([row[key] for row in found]) for key in ("eer", "tar@0.1", "tar@0.01")]
            ends = found[0]["intervals"]["tar@0.01"]
            interval = f"{ends[0]:.1%} to {ends[1]:.1%}"
            words = words.removeprefix("noisy, ") if noise == "clean" else words
            lines.append(f"| {noise} | {words} | {len(found)} | {' | '.join(cells)} | {interval} |")
    return "\n".join(lines) + "\n"


def matches(name: str, noise: str, kind: str, row: dict[str, Any]) -> bool:
    parts = name.split(" | ")
    return parts[0] == noise and parts[2] == kind and "error" not in row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--only", nargs="*", choices=list(NOISE), default=list(NOISE))
    parser.add_argument("--init", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/purification"))
    parser.add_argument("--json", type=Path, default=RESULTS / "purification.json")
    parser.add_argument("--audit", nargs=2, type=Path, help="embeddings of glint24 and of lfw112, by `angulus embed`")
    parser.add_argument("--table", action="store_true")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.WARNING)
    grid = Grid(chosen.json, chosen.runs, chosen.init)
    for seed in chosen.seeds if chosen.audit else ():
        for noise in chosen.only:
            grid.add(f"{noise} | {seed} | noisy 068", {"rules": audited(noise, seed, chosen.audit)})
    for seed in () if chosen.table or chosen.audit else chosen.seeds:
        grid.clean(seed)
        for noise in chosen.only:
            grid.cell(noise, seed)
            grid.known(noise, seed)
            grid.with_subcenters(noise, seed)
    for name, table in (("cleaning", cleaning_table(grid.rows)), ("verification", verification_table(grid.rows))):
        write_text(chosen.json.with_name(f"{chosen.json.stem}_{name}.md"), table)
        print(table)


if __name__ == "__main__":
    main()
