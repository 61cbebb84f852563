"""What training came to, in a few lines for a person, and how an interrupted run goes on."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from angulus.evaluation.report.recommendation import recommended
from angulus.evaluation.report.result_files import result_of
from angulus.json_files import read_json
from angulus.plain_numbers import USELESS

NAMES = 11
FEW_FALSE_ACCEPTS = 10
GUESSING = 0.45  # an EER that its interval reaches, from which on it may be chance
FEW_PEOPLE = 10


def print_result(folder: Path, figures: Mapping[str, float], report: Path) -> None:
    """How good the model is, where it lies, which threshold to begin with, and what to do next."""
    try:
        lines = list(closing_lines(folder))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        print_figures(figures)  # a run of an older version, or one whose files were changed
        print(f"run folder  {folder}\nreport      {report}")
        return
    previous = ""
    for name, text in [*lines, ("report", str(report)), *next_lines(folder)]:
        print(f"{'' if name == previous else name:<{NAMES}}{text}")
        previous = name


def print_figures(figures: Mapping[str, float]) -> None:
    """One figure a line, names in a column."""
    width = max((len(name) for name in figures), default=0)
    for name, value in figures.items():
        print(f"{name:<{width}}  {value:.5g}")


def closing_lines(folder: Path) -> Iterator[tuple[str, str]]:
    """Name and text of each line."""
    recipe = dict(read_json(folder / "recipe.json"))
    results = list(read_json(folder / "evaluation.json"))
    how = recipe["evaluation"]["hold_out"]
    if how != "nobody":
        yield from verified_lines(folder, results[0], recipe)
        yield "threshold", threshold_line(results[0])
    else:
        yield "how good", "not known: everybody was trained on, so that no figure on people it has not seen exists"
        yield "how good", f"to have one: angulus evaluate {quoted(folder)} OTHER_PEOPLE"
    yield from across_cameras(folder)
    for result in results[0 if how == "nobody" else 1 :]:
        accuracy = result["accuracy"]
        if accuracy is None:
            yield "also", f"{result['name']}: EER {result['eer']['eer']:.1%}"
    if (folder / "best" / "model.json").is_file():
        yield "best", best_line(folder, recipe)
    yield "model", f"{folder / 'model'} (the network at the end)"


def verified_lines(folder: Path, result: Mapping[str, Any], recipe: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The figures on people who were not trained on, those that the pairs can vouch for."""
    how = recipe["evaluation"]["hold_out"]
    intervals = result["intervals"] or {}
    sure = {one["target_far"]: one for one in intervals.get("tar_at_far", ())}
    points = result["tar_at_far"]
    good = [point for point in points if vouched(point, sure.get(point["target_far"]))]
    people = f"{intervals['people']} people" if intervals.get("people") else "people"
    yield "how good", "; ".join([equal_error(result, intervals), *(shown_point(one, sure) for one in good)])
    yield (
        "how good",
        f"on {people} who were not trained on: {result['genuine']:,} pairs of one person, "
        f"{result['impostors']:,} of two",
    )
    if how == "folds":
        count = len(list((folder / "folds").iterdir()))
        yield (
            "how good",
            f"by {count} models, each trained without those it is verified on; the saved one has seen all",
        )
    if may_be_guessing(result["eer"]["eer"], intervals.get("eer")):
        weights = "" if recipe.get("init") else ", or init=FILE"
        examples = "recordings" if recipe.get("model", {}).get("input", {}).get("content") else "photos"
        yield "how good", f"it may be no better than guessing (EER 50%): more people and {examples} help{weights}"
    poor = [f"{point['target_far']:g}" for point in points if point not in good]
    if poor:
        fars = " and ".join(filter(None, [", ".join(poor[:-1]), poor[-1]]))
        yield "how good", f"too few people or pairs for a rate at FAR {fars}"
    if how == "part" and intervals.get("people", FEW_PEOPLE) < FEW_PEOPLE and has_folds(recipe["data"]):
        yield "how good", "evaluation.hold_out=folds would verify everybody, by as many more models"


def has_folds(data: Mapping[str, Any]) -> bool:
    """Whether a set can be verified in folds: not with labels made wrong, nor with a head for each set."""
    return data["name"] != "noisy" and data.get("join") != "separate"


def across_cameras(folder: Path) -> Iterator[tuple[str, str]]:
    """How well people are found across cameras, where these are known."""
    path = folder / "retrieval.json"
    for found in read_json(path) if path.is_file() else ():
        ranks = ", ".join(f"rank-{one['rank']} {one['recall']:.1%}" for one in found["recall"])
        yield "found", f"mAP {found['map']:.1%}, {ranks}, mINP {found['minp']:.1%}"
        yield "found", f"{found['name']}: {found['queries']:,} queries in {found['gallery']:,} images"


def vouched(point: Mapping[str, Any], sure: Mapping[str, Any] | None) -> bool:
    """Whether there are pairs enough for a rate at this FAR."""
    if not point["resolved"]:
        return False
    return not sure["remark"] if sure is not None else point["false_accepts"] >= FEW_FALSE_ACCEPTS


def may_be_guessing(eer: float, interval: Mapping[str, Any] | None) -> bool:
    """Whether the interval reaches guessing, or says nothing and the figure itself is poor."""
    if not interval or interval["high"] < GUESSING:
        return False
    return eer >= GUESSING / 2 or not says_nothing(interval)


def says_nothing(interval: Mapping[str, Any]) -> bool:
    """Whether an interval holds nearly every rate."""
    return interval["high"] - interval["low"] >= USELESS


def equal_error(result: Mapping[str, Any], intervals: Mapping[str, Any]) -> str:
    """The EER, with its interval where there is one."""
    found = intervals.get("eer")
    if isinstance(found, dict) and "low" in found and not says_nothing(found):
        spread = f" ({found['low']:.1%} to {found['high']:.1%})"
    else:
        spread = " (how much on other people, so few cannot tell)" if intervals.get("people") else ""
    return f"EER {result['eer']['eer']:.1%}{spread}"


def shown_point(point: Mapping[str, Any], sure: Mapping[float, Mapping[str, Any]]) -> str:
    """A TAR at its FAR, with its interval where there is one."""
    found = sure.get(point["target_far"])
    spread = f" ({found['tar']['low']:.1%} to {found['tar']['high']:.1%})" if found else ""
    return f"TAR {point['tar']:.1%}{spread} at FAR {point['target_far']:g}"


def threshold_line(result: Mapping[str, Any]) -> str:
    """The threshold that the page recommends as well; where there is none, that of equal errors, to begin with."""
    advice = recommended(result_of(dict(result)))
    if advice.threshold is not None:
        return advice.sentence
    equal = result["eer"]
    return (
        f"{equal['threshold']:.4f}, where both errors are {equal['eer']:.0%}; it rests on too few people to be deployed"
    )


def best_line(folder: Path, recipe: Mapping[str, Any]) -> str:
    """Which epoch was best on the people held out, and where its network lies."""
    described = dict(read_json(folder / "best" / "model.json"))
    extra = described["extra"]
    by, epochs = recipe["evaluation"]["best_by"], recipe["train"]["epochs"]
    epoch = next(
        (row["epoch"] for row in rows(folder) if row.get("step") == extra["step"] and "held-out/eer" in row), None
    )
    if extra["step"] == max(row["step"] for row in rows(folder)):
        return f"the last epoch: {folder / 'best'} is the same network"
    if extra["step"] == 0:
        figure = f"EER {extra['held-out/eer']:.1%}"
        return f"the weights it began with: no epoch was better on the people held out ({figure}); {folder / 'best'}"
    when = f"step {extra['step']}" if epoch is None else f"epoch {epoch:g} of {epochs}"
    figure = f"EER {extra['held-out/eer']:.1%}"
    chosen = f"chosen by {by} on the people held out, so a little flattered"
    return f"{when}, {figure}: {folder / 'best'} ({chosen})"


def rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of the metrics of a run."""
    from angulus.training.storage.run_folder import Metrics

    return Metrics(folder / "metrics.jsonl").rows()


def next_lines(folder: Path) -> Iterator[tuple[str, str]]:
    """Commands that are ready to be copied, but for the place of the photos."""
    run = quoted(folder)
    other = quoted(folder / "other.npz")
    yield "next", f"angulus evaluate {run} OTHER_PEOPLE"
    if (folder / "retrieval.json").is_file():
        yield "next", f"angulus evaluate retrieve {run} OTHER_PEOPLE --rule msmt17"
    yield "next", f"angulus embed {run} OTHER_PEOPLE --out {other}"
    yield "next", f"angulus evaluate calibrate {other} --far 0.01 --out {quoted(folder / 'threshold.json')}"


def quoted(path: Path) -> str:
    return shlex.quote(str(path))


def how_to_resume(arguments: Sequence[str]) -> str:
    """The command that goes on with an interrupted run."""
    words = [word for word in arguments if word != "--resume"]
    return f"go on with: angulus train {shlex.join(words)} --resume"
