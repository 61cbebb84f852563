"""From how many people on is training worth it, from nothing and from trained weights?

For each number of people of LFW (those with four photos or more, at most eight of each) `train` as a newcomer runs it,
once with random weights and once with those of 068.ckpt. Every network verifies the same 60 other people of LFW, with
four photos each, whom no run has seen; beside that stands what the run itself says of people it held out.

    python benchmarks/few_people.py                         2, 3, 5, 10, 26, 40 and 200 people; what is there is kept
    python benchmarks/few_people.py --people 2 3 5 10       some of them
    python benchmarks/few_people.py --table                 the table from the JSON alone

068.ckpt was trained on CASIA-WebFace, not on LFW. One thread; runs are kept in runs/few_people.
"""

import argparse
import json
import logging
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import machines
import torch

from angulus.config import load
from angulus.data import FolderSource
from angulus.data.views.split import positions
from angulus.training import train
from angulus.training.storage.atomic_files import write_json, write_text

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
RUNS = ROOT / "runs" / "few_people"
PEOPLE = (2, 3, 5, 10, 26, 40, 200)
FEWEST, MOST = 4, 8
"""Photos of a person that is used."""
JUDGES = 60
WEIGHTS = "mobilefacenet/068.ckpt"
FROM_WEIGHTS = ("evaluation.also.others.fit=crop",)
STARTS = {"random": (), "weights": FROM_WEIGHTS}


def main() -> None:
    options = arguments()
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.WARNING)
    target = RESULTS / f"few_people_{machines.slug()}.json"
    known = json.loads(target.read_text()) if target.exists() else {**machines.about(), "threads": 1, "rows": {}}
    if not options.table:
        photos = options.shared / "lfw112"
        order = people_in_order(photos)
        others = copied(photos, order[:JUDGES], FEWEST, RUNS / "others")
        wanted = [(2, "none"), *((people, start) for people in options.people for start in STARTS)]
        for people, start in wanted:
            if f"{people} {start}" not in known["rows"]:
                known["rows"][f"{people} {start}"] = row(options.shared, order, others, people, start)
                known["date"] = datetime.now(UTC).date().isoformat()
                write_json(target, known)
    table = table_of(known)
    write_text(target.with_suffix(".md"), table)
    print(table)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, nargs="+", default=PEOPLE)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--table", action="store_true")
    return parser.parse_args()


def people_in_order(photos: Path) -> list[str]:
    """Names of those with photos enough, in an order that depends on the names alone."""
    source = FolderSource.open(photos, min_images=FEWEST)
    return [source.identities[place] for place in positions(source.identities, seed=0).argsort()]


def copied(photos: Path, names: list[str], most: int, folder: Path) -> Path:
    """The first photos of these people, in a folder of its own."""
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for file in sorted((photos / name).iterdir())[:most]:
            shutil.copyfile(file, folder / name / file.name)
    return folder


def row(shared: Path, order: list[str], others: Path, people: int, start: str) -> dict[str, Any]:
    """One run, and what its network does on the other people."""
    folder = copied(shared / "lfw112", order[JUDGES : JUDGES + people], MOST, RUNS / f"people_{people}")
    words = [
        *(f"data.path={folder}", f"out={RUNS / f'{people}_{start}'}", "evaluation.every=null", "train.threads=1"),
        f"evaluation.also.others={{name: folder, path: {others}}}",
        "evaluation.also.others.identities={parts: {test: 1.0}, train_on: [], evaluate_on: test}",
        *STARTS.get(start, FROM_WEIGHTS),
        *([] if start == "random" else [f"init={shared / WEIGHTS}"]),
        *(["evaluation.hold_out=nobody"] if people < 4 or start == "none" else []),
    ]
    if start == "none":
        words += ["train.epochs=1", "optim.lr=1e-12"]
    experiment = load([], words)
    shutil.rmtree(experiment.out or RUNS, ignore_errors=True)
    result = train(experiment)
    recipe = json.loads((result.folder / "recipe.json").read_text())
    figures = {name: value for name, value in result.figures.items() if "tar" in name or "eer" in name}
    found = {"people": people, "start": start, "images": sum(1 for _ in folder.glob("*/*.jpg"))}
    return {**found, "hold_out": recipe["evaluation"]["hold_out"], "seconds": result.figures["seconds"], **figures}


def table_of(known: dict[str, Any]) -> str:
    lines = [
        f"{known['machine']}; {known['threads']} thread; {known.get('date', '')}; `python benchmarks/few_people.py`",
        "",
        "| people | photos | begun with | own figure: EER | on 60 other people: EER | TAR at FAR 0.1 | at FAR 0.01 |",
        "| ---: | ---: | --- | --- | ---: | ---: | ---: |",
    ]
    for one in sorted(known["rows"].values(), key=lambda one: (one["start"], one["people"])):
        own = one.get("held-out/eer")
        told = "none" if own is None else f"{own:.1%} ({'in folds' if one['hold_out'] == 'folds' else 'held out'})"
        figures = [f"{one[f'others/{name}']:.1%}" for name in ("eer", "tar@0.1", "tar@0.01")]
        first = {"random": "random weights", "weights": "068.ckpt", "none": "068.ckpt, not trained"}[one["start"]]
        lines.append(f"| {one['people']} | {one['images']} | {first} | {told} | {' | '.join(figures)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
