"""Losses and scoring steps on 40 speakers who were neither trained on nor chosen by: EER and minDCF with intervals.

    python benchmarks/speakers.py losses                  six losses, three seeds; about two hours on one core
    python benchmarks/speakers.py paired                  each loss against plain softmax on the same speakers
    python benchmarks/speakers.py scoring                 mean, AS-norm, calibration; with and without large margins
    python benchmarks/speakers.py durations               the first second, two, five of each recording
    python benchmarks/speakers.py --table                 the tables of what is there

data/speech/etri200.npz: sentences read in Korean, 25 by each of 200 speakers, as 40 log-mel bands. 120 speakers train,
40 (`tune`) calibrate, 40 (`test`) are judged: `data.identities.split_seed` 1. The network is `tiny_speech`; everything
else is what `angulus train` chooses for these data, but for the passes (--epochs), chunks of one to one and a half
seconds, one thread and float32. A large margin stage (4 passes of three seconds, margin 0.5, a hundredth of the rate)
follows the same first stage. The cohort and the mean are of the speakers trained on.

Every training is kept in --runs, and every row in results/speakers_<machine>.json as soon as it is there.
"""

import argparse
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev

import machines
import numpy as np
import torch
from kept_rows import KeptRows, Row

from angulus import load_model
from angulus.cli.inputs.subject_scores import subject_scores
from angulus.config import load
from angulus.data import Source, open_source, split_identities
from angulus.data.views.sequences import Sequences
from angulus.embeddings import EmbeddingSet
from angulus.evaluation import ScoringSteps, all_trials, calibrated_on, compare_tar, verify_trials
from angulus.evaluation.protocols.step_figures import StepFigures
from angulus.evaluation.rates.costs import VOXCELEB_001, VOXCELEB_005
from angulus.extract import embed
from angulus.training import train

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
PARTS, SPLIT = {"train": 0.6, "tune": 0.2, "test": 0.2}, 1
LOSSES = {
    "plain softmax": "softmax",
    "AM-Softmax": "amsoftmax",
    "ArcFace": "arcface",
    "SphereFace": "sphereface",
    "AMM-Softmax (inferred form)": "ammsoftmax",
    "SphereFace2": "sphereface2",
}
LARGE = {
    "name": "large margin",
    "epochs": 4,
    "margin": {"name": "arcface", "scale": "auto", "m": 0.5},
    "optim": {"lr": 0.001},
    "learning_rate": {"warmup_epochs": 0},
    "train": {"frames": [300, 300]},
}
FRAMES, PLAIN = [100, 150], {"threads": 1, "precision": "float32", "keep_best": False}
SECONDS = (1.0, 2.0, 5.0)
PAIRED_FAR = 0.05


class Bench:
    """Trainings and rows that are there, and those to come."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.runs, self.epochs, self.seeds = asked.runs, asked.epochs, asked.seeds
        self.data = asked.data / "speech" / "etri200.npz"
        self.kept = KeptRows(asked.out, {"epochs": asked.epochs})

    def trained(self, margin: str, seed: int, *, large: bool = False) -> Path:
        """The folder of a run, trained where it is not there."""
        folder = self.runs / f"{margin}{'_large' if large else ''}_{self.epochs}_{seed}"
        if not (folder / "result.json").exists():
            settings = {
                "data": {"name": "features", "path": str(self.data), "identities": people()},
                "margin": margin,
                "seed": seed,
                "out": str(folder),
                "train": {"epochs": self.epochs, "frames": FRAMES, **PLAIN},
                "evaluation": {"every": None},
                **({"stages": [LARGE]} if large else {}),
            }
            train(load([], [f"{key}={json.dumps(value)}" for key, value in settings.items()]), resume=folder.exists())
        return folder

    def parts(self) -> dict[str, Source]:
        """Training, tuning and test speakers."""
        return split_identities(open_source(self.data), PARTS, seed=SPLIT, shares="exact")

    def embedded(self, run: Path, part: str) -> EmbeddingSet:
        return embed(load_model(run / "model"), self.parts()[part])


def people() -> Row:
    return {"parts": PARTS, "train_on": ["train"], "evaluate_on": "test", "split_seed": SPLIT, "shares": "exact"}


def figures(step: StepFigures) -> Row:
    """EER in percent and minDCF with the ends of their intervals, actDCF, Cllr."""
    found: Row = {"eer": 100 * step.eer.rate, "min_cllr": step.costs.min_cllr, "cllr": step.costs.cllr}
    sure = step.confidence
    if sure is not None and sure.eer is not None:
        found["eer_interval"] = [100 * sure.eer.low, 100 * sure.eer.high]
    for model, name in ((VOXCELEB_001, "0.01"), (VOXCELEB_005, "0.05")):
        found |= {f"min_dcf_{name}": step.min_dcf(model), f"act_dcf_{name}": step.act_dcf(model)}
        around = None if sure is None else sure.cost(model.name)
        if around is not None:
            found[f"min_dcf_{name}_interval"] = [around.low, around.high]
    return found


def losses(bench: Bench) -> None:
    """The plain cosine of each loss and seed."""
    for seed in bench.seeds:
        for title, margin in LOSSES.items():
            name = f"losses | {title} | {seed}"
            if name in bench.kept:
                continue
            run = bench.trained(margin, seed)
            trials = all_trials(bench.embedded(run, "test"))
            steps = verify_trials(trials, intervals=None).result.steps
            seconds = json.loads((run / "result.json").read_text())["figures"]["seconds"]
            bench.kept.add(name, {**figures(steps[0]), "trials": len(trials.pairs), "seconds": seconds})


def paired(bench: Bench) -> None:
    """TAR of each loss minus that of plain softmax, both on the same pairs, by drawing the speakers anew."""
    first, *others = LOSSES
    for seed in bench.seeds:
        for title in others:
            name = f"paired | {title} | {seed}"
            if name in bench.kept:
                continue
            runs = [bench.trained(LOSSES[each], seed) for each in (title, first)]
            scores = [subject_scores(bench.embedded(run, "test"), None, PAIRED_FAR, "plain") for run in runs]
            found = compare_tar(scores[0], scores[1], PAIRED_FAR)
            bench.kept.add(name, {"far": PAIRED_FAR, **found.as_dict()})


def scoring(bench: Bench) -> None:
    """Each step of scoring, on the network of ArcFace and the same after a stage with a large margin."""
    for seed in bench.seeds:
        for large in (False, True):
            if f"scoring | {large} | + calibration | {seed}" in bench.kept:
                continue
            run = bench.trained("arcface", seed, large=large)
            known, tune, test = (bench.embedded(run, part) for part in PARTS)
            steps = ScoringSteps(center=known, cohort=known, quality=("seconds",))
            steps = calibrated_on(all_trials(tune), steps)
            for step in verify_trials(all_trials(test), steps, intervals=None).result.steps:
                bench.kept.add(f"scoring | {large} | {step.name} | {seed}", figures(step))


def durations(bench: Bench) -> None:
    """The first seconds of each recording, both sides alike, against the whole of it."""
    for seed in bench.seeds:
        run = bench.trained("arcface", seed)
        model, whole = load_model(run / "model"), bench.parts()["test"]
        for seconds in (*SECONDS, None):
            name = f"durations | {seconds or 'whole'} | {seed}"
            if name in bench.kept:
                continue
            source = whole if seconds is None else first_of(whole, round(seconds * model.input.frames_a_second))
            found = verify_trials(all_trials(embed(model, source)), intervals=None).result.steps[0]
            bench.kept.add(name, {**figures(found), "recordings": len(source)})


def first_of(source: Source, frames: int) -> Sequences:
    """So many frames of each recording that has them."""
    rows = [row for row in range(len(source)) if len(source.read(row)) >= frames]
    return Sequences(
        values=np.concatenate([source.read(row)[:frames] for row in rows]),
        ends=np.arange(1, len(rows) + 1) * frames,
        labels=np.asarray(source.labels)[rows],
        identities=source.identities,
        keys=[source.keys[row] for row in rows],
        origin="first frames",
    )


def spread(values: Sequence[float], digits: int) -> str:
    """Mean and sample deviation."""
    deviation = f" +- {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{fmean(values):.{digits}f}{deviation}"


def found_rows(rows: Mapping[str, Row], start: str) -> list[Row]:
    return [row for name, row in rows.items() if name.rpartition(" | ")[0] == start]


def cells(rows: Sequence[Row]) -> str:
    """EER and both minDCF over the seeds, with the interval of the first seed for other speakers."""
    texts = []
    for key, digits in (("eer", 2), ("min_dcf_0.01", 3), ("min_dcf_0.05", 3)):
        ends = rows[0].get(f"{key}_interval")
        around = f" ({ends[0]:.{digits}f} to {ends[1]:.{digits}f})" if ends else ""
        texts.append(spread([row[key] for row in rows], digits) + around)
    return " | ".join(texts)


def losses_table(rows: Mapping[str, Row]) -> str:
    lines = ["| loss | seeds | EER, % | minDCF(0.01) | minDCF(0.05) |", "| --- | ---: | ---: | ---: | ---: |"]
    for title in LOSSES:
        found = found_rows(rows, f"losses | {title}")
        lines += [f"| {title} | {len(found)} | {cells(found)} |"] if found else []
    return "\n".join(lines) + "\n"


def paired_table(rows: Mapping[str, Row]) -> str:
    lines = [
        f"| loss | seed | TAR at FAR {PAIRED_FAR:g} | more than plain softmax, points | p |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, row in rows.items():
        what, title, seed = name.split(" | ") if name.startswith("paired") else ("", "", "")
        if what:
            low, middle, high = (100 * row["difference"][end] for end in ("low", "estimate", "high"))
            more = f"{middle:+.1f} ({low:+.1f} to {high:+.1f})"
            lines.append(f"| {title} | {seed} | {100 * row['first']:.1f} % | {more} | {row['p_value']:.2g} |")
    return "\n".join(lines) + "\n"


def scoring_table(rows: Mapping[str, Row]) -> str:
    lines = [
        "| network | seeds | scoring | EER, % | minDCF(0.01) | minDCF(0.05) | actDCF(0.05) | Cllr |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for large, words in ((False, "ArcFace"), (True, "and a large margin stage")):
        for step in ("raw", "+ mean", "+ AS-norm", "+ calibration"):
            found = found_rows(rows, f"scoring | {large} | {step}")
            if found:
                known = step == "+ calibration"
                extra = [spread([row[key] for row in found], 3) if known else "-" for key in ("act_dcf_0.05", "cllr")]
                lines.append(f"| {words} | {len(found)} | {step} | {cells(found)} | {' | '.join(extra)} |")
    return "\n".join(lines) + "\n"


def durations_table(rows: Mapping[str, Row]) -> str:
    lines = [
        "| of each recording | recordings | EER, % | minDCF(0.01) | minDCF(0.05) |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for seconds in (*SECONDS, "whole"):
        found = found_rows(rows, f"durations | {seconds}")
        words = "the whole" if seconds == "whole" else f"the first {seconds:g} s"
        lines += [f"| {words} | {found[0]['recordings']:,} | {cells(found)} |"] if found else []
    return "\n".join(lines) + "\n"


WORK: dict[str, Callable[[Bench], None]] = {
    "losses": losses,
    "paired": paired,
    "scoring": scoring,
    "durations": durations,
}
TABLES = {"losses": losses_table, "paired": paired_table, "scoring": scoring_table, "durations": durations_table}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=[*WORK, []])
    parser.add_argument("--data", type=Path, default=ROOT / "data")
    parser.add_argument("--runs", type=Path, default=Path("runs/speakers"))
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS / f"speakers_{machines.slug()}.json")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.WARNING)
    bench = Bench(asked)
    for what in () if asked.table else asked.what or WORK:
        WORK[what](bench)
    for what, table in TABLES.items():
        text = table(bench.kept.rows)
        if text.count("\n") > 2:
            asked.out.with_name(f"{asked.out.stem}_{what}.md").write_text(text)
            print(text)


if __name__ == "__main__":
    main()
