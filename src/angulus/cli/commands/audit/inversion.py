"""`angulus audit inversion`: what a model and its stored templates give away."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from angulus.cli.inputs.inversion_inputs import Settings, head_of, judges_named
from angulus.cli.options import Flag, Json, check_output, save_json, save_text
from angulus.errors import ConfigError, DataError


def inversion(
    model: Path,
    images: Path,
    /,
    *,
    out: Path,
    judge: Annotated[list[str] | None, Parameter(negative=())] = None,
    people: int = 32,
    closed: Annotated[bool, Flag] = False,
    defences: str = "none",
    fars: str = "0.01,0.001",
    names: Path | None = None,
    leave_out: Path | None = None,
    strangers: int = 300,
    settings: Settings | None = None,
    network: str | None = None,
    device: str = "auto",
    report: Path | None = None,
    pictures: Annotated[bool, Parameter(negative="--no-pictures")] = True,
    quiet: Annotated[bool, Flag] = False,
    json: Json = None,
) -> None:
    """Attack some people by inversion, and count how often recognisers take the result for them.

    Parameters
    ----------
    model
        The model to attack: the folder of a run or of a model, or foreign weights.
    images
        A folder with one sub-folder of aligned photos for each person.
    out
        The folder of the inversions; given again, the command goes on where it was.
    judge
        A model that had no part in the attack, or module:function of your own; may be given several times.
    people
        How many people are attacked.
    closed
        Attack people that the run was trained on, through its head, instead of templates.
    defences
        What is tried, with commas between: none, no-statistics, 8bit, 4bit, sign, rotated, label-only.
    fars
        False accept rates of the thresholds, with commas between.
    names
        A text file with the names of the people to use, one a line; others are left out.
    leave_out
        People to leave out: a run (those it was trained on), a folder of identities, or a text file with a name a line.
    strangers
        How many other people the thresholds and the stranger baseline are taken from.
    network
        What foreign weights are of, or "module:Class" of your own network.
    device
        auto, cpu, cuda or cuda:N.
    report
        Write an HTML page to this file.
    pictures
        Show the attacked and the inverted faces on the page; --no-pictures leaves them out.
    quiet
        Show warnings only.
    json
        Write all figures to this file.
    """
    check_output(report, json)
    from angulus.cli.inputs.models_and_images import open_model
    from angulus.cli.options import device_named
    from angulus.cli.terminal import image_progress
    from angulus.data import FolderSource, subset
    from angulus.inversion import Attack, audit, choose_people, model_judge, run_attacks
    from angulus.inversion.assessment.page import render_audit, summary

    rates = rates_named(fars)
    place = device_named(device)
    opened = open_model(model, network=network)
    head = head_of(model) if closed else None
    judges = [model_judge(model.name, opened.model, device=place, is_attacked=True)]
    judges += judges_named(judge or (), network=network, device=place)
    source = subset(
        FolderSource.open(images),
        identities=None if names is None else listed(names),
        exclude=() if leave_out is None else listed(leave_out),
    )
    chosen = choose_people(source, people, attack=None if head is None else head.names, strangers=strangers)
    with image_progress(quiet=quiet, doing="inverting") as progress:
        attack = Attack(
            model=opened.model,
            people=chosen,
            options=(settings or Settings()).options(),
            head=None if head is None else head.head,
            classes=() if head is None else head.names,
            step=0 if head is None else head.step,
            device=place,
            progress=progress,
        )
        wanted = [name.strip() for name in defences.split(",") if name.strip()]
        made = run_attacks(attack, wanted, out)
        found = audit(attack, made, judges, fars=rates)
    content = {"model": model.name, "images": images.name, **found}
    for line in summary(content):
        print(line)
    save_json(json, content)
    save_text(report, lambda: render_audit(content, attack if pictures else None, made))


def listed(path: Path) -> list[str]:
    """Names of identities: the classes of a run, the sub-folders of a folder, or the lines of a text file."""
    from angulus.text_files import read_entries
    from angulus.training.storage.class_names import read_classes

    if path.is_dir() and (classes := read_classes(path)) is not None:
        return classes
    if path.is_dir():
        return sorted(entry.name for entry in path.iterdir() if entry.is_dir())
    found = read_entries(path, DataError, "list of names")
    if not found:
        raise ConfigError(f"{path} names nobody")
    return found


def rates_named(text: str) -> tuple[float, ...]:
    """False accept rates from a list with commas. Raises ConfigError for anything but numbers between 0 and 1."""
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--fars must be numbers with commas between, as 0.01,0.001, got {text!r}") from error
    if not all(0 < far < 1 for far in found):
        raise ConfigError(f"--fars must lie between 0 and 1, got {text}")
    return found
