"""Wrong labels and hidden speakers: are they found among recordings? Planted in real speech, precision and recall.

    python benchmarks/speaker_faults.py labels            trainings of some minutes each on one core
    python benchmarks/speaker_faults.py leaks             with the network of `speakers.py losses` (ArcFace, seed 0)
    python benchmarks/speaker_faults.py --table           the tables of what is there

data/speech/etri200.npz, split as in `speakers.py`. labels: so many recordings of the training speakers get the label of
another; networks with one and three centers for each speaker are trained on them, each rule drops what it holds for
wrong, and the network is trained again on what the rule `combined` left. leaks: half of the recordings of 20 of the 40
test speakers stand among the training speakers under other names; `data leaks` has to find the 20, by a network that
has heard none of them. Planted copies of recordings are in `speech_copies.py`.
"""

import argparse
import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import machines
import numpy as np
import torch
from kept_rows import KeptRows, Row
from purification import scored_rules
from speakers import FRAMES, PARTS, PLAIN, SPLIT

from angulus import load_model
from angulus.config import load
from angulus.data import Source, open_source, select, split_identities
from angulus.data.views.sequences import Sequences
from angulus.evaluation import verify
from angulus.extract import embed
from angulus.inspection.contents import scan, typical_spectrum
from angulus.inspection.copies import Seen
from angulus.inspection.leaks import find_leaks
from angulus.purification import Purification, gather, purify
from angulus.purification.runs import is_finished, open_run, training_images
from angulus.training import Experiment, train

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
FLIPS, HIDDEN = (0.1, 0.2), 20
RULES = ("subcenter 75", "nearest 75", "subcenter auto", "nearest auto", "combined auto")


class Bench:
    """What is done of it, in a JSON file that grows."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.runs, self.epochs = asked.runs, asked.epochs
        self.data, self.model = asked.data / "speech" / "etri200.npz", asked.model
        self.kept = KeptRows(asked.out, {"epochs": asked.epochs})

    def recipe(self, flips: float) -> Experiment:
        """Speakers trained on with wrong labels; the test speakers keep theirs."""
        base = {"name": "features", "path": str(self.data)}
        people = {"parts": PARTS, "train_on": ["train"], "evaluate_on": "test"}
        settings = {
            "data": {
                "name": "noisy",
                "base": base,
                "flips": flips,
                "identities": {**people, "split_seed": SPLIT, "shares": "by_name"},
            },
            "train": {"epochs": self.epochs, "frames": FRAMES, **PLAIN},
            "evaluation": {"every": None},
        }
        return load([], [f"{key}={json.dumps(value)}" for key, value in settings.items()])

    def judged(self, run: Path) -> Row:
        """EER on the test speakers, in percent, with its interval."""
        opened = open_run(run)
        source = split_identities(open_source(self.data), PARTS, seed=SPLIT, shares="by_name")["test"]
        result = verify(embed(opened.model, source), intervals=None)
        sure = result.confidence
        assert sure is not None
        assert sure.eer is not None
        return {"eer": 100 * result.eer.rate, "eer_interval": [100 * sure.eer.low, 100 * sure.eer.high]}


def labels(bench: Bench) -> None:
    """Wrong labels found by each rule, and what cleaning brings."""
    for flips in (0.0, *FLIPS):
        for centers in (1, 3) if flips else (1,):
            name, folder = (
                f"labels | {flips:.0%} | K={centers}",
                bench.runs / f"flips_{flips:g}_{centers}_{bench.epochs}",
            )
            if name in bench.kept:
                continue
            experiment = bench.recipe(flips)
            noisy = folder / "round-1" / "subcenters"
            if not flips:
                if not is_finished(folder):
                    train(replace(experiment, out=folder), resume=folder.exists())
                bench.kept.add(name, {"noisy": bench.judged(folder)})
                continue
            done = purify(experiment, folder, Purification(subcenters=centers, rule="combined"))
            assert done.retrained is not None
            run = open_run(noisy)
            source = training_images(run)
            evidence = gather(run.model, source, run.centers.in_order(source.identities), folder=noisy / "evidence")
            found = scored_rules(source, evidence)
            bench.kept.add(
                name,
                {"noisy": bench.judged(noisy), "cleaned": bench.judged(done.retrained), "rules": found},
            )


def leaks(bench: Bench) -> None:
    """Speakers of the test set that are among those trained on, by other names."""
    parts = split_identities(open_source(bench.data), PARTS, seed=SPLIT, shares="exact")
    test, model = parts["test"], load_model(bench.model)
    hidden = sorted(test.identities)[:HIDDEN]
    own = np.asarray(test.labels)
    is_first = np.array([(own[:row] == own[row]).sum() < 12 for row in range(len(own))])  # of each speaker's 25
    inside = np.isin(np.array(test.identities)[own], hidden)
    train_side = joined(parts["train"], select(test, np.flatnonzero(inside & is_first)))
    test_side = select(test, np.flatnonzero(~(inside & is_first)))
    typical = typical_spectrum(train_side)
    seen = [
        Seen(source=source, contents=scan(source, typical), vectors=embed(model, source).unit("plain"))
        for source in (train_side, test_side)
    ]
    for false_pairs in (0.05, 0.5, 5.0):
        found = find_leaks(seen[0], seen[1], names=False, false_pairs=false_pairs)
        assert found.people is not None
        pairs = [(train_side.identities[one.train], test_side.identities[one.test]) for one in found.leaked]
        right = {test_name for name, test_name in pairs if name == f"other {test_name}"}
        row = {"found": len(pairs), "right": len(right), "recall": len(right) / HIDDEN}
        row |= {"precision": len(right) / len(pairs) if pairs else None, "of": len(train_side.identities)}
        bench.kept.add(f"leaks | {false_pairs:g}", row)


def joined(source: Source, more: Source) -> Sequences:
    """Two sets as one, the speakers of the second under other names."""
    parts = [each.read(row) for each in (source, more) for row in range(len(each))]
    names = [*source.identities, *(f"other {name}" for name in more.identities)]
    labels = np.concatenate([source.labels, np.asarray(more.labels) + len(source.identities)])
    used, labels = np.unique(labels, return_inverse=True)
    return Sequences(
        values=np.concatenate(parts),
        ends=np.cumsum([len(part) for part in parts]),
        labels=labels,
        identities=[names[label] for label in used],
        keys=[*source.keys, *(f"other {key}" for key in more.keys)],
        origin="joined",
    )


def labels_table(rows: Mapping[str, Row]) -> str:
    lines = [
        "| wrong labels | centers | rule, angle | precision | recall | EER before, % | EER after `combined`, % |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for name, row in rows.items():
        kind, flips, centers = name.split(" | ") if name.startswith("labels") else ("", "", "")
        if kind != "labels":
            continue
        before, after = (rate(row.get(key)) for key in ("noisy", "cleaned"))
        if "rules" not in row:
            lines.append(f"| {flips} | {centers[2:]} | - | - | - | {before} | - |")
        for rule in RULES if "rules" in row else ():
            if rule in row["rules"]:
                figures = row["rules"][rule]
                ends = f"{before} | {after}" if rule == "combined auto" else " | "
                lines.append(
                    f"| {flips} | {centers[2:]} | {rule.replace(' ', ', ')} | {figures['precision']:.3f} | "
                    f"{figures['recall']:.3f} | {ends} |"
                )
    return "\n".join(lines) + "\n"


def rate(row: Row | None) -> str:
    if row is None:
        return "-"
    low, high = row["eer_interval"]
    return f"{row['eer']:.2f} ({low:.2f} to {high:.2f})"


def leaks_table(rows: Mapping[str, Row]) -> str:
    lines = ["| false pairs expected | found | right | precision | recall |", "| ---: | ---: | ---: | ---: | ---: |"]
    for name, row in rows.items():
        if name.startswith("leaks"):
            precision = "-" if row["precision"] is None else f"{row['precision']:.2f}"
            lines.append(
                f"| {name.split(' | ')[1]} | {row['found']} | {row['right']} | {precision} | {row['recall']:.2f} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=["labels", "leaks", []])
    parser.add_argument("--data", type=Path, default=ROOT / "data")
    parser.add_argument("--runs", type=Path, default=Path("runs/speaker_faults"))
    parser.add_argument("--model", type=Path, default=Path("runs/speakers/arcface_16_0/model"))
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS / f"speaker_faults_{machines.slug()}.json")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.WARNING)
    bench = Bench(asked)
    for what in () if asked.table else asked.what or ("labels", "leaks"):
        {"labels": labels, "leaks": leaks}[what](bench)
    for what, table in (("labels", labels_table), ("leaks", leaks_table)):
        text = table(bench.kept.rows)
        if text.count("\n") > 2:
            asked.out.with_name(f"{asked.out.stem}_{what}.md").write_text(text)
            print(text)


if __name__ == "__main__":
    main()
