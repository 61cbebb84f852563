"""Why a run has the settings that its recipe left open, in a line each, for whoever reads its first lines."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from angulus.training.experiment import Experiment
from angulus.training.recipe.choices import Choice
from angulus.training.recipe.description import in_words, ramp
from angulus.training.recipe.holding_out import FEW
from angulus.training.recipe.serialization import record


def reasons(asked: Experiment, settled: Experiment, by_rules: Sequence[Choice], classes: int) -> tuple[Choice, ...]:
    """What was open in `asked`: the network, what rules chose, and who is held out; values as one reads them.

    classes: that are trained on.
    """
    found = [*network_choice(asked, settled), *by_rules, *held_out_choice(asked, settled, classes)]
    return tuple(replace(choice, value=shown_value(record(choice.value))) for choice in found)


def network_choice(asked: Experiment, settled: Experiment) -> list[Choice]:
    if asked.model is not None or settled.model is None:
        return []
    reason = "what this device trains in reasonable time" if settled.init is None else "that of init"
    return [Choice(key="model", value=settled.model, reason=reason)]


def held_out_choice(asked: Experiment, settled: Experiment, classes: int) -> list[Choice]:
    value = settled.evaluation.hold_out
    if asked.evaluation.hold_out != "auto" or value == "auto":
        return []
    reason = {
        "part": "there are people enough to hold some out" if classes >= FEW else "the recipe or its sets ask for it",
        "folds": f"{classes} people are too few to hold some out for good",
        "nobody": f"{classes} people are too few to hold any out",
    }
    return [Choice(key="evaluation.hold_out", value=value, reason=reason[value])]


def shown_value(value: Any) -> Any:
    """A value on one line."""
    value = ramp(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return in_words(value) if isinstance(value, dict) else value
