"""A run in words: for the log and for the reader of its report."""

from typing import Any

from angulus.heads import MarginHead, SeparateHeads, each_head
from angulus.training.datasets import Data, UnionData
from angulus.training.experiment import Experiment
from angulus.training.recipe.serialization import record


def facts(experiment: Experiment, head: MarginHead | SeparateHeads) -> dict[str, str]:
    """What a reader of the report wants to know about the run."""
    model, margin = record(experiment.model), record(experiment.margin)
    return {
        "data": data_in_words(experiment.data),
        "training identities": " and ".join(
            f"{one.num_classes} of {name}" if name else str(one.num_classes) for name, one, _ in each_head(head)
        ),
        "network": str(model["name"]),
        "loss": in_words(margin),
        "epochs": str(experiment.train.epochs),
        "seed": str(experiment.seed),
    }


def data_in_words(data: Data) -> str:
    """Where the data is, or of what kind; of several sets their names and how they are joined."""
    if isinstance(data, UnionData):
        return f"{', '.join(f'{name} ({data_in_words(member)})' for name, member in data.sets.items())}; {data.join}"
    return str(record(data).get("path", record(data)["name"]))


def in_words(settings: dict[str, Any]) -> str:
    """Nested settings on one line: "arcface, scale 24, m (linear, start 0, end 0.3)"."""
    parts = [
        str(value)
        if name == "name"
        else f"{name} ({in_words(value)})"
        if isinstance(value, dict)
        else f"{name} {value}"
        for name, value in settings.items()
    ]
    return ", ".join(parts)


def shown(figures: dict[str, float]) -> str:
    """Figures for a log line."""
    return ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
