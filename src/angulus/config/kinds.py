"""Which things in a recipe are chosen by `name`, and what the names stand for.

`margin: {name: arcface, m: 0.5}` takes a class from a table; `name: mypackage.margins:MyMargin` imports the user's own
class, and that is the whole plug-in system.
"""

import dataclasses
import importlib
import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from angulus.config.suggestions import did_you_mean
from angulus.data.order.recipe_records import SAMPLINGS, Sampling
from angulus.heads import STRATEGIES, Fused, Panels, Strategy, Streamed
from angulus.margins import MARGINS, SCHEDULES, Margin, Schedule
from angulus.models import MODELS, ModelConfig
from angulus.training.datasets import DATA, MEMBERS
from angulus.training.experiment import AUGMENTS, OPTIMIZERS


@dataclass(frozen=True, kw_only=True)
class Family:
    """Classes of one sort, of which a recipe chooses one by name.

    noun: what to call it in messages.  names: the classes by name.  hints: the types with which a field of a
    dataclass asks for one.  default: the name that holds where none is given.  base: what a user's own class must
    derive from; or else `needs`: the attributes or fields it must have.
    """

    noun: str
    names: Mapping[str, type]
    hints: frozenset[Any]
    default: str | None = None
    base: type | None = None
    needs: tuple[str, ...] = ()

    def name_of(self, kind: type) -> str:
        """The name under which a recipe finds a class of this family."""
        own = f"{kind.__module__}:{kind.__qualname__}"
        return next((name for name, known in self.names.items() if known is kind), own)

    def holds(self, kind: type) -> bool:
        """True for the known classes and for a user's own of this sort."""
        if kind in self.names.values():
            return True
        if self.base is not None:
            return issubclass(kind, self.base)
        return bool(self.needs) and all(has_member(kind, name) for name in self.needs)


MARGIN = Family(noun="margin", names=MARGINS, hints=frozenset({Margin}), default="arcface", base=Margin)
SCHEDULE = Family(noun="schedule", names=SCHEDULES, hints=frozenset({Schedule}), base=Schedule)
MODEL = Family(noun="model", names=MODELS, hints=frozenset({ModelConfig}), needs=("build", "input", "embedding_dim"))
STRATEGY = Family(noun="strategy", names=STRATEGIES, hints=frozenset({Strategy}), default="dense", needs=("sweep",))
# How `sampled` sums its sample.
SUMMING = Family(
    noun="way of summing",
    names={name: STRATEGIES[name] for name in ("streamed", "panels", "fused")},
    hints=frozenset({Streamed, Panels, Fused}),
    default="streamed",
)
DATA_KIND = Family(noun="kind of data", names=DATA, hints=frozenset(DATA.values()), default="folder")
MEMBER_KIND = Family(noun="kind of data", names=MEMBERS, hints=frozenset(MEMBERS.values()), default="folder")
OPTIMIZER = Family(noun="optimizer", names=OPTIMIZERS, hints=frozenset(OPTIMIZERS.values()), default="sgd")
SAMPLING = Family(
    noun="way of sampling", names=SAMPLINGS, hints=frozenset({Sampling}), default="uniform", needs=("sampler",)
)
AUGMENT = Family(noun="augmentation", names=AUGMENTS, hints=frozenset(AUGMENTS.values()), default="images")

FAMILIES = (MARGIN, SCHEDULE, MODEL, STRATEGY, SUMMING, DATA_KIND, MEMBER_KIND, OPTIMIZER, SAMPLING, AUGMENT)

# Where a kind stands in a recipe ("*" is any key), so that layers merge as their kinds allow.
KINDS_AT: dict[tuple[str, ...], Family] = {
    ("data",): DATA_KIND,
    ("data", "base"): MEMBER_KIND,
    ("data", "outside"): MEMBER_KIND,
    ("data", "sets", "*"): MEMBER_KIND,
    ("evaluation", "also", "*"): DATA_KIND,
    ("evaluation", "also", "*", "sets", "*"): MEMBER_KIND,
    ("model",): MODEL,
    ("margin",): MARGIN,
    ("optim",): OPTIMIZER,
    ("augment",): AUGMENT,
    ("head", "strategy"): STRATEGY,
    ("head", "strategy", "streamed"): SUMMING,
    ("train", "sampling"): SAMPLING,
}


def family_at(path: tuple[str, ...]) -> Family | None:
    """The family of which a kind stands at this path of a recipe, or None."""
    for pattern, family in KINDS_AT.items():
        if len(pattern) == len(path) and all(want in ("*", key) for want, key in zip(pattern, path, strict=True)):
            return family
    return None


def family_for(members: frozenset[Any]) -> Family | None:
    """The family that a field asks for with these types (None left out), or None."""
    return next((family for family in FAMILIES if family.hints == members), None)


def find_kind(family: Family, name: str, *, allowed: Collection[str] | None = None) -> type:
    """The class that a name stands for. Raises ValueError with a sentence that says what to do.

    allowed: the names "module:Class" that may be imported; None allows all, as a user's own recipe does.
    """
    if name in family.names:
        return family.names[name]
    if ":" in name:
        if allowed is not None and name not in allowed:
            raise ValueError(
                f"the recipe stored in a run names a class of its own, {name}, and importing it runs its code; if you "
                f"trust it, allow it: --allow {name}"
            )
        return import_kind(family, name)
    hint = did_you_mean(name, family.names)
    raise ValueError(f"unknown {family.noun} {name!r}{hint or '; known are: ' + ', '.join(family.names)}")


def import_kind(family: Family, name: str) -> type:
    """Import "module:Class". Raises ValueError when it is missing or is no frozen dataclass of this family."""
    module_name, _, attribute = name.partition(":")
    try:
        module = import_from_here(module_name)
    except Exception as error:  # a user's module may fail in any way while it is imported
        raise ValueError(f"cannot import {module_name!r} for {name!r}: {type(error).__name__}: {error}") from error
    kind = getattr(module, attribute, None)
    if kind is None:
        raise ValueError(f"module {module_name} has no {attribute!r}{did_you_mean(attribute, vars(module))}")
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise ValueError(f"{name} must be a dataclass, got {kind!r}: write @dataclass(frozen=True, kw_only=True)")
    if not family.holds(kind):
        wanted = f"derive from {family.base.__name__}" if family.base else f"have {', '.join(family.needs)}"
        if family.base is None and not family.needs:
            wanted = f"be one of {', '.join(family.names)}"
        raise ValueError(f"{name} cannot be the {family.noun}: it must {wanted}")
    return kind


def import_from_here(module_name: str) -> Any:
    """Import a module from Python's path, or else from the current folder, where a user's own classes often lie."""
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing_itself = error.name is not None and module_name.split(".")[0] == error.name.split(".")[0]
        if not missing_itself or os.getcwd() in sys.path:
            raise
    sys.path.append(os.getcwd())  # appended for good: the module may import its neighbours later
    importlib.invalidate_caches()
    return importlib.import_module(module_name)


def has_member(kind: type, name: str) -> bool:
    fields = [field.name for field in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []
    return name in fields or hasattr(kind, name)
