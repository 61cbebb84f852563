"""What it brings to start from public weights: LFW people, from scratch, untouched and fine-tuned; and which settings.

    python benchmarks/fine_tuning.py                      about an hour on one core; results/fine_tuning_<machine>.json
    python benchmarks/fine_tuning.py --only 'tiny lfw'    the cells whose name begins so
    python benchmarks/fine_tuning.py --table              the tables of what is there

The weights are `068.ckpt` (MobileFaceNet, CASIA-WebFace). Two domains of the same people: "lfw" as aligned, on which
the weights are nearly perfect, so that training can only spoil them, and "tiny lfw", each crop shrunk to 20x20 pixels
and scaled up again, which they were not made for. People of glint24 are left out. The held-out people are the same 100
(at most 3 photos each) for every cell and are never trained on; the training people, at most 4 photos each, are the
first of one list, so that the larger sets hold the smaller. All else is as `angulus train` chooses it, apart from one
thread, plain float32 and what a setting names:

untouched    the weights as they are: the column that a fine-tuning has to beat
scratch      no weights: the network and the settings that `angulus train` takes for itself
defaults     `init=068.ckpt` and nothing else
others       the defaults with one thing changed, named by it

A cell that is in the results already is not run again. Figures come from all pairs of held-out photos, embeddings of
plain and mirrored photo summed; intervals are at 95 %, over people.
"""

import argparse
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import machines
import numpy as np
import torch
from PIL import Image

from angulus.config import load
from angulus.training import judge, train
from angulus.training.assembly import build_model
from angulus.training.experiment import Experiment
from angulus.training.recipe.data_sources import open_sources
from angulus.training.recipe.defaults import with_model
from angulus.training.recipe.first_weights import with_fits

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
PEOPLE = (5, 20, 100, 500)
HELD_OUT, MOST_HELD_OUT, MOST_TRAINED = 100, 3, 4
TINY = 20
DOMAINS = ("lfw", "tiny lfw")
SETTINGS: dict[str, list[str]] = {
    "untouched": [],
    "scratch": [],
    "defaults": [],
    "backbone_rate 1": ["fine_tuning.backbone_rate=1"],
    "backbone_rate 0.3": ["fine_tuning.backbone_rate=0.3"],
    "backbone_rate 0.03": ["fine_tuning.backbone_rate=0.03"],
    "batch_norm local": ["train.batch_norm=local"],
    "head at random": ["head.from_data=false"],
    "no head epochs": ["fine_tuning.head_epochs=0"],
    "all plain": [
        "fine_tuning={backbone_rate: 1, head_epochs: 0}",
        "train.batch_norm=local",
        "head.from_data=false",
    ],
}
COMPARED = ("scratch", "defaults")  # for every number of people; the others for one
OTHERS_FOR = (100,)
Cell = tuple[str, int, str]


def cells() -> Iterator[Cell]:
    for setting in SETTINGS:
        for domain in DOMAINS:
            for people in PEOPLE:
                if setting in COMPARED or people in OTHERS_FOR:  # untouched weights do not depend on it
                    yield domain, people, setting


def chosen_people(data: Path, glint: Path) -> tuple[list[str], list[str]]:
    """Names for training, in the order in which they are taken, and names that are held out."""
    from angulus.data import split_identities
    from angulus.data.formats.folder.reader import FolderSource

    left_out = {path.name.lower() for path in glint.iterdir()}
    source = FolderSource.open(data)
    counts = np.bincount(source.labels, minlength=len(source.identities))
    parts = split_identities(source, {"train": 0.8, "test": 0.2}, seed=0)
    known = {name: int(count) for name, count in zip(source.identities, counts, strict=True)}
    found = []
    for part, least in (("train", 3), ("test", 2)):
        names = sorted(name for name in parts[part].identities if name.lower() not in left_out and known[name] >= least)
        found.append([names[index] for index in np.random.default_rng(0).permutation(len(names))])
    return found[0], sorted(found[1][:HELD_OUT])


def build(folder: Path, data: Path, names: dict[str, int], domain: str) -> None:
    """A folder with some photos of some people, as they are or shrunk and scaled up again."""
    for name, most in names.items():
        (folder / name).mkdir(parents=True)
        for photo in sorted((data / name).iterdir())[:most]:
            if domain == "lfw":
                os.symlink(photo, folder / name / photo.name)
                continue
            with Image.open(photo) as image:
                small = image.convert("RGB").resize((TINY, TINY), Image.Resampling.BOX)
                large = small.resize(image.size, Image.Resampling.BICUBIC)
            large.save(folder / name / f"{photo.stem}.png")


def experiment_of(cell: Cell, folder: Path, weights: Path) -> Experiment:
    _, _, setting = cell
    words = [f"data.path={folder / 'people'}", f"out={folder / 'run'}", "train.threads=1", "train.precision=float32"]
    words += ["data.identities.shares=by_name"]  # so that who is held out does not depend on who is there
    words += ["train.layout=channels_last", "device=cpu", "evaluation.every=null", "evaluation.fars=[0.01, 0.001]"]
    start = [] if setting == "scratch" else [f"init={weights}"]
    return load([], [*words, *start, *SETTINGS[setting]])


def measure(cell: Cell, data: Path, weights: Path, trained: list[str], held_out: list[str]) -> dict[str, Any]:
    domain, people, setting = cell
    folder = Path(tempfile.mkdtemp())
    try:
        names = dict.fromkeys(trained[:people], MOST_TRAINED) | dict.fromkeys(held_out, MOST_HELD_OUT)
        build(folder / "people", data, names, domain)
        experiment = experiment_of(cell, folder, weights)
        begun = time.process_time()
        if setting == "untouched":
            return {"figures": untouched(experiment), "cpu seconds": round(time.process_time() - begun, 1)}
        train(replace(experiment, seed=0))
        seconds = time.process_time() - begun
        learned = json.loads((folder / "run" / "classes.json").read_text())
        if sorted(learned) != sorted(trained[:people]):
            raise SystemExit(f"{' / '.join(map(str, cell))}: {len(learned)} people were trained on, not {people}")
        recipe = json.loads((folder / "run" / "recipe.json").read_text())
        figures = json.loads((folder / "run" / "evaluation.json").read_text())[0]
        return {
            "images": sum(len(list((folder / "people" / name).iterdir())) for name in trained[:people]),
            "network": recipe["model"]["name"],
            "epochs": recipe["train"]["epochs"],
            "lr": recipe["optim"]["lr"],
            "cpu seconds": round(seconds, 1),
            "figures": figures,
        }
    finally:
        shutil.rmtree(folder)


def untouched(experiment: Experiment) -> dict[str, Any]:
    """The figures of the held-out people with the weights of `init` as they are."""
    device = torch.device("cpu")
    experiment = with_fits(with_model(experiment, device))
    model, _ = build_model(experiment)
    source = open_sources(experiment, model.input).held_out
    embeddings = judge.embeddings_of(model, source, experiment.evaluation, device)
    return judge.judge(embeddings, experiment.evaluation, "held-out", intervals=None)[0].as_dict()


def table(stored: dict[str, Any]) -> str:
    """The cells in words, a row each."""
    lines = [
        f"{stored['about']['machine']}; `python benchmarks/fine_tuning.py`, {stored.get('date', '')}",
        "",
        "| photos | people trained on | setting | EER | TAR at FAR 1 % | TAR at FAR 0.1 % | CPU seconds |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for domain in DOMAINS:
        for _, people, setting in sorted((cell for cell in cells() if cell[0] == domain), key=place):
            result = stored["cells"].get(f"{domain} / {people} / {setting}")
            if result is None:
                continue
            figures = result["figures"]
            found = sorted(figures["intervals"]["tar_at_far"], key=lambda one: -one["target_far"])
            rates = [share(one["tar"]) for one in found]
            trained = "none" if setting == "untouched" else f"{people} ({result['images']} photos)"
            eer = f"{100 * figures['eer']['eer']:.1f} %"
            words = [domain, trained, setting, eer, *rates, f"{result['cpu seconds']:.0f}"]
            lines.append(f"| {' | '.join(words)} |")
    return "\n".join(lines) + "\n"


def place(cell: Cell) -> tuple[int, int, int]:
    """Untouched weights first, then by people and setting."""
    _, people, setting = cell
    return (0 if setting == "untouched" else 1, people, list(SETTINGS).index(setting))


def share(rate: dict[str, float]) -> str:
    return f"{100 * rate['estimate']:.1f} % ({100 * rate['low']:.1f} to {100 * rate['high']:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--only", default="")
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.WARNING)
    path = RESULTS / f"fine_tuning_{machines.slug()}.json"
    stored = json.loads(path.read_text()) if path.exists() else {"about": machines.about(), "cells": {}}
    if not asked.table:
        data, weights = asked.shared / "lfw112", asked.shared / "mobilefacenet" / "068.ckpt"
        trained, held_out = chosen_people(data, asked.shared / "glint24")
        for cell in cells():
            name = " / ".join(map(str, cell))
            if name in stored["cells"] or not name.startswith(asked.only):
                continue
            result = measure(cell, data, weights, trained, held_out)
            if path.exists():  # another process may have measured other cells
                stored["cells"] |= json.loads(path.read_text())["cells"]
            stored["cells"][name] = result
            stored["date"] = datetime.now(UTC).date().isoformat()
            path.write_text(json.dumps(stored, indent=1) + "\n")
            print(name, result["cpu seconds"], "s", flush=True)
    path.with_suffix(".md").write_text(table(stored))
    print(table(stored))


if __name__ == "__main__":
    main()
