"""What the recipe of a run leaves open is, when the run is resumed, as it was chosen when the run began.

The rules may be others by now, and so may the device that they ask: a run that has begun keeps its choices.
"""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from angulus.data.loading.augmentation import Augment
from angulus.errors import ModelError
from angulus.json_files import read_json
from angulus.margins import MARGINS, SCHEDULES, Chosen, Margin
from angulus.models import config_from_dict
from angulus.speech.augmentation import SpeechAugment
from angulus.training.experiment import AUGMENTS, Experiment
from angulus.training.recipe.fine_tuning import NEUTRAL
from angulus.training.recipe.margin_rules import open_margin
from angulus.training.recipe.serialization import as_now, name_of

NUMBERS: dict[str, type] = {
    "epochs": int,
    "batch_size": int,
    "head_epochs": int,
    "min_images": int,
    "lr": float,
    "weight_decay": float,
    "warmup_epochs": float,
    "backbone_rate": float,
}
"""Fields that a recipe leaves open with null, wherever they stand, and what is chosen for them."""
WORDS: dict[str, tuple[str | bool, ...]] = {
    "batch_norm": ("local", "synchronised", "frozen"),
    "from_data": (True, False),
    "fit": ("proportional", "resize", "crop", "error"),
}
AUTO: dict[str, tuple[str, ...]] = {"hold_out": ("part", "folds", "nobody"), "shares": ("by_name",)}
"""Fields that a recipe leaves open with "auto"."""
UNFIT = (TypeError, ValueError, LookupError, ModelError)
"""What values that no run has chosen are answered with."""


def recipe_in(folder: Path) -> dict[str, Any] | None:
    """The recipe of the run in a folder, None where there is none that can be read."""
    try:
        begun = as_now(dict(read_json(folder / "recipe.json")))
    except (OSError, ValueError, TypeError):
        return None
    return {"fine_tuning": NEUTRAL, **begun}


def as_begun(experiment: Experiment, begun: Mapping[str, Any]) -> Experiment:
    """The experiment with what it leaves open as the recipe of the run that is resumed has it.

    Values that no run has chosen are passed over: `storage.run_folder.start_folder` says where the recipe is another.
    """
    experiment = replace(
        experiment,
        model=begun_model(begun.get("model")) if experiment.model is None else experiment.model,
        margin=begun_margin(begun.get("margin")) if experiment.margin is None else experiment.margin,
        augment=begun_augment(begun.get("augment")) if experiment.augment is None else experiment.augment,
    )
    return kept(experiment, begun)


def kept(asked: Any, begun: Any) -> Any:
    """A part of an experiment with its open fields, and those inside it, as they were chosen."""
    if not isinstance(begun, Mapping):
        return asked
    if isinstance(asked, dict):
        return {name: kept(value, begun.get(name)) for name, value in asked.items()}
    if not is_dataclass(asked) or isinstance(asked, type) or name_of(type(asked)) not in (None, begun.get("name")):
        return asked
    changed = {
        field.name: kept_field(field.name, getattr(asked, field.name), begun.get(field.name))
        for field in fields(asked)
        if field.init
    }
    try:
        return replace(asked, **changed)
    except UNFIT:
        return asked


def kept_field(name: str, asked: Any, begun: Any) -> Any:
    if isinstance(asked, Chosen):
        return asked if (value := margin_value(begun)) is None else value
    if asked is None and name == "frames":
        return chosen_frames(begun)
    if asked is None:
        return begun if is_choice(name, begun) else None
    if asked == "auto":
        return begun if begun in AUTO.get(name, ()) else asked
    return kept(asked, begun)


def chosen_frames(value: Any) -> tuple[int, int] | None:
    """The lengths of chunks of speech that were chosen; None for what no run chooses."""
    match value:
        case [int(least), int(most)] if 1 <= least <= most:
            return least, most
    return None


def is_choice(name: str, value: Any) -> bool:
    """Whether a value is one that a run may have chosen for an open field."""
    if name in WORDS:
        return value in WORDS[name]
    kind = NUMBERS.get(name)
    if kind is None or isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or (kind is float and math.isfinite(value))


def begun_model(stored: Any) -> Any:
    """The network that was chosen, one of Angulus; None for any other."""
    if not isinstance(stored, Mapping):
        return None
    try:
        return config_from_dict(stored, where="recipe.json")
    except UNFIT:
        return None


def begun_margin(stored: Any) -> Margin | None:
    """The loss that was chosen; None for what no rule chooses."""
    kind = MARGINS.get(str(stored.get("name"))) if isinstance(stored, Mapping) else None
    if kind is None:
        return None
    return kept(kind(**dict[str, Any](open_margin(kind))), stored)


def begun_augment(stored: Any) -> Augment | SpeechAugment | None:
    if not isinstance(stored, Mapping):
        return None
    kind = AUGMENTS.get(str(stored.get("name", "images")))
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()
    }
    values.pop("name", None)
    values |= {name: Path(values[name]) for name in ("noises", "rooms") if isinstance(values.get(name), str)}
    try:
        return None if kind is None else kind(**values)
    except UNFIT:
        return None


def margin_value(stored: Any) -> Any:
    """A number or a schedule from its record, None for what is neither."""
    if isinstance(stored, Mapping):
        kind = SCHEDULES.get(str(stored.get("name")))
        try:
            return None if kind is None else kind(**{name: value for name, value in stored.items() if name != "name"})
        except UNFIT:
            return None
    is_number = isinstance(stored, int | float) and not isinstance(stored, bool)
    return stored if is_number and math.isfinite(stored) else None
