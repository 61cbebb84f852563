"""Which recipes were stored by a run, so that they may be a stranger's, and which the user has written.

A recipe counts as stored, however it is reached, where one of these holds:

* it is named by the folder of a run, or lies in one: beside recipe.json, environment.json or metrics.jsonl
* it is JSON by its name: runs write JSON, people write YAML
* it has every field of an experiment, as runs and `angulus config` write it

A class that a stored recipe names is imported only with a word, and where its run is kept is not taken from it.
"""

import logging
from dataclasses import fields
from pathlib import Path
from typing import Any

from angulus.training.experiment import Experiment

log = logging.getLogger(__name__)

RUN_FILES = ("recipe.json", "environment.json", "metrics.jsonl")
_LATER = {"fine_tuning", "stages"}  # fields that recipes of older runs lack
_FIELDS = frozenset(field.name for field in fields(Experiment)) - _LATER


def is_stored(source: str | Path, recipe: dict[str, Any]) -> bool:
    """Whether a recipe may be a stranger's. source: as the user named it.  recipe: what it holds."""
    return run_of(source) is not None or is_json(source) or is_whole(recipe)


def is_whole(recipe: dict[str, Any]) -> bool:
    """Whether a recipe has every field of an experiment, as runs write it."""
    return recipe.keys() >= _FIELDS


def run_of(source: str | Path) -> Path | None:
    """The folder of the run that a recipe belongs to, or None."""
    path = Path(source)
    if path.is_dir():
        return path
    places = [path.parent]
    if path.is_symlink():
        places.append(path.resolve().parent)
    return next((place for place in places if any((place / name).exists() for name in RUN_FILES)), None)


def is_json(source: str | Path) -> bool:
    path = Path(source)
    return ".json" in (path.suffix.lower(), path.resolve().suffix.lower())


def placed(source: str | Path, recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe whose `out` is the user's: in the folder of a run it is that folder; a JSON from elsewhere has none."""
    run = run_of(source)
    if run is not None:
        return {**recipe, "out": str(run)}
    if not is_json(source):
        return recipe
    if recipe.get("out") is not None:
        log.warning(
            "%s: its out, %.200r, is not taken over; say where the run goes with out=FOLDER", source, recipe["out"]
        )
    return {key: value for key, value in recipe.items() if key != "out"}
