"""Do the committed figures that need no GPU and only minutes still come out, to the last digit?

    python benchmarks/figures.py                              recompute, compare with the committed JSON
    python benchmarks/figures.py --list                       the figures and their commands
    python benchmarks/figures.py --only identify retrieve     some of them
    python benchmarks/figures.py --save BEFORE                keep what was computed, in one checkout ...
    python benchmarks/figures.py --against BEFORE             ... and compare with it in another, on the same machine

Every figure is made by a public command of this checkout, in an empty folder where `data` is a link to the real faces
($ANGULUS_DATA, or ../shared/data or data). There one_run.yaml is the study of six losses on characters, cut to one row
and one seed. Numbers, texts and keys must be the same; what measures time or names a machine is left out by name.

Every command has one thread. The order of additions depends on the CPU, so that simulated and trained figures can have
other last digits elsewhere than where they were recorded. Two checkouts on one machine must agree in every digit: with
--against that comparison decides, and differences from the committed JSON are only told. It takes more: all rows of the
first population of the intervals, of which the first alone is compared with the committed JSON, and the study's run in
float32.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
STUDY = ROOT / "recipes" / "study_omniglot_losses.yaml"
ROW, SEED = "ArcFace (s 16, m to 0.5)", 0
POPULATION, QUESTION = "4 images each", "FMR 0.01"
LEFT_OUT = ("seconds", "cpu_seconds", "date", "machine", "cores", "command")
SHOWN = 8

ANGULUS = ("-m", "angulus")
INTERVALS = str(Path("benchmarks", "intervals.py"))
SET = "data/lfw_embeddings/lfw_mobilefacenet128.npz"
PAIRS = "data/lfw_protocol/pairs.txt"
FARS = ("--far", "1e-3", "--far", "1e-4", "--far", "1e-5", "--far", "1e-6")
BFLOAT16 = {"avx512_bf16", "amx_bf16", "bf16"}

Difference = tuple[str, str, str]


def whole(record: Any) -> Any:
    return record


def first_population(record: dict[str, Any]) -> dict[str, Any]:
    """What the first population of the table of intervals gave."""
    population = next(one for one in record["populations"] if one["name"] == POPULATION)
    return {"what": record["what"], "population": population, "results": record["results"][POPULATION]}


def first_row(record: dict[str, Any]) -> dict[str, Any]:
    """The first row of that table: one question, by all methods."""
    population = first_population(record)
    results = {name: found for name, found in population["results"].items() if name.partition(" | ")[0] == QUESTION}
    return population | {"results": results}


def one_run(record: dict[str, Any]) -> dict[str, Any]:
    """The figures of one training of a study; its recipe may have gained settings since."""
    run = next(run for run in record["runs"] if (run["row"], run["seed"]) == (ROW, SEED))
    return {name: run[name] for name in ("row", "seed", "state", "figures")}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """command: what Python runs. made: where it leaves its JSON. committed: the JSON in the repository, if any.

    part: what of it must equal the committed JSON. kept: what must equal that of another checkout; None takes the same.
    needs: folders of the data. about: seconds on one core. bfloat16: whether that takes a CPU which multiplies it.
    """

    command: tuple[str, ...]
    made: str
    committed: Path | None
    part: Callable[[Any], Any] = whole
    kept: Callable[[Any], Any] | None = None
    needs: tuple[str, ...] = ("lfw_embeddings",)
    about: int = 10
    bfloat16: bool = False


def evaluation(name: str, *arguments: str, **settings: Any) -> Figure:
    """A figure of `angulus evaluate`, whose JSON is named like it."""
    command = (*ANGULUS, "evaluate", *arguments, "--json", f"{name}.json")
    return Figure(command=command, made=f"{name}.json", committed=RESULTS / f"lfw_068_{name}.json", **settings)


def training(name: str, *settings: str, committed: Path | None, about: int, bfloat16: bool = False) -> Figure:
    """One run of the study of six losses on characters."""
    command = (*ANGULUS, "study", "one_run.yaml", *settings, "--out", name, "--threads", "1")
    needs = ("omniglot_small",)
    rest = {"committed": committed, "part": one_run, "needs": needs, "about": about, "bfloat16": bfloat16}
    return Figure(command=command, made=f"{name}/study.json", **rest)


def folds(protocol: str) -> Figure:
    arguments = (SET, "--pairs", PAIRS, "--protocol", protocol, "--no-curves")
    return evaluation(f"stored_{protocol}", *arguments, needs=("lfw_embeddings", "lfw_protocol"))


FIGURES = {
    "mean-centred": folds("mean-centred"),
    "insightface": folds("insightface"),
    "all-pairs": evaluation("all_pairs", SET, *FARS, "--no-curves"),
    "identify": evaluation("identify", "identify", SET),
    "retrieve": evaluation("retrieve", "retrieve", SET),
    "blufr": evaluation("blufr_drawn", "blufr", SET, about=15),
    "calibrate": Figure(
        command=(*ANGULUS, "evaluate", "calibrate", SET, "--far", "1e-4", "--out", "calibration.json"),
        made="calibration.json",
        committed=RESULTS / "lfw_068_calibration.json",
    ),
    "intervals": Figure(
        command=(INTERVALS, "--only", "0", "--json", "intervals.json"),
        made="intervals.json",
        committed=RESULTS / "intervals.json",
        part=first_row,
        kept=first_population,
        needs=(),
        about=190,
    ),
    "study": training("study", committed=ROOT / "studies/omniglot_losses/study.json", about=60, bfloat16=True),
    "study-float32": training("study_float32", "train.precision=float32", committed=None, about=90),
}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """values: how many there are on either side. found: those that differ."""

    values: int
    found: list[Difference]

    def __str__(self) -> str:
        return f"{len(self.found)} of {self.values} differ" if self.found else f"{self.values} equal"


@dataclass(kw_only=True)
class Outcome:
    """committed, earlier: the comparison with either; None where there is nothing to compare with."""

    seconds: float
    committed: Comparison | None = None
    earlier: Comparison | None = None
    error: str = ""

    @property
    def is_good(self) -> bool:
        """Another checkout on the same machine decides where there is one, else the committed JSON."""
        decisive = self.earlier or self.committed
        return not self.error and not (decisive and decisive.found)


@dataclass(frozen=True, kw_only=True)
class Place:
    """work: where commands run. save: where to keep what they made. against: what another checkout made."""

    work: Path
    save: Path | None = None
    against: Path | None = None
    environment: dict[str, str] = field(default_factory=dict)


def compared(record: Any) -> Any:
    """A JSON without what measures time or names a machine."""
    if isinstance(record, dict):
        return {name: compared(value) for name, value in record.items() if name not in LEFT_OUT}
    return [compared(value) for value in record] if isinstance(record, list) else record


def leaves(record: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(path, value as JSON) of every number, text, truth value and empty container."""
    if isinstance(record, dict | list) and record:
        named = record.items() if isinstance(record, dict) else enumerate(record)
        for name, value in named:
            yield from leaves(value, f"{path}/{name}")
    else:
        yield path, json.dumps(record)


def compare(was: Any, now: Any) -> Comparison:
    """(path, was, is) wherever two JSONs are not the same to the last digit; "nothing" where one lacks a path."""
    old, new = dict(leaves(was)), dict(leaves(now))
    paths = dict.fromkeys([*old, *new])
    sides = [(path, old.get(path, "nothing"), new.get(path, "nothing")) for path in paths]
    return Comparison(values=len(paths), found=[(path, one, other) for path, one, other in sides if one != other])


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def recompute(name: str, figure: Figure, place: Place) -> Outcome:
    """Run a figure's command and compare what it made."""
    start = time.monotonic()
    done = subprocess.run(
        python(figure), cwd=place.work, env=place.environment, capture_output=True, text=True, check=False
    )
    outcome = Outcome(seconds=time.monotonic() - start)
    made = place.work / figure.made
    if done.returncode or not made.exists():
        lines = (done.stderr + done.stdout).strip().splitlines() or ["no word"]
        outcome.error = f"ended with status {done.returncode}: {lines[-1]}"
        return outcome
    try:
        judge(name, figure, read(made), place, outcome)
    except (LookupError, StopIteration, TypeError) as error:
        outcome.error = f"{figure.made} has another form: {error!r}"
    return outcome


def judge(name: str, figure: Figure, record: Any, place: Place, outcome: Outcome) -> None:
    """Compare a JSON with the committed one and with another checkout's, and keep it where that is wanted."""
    if figure.committed:
        outcome.committed = compare(compared(figure.part(read(figure.committed))), compared(figure.part(record)))
    now = compared((figure.kept or figure.part)(record))
    if place.against:
        outcome.earlier = compare(read(place.against / f"{name}.json"), now)
    if place.save:
        (place.save / f"{name}.json").write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")


def python(figure: Figure) -> list[str]:
    """The command as it is run: a script of the benchmarks by its place in this checkout."""
    first, *rest = figure.command
    return [sys.executable, str(ROOT / first) if first == INTERVALS else first, *rest]


def shown(figure: Figure) -> str:
    """The command as a user types it."""
    words = figure.command
    return shlex.join(("angulus", *words[2:]) if words[:2] == ANGULUS else ("python", *words))


def prepare(work: Path, data: Path | None) -> dict[str, str]:
    """Lay out the folder where commands run; their environment, in which this checkout's package comes first."""
    if data:
        (work / "data").symlink_to(data.resolve(), target_is_directory=True)
    study = yaml.safe_load(STUDY.read_text(encoding="utf-8"))
    study |= {"base": [str((STUDY.parent / base).resolve()) for base in study["base"]]}
    study |= {"runs": {ROW: study["runs"][ROW]}, "seeds": [SEED]}
    (work / "one_run.yaml").write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    paths = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return os.environ | threads | {"PYTHONPATH": os.pathsep.join(paths)}


def data_folder(names: list[str]) -> Path | None:
    """Where the real data lie; ends the script with a sentence where a folder that is needed is absent."""
    given = os.environ.get("ANGULUS_DATA")
    places = [Path(given)] if given else [ROOT.parent / "shared" / "data", ROOT / "data"]
    needed = {folder for name in names for folder in FIGURES[name].needs}
    for place in places:
        if all((place / folder).is_dir() for folder in needed):
            return place
    if needed:
        sys.exit(f"the data are not here: set ANGULUS_DATA to the folder that holds {', '.join(sorted(needed))}")
    return None


def has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 itself; where it does not, a training in it takes a quarter of an hour."""
    try:
        return not BFLOAT16.isdisjoint(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return False


def chosen_figures(only: list[str] | None, stored: bool) -> list[str]:
    """The figures to recompute: those named, or all that this machine makes in minutes and has something beside."""
    if only:
        return only
    names = [name for name, figure in FIGURES.items() if figure.committed or stored]
    slow = [name for name in names if FIGURES[name].bfloat16 and not has_bfloat16()]
    for name in slow:
        print(f"{name} is left out: this CPU has no bfloat16, its training takes a quarter of an hour (--only {name})")
    return [name for name in names if name not in slow]


def row(name: str, outcome: Outcome) -> str:
    """One line of the table."""
    committed = outcome.error or outcome.committed or "-"
    earlier = outcome.earlier or "-"
    return f"| {name} | `{shown(FIGURES[name])}` | {committed} | {earlier} | {outcome.seconds:.0f} |"


def report(outcomes: dict[str, Outcome], before: Path | None) -> None:
    """What differs, the first few values of each figure."""
    for name, outcome in outcomes.items():
        for title, comparison in (("committed JSON", outcome.committed), (str(before), outcome.earlier)):
            found = comparison.found if comparison else []
            for path, was, now in found[:SHOWN]:
                print(f"{name}, {title}: {path}: was {was}, is {now}{apart(was, now)}")
            if len(found) > SHOWN:
                print(f"{name}, {title}: and {len(found) - SHOWN} more")


def apart(was: str, now: str) -> str:
    """By how much two numbers differ."""
    try:
        return f" ({float(now) - float(was):+.2g})"
    except ValueError:
        return ""


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="show the figures and their commands, run nothing")
    parser.add_argument("--only", nargs="+", choices=FIGURES, metavar="NAME", help="figures by name")
    parser.add_argument("--save", type=Path, metavar="DIR", help="keep what was computed in this folder")
    parser.add_argument("--against", type=Path, metavar="DIR", help="compare with what another checkout kept there")
    return parser.parse_args()


def check_kept(names: list[str], against: Path) -> None:
    """End the script with a sentence where the other checkout did not keep a figure."""
    absent = [name for name in names if not (against / f"{name}.json").exists()]
    if absent:
        sys.exit(
            f"{against} does not hold {', '.join(absent)}: make it with --save in the other checkout, or use --only"
        )


def recompute_all(names: list[str], place: Place) -> dict[str, Outcome]:
    """Every figure in turn, a line of the table each."""
    print("| figure | command | values, committed JSON | values, other checkout | seconds |\n|---|---|---|---|---|")
    outcomes = {}
    for name in names:
        outcomes[name] = recompute(name, FIGURES[name], place)
        print(row(name, outcomes[name]), flush=True)
    return outcomes


def main() -> int:
    chosen = options()
    if chosen.list:
        for name, figure in FIGURES.items():
            condition = " where the CPU has bfloat16" if figure.bfloat16 else ""
            print(f"{name}: {shown(figure)}  (about {figure.about} s{condition})")
        return 0
    names = chosen_figures(chosen.only, stored=bool(chosen.save or chosen.against))
    data = data_folder(names)
    if chosen.against:
        check_kept(names, chosen.against)
    if chosen.save:
        chosen.save.mkdir(parents=True, exist_ok=True)
    print(f"left out of every comparison: {', '.join(LEFT_OUT)}")
    with tempfile.TemporaryDirectory() as folder:
        environment = prepare(Path(folder), data)
        place = Place(work=Path(folder), save=chosen.save, against=chosen.against, environment=environment)
        outcomes = recompute_all(names, place)
    report(outcomes, chosen.against)
    wrong = [name for name, outcome in outcomes.items() if not outcome.is_good]
    alone = [name for name, outcome in outcomes.items() if not (outcome.error or outcome.committed or outcome.earlier)]
    if alone:
        print(f"nothing to compare with (--against): {', '.join(alone)}")
    print(f"these differ or failed: {', '.join(wrong)}" if wrong else "nothing differs")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
