"""Batch, passes and rate: what each rule for them brings on several sets, all else as a run chooses it.

    python benchmarks/setting_rules.py --jobs 2            results/setting_rules_<machine>.json; what is there is kept
    python benchmarks/setting_rules.py --domains lfw-4 lfw-pairs --rules "rate / 1" "rate / 4" --seeds 0
    python benchmarks/setting_rules.py --table             the table of what is there

The sets, the size of images and the share of passes are those of `settings.py`. A rule is chosen by the TAR on the
`tune` people; the `test` people are shown beside. Two seeds; ArcFace, or the --losses that are named.

fiftieth, 40    batches of about a fiftieth of the images (16 to 128), at most 40 passes: the rules until November 2026
hundredth, 40   half of these batches
fiftieth, 60    at most 60 passes
hundredth, 60   both

rate / N        batch and passes as a run chooses them now, the learning rate an N-th of 0.1 (less for batches below 64)
changes x N     random changes of N times the strength, "erased" with a patch erased in 3 of 10 images
margin m, u     the margin, where the loss has one that grows, does so from 0 to m over a share u of the run;
                "batches of 128" with a rate of 0.05
seen N          all as chosen, with so many passes that a person is seen N times in a whole run; "as others" as often
                as where there are many people; "whole run, ..." with all passes instead of half of them
as chosen       by a run, where few people have many images each: there every other rule takes what other sets get
decay N         all as chosen, with another weight decay
short, ...      so few passes that a person is seen 40 times, at least 8, with the whole rate and with the chosen one
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Any

import machines
from settings import LOSSES, RESULTS, Places, Row, Settings, Task, counted, default_settings, run

from angulus.data.loading.augmentation import Augment
from angulus.training.recipe.margin_rules import END, RAMP
from angulus.training.recipe.rules import Rules
from angulus.training.storage.atomic_files import write_json

RULES = {"fiftieth, 40": (1, 40), "hundredth, 40": (2, 40), "fiftieth, 60": (1, 60), "hundredth, 60": (2, 60)}
"""Divisor of the batch, and the most passes."""
RATES = {f"rate / {divisor}": divisor for divisor in (1, 2, 4, 8)}
SHORT = ("short, rate / 1", "short, chosen rate")
CHANGES = {
    "changes x 1": (1, 0.0),
    "changes x 1, erased": (1, 0.3),
    "changes x 3": (3, 0.0),
    "changes x 3, erased": (3, 0.3),
}
"""Factor of crops, light and resolution, and the share of images with an erased patch."""
MARGINS = {f"margin {end}, {until}": (end, until) for until in (0.5, 0.8) for end in (0.2, 0.3, 0.4)}
"""The margin at the end of its growth, and the share of the run in which it grows."""
LARGE = ", batches of 128"
MARGINS |= {f"{name}{LARGE}": MARGINS[name] for name in ("margin 0.4, 0.5", "margin 0.2, 0.8")}
DECAYS = {f"decay {value:g}": value for value in (5e-4, 2.5e-3, 5e-3)}
CHOSEN = "as chosen"
SEEN = {"seen as others": None} | {f"seen {times:,}": times for times in (6_400, 3_200, 1_600, 1_300)}
"""How often a person is seen in a whole run."""
WHOLE = {"whole run, seen as others": "seen as others", "whole run, as chosen": CHOSEN}
EVERY = (*RULES, *RATES, *CHANGES, *MARGINS, *SEEN, *WHOLE, *DECAYS, CHOSEN, *SHORT)
TIMES, FEWEST = 40, 8
DOMAINS = (
    *("lfw-4", "lfw-50", "orl", "glint24", "lfw-pairs", "fashion"),
    *("omniglot", "lfw", "drawn", "drawn-12", "drawn-60", "drawn-500", "drawn-5000"),
)
LOSS, PASSES = "arcface", 0.5


def label(name: str, loss: str) -> str:
    """How a row begins: a set, and the loss where it is none that all rules were tried with."""
    return name if loss == LOSS else f"{name}, {loss}"


def ruled(default: Settings, images: int, classes: int, rule: str) -> Settings:
    """What a run chooses, with batch, rate and passes by a rule."""
    settings, rule = json.loads(json.dumps(default)), WHOLE.get(rule, rule)
    if rule == CHOSEN:
        return settings
    if rule in DECAYS:
        settings["optim"]["weight_decay"] = DECAYS[rule]
        return settings
    if rule in SEEN:
        rules, times = Rules(images=images, classes=classes), SEEN[rule]
        batch = settings["train"]["batch_size"]
        epochs = round(times * classes / images) if times else other(rules).epochs(batch).value
        settings["train"]["epochs"], settings["optim"]["lr"] = epochs, rules.rate(batch, epochs, is_sgd=True).value
        settings["learning_rate"]["warmup_epochs"] = rules.warmup(epochs).value
        return settings
    as_others(settings, images, classes)
    if rule in SHORT:
        batch, epochs = settings["train"]["batch_size"], max(FEWEST, round(TIMES * classes / images))
        chosen = Rules(images=images, classes=classes).rate(batch, epochs, is_sgd=True).value
        settings["train"]["epochs"] = epochs
        settings["optim"]["lr"] = rate_of(batch) if rule == SHORT[0] else chosen
        settings["learning_rate"]["warmup_epochs"] = 1.0
        return settings
    if rule in MARGINS:
        settings["margin"]["m"] |= dict(zip(("end", "until"), MARGINS[rule], strict=True))
        if rule.endswith(LARGE):
            settings["train"]["batch_size"], settings["optim"]["lr"] = 128, 0.05
        return settings
    if rule in CHANGES:
        factor, erased = CHANGES[rule]
        changes = settings["augment"]
        changes |= {name: factor * getattr(Augment(), name) for name in ("crop", "photometric", "low_resolution")}
        if erased:
            changes["erase"] = erased
        return settings
    if rule in RATES:
        settings["optim"]["lr"] = rate_of(settings["train"]["batch_size"]) / RATES[rule]
        return settings
    divisor, most = RULES[rule]
    whole = min(128, max(16, 2 ** round(math.log2(images / 50))))
    batch = max(16, whole // divisor)
    passes = min(most, max(6, math.ceil(150_000 / images)))
    epochs = max(passes, min(120, math.ceil(1_200 * whole / images)))
    settings["train"] |= {"batch_size": batch, "epochs": epochs}
    settings["optim"]["lr"] = rate_of(batch)
    settings["learning_rate"]["warmup_epochs"] = max(1.0, round(epochs / 20, 1))
    return settings


def as_others(settings: Settings, images: int, classes: int) -> None:
    """Margin, batch and rate of few people with many images each, as if they were like any other set."""
    rules = Rules(images=images, classes=classes)
    if rules.is_deep:
        batch = other(rules).batch().value
        epochs = other(rules).epochs(batch).value
        if grows(settings):
            settings["margin"]["m"] |= {"end": END, "until": RAMP}
        settings["train"] |= {"batch_size": batch, "epochs": epochs}
        settings["optim"]["lr"] = rules.rate(batch, epochs, is_sgd=True).value
        settings["learning_rate"]["warmup_epochs"] = rules.warmup(epochs).value


def grows(settings: Settings) -> bool:
    """Whether the loss has a margin that grows during the run; plain softmax and SphereFace have none."""
    return isinstance(settings["margin"].get("m"), dict)


def other(rules: Rules) -> Rules:
    """Those of any other set: a run that begins with weights has no other batch and no fewer passes there."""
    return replace(rules, is_tuned=True)


def rate_of(batch: int) -> float:
    """The learning rate of a batch where people are seen often."""
    return float(f"{min(0.1, 0.1 * math.sqrt(batch / 64)):.2g}")


def tasks(
    places: Places, names: list[str], losses: list[str], rules: list[str], seeds: list[int]
) -> Iterator[tuple[str, Task]]:
    """Every run that is wanted, with its name."""
    known = places.domains()
    for name in names:
        counts = counted(known[name])
        for loss in losses:
            default = default_settings(known[name], loss, counts, places.size)
            for rule in [rule for rule in rules if rule not in MARGINS or grows(default)]:
                settings = json.dumps(ruled(default, *counts, rule))
                share = 1.0 if rule in WHOLE else PASSES
                for seed in seeds:
                    yield f"{label(name, loss)} / {rule} / {seed}", Task(name, loss, settings, share, seed)


def kept(row: Row, task: Task) -> dict[str, Any]:
    """What is kept of a run; passes as a recipe would say them, before they are halved."""
    said = json.loads(task.settings)
    about = {"batch": said["train"]["batch_size"], "epochs": said["train"]["epochs"], "lr": said["optim"]["lr"]}
    return about | {key: row[key] for key in ("tune", "test", "seconds")}


def table(rows: dict[str, Any], rules: list[str]) -> str:
    """The table of some rules: means over the seeds that are there; a rule that was never tried has no column."""
    rules = [rule for rule in rules if any(f" / {rule} / " in key for key in rows)]
    lines = ["| set | " + " | ".join(rules) + " |", "|---|" + "---:|" * len(rules)]
    for name in dict.fromkeys(label(name, loss) for name in DOMAINS for loss in (LOSS, *LOSSES)):
        cells = []
        for rule in rules:
            found = [row for key, row in rows.items() if key.startswith(f"{name} / {rule} / ")]
            cells.append(
                f"{fmean(row['tune'] for row in found):.1%} ({fmean(row['test'] for row in found):.1%}; {len(found)})"
                if found
                else "-"
            )
        if set(cells) != {"-"}:
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--fashion", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--domains", nargs="+", default=DOMAINS, choices=DOMAINS)
    parser.add_argument("--rules", nargs="+", default=EVERY, choices=EVERY)
    parser.add_argument("--losses", nargs="+", default=[LOSS], choices=LOSSES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS / f"setting_rules_{machines.slug()}.json")
    said = parser.parse_args()
    rows: dict[str, Any] = json.loads(said.out.read_text())["rows"] if said.out.exists() else {}
    places = Places(said.data, said.fashion if said.fashion.is_dir() else None)
    named: dict[Task, list[str]] = {}  # several rules may come to the same run
    for key, task in [] if said.table else tasks(places, said.domains, said.losses, said.rules, said.seeds):
        named.setdefault(task, []).append(key)
    for keys in named.values():
        rows |= {key: rows[known] for known in keys if known in rows for key in keys}
    about = {"command": "python benchmarks/setting_rules.py", **machines.about()}
    if named:
        write_json(said.out, {"about": about, "rows": dict(sorted(rows.items()))})
    with ProcessPoolExecutor(said.jobs, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(run, task, places): task for task, keys in named.items() if keys[0] not in rows}
        for done in as_completed(futures):
            task = futures[done]
            found = kept(done.result(), task)
            rows |= dict.fromkeys(named[task], found)
            write_json(said.out, {"about": about, "rows": dict(sorted(rows.items()))})
            print(named[task], found, flush=True)
    for rules, name in (
        (RULES, "rules"),
        (RATES, "rates"),
        (CHANGES, "changes"),
        ((*MARGINS, CHOSEN), "margins"),
        (DECAYS, "decays"),
        ((*SEEN, CHOSEN, *WHOLE), "passes"),
        (SHORT, "short"),
    ):
        above = f"{machines.words()}; TAR at FAR 1e-2 on the tune people (on the test people; seeds)"
        text = f"{above}\n\n{table(rows, list(rules))}"
        said.out.with_name(f"{said.out.stem.replace('rules', name)}.md").write_text(text)
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
