"""Why a run has the settings that its recipe left open, in a line each, for whoever reads its first lines."""

from typing import Any

from angulus.training.experiment import SGD, Experiment
from angulus.training.recipe.choices import Choice
from angulus.training.recipe.description import in_words
from angulus.training.recipe.serialization import record


def choices(asked: Experiment, settled: Experiment, images: int, classes: int) -> tuple[Choice, ...]:
    """What was open in `asked` and is not in `settled`. images, classes: that are trained on."""
    before, after = record(asked), record(settled)
    reasons = reasons_of(settled, images, classes)
    return tuple(
        Choice(key=key, value=shown_value(value_at(after, key)), reason=reason)
        for key, reason in reasons.items()
        if value_at(before, key) in (None, "auto") and value_at(after, key) not in (None, "auto")
    )


def reasons_of(settled: Experiment, images: int, classes: int) -> dict[str, str]:
    """By the key of the recipe; the network and the loss first."""
    rate = "0.1 x batch size / 256, at most 0.1" if isinstance(settled.optim, SGD) else "the usual one of Adam"
    return {
        "model": "what this device trains in reasonable time" if settled.init is None else "that of init",
        "margin": f"ArcFace with the scale 3.4 log {classes:,}, and a margin that grows in the first half of the run",
        "train.epochs": f"{images:,} images, as many passes as this device makes in reasonable time",
        "optim.lr": rate,
        "evaluation.hold_out": {
            "part": "there are people enough to hold some out",
            "folds": f"{classes} people are too few to hold some out for good",
            "nobody": f"{classes} people are too few to hold any out",
        }.get(settled.evaluation.hold_out, ""),
    }


def value_at(recipe: dict[str, Any], key: str) -> Any:
    """What stands at a key such as train.epochs; None where there is nothing."""
    value: Any = recipe
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def shown_value(value: Any) -> Any:
    """A value on one line."""
    return in_words(value) if isinstance(value, dict) else value
