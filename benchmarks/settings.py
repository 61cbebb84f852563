"""Are the settings that a run chooses as good as those of a search? TAR at FAR 1e-2 on people that neither saw.

    python benchmarks/settings.py --jobs 2                 every domain and loss; results/settings_<machine>.json
    python benchmarks/settings.py --domains lfw-4 omniglot --losses arcface --budget 3600
    python benchmarks/settings.py --table                  the table of what is there, nothing is run

For each domain (`setting_domains.py`) and loss the defaults stand against a random search: 24 settings are drawn; each
learns for a sixth of the passes, the six best for a third, the two best for all; the best on the `tune` people is the
one that the search would have taken. Defaults and winner are then judged on the `test` people, by two seeds each.
What the search draws: network width, dropout, batch, optimizer, rate, decay, warm-up, passes (half, all or one and a
half of about 150 thousand examples), scale, margin and its ramp, augmentation, label smoothing, and sampling. Nothing
that is drawn depends on the rules, so that a rule can change and the search stays.

Images of 32 pixels (--size) and half of the passes (--passes) for defaults and search alike: the full ones take eight
times as long. Runs are one thread each, in float32. Every run is kept in the JSON as soon as it ends, and a run that is
there is not made again. With --budget nothing is begun after so many seconds. --fashion takes Debian's package
dataset-fashion-mnist where it is installed.
"""

import argparse
import hashlib
import json
import logging
import math
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Any

import machines
import torch
from setting_domains import TEST, Domain, domains

from angulus.config import resolve
from angulus.errors import NonFiniteError
from angulus.training import Evaluation, Experiment, Training, train
from angulus.training.recipe.data_sources import found_sources
from angulus.training.recipe.defaults import with_choices, with_model
from angulus.training.recipe.serialization import record

RESULTS = Path(__file__).parent / "results"
LOSSES = ("softmax", "amsoftmax", "arcface", "sphereface")
DRAWN, RUNGS, SEEDS = 24, ((24, 1 / 6), (6, 1 / 3), (2, 1.0)), (0, 1)
CPU = torch.device("cpu")
Settings = dict[str, Any]
Row = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """One training.  share: of the passes."""

    domain: str
    loss: str
    settings: str
    share: float
    seed: int

    @property
    def key(self) -> str:
        text = json.dumps([self.settings, round(self.share, 4)])
        return f"{self.domain} {self.loss} {hashlib.sha256(text.encode()).hexdigest()[:12]} {self.seed}"


@dataclass(frozen=True)
class Places:
    """Where the sets are."""

    data: Path
    fashion: Path | None = None
    size: int = 32

    def domains(self) -> dict[str, Domain]:
        return domains(self.data, self.fashion)


def experiment_of(domain: Domain, loss: str, settings: Settings) -> Experiment:
    """A run of a domain with some settings by dotted keys; what they do not say is chosen by the rules."""
    values: dict[str, Any] = {"data": record(domain.data), "margin": {"name": loss}, "device": "cpu"}
    for key, value in settings.items():
        *path, last = key.split(".")
        node = values
        for name in path:
            node = node.setdefault(name, {})
        node[last] = value
    if "augment" in settings and not isinstance(settings["augment"], dict):
        values.pop("augment")
    return resolve(values)


def counted(domain: Domain) -> tuple[int, int]:
    """Images and people to train on."""
    experiment = with_model(Experiment(data=domain.data), CPU)
    assert experiment.model is not None
    train_on = found_sources(experiment, experiment.model.input).train
    return len(train_on), len(train_on.identities)


def default_settings(domain: Domain, loss: str, counts: tuple[int, int], size: int) -> Settings:
    """What the rules choose, as a recipe says it, for images whose longer side has so many pixels."""
    start = with_model(experiment_of(domain, loss, {}), CPU)
    done, _ = with_choices(start, *counts, CPU, model_is_open=True)
    whole = record(done)
    shape = whole["model"]["input"]
    longer = max(shape["height"], shape["width"])
    shape |= {side: round(shape[side] * size / longer) for side in ("height", "width")}
    if whole["learning_rate"]["decay"] != "exponential":  # a key that came later: rows are known by what they had
        whole["learning_rate"].pop("final", None)
    return {name: whole[name] for name in ("model", "margin", "optim", "learning_rate", "augment")} | {
        "train": {key: whole["train"][key] for key in ("batch_size", "epochs", "sampling")},
        "head": {"label_smoothing": whole["head"]["label_smoothing"]},
    }


def drawn_settings(domain: str, loss: str, default: Settings, counts: tuple[int, int]) -> list[Settings]:
    """The settings of a search, the same every time: of the defaults only the shape and the mirroring are taken."""
    fixed = {"input": default["model"]["input"], "flip": default["augment"]["flip"]}
    return [drawn(random.Random(f"{domain} {loss} {number}"), loss, fixed, *counts) for number in range(DRAWN)]


def drawn(dice: random.Random, loss: str, fixed: Settings, images: int, classes: int) -> Settings:
    """One setting."""
    width = dice.choice([0.75, 1.0, 1.0, 1.33])
    batch = dice.choice([16, 32, 64, 128])
    middle = min(120, max(6, math.ceil(min(150_000, 40 * images) / images), math.ceil(1_200 * 32 / images)))
    epochs = max(1, round(middle * dice.choice([0.5, 1.0, 1.5])))
    sampling = dice.choice(["uniform", "uniform", {"name": "pk", "images": 4}])
    strength = dice.choice([0.0, 0.5, 1.0, 2.0, 3.0])
    return {
        "model": {
            "name": "tiny",
            "channels": [8 * round(channels * width / 8) for channels in (24, 48, 96, 128)],
            "dropout": dice.choice([0.0, 0.1, 0.2, 0.3, 0.4]),
            "input": fixed["input"],
        },
        "train": {
            "batch_size": batch,
            "epochs": epochs,
            "sampling": sampling if batch // 4 <= classes else "uniform",
        },
        "optim": drawn_optimizer(dice),
        "learning_rate": {"decay": "cosine", "warmup_epochs": round(epochs * dice.choice([0.0, 0.05, 0.1]), 1)},
        "margin": drawn_margin(dice, loss, classes),
        "augment": {
            "flip": fixed["flip"],
            "crop": 0.2 * strength,
            "photometric": 0.2 * strength,
            "low_resolution": 0.1 * strength,
            "erase": dice.choice([0.0, 0.0, 0.3]),
        },
        "head": {"label_smoothing": dice.choice([0.0, 0.0, 0.1])},
    }


def drawn_optimizer(dice: random.Random) -> Settings:
    """SGD three times of four."""
    if dice.random() < 0.75:
        rate = 10 ** dice.uniform(math.log10(0.02), math.log10(0.3))
        return {"name": "sgd", "lr": round(rate, 4), "weight_decay": round(10 ** dice.uniform(-4, -2.5), 6)}
    rate = 10 ** dice.uniform(-3.5, -2.3)
    return {"name": "adamw", "lr": round(rate, 5), "weight_decay": round(10 ** dice.uniform(-2, -0.5), 4)}


def drawn_margin(dice: random.Random, loss: str, classes: int) -> Settings:
    """The margin of one setting."""
    if loss == "softmax":
        return {"name": loss}
    until = dice.choice([0.2, 0.5, 0.8])
    if loss == "sphereface":
        start = dice.choice([10.0, 100.0])
        annealing = {
            "name": "linear",
            "start": start,
            "end": dice.choice([0.0, 2.0, 5.0]),
            "until": until,
            "unit": "run",
        }
        return {"name": loss, "m": dice.choice([1.5, 2.0, 3.0, 4.0]), "annealing": annealing}
    scale = round(max(16.0, 3.4 * math.log(classes)) * 2 ** dice.uniform(-1, 1), 1)
    end = round(dice.uniform(0.05, 0.6), 2)
    return {"name": loss, "scale": scale, "m": {"name": "linear", "end": end, "until": until, "unit": "run"}}


def run(task: Task, places: Places) -> Row:
    """Train and judge; a run that diverges counts as nothing."""
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    domain, settings = places.domains()[task.domain], json.loads(task.settings)
    epochs = max(1, round(settings["train"]["epochs"] * task.share))
    settings["train"] |= {"epochs": epochs}
    settings["learning_rate"]["warmup_epochs"] *= task.share
    experiment = experiment_of(domain, task.loss, settings)
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        whole = replace(
            experiment,
            out=Path(folder) / "run",
            seed=task.seed,
            train=fast(experiment.train),
            evaluation=Evaluation(every=None, max_images=domain.most, also={TEST: domain.judged_by(TEST)}),
        )
        try:
            figures = train(whole).figures
        except NonFiniteError:
            figures = {}
    return {
        "domain": task.domain,
        "loss": task.loss,
        "settings": settings,
        "share": task.share,
        "seed": task.seed,
        "tune": figures.get("held-out/tar@0.01", 0.0),
        "test": figures.get("test/tar@0.01", 0.0),
        "test_eer": figures.get("test/eer", 1.0),
        "seconds": round(time.process_time() - started, 1),
    }


def fast(training: Training) -> Training:
    """Without choices that are timed, and without checkpoints on the way."""
    return replace(
        training,
        threads=1,
        precision="float32",
        layout="channels_last",
        compile="off",
        keep_best=False,
        checkpoint_every=10**9,
    )


Search = Generator[list[Task], dict[str, Row], None]


def tasks_of(domain: str, loss: str, default: Settings, counts: tuple[int, int], passes: float) -> Search:
    """The trainings of one domain and loss, rung after rung; each yield is sent the rows of its tasks by key."""
    yield from defaults_of(domain, loss, default, passes)
    chosen = [json.dumps(settings) for settings in drawn_settings(domain, loss, default, counts)]
    for count, share in RUNGS:
        tasks = [Task(domain, loss, settings, share * passes, 0) for settings in chosen[:count]]
        rows = yield tasks
        chosen = [task.settings for task in sorted(tasks, key=lambda task: -rows[task.key]["tune"])]
    yield [Task(domain, loss, chosen[0], passes, seed) for seed in SEEDS]


def defaults_of(domain: str, loss: str, default: Settings, passes: float) -> Search:
    """Of these trainings those with the defaults."""
    yield [Task(domain, loss, json.dumps(default), passes, seed) for seed in SEEDS]


class Bench:
    """The runs that are there, and those to come."""

    def __init__(self, places: Places, path: Path, passes: float, jobs: int, budget: float | None) -> None:
        self.places, self.path, self.passes, self.jobs, self.budget = places, path, passes, jobs, budget
        self.known = places.domains()
        content = json.loads(path.read_text()) if path.exists() else {}
        self.rows: dict[str, Row] = content.get("rows", {})
        self.counts: dict[str, tuple[int, int]] = {}

    def save(self) -> None:
        about = {
            "command": "python benchmarks/settings.py",
            "passes": self.passes,
            "size": self.places.size,
            **machines.about(),
        }
        text = json.dumps({"about": about, "rows": self.rows}, indent=1)
        part = self.path.with_suffix(".partial")
        part.write_text(text + "\n")
        os.replace(part, self.path)

    def search(self, name: str, loss: str) -> Search:
        return tasks_of(name, loss, self.default(name, loss), self.counts[name], self.passes)

    def defaults(self, name: str, loss: str) -> Search:
        """The search, before anything is drawn."""
        return defaults_of(name, loss, self.default(name, loss), self.passes)

    def default(self, name: str, loss: str) -> Settings:
        if name not in self.counts:
            self.counts[name] = counted(self.known[name])
        return default_settings(self.known[name], loss, self.counts[name], self.places.size)

    def go(
        self,
        pairs: list[tuple[str, str]],
        pool: Executor,
        work: Callable[[Task, Places], Row] = run,
        search: Callable[[str, str], Search] | None = None,
    ) -> None:
        """Run whatever is missing of the searches, so many at a time."""
        started = time.monotonic()
        begun = [(search or self.search)(*pair) for pair in pairs]
        searches = [Going(each, next(each)) for each in begun]
        running: dict[Future[Row], Task] = {}
        while True:
            while len(running) < self.jobs and not self.is_late(started):
                task = self.next_task(searches, {one.key for one in running.values()})
                if task is None:
                    break
                running[pool.submit(work, task, self.places)] = task
            if not running:
                return
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                self.keep(running.pop(done), done.result())

    def is_late(self, started: float) -> bool:
        return self.budget is not None and time.monotonic() - started > self.budget

    def keep(self, task: Task, row: Row) -> None:
        self.rows[task.key] = row
        self.save()
        figures = f"tune {row['tune']:.3f}  test {row['test']:.3f}"
        print(f"{task.key}  share {task.share:.2f}  {figures}", flush=True)

    def next_task(self, searches: list["Going"], running: set[str]) -> Task | None:
        """A training that can begin now; None where all that is left waits for one that runs. Ended searches go."""
        for going in list(searches):
            while all(task.key in self.rows for task in going.tasks):
                try:
                    going.tasks = going.search.send(self.rows)
                except StopIteration:
                    searches.remove(going)
                    break
            else:
                for task in going.tasks:
                    if task.key not in self.rows and task.key not in running:
                        return task
        return None


@dataclass
class Going:
    """A search, and the trainings that it waits for."""

    search: Search
    tasks: list[Task]


def table(bench: Bench, pairs: list[tuple[str, str]]) -> str:
    """Defaults and the best of the search, mean (and each seed) in percent, for what is whole."""
    lines = [
        "| set | people x photos | loss | defaults | best found | behind | settings tried |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for name, loss in pairs:
        search = bench.search(name, loss)
        tasks = steps = next(search)
        best: list[float] | None = None
        tried = 0
        ours = [bench.rows[task.key]["test"] for task in tasks if task.key in bench.rows]
        while all(task.key in bench.rows for task in steps):
            try:
                steps = search.send(bench.rows)
            except StopIteration:
                best = [bench.rows[task.key]["test"] for task in steps]
                break
            tried = max(tried, len(steps))
        if len(ours) < len(tasks):
            continue
        images, classes = bench.counts[name]
        found = "-" if best is None else seeds(best)
        behind = "-" if best is None else f"{100 * (fmean(best) - fmean(ours)):+.1f}"
        size = f"{classes:,} x {images / classes:.0f}"
        lines.append(f"| {name} | {size} | {loss} | {seeds(ours)} | {found} | {behind} | {tried if best else '-'} |")
    return "\n".join(lines) + "\n"


def seeds(figures: list[float]) -> str:
    """49.7% (49.1, 50.3): the mean, and what it is the mean of."""
    return f"{fmean(figures):.1%} ({', '.join(f'{100 * figure:.1f}' for figure in figures)})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--fashion", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--domains", nargs="+")
    parser.add_argument("--losses", nargs="+", default=LOSSES, choices=LOSSES)
    parser.add_argument("--passes", type=float, default=0.5, help="share of the passes for everything")
    parser.add_argument("--size", type=int, default=32, help="pixels of an image's longer side")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--budget", type=float)
    parser.add_argument("--defaults", action="store_true", help="run the defaults alone, no search")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS / f"settings_{machines.slug()}.json")
    said = parser.parse_args()
    places = Places(said.data, said.fashion if said.fashion.is_dir() else None, said.size)
    bench = Bench(places, said.out, said.passes, said.jobs, said.budget)
    names = said.domains or [name for name, domain in bench.known.items() if domain.searched]
    if unknown := sorted(set(names) - set(bench.known)):
        parser.error(f"unknown domains {', '.join(unknown)}; known are {', '.join(bench.known)}")
    pairs = [(name, loss) for loss in said.losses for name in names]
    if not said.table:
        with ProcessPoolExecutor(said.jobs, mp_context=get_context("spawn")) as pool:
            bench.go(pairs, pool, search=bench.defaults if said.defaults else None)
    text = table(bench, pairs)
    said.out.with_suffix(".md").write_text(f"{machines.words()}\n\n{text}")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
