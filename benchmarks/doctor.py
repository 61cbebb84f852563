"""Does `angulus doctor` name faults that were planted on purpose, and stay silent on healthy runs?

    python benchmarks/doctor.py --data ../shared/data            results/doctor_cpu.json, and the confusion table
    python benchmarks/doctor.py --data ../shared/data --only scale --runs /tmp/runs

Every fault is planted in two sets of images of different kinds (drawn faces, photos, characters) with another seed
each, as far as it can be; classes of two people and people in two classes in six: with other people, alphabets and
seeds. Healthy runs are on seven sets and with four losses. Runs are small: one thread, half a minute
of processor time each at most. The JSON is written after every run, and runs that it holds are not made again unless
--fresh; --again reads the kept folders of --runs anew, after the rules were changed.
"""

import argparse
import csv
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import machines
import torch

from angulus.data import Augment, Edit, OmniglotSource, convert, write_edits
from angulus.diagnosis import diagnose
from angulus.errors import NonFiniteError
from angulus.margins import AMSoftmax, ArcFace, Linear, NormFace, SphereFaceR
from angulus.models import InputSpec, MobileFaceNet, TinyNet
from angulus.training import (
    SGD,
    Evaluation,
    Experiment,
    FolderData,
    Head,
    Identities,
    LearningRate,
    NoisyData,
    OmniglotData,
    PackedData,
    SyntheticData,
    Training,
    UnionData,
    train,
)
from angulus.training.loop import Run
from angulus.training.recipe.data_sources import open_sources
from angulus.training.recording.recorder import Recorder

RESULTS = Path(__file__).parent / "results"
ENDED = "benchmark.json"
"""In the folder of a run that came to its end: what it took."""
RAMP = Linear(end=0.3, until=0.5, unit="run")
NETWORK = TinyNet(channels=(16, 32), units=(1, 1), embedding_dim=64, input=InputSpec(height=32, width=32))
GREEK = tuple(f"Greek/character{number:02d}" for number in range(1, 25))
"""Some of them are Latin letters as well: an O in two classes is one of the faults."""
Build = Callable[["Place"], Experiment]


class Place:
    """Where the sets lie, and a folder for those that are made."""

    def __init__(self, data: Path, made: Path) -> None:
        self.data, self.made = data, made

    def characters(self) -> PackedData:
        """Handwritten characters that nobody told are characters, as somebody's own data would come."""
        folder = self.made / "characters"
        if not folder.exists():
            archive = self.data / "omniglot_small" / "images_background_small1.zip"
            convert(OmniglotSource.open(archive), folder, to="packed")
        return PackedData(path=folder)


def base(data: Any, **changes: Any) -> Experiment:
    """A healthy small run: fields of `train` may be changed by name. Nothing is left open for rules to choose."""
    if not isinstance(data, NoisyData):
        data = replace(data, identities=replace(data.identities, shares="by_name"))
    experiment = Experiment(
        data=data,
        model=NETWORK,
        margin=ArcFace(scale=16.0, m=RAMP),
        optim=SGD(lr=0.05, weight_decay=5e-4),
        learning_rate=LearningRate(warmup_epochs=1),
        augment=Augment(flip=0.5),
        train=Training(epochs=10, batch_size=64, precision="float32", layout="channels_last", threads=1, log_every=5),
        evaluation=Evaluation(every=2, fars=(1e-1, 1e-2), views="plain", max_images=10),
    )
    named = {name: value for name, value in changes.items() if hasattr(experiment.train, name)}
    others = {name: value for name, value in changes.items() if name not in named}
    return replace(experiment, train=replace(experiment.train, **named), **others)


def drawn(people: int = 150, images: int = 10, **changes: Any) -> Experiment:
    return base(SyntheticData(num_identities=people, images_per_identity=images), **changes)


def characters(place: Place, **changes: Any) -> Experiment:
    data = OmniglotData(path=place.data / "omniglot_small" / "images_background_small1.zip")
    return base(data, **{"seed": 1, "epochs": 12, "augment": Augment(flip=0.0), **changes})


def further(images: int = 10, **changes: Any) -> Experiment:
    """Drawn faces of other people."""
    data = SyntheticData(num_identities=100, images_per_identity=images, seed=9, first_identity=1000)
    return base(data, **changes)


def other_characters(place: Place, exclude: tuple[str, ...] = (), **changes: Any) -> Experiment:
    """Characters of other alphabets."""
    archive = place.data / "omniglot_small" / "images_background_small2.zip"
    data = OmniglotData(path=archive, identities=Identities(exclude=exclude))
    return base(data, **{"seed": 11, "epochs": 12, "augment": Augment(flip=0.0), **changes})


def photos(place: Place, name: str = "orl", rules: Identities | None = None, **changes: Any) -> Experiment:
    data = FolderData(path=place.data / name, identities=rules or Identities(), fit="resize")
    return base(data, **{"seed": 2, **changes})


def lfw(place: Place, **changes: Any) -> Experiment:
    """Photos that a trained network is fitted to: people with ten images or more, three of each."""
    rules = Identities(min_images=14, max_images=3)
    data = FolderData(path=place.data / "lfw112", identities=rules, fit="crop")
    tuned = {
        "model": MobileFaceNet(input=InputSpec(height=112, width=96, std=128.0)),
        "init": place.data / "mobilefacenet" / "068.ckpt",
        "margin": ArcFace(scale=24.0, m=0.1),
        "optim": SGD(lr=0.002, weight_decay=5e-4),
        "head": Head(from_data=True),
        "batch_norm": "frozen",
        "epochs": 2,
        "batch_size": 32,
        "learning_rate": LearningRate(warmup_epochs=0.2),
        "augment": Augment(crop=0.0, low_resolution=0.0, photometric=0.0),
        "evaluation": Evaluation(every=1, fars=(1e-1, 1e-2), views="plain", max_images=3),
    }
    return base(data, **{**tuned, **changes})


def edited(experiment: Experiment, place: Place, name: str, changes: Callable[[Any], list[Edit]]) -> Experiment:
    """The same with a list of edits made of its training set."""
    path = place.made / f"{name}.csv"
    sources = open_sources(experiment, experiment.model.input)
    write_edits(path, changes(sources.train))
    data = experiment.data
    return replace(experiment, data=replace(data, identities=replace(data.identities, edits=(path,))))


def merges(source: Any, first: int = 0) -> list[Edit]:
    """Three people get the names of three others."""
    names = source.identities[first:]
    return [Edit(action="merge", identity=names[2 * k], to=names[2 * k + 1]) for k in range(3)]


def other_merges(source: Any) -> list[Edit]:
    return merges(source, 40)


def other_splits(source: Any) -> list[Edit]:
    return splits(source, 40)


def splits(source: Any, first: int = 0) -> list[Edit]:
    """Every other image of three people gets a new name, one that falls to the training part as well."""
    from angulus.data.views.split import position

    found = []
    for label in range(first, first + 3):
        name = source.identities[label]
        new = next(f"{name}-{k}" for k in range(100) if position(f"{name}-{k}", 0) < 0.7)
        rows = [row for row in range(len(source)) if source.labels[row] == label]
        found += [Edit(action="split", key=source.keys[row], identity=name, to=new) for row in rows[::2]]
    return found


def cuts(source: Any) -> list[Edit]:
    """One person in ten keeps all images, the others keep three."""
    rows = range(len(source))
    seen: dict[int, int] = {}
    found = []
    for row in rows:
        label = int(source.labels[row])
        seen[label] = seen.get(label, 0) + 1
        if label % 10 and seen[label] > 3:
            found.append(Edit(action="drop", key=source.keys[row], identity=source.identities[label]))
    return found


def known_names(place: Place) -> Experiment:
    also = SyntheticData(num_identities=60, images_per_identity=8)
    also = replace(
        also, identities=Identities(parts={"train": 0.5, "test": 0.5}, train_on=("test",), evaluate_on="train")
    )
    return drawn(epochs=2, evaluation=replace(drawn().evaluation, also={"further": also}))


def known_people(place: Place) -> Experiment:
    """Half of the people of a further set are people who are trained on, under other names."""
    experiment = photos(place, epochs=16, batch_size=32)
    folder = place.made / "renamed"
    if not folder.exists():
        partial = place.made / "renamed-partial"
        shutil.rmtree(partial, ignore_errors=True)
        trained = set(open_sources(experiment, experiment.model.input).train.identities)
        everyone = sorted(path for path in (place.data / "orl").iterdir() if path.is_dir())
        chosen = [one for one in everyone if one.name in trained][:8] + [
            one for one in everyone if one.name not in trained
        ]
        for number, one in enumerate(chosen):
            shutil.copytree(one, partial / f"person-{number}")
        partial.rename(folder)
    also = FolderData(path=folder, fit="resize", identities=Identities(parts={"train": 0.0, "test": 1.0}))
    return replace(experiment, evaluation=replace(experiment.evaluation, also={"renamed": also}))


def chosen(data: Any, **changes: Any) -> Experiment:
    """Everything as a run chooses it, but for small images."""
    return Experiment(data=data, model=TinyNet(input=NETWORK.input), train=Training(threads=1), **changes)


def glint(place: Place) -> FolderData:
    return FolderData(path=place.data / "glint24", identities=Identities(max_images=150), fit="resize")


def noisy(experiment: Experiment, flips: float, **changes: Any) -> Experiment:
    return replace(experiment, data=NoisyData(base=experiment.data, flips=flips), **changes)


EARLY = ArcFace(scale=32.0, m=0.5)
PLAIN = Augment(flip=0.0, crop=0.0, low_resolution=0.0, photometric=0.0)
HEALTHY: dict[str, Build] = {
    "drawn faces, ArcFace": lambda place: drawn(),
    "drawn faces, AM-Softmax, another seed": lambda place: drawn(seed=3, margin=AMSoftmax(scale=16.0, m=0.2)),
    "drawn faces, SphereFace-R": lambda place: drawn(seed=4, margin=SphereFaceR(scale=16.0, m=1.3)),
    "characters, ArcFace": lambda place: characters(place),
    "characters, NormFace": lambda place: characters(place, margin=NormFace(scale=16.0), seed=5),
    "drawn faces, other people": lambda place: further(seed=23),
    "characters, other alphabets": lambda place: other_characters(place, exclude=GREEK),
    "ORL photos, ArcFace": lambda place: photos(place, epochs=20, batch_size=32),
    "LFW photos, from weights": lambda place: lfw(place),
    "LFW photos, ArcFace": lambda place: photos(
        place, "lfw112", Identities(min_images=10, max_images=20), seed=6, epochs=12
    ),
    "glint24 photos, CosFace": lambda place: photos(
        place,
        "glint24",
        Identities(min_images=22, max_images=40),
        seed=7,
        epochs=12,
        margin=AMSoftmax(scale=16.0, m=0.2),
    ),
    "ORL photos, as chosen": lambda place: chosen(FolderData(path=place.data / "orl", fit="resize")),
    "drawn faces of 12 people, as chosen": lambda place: chosen(
        SyntheticData(num_identities=12, images_per_identity=180)
    ),
}
FAULTS: dict[str, dict[str, Build]] = {
    "rate_high": {
        "drawn faces": lambda place: drawn(optim=SGD(lr=20.0, weight_decay=5e-4), epochs=4),
        "characters": lambda place: characters(place, optim=SGD(lr=20.0, weight_decay=5e-4), epochs=3),
    },
    "rate_low": {
        "drawn faces": lambda place: drawn(optim=SGD(lr=2e-5, weight_decay=5e-4), epochs=6),
        "characters": lambda place: characters(place, optim=SGD(lr=5e-5, weight_decay=5e-4), epochs=3),
    },
    "scale_large": {
        "drawn faces": lambda place: drawn(margin=NormFace(scale=400.0), optim=SGD(lr=0.02, weight_decay=5e-4)),
        "characters": lambda place: characters(
            place, margin=NormFace(scale=300.0), optim=SGD(lr=0.02, weight_decay=5e-4), epochs=6
        ),
    },
    "scale_small": {
        "drawn faces": lambda place: drawn(100, margin=NormFace(scale=2.0), epochs=4),
        "characters": lambda place: characters(place, margin=AMSoftmax(scale=3.0, m=0.1), epochs=2),
    },
    "margin_early": {
        "drawn faces": lambda place: noisy(drawn(100, margin=EARLY, epochs=5), 0.4),
        "characters": lambda place: noisy(characters(place, margin=ArcFace(scale=64.0, m=0.8), epochs=3), 0.4),
    },
    "labels_noisy": {
        "drawn faces": lambda place: noisy(drawn(100, epochs=12), 0.2),
        "characters": lambda place: noisy(characters(place, epochs=6), 0.2),
        "ORL photos": lambda place: noisy(photos(place, epochs=20, batch_size=32), 0.2),
        "LFW photos": lambda place: noisy(
            photos(place, "lfw112", Identities(min_images=10, max_images=20), seed=6, epochs=12), 0.2
        ),
        "drawn faces, as chosen": lambda place: noisy(
            chosen(SyntheticData(num_identities=100, images_per_identity=10)), 0.2
        ),
        "glint24 photos, as chosen": lambda place: noisy(chosen(glint(place)), 0.2),
        "ORL photos, as chosen": lambda place: noisy(chosen(FolderData(path=place.data / "orl", fit="resize")), 0.2),
    },
    "labels_random": {
        "drawn faces": lambda place: noisy(drawn(100, epochs=3), 0.99),
        "characters": lambda place: noisy(characters(place, epochs=2), 0.99),
    },
    "class_mixed": {
        "drawn faces": lambda place: edited(drawn(100), place, "merged-drawn", merges),
        "drawn faces, another seed": lambda place: edited(further(seed=21), place, "merged-drawn-2", merges),
        "characters": lambda place: edited(characters(place, epochs=6), place, "merged-characters", merges),
        "characters, another seed": lambda place: edited(
            other_characters(place, epochs=6), place, "merged-characters-2", merges
        ),
        "drawn faces, a third": lambda place: edited(further(seed=31), place, "merged-drawn-3", other_merges),
        "characters, a third": lambda place: edited(
            other_characters(place, epochs=6, seed=32), place, "merged-characters-3", other_merges
        ),
    },
    "person_split": {
        "drawn faces": lambda place: edited(drawn(80, 14), place, "split-drawn", splits),
        "drawn faces, another seed": lambda place: edited(further(14, seed=22), place, "split-drawn-2", splits),
        "characters": lambda place: edited(characters(place, epochs=6), place, "split-characters", splits),
        "characters, another seed": lambda place: edited(
            other_characters(place, epochs=6), place, "split-characters-2", splits
        ),
        "drawn faces, a third": lambda place: edited(further(14, seed=33), place, "split-drawn-3", other_splits),
        "characters, a third": lambda place: edited(
            other_characters(place, epochs=6, seed=34), place, "split-characters-3", other_splits
        ),
    },
    "preprocessing": {
        "LFW, order of colours": lambda place: lfw(
            place, model=MobileFaceNet(input=InputSpec(height=112, width=96, colour="bgr", std=128.0)), epochs=1
        ),
        "LFW, mean": lambda place: lfw(
            place, model=MobileFaceNet(input=InputSpec(height=112, width=96, mean=0.0, std=255.0)), epochs=1
        ),
    },
    "people_known": {"drawn faces, names": known_names, "ORL photos, other names": known_people},
    "augmentation": {
        "characters, mirrored": lambda place: base(place.characters(), seed=1, epochs=2, augment=Augment(flip=0.5)),
        "drawn faces, erased": lambda place: drawn(
            80, epochs=3, augment=Augment(erase=1.0, erase_area=(0.6, 0.9), crop=1.0, crop_shift=0.4)
        ),
    },
    "batch_norm": {
        "drawn faces": lambda place: drawn(40, 8, batch_size=2, epochs=2, optim=SGD(lr=0.005, weight_decay=5e-4)),
        "ORL photos": lambda place: photos(place, batch_size=3, epochs=2, optim=SGD(lr=0.005, weight_decay=5e-4)),
    },
    "long_tail": {
        "drawn faces": lambda place: edited(drawn(100, 40, epochs=8), place, "tail-drawn", cuts),
        "characters": lambda place: edited(characters(place, epochs=6), place, "tail-characters", cuts),
    },
    "few_images": {
        "drawn faces": lambda place: drawn(20, 3, epochs=20, batch_size=16),
        "ORL photos": lambda place: photos(
            place, "orl", Identities(max_images=2, parts={"train": 0.5, "test": 0.5}), epochs=20, batch_size=16
        ),
    },
    "overfitting": {
        "drawn faces": lambda place: drawn(40, epochs=30, optim=SGD(lr=0.1, weight_decay=0.0), augment=PLAIN),
        "ORL photos": lambda place: photos(
            place,
            "orl",
            epochs=40,
            batch_size=32,
            optim=SGD(lr=0.1, weight_decay=0.0),
            augment=PLAIN,
        ),
        "glint24 photos, 19 people, as chosen": lambda place: chosen(glint(place)),
        "LFW photos, few people, as chosen": lambda place: chosen(
            FolderData(path=place.data / "lfw112", identities=Identities(min_images=14, max_images=20), fit="resize")
        ),
    },
    "data_bound": {
        "drawn faces": lambda place: drawn(80, 6, cache="none", epochs=4),
        "LFW photos": lambda place: photos(
            place, "lfw112", Identities(min_images=10, max_images=10), cache="none", epochs=2
        ),
    },
}


def cases() -> dict[str, tuple[str, Build]]:
    """By key: what should be said ("healthy" for nothing), and the run."""
    found = {f"healthy: {name}": ("healthy", build) for name, build in HEALTHY.items()}
    for fault, builds in FAULTS.items():
        found |= {f"{fault}: {name}": (fault, build) for name, build in builds.items()}
    return found


def made(key: str, experiment: Experiment, folder: Path) -> None:
    """Make a run, and note what it was to be and its seconds of processor time. One that diverges ends as well."""
    shutil.rmtree(folder, ignore_errors=True)
    begun = time.process_time()
    torch.manual_seed(0)
    try:
        train(replace(experiment, out=folder, device="cpu"))
    except NonFiniteError as error:
        print(f"{key}: {error}")
    ended = {"seconds": round(time.process_time() - begun, 1), "experiment": repr(experiment)}
    (folder / ENDED).write_text(json.dumps(ended))


def ended(folder: Path) -> dict[str, Any]:
    """What was noted when a kept run came to its end; {} for one that was interrupted, or never made."""
    return json.loads((folder / ENDED).read_text()) if (folder / ENDED).exists() else {}


def cost(folder: Path) -> dict[str, Any]:
    """What recording takes of a training step, in percent of the processor time of all the rest of it.

    Both are measured in the same steps; TinyNet at 64x64 by the number of identities, in batches of 64 and epochs of 10
    and 25 steps, of which 4 are looked at closely: in longer epochs it is less. And five people with four images each,
    in batches of 16 and epochs of one step.
    """
    spent = {"recorded": 0.0}

    def timed(call: Callable[..., Any]) -> Callable[..., Any]:
        def measured(*arguments: Any) -> Any:
            begun = time.process_time()
            found = call(*arguments)
            spent["recorded"] += time.process_time() - begun
            return found

        return measured

    Recorder.look, Recorder.close = timed(Recorder.look), timed(Recorder.close)
    plain = Run.remaining
    found: dict[str, Any] = {}
    few = base(SyntheticData(num_identities=5, images_per_identity=4), epochs=60, batch_size=16, model=TinyNet())
    measured = {5: replace(few, evaluation=Evaluation(every=None, hold_out="nobody"))}
    for people in (100, 1000):
        data = SyntheticData(num_identities=people + people // 4, images_per_identity=max(2, 800 // people))
        measured[people] = base(data, epochs=2, model=TinyNet(), evaluation=Evaluation(every=None))
    for people, experiment in measured.items():

        def counted(run: Run) -> Any:
            begun, spent["recorded"] = time.process_time(), 0.0
            yield from plain(run)
            whole = time.process_time() - begun
            spent["share"] = 100 * spent["recorded"] / (whole - spent["recorded"])

        Run.remaining = counted
        shutil.rmtree(folder, ignore_errors=True)
        train(replace(experiment, out=folder, device="cpu"))
        found[f"{people} people"] = round(spent["share"], 2)
        print(f"recording, {people} people: {spent['share']:.2f} % of a step", flush=True)
    return found


def named(expected: str, experiment: Experiment, sentences: dict[str, str]) -> dict[str, str]:
    """How many of the classes that were merged or split are named, where that was planted."""
    if expected not in ("class_mixed", "person_split") or isinstance(experiment.data, NoisyData | UnionData):
        return {}
    with experiment.data.identities.edits[0].open(newline="", encoding="utf-8") as file:
        planted = {row["to"] for row in csv.DictReader(file)}
    words = set(re.split(r"[,;:]? ", sentences.get(expected, "")))
    return {"named": f"{len(planted & words)} of {len(planted)}"}


def in_markdown(results: dict[str, Any]) -> str:
    """The table beside the JSON, for docs/doctor.md."""
    return table(results).partition("\n\n")[0] + "\n"


def table(results: dict[str, Any]) -> str:
    """One line a run: what was planted, where, what the doctor named first, of how many classes, and what else."""
    lines = ["| planted | where | first finding | further findings |", "| --- | --- | --- | --- |"]
    for key, row in results.items():
        fault, _, where = key.partition(": ")
        first, *more = row["findings"] or ["healthy"]
        mark = "" if first == row["expected"] else " **(wrong)**"
        classes = f" ({row['named']} classes)" if row.get("named") and not mark else ""
        lines.append(f"| {fault} | {where} | {first}{classes}{mark} | {', '.join(more)} |")
    right = sum((row["findings"] or ["healthy"])[0] == row["expected"] for row in results.values())
    return "\n".join([*lines, "", f"{right} of {len(results)} runs: the first finding is what was planted."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of real images")
    parser.add_argument("--only", nargs="+", default=[""], help="runs whose key begins with one of these")
    parser.add_argument("--runs", type=Path, help="keep the runs here")
    parser.add_argument("--json", type=Path, default=RESULTS / "doctor_cpu.json")
    parser.add_argument("--fresh", action="store_true", help="make these runs anew; others are kept")
    parser.add_argument("--again", action="store_true", help="read kept runs anew")
    parser.add_argument("--cost", action="store_true", help="measure what recording takes of a step, and nothing else")
    options = parser.parse_args()
    torch.set_num_threads(1)
    stored = json.loads(options.json.read_text()) if options.json.exists() else {}
    if options.cost:
        with tempfile.TemporaryDirectory() as temporary:
            stored["recording_percent_of_a_step"] = cost(Path(temporary) / "run")
        options.json.write_text(json.dumps(stored, indent=1) + "\n")
        return
    results = stored.get("runs", {})
    with tempfile.TemporaryDirectory() as temporary:
        runs = options.runs or Path(temporary)
        place = Place(options.data.resolve(), runs / "made")
        place.made.mkdir(parents=True, exist_ok=True)
        for key, (expected, build) in cases().items():
            folder = runs / key.replace(": ", "-").replace(", ", "-").replace(" ", "_")
            if not key.startswith(tuple(options.only)) or (key in results and not (options.again or options.fresh)):
                continue
            experiment = build(place)
            if options.fresh or ended(folder).get("experiment") != repr(experiment):
                made(key, experiment, folder)
            found = diagnose(folder)
            sentences = {finding.name: finding.evidence for finding in found.findings}
            results[key] = {
                "expected": expected,
                "findings": list(sentences),
                "evidence": sentences,
                "seconds": ended(folder)["seconds"],
                **named(expected, experiment, sentences),
            }
            print(f"{key}: {', '.join(sentences) or 'healthy'}", flush=True)
            about = {"command": "python benchmarks/doctor.py --data DATA", "machine": machines.words()}
            options.json.write_text(json.dumps({**stored, **about, "runs": results}, indent=1) + "\n")
    in_order = {key: results[key] for key in cases() if key in results}
    options.json.with_suffix(".md").write_text(in_markdown(in_order))
    print(table(in_order))


if __name__ == "__main__":
    main()
