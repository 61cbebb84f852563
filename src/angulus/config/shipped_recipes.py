"""The recipes that come with Angulus: found by name where no such file lies here, and listed where one is missed.

They lie in the wheel as angulus/recipes, and in a clone beside src.
"""

import logging
from functools import lru_cache
from pathlib import Path

log = logging.getLogger(__name__)

_PLACES = (Path(__file__).parents[1] / "recipes", Path(__file__).parents[3] / "recipes")


@lru_cache(maxsize=1)
def shipped() -> dict[str, Path]:
    """Every recipe that came with Angulus, by the name of its file; none where they were left out."""
    for place in _PLACES:
        found = {path.name: path for path in sorted(place.glob("*.yaml"))}
        if "lfw_tiny.yaml" in found:  # a folder of that name beside a src may be anybody's
            return found
    return {}


def located(source: str | Path) -> Path:
    """Where a recipe lies: as it is named, or where no such file is here what came with Angulus under this name."""
    path = Path(source)
    found = None if path.exists() else shipped_as(path)
    if found is None:
        return path
    log.info("there is no %s here: taking the recipe %s that came with Angulus", path, found.name)
    return found


def shipped_as(path: Path) -> Path | None:
    """The shipped recipe that a path means which is no file: NAME.yaml, NAME, or recipes/NAME.yaml; None for others."""
    if path.is_absolute() or path.parent.as_posix() not in (".", "recipes"):
        return None
    return shipped().get(path.name) or shipped().get(f"{path.name}.yaml")


def is_shipped(path: Path) -> bool:
    """Whether a path is that of a recipe that came with Angulus in an installed copy, where nothing may be written."""
    return path.parent == _PLACES[0]


def listed() -> str:
    """The names of the recipes for a run, and of those for a study, in words; empty where there are none."""
    names = [name.removesuffix(".yaml") for name in shipped()]
    plain = [name for name in names if not name.startswith("study_")]
    studies = [name for name in names if name.startswith("study_")]
    if not names:
        return ""
    return f"; with Angulus come {', '.join(plain)}, and for angulus study {', '.join(studies)}"
