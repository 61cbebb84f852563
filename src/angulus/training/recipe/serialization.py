"""An experiment as plain dicts, lists and numbers: what a recipe file would say, with nothing left out."""

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import torch

from angulus.data.order.recipe_records import SAMPLINGS, Balanced, Uniform
from angulus.heads import STRATEGIES
from angulus.margins import MARGINS, SCHEDULES, Chosen, Learned, PerClass, PerSample
from angulus.models import MODELS
from angulus.speech.augmentation import SpeechAugment
from angulus.storage import address_of
from angulus.training.datasets import DATA
from angulus.training.experiment import AUGMENTS, OPTIMIZERS, LearningRate

KINDS: dict[type, str] = {
    kind: name
    for table in (
        OPTIMIZERS,
        {"speech": AUGMENTS["speech"]},
        DATA,
        STRATEGIES,
        SAMPLINGS,
        SCHEDULES,
        MODELS,
        dict(reversed(MARGINS.items())),
    )
    for name, kind in table.items()
}


def record(value: Any) -> Any:
    """JSON-ready form of an experiment or a part of it. Kinds carry their `name`, a user's own class "module:Class"."""
    if isinstance(value, Chosen):
        return "auto"
    if isinstance(value, Learned):
        return {"learned": value.initial}
    if isinstance(value, (PerClass, PerSample)):
        return torch.as_tensor(value.values, dtype=torch.float64).tolist()
    if isinstance(value, (Uniform, Balanced)):
        return KINDS[type(value)]  # a word, as recipes and the folders of runs have had it from the beginning
    if is_dataclass(value) and not isinstance(value, type):
        content = {field.name: record(getattr(value, field.name)) for field in fields(value) if field.init}
        name = name_of(type(value))
        return content if name is None else {"name": name, **content}
    if isinstance(value, dict):
        return {str(key): record(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [record(item) for item in value]
    return (address_of(value) or str(value)) if isinstance(value, Path) else value


def as_now(stored: dict[str, Any]) -> dict[str, Any]:
    """The recipe of a run with what came into recipes after it, at the values that it had without a word."""
    data, evaluation = stored.get("data"), stored.get("evaluation")
    if not isinstance(data, dict) or not isinstance(evaluation, dict):
        return stored
    also = evaluation.get("also")
    if isinstance(also, dict):
        also = {name: split_by_name(one) for name, one in also.items()}
    rate = stored.get("learning_rate")
    augment = stored.get("augment")
    if isinstance(augment, dict) and augment.get("name") == "speech":
        augment = {"music_snr": list(SpeechAugment.music_snr), **augment}
    with_final = {"learning_rate": {"final": LearningRate.final, **rate}} if isinstance(rate, dict) else {}
    return {
        **stored,
        **with_final,
        **({} if augment is None else {"augment": augment}),
        "stages": stored.get("stages", []),
        "data": split_by_name(data),
        "evaluation": {"hold_out": "part", "folds": 3, **evaluation, "also": also},
    }


def split_by_name(data: Any) -> Any:
    """A set whose people are placed by their names where it does not say how."""
    if not isinstance(data, dict) or not isinstance(data.get("identities"), dict):
        return data
    return {**data, "identities": {"shares": "by_name", **data["identities"]}}


def name_of(kind: type) -> str | None:
    """The name by which recipes choose a class; None for classes of Angulus that are not chosen."""
    if kind in KINDS:
        return KINDS[kind]
    return None if kind.__module__.startswith("angulus.") else f"{kind.__module__}:{kind.__qualname__}"


def differences(before: Any, now: Any, path: str = "") -> list[str]:
    """Where two nested values differ: "train.epochs was 10, now 20"."""
    if isinstance(before, dict) and isinstance(now, dict):
        names = list(dict.fromkeys([*before, *now]))
        return [
            line
            for name in names
            for line in differences(before.get(name), now.get(name), f"{path}.{name}" if path else name)
        ]
    if isinstance(before, list) and isinstance(now, (list, tuple)):
        now = list(now)
    return [] if before == now else [f"{path} was {before}, now {now}"]
