"""What may stand in a recipe: every key with its type, its default and a line of explanation, as one text."""

import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from angulus.config.kinds import family_for
from angulus.config.walk import (
    fields_of,
    hints_of,
    is_required,
    kinds_inside,
    phrase,
    shown,
    union_members,
)
from angulus.margins import SCHEDULES, Schedule
from angulus.plain_numbers import with_article
from angulus.training.experiment import Experiment
from angulus.training.recipe.margin_rules import open_margin
from angulus.training.recipe.serialization import record

_HEAD = """# Everything that a recipe may hold. Kinds are chosen by `name`;
# `name: mypackage.module:Class` imports your own margin or model.
# A value of a margin may be a number, a list with one for each class, or a schedule (at the end of this text).
"""


def schema() -> str:
    """The keys of a recipe, kinds and their settings below each other, in the layout of YAML."""
    lines = [_HEAD, *record_lines(Experiment, 0), "", "# Schedules, for values of margins:"]
    for name, kind in SCHEDULES.items():
        lines += [f"#   name: {name:<16} {first_sentence(kind)}"]
        lines += [f"#     {line}" for line in record_lines(kind, 0)]
    return "\n".join(lines) + "\n"


def record_lines(kind: type, depth: int, *, brief: bool = False) -> Iterator[str]:
    """The lines of one dataclass, those of its parts indented below; brief: kinds without their settings."""
    indent = "  " * depth
    notes = explanations(kind)
    for name, field in fields_of(kind).items():
        hint = hints_of(kind)[name]
        members = union_members(hint) - {type(None)}
        family = family_for(members)
        inner = kinds_inside(hint)
        note = notes.get(name, "")
        if family is not None:
            default = f" ({family.default} unless named)" if family.default else ""
            required = ", required" if is_required(field) else ""
            yield f"{indent}{name}:  # {with_article(family.noun)}{default}{required}{'. ' + note if note else ''}"
            for inner_kind in () if brief else inner:
                names = " or ".join(key for key, known in family.names.items() if known is inner_kind)
                yield f"{indent}  name: {names}  # {first_sentence(inner_kind)}"
                yield from record_lines(inner_kind, depth + 2)
        elif (listed := dataclass_listed(hint)) is not None:
            yield f"{indent}{name}: []  # a list of stages{'. ' + note if note else ''}"
            yield from record_lines(listed, depth + 1, brief=True)
        elif inner:
            yield f"{indent}{name}:{'  # ' + note if note else ''}"
            for inner_kind in inner:
                yield from record_lines(inner_kind, depth + 1, brief=brief)
        else:
            default = "auto" if name in open_margin(kind) else default_text(field)
            yield f"{indent}{name}: {default}  # {type_text(hint)}{'. ' + note if note else ''}"


def dataclass_listed(hint: Any) -> type | None:
    """The dataclass of which a field holds a list, or None."""
    first = next(iter(get_args(hint)), None)
    is_list = get_origin(hint) is tuple and isinstance(first, type) and dataclasses.is_dataclass(first)
    return first if is_list else None


def type_text(hint: Any) -> str:
    members = union_members(hint)
    plain = phrase(hint)
    if Schedule in members:
        plain = "a number, a list, a schedule or auto" + (", or {learned: 16}" if "learned" in plain else "")
    return f"{plain}, or null" if type(None) in members else plain


def default_text(field: "dataclasses.Field[Any]") -> str:
    if is_required(field):
        return "(required)"
    value = field.default if field.default is not dataclasses.MISSING else field.default_factory()  # type: ignore[misc]
    plain = record(value)
    if isinstance(plain, dict):
        return "{" + ", ".join(f"{key}: {plain_text(inner)}" for key, inner in plain.items()) + "}"
    return plain_text(plain)


def plain_text(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(plain_text(inner) for inner in value) + "]"
    return value if isinstance(value, str) else shown(value)


def first_sentence(kind: type) -> str:
    text = " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split())
    return re.split(r"(?<=[.;])(?<!al\.)\s", text)[0].rstrip(".;")


def explanations(kind: type) -> dict[str, str]:
    """What the docstrings of a dataclass and its bases say about each field: "name: what it is."."""
    notes: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if dataclasses.is_dataclass(base):
            notes |= explained(inspect.cleandoc(base.__doc__ or ""), fields_of(base))
    return notes


def explained(text: str, fields: dict[str, Any]) -> dict[str, str]:
    notes: dict[str, str] = {}
    current: list[str] = []
    for line in text.splitlines():
        for piece in re.split(r"\s{2,}", line.strip()):
            names, colon, meaning = piece.partition(": ")
            split = [name.strip() for name in names.split(",")]
            if colon and all(name in fields for name in split):
                current = split
                notes |= dict.fromkeys(split, meaning)
            elif not piece:
                current = []
            else:
                notes |= {name: f"{notes[name]} {piece}" for name in current}
    return notes
