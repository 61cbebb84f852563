"""Recipes: YAML layers and `key=value` settings in, a checked `Experiment` out, and back again.

`angulus.training.experiment` is the schema; here is only how text becomes values of it, and what is wrong with a text.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from angulus.config.layers import classes_allowed, merge, parse_overrides, read_layer, read_layers, with_stages
from angulus.config.schema_text import schema
from angulus.config.shipped_recipes import located
from angulus.config.walk import Walk, known_paths
from angulus.errors import ConfigError
from angulus.storage import arrived
from angulus.training.experiment import Experiment
from angulus.training.recipe.serialization import record

to_dict = record

__all__ = [
    "check",
    "classes_allowed",
    "load",
    "merge",
    "parse_overrides",
    "read_layer",
    "read_layers",
    "resolve",
    "schema",
    "to_dict",
    "to_yaml",
]


def load(sources: Sequence[str | Path], overrides: Sequence[str] = (), *, allow: Collection[str] = ()) -> Experiment:
    """Read recipes (later ones are laid over earlier ones), apply `key=value` settings, and check everything.

    sources: YAML files, or folders of runs, whose recipe is taken; a name that is no file here may be that of a recipe
        that came with Angulus.
    allow: classes "module:Class" that the stored recipe of a run may name (`stored_recipes` says which are). Recipes
        and settings of the user's own may name any, and what they name a stored one may name as well: importing a
        class runs its code.
    Raises ConfigError with every problem at once, each with its full path.
    """
    sources = [located(arrived(source)) for source in sources]
    values = read_layers(sources, overrides)
    allowed = classes_allowed(sources, parse_overrides(overrides), allow)
    return check(Experiment, with_stages(merge({}, values)), allowed=allowed)


def resolve(values: Mapping[str, Any], *, allowed: Collection[str] | None = None) -> Experiment:
    """The experiment that plain values describe; the inverse of `to_dict`. Raises ConfigError with every problem.

    allowed: as of `check`.
    """
    return check(Experiment, with_stages(merge({}, values)), allowed=allowed)


def check(kind: type, values: Mapping[str, Any], *, allowed: Collection[str] | None = None) -> Any:
    """An instance of any dataclass from plain values, checked as recipes are. Raises ConfigError.

    allowed: the classes "module:Class" that may be imported; None allows all.
    """
    walk = Walk(known_paths(kind), allowed)
    built = walk.build(kind, values, "")
    if kind is Experiment and "data" not in values:
        walk.problems = [_NO_DATA if line.startswith("data: is missing") else line for line in walk.problems]
    if walk.problems:
        raise ConfigError(walk.problems)
    return built


_NO_DATA = (
    "data: is missing; name a folder that has one sub-folder of images for each person, data.path=FOLDER, "
    "or take drawn faces, data=synthetic"
)


def to_yaml(value: Any) -> str:
    """An experiment or a part of one as the text of a recipe; short lists and mappings stand in one line."""
    return yaml.safe_dump(record(value), sort_keys=False, default_flow_style=None, width=110, allow_unicode=True)
