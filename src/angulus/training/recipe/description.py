"""A run in words: for the log and for the reader of its report."""

from collections.abc import Sequence
from dataclasses import MISSING, Field, fields
from typing import Any

import torch

from angulus.heads import MarginHead, SeparateHeads, each_head
from angulus.margins import Margin
from angulus.models import EmbeddingModel
from angulus.plain_numbers import counted
from angulus.training.datasets import Data, UnionData
from angulus.training.experiment import Experiment
from angulus.training.recipe.choices import Choice
from angulus.training.recipe.serialization import record

SHORT = 24  # characters of a value that stands beside its key
NAMES = 10
"""Columns that the names of the first lines take."""


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


def opening(
    experiment: Experiment,
    model: EmbeddingModel,
    notes: Sequence[str],
    choices: Sequence[Choice],
    device: torch.device,
) -> list[str]:
    """The first lines of a run: what is trained, on what, with which settings that its recipe left open and why."""
    first = "with random weights" if experiment.init is None else f"begun with {experiment.init}"
    network = f"{record(experiment.model)['name']}, {millions(model)}, {input_in_words(model)}, {first}"
    lines = [("data", note.strip()) if row == 0 else ("", note) for row, note in enumerate(notes)]
    lines += [("network", network), ("loss", loss_in_words(experiment.margin or Margin()))]
    lines += [
        ("chosen" if row == 0 else "", chosen_line(choice))
        for row, choice in enumerate(one for one in choices if one.key not in ("model", "margin"))
    ]
    return [f"{name:<{NAMES}}{text}" for name, text in [*lines, ("machine", machine_in_words(experiment, device))]]


def chosen_line(choice: Choice) -> str:
    """A setting with its value, unless that is long (the lines on network and loss have it), and the reason."""
    value = str(choice.value)
    return f"{choice.key}{f' {value}' if len(value) <= SHORT else ''}: {choice.reason}"


def machine_in_words(experiment: Experiment, device: torch.device) -> str:
    """What was settled by the device: cpu, 1 thread, float32, channels_last."""
    config, threads = experiment.train, torch.get_num_threads()
    name = f"cpu, {counted(threads, 'thread')}" if device.type == "cpu" else torch.cuda.get_device_name(device)
    parts = [name, config.precision, config.layout, *(["compiled"] if config.compile else [])]
    return f"{', '.join(parts)} (environment.json says why)"


def loss_in_words(margin: Margin) -> str:
    """Name, scale and margin, and whatever else is not as usual: arcface, scale 24, m 0 to 0.3 in the first half."""
    told = record(margin)
    kept = {field.name for field in fields(margin) if field.name in ("scale", "m") or is_unusual(margin, field)}
    return in_words({name: ramp(value) for name, value in told.items() if name == "name" or name in kept})


def is_unusual(margin: Margin, field: Field[Any]) -> bool:
    """Whether a field of a loss has another value than the one that it has without a word."""
    usual = field.default if field.default_factory is MISSING else field.default_factory()
    return bool(field.init and getattr(margin, field.name) != usual)


def ramp(value: Any) -> Any:
    """A line over a share of the run in few words; any other value as it is."""
    if not isinstance(value, dict) or value.get("name") != "linear" or value.get("unit") != "run":
        return value
    if value.get("begin"):
        return value
    return f"from {value['start']:g} to {value['end']:g} in the first {value['until']:.0%} of the run"


def input_in_words(model: EmbeddingModel) -> str:
    """For example: 112x96 rgb images to 128 numbers."""
    return f"{model.input.describe()} to {model.embedding_dim} numbers"


def millions(model: EmbeddingModel) -> str:
    """For example: 0.64 million weights."""
    return f"{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.2g} million weights"


def duration(seconds: float) -> str:
    """About so long, for people: 40 seconds, 3 minutes, 2.5 hours."""
    if seconds < 90:
        return counted(max(1, round(seconds)), "second")
    return f"{round(seconds / 60)} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def verified(figures: dict[str, float], prefix: str = "held-out") -> str:
    """For example: EER 20.6 %, TAR 68.8 % at FAR 0.1, 52.5 % at FAR 0.01."""
    own = {name.removeprefix(f"{prefix}/"): value for name, value in figures.items() if name.startswith(f"{prefix}/")}
    tars = [f"{value:.1%} at FAR {name.removeprefix('tar@')}" for name, value in own.items() if name.startswith("tar@")]
    across = f", mAP {own['map']:.1%} and rank-1 {own['rank1']:.1%} across cameras" if "map" in own else ""
    return f"EER {own['eer']:.1%}, TAR {', '.join(tars)}{across}"


def shown(figures: dict[str, float]) -> str:
    """Figures for a log line."""
    return ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
