"""`angulus purify`: a noisy set in, a list of what is wrong in it and a model trained without that out."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from angulus.cli.options import Flag, Json, check_output, save_json, split_arguments


def purify(
    *arguments: str,
    out: Path | None = None,
    subcenters: int | None = None,
    rule: Literal["subcenter", "strict", "nearest", "combined"] = "subcenter",
    angle: str | None = None,
    rounds: int = 1,
    retrain: Annotated[bool, Parameter(negative="--no-retrain")] = True,
    quiet: Annotated[bool, Flag] = False,
    json: Json = None,
) -> None:
    """Find wrong labels with sub-centers, list them, and train again without them; the same words go on after a stop.

    Parameters
    ----------
    arguments
        A finished run with sub-centers, whose training set is cleaned; or recipes and key=value settings as for train,
        from which such a run is trained first. A folder of images beside them replaces the data.
    out
        Where everything is kept; by default the folder of the run with "_purified" behind its name.
    subcenters
        Centers for each identity in the runs that are trained here; 3 by default. With a finished run it means: train
        its recipe anew with so many.
    rule
        subcenter: the angle to the dominant center; strict: non-dominant centers go as well; nearest: the angle to the
        nearest center of the class, also for runs with one center; combined: all evidence together, also the angles
        to the nearest other class and between the views of an image.
    angle
        Degrees beyond which an image goes, or "auto", which fits two groups to the set. 75 by default, auto for the
        combined rule.
    rounds
        How often; each round trains on what the one before left.
    retrain
        Train a plain run, with one center for each identity, on what is left.
    quiet
        Show warnings only.
    json
        Write the figures to this file.
    """
    check_output(json)
    from angulus.cli.terminal import log_lines
    from angulus.config import load
    from angulus.purification import Purification
    from angulus.purification import purify as run_purification

    run, recipes, settings = opened(arguments, subcenters)
    experiment = load(recipes, settings)
    options = Purification(
        subcenters=subcenters_asked(run, subcenters, rule),
        rule=rule,
        angle=degrees(angle),
        rounds=rounds,
        retrain=retrain,
    )
    folder = out or default_folder(experiment, run)
    try:
        with log_lines(quiet=quiet):
            done = run_purification(experiment, folder, options, run=run)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("give the same command again to go on") from None
    for number, (listed, found) in enumerate(zip(done.lists, done.figures["rounds"], strict=True), start=1):
        print(f"round {number}: {found['sentence']}\n  {listed}")
    for name, value in done.figures.get("retrained", {}).items():
        print(f"{name:<20}{value:.5g}")
    if done.retrained is not None:
        print(f"the plain run: {done.retrained}")
    save_json(json, {"folder": str(folder), **done.figures})


def opened(arguments: tuple[str, ...], subcenters: int | None) -> tuple[Path | None, list[str], list[str]]:
    """The finished run whose centers are used, or None; recipes; settings, with a folder of images among them."""
    from angulus.cli.inputs.models_and_images import is_run
    from angulus.errors import ConfigError

    recipes, settings = split_arguments(arguments)
    images = [text for text in recipes if Path(text).is_dir() and not is_run(text)]
    recipes = [text for text in recipes if text not in images]
    if len(images) > 1:
        raise ConfigError(f"purify takes one folder of images, got {', '.join(images)}")
    settings = [*settings, *(f"data.path={path}" for path in images)]
    runs = [Path(text) for text in recipes if is_run(text)]
    if len(runs) != 1 or len(recipes) > 1 or settings or subcenters is not None:
        return None, recipes, settings
    return runs[0], recipes, settings


def subcenters_asked(run: Path | None, subcenters: int | None, rule: str) -> int:
    """Centers for each identity; those of a finished run, which may be too few for the rule."""
    from angulus.purification.runs import subcenters_of

    if subcenters is not None:
        return subcenters
    return 3 if run is None else max(subcenters_of(run), 1 if rule in ("nearest", "combined") else 2)


def degrees(angle: str | None) -> "float | Literal['auto'] | None":
    """The option --angle as a number or a word. Raises ConfigError for another word."""
    from angulus.errors import ConfigError

    if angle is None:
        return None
    if angle == "auto":
        return "auto"
    try:
        return float(angle)
    except ValueError:
        raise ConfigError(f"--angle must be a number of degrees or auto, got {angle!r}") from None


def default_folder(experiment: object, run: Path | None) -> Path:
    """The folder of the run with "_purified" behind its name."""
    from angulus.training.loop import run_folder

    place = run if run is not None else run_folder(experiment)  # pyrefly: ignore[bad-argument-type]
    return place.with_name(f"{place.name}_purified")
