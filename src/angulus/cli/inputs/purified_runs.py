"""What a purification starts from: a finished run or recipes, how many centers, which angle, which folder."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from angulus.cli.inputs.words.named_places import is_run
from angulus.cli.options import split_arguments
from angulus.errors import ConfigError
from angulus.margins import ArcFace
from angulus.purification.runs import subcenters_of
from angulus.training.experiment import Experiment
from angulus.training.loop import run_folder


def opened(arguments: Sequence[str], subcenters: int | None) -> tuple[Path | None, list[str], list[str]]:
    """The finished run whose centers are used, or None; recipes; settings, with a folder of images among them."""
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
    if subcenters is not None:
        return subcenters
    return 3 if run is None else max(subcenters_of(run), 1 if rule in ("nearest", "combined") else 2)


def degrees(angle: str | None) -> float | Literal["auto"] | None:
    """The option --angle as a number or a word. Raises ConfigError for another word."""
    if angle is None:
        return None
    if angle == "auto":
        return "auto"
    try:
        return float(angle)
    except ValueError:
        raise ConfigError(f"--angle must be a number of degrees or auto, got {angle!r}") from None


def default_folder(experiment: Experiment, run: Path | None) -> Path:
    """The folder of the run with "_purified" behind its name."""
    named = experiment if experiment.margin is not None else replace(experiment, margin=ArcFace())  # as runs have it
    place = run if run is not None else run_folder(named)
    return place.with_name(f"{place.name}_purified")
