"""From plain values to checked dataclasses: every problem is found at once, each with its full path.

The walk follows the types of dataclass fields. Numbers, words and whatever else a user's own class asks for are checked
by pydantic; names, unknown keys, unions and the dataclasses' own checks (`__post_init__`) are handled here, because
pydantic passes over unknown keys of plain dataclasses and words its messages for programmers.
"""

import dataclasses
import functools
import math
import re
import types
import typing
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import ConfigDict, PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError

from angulus.config.kinds import MARGIN, SCHEDULE, Family, family_for, find_kind
from angulus.config.suggestions import closest, did_you_mean
from angulus.errors import StorageError
from angulus.margins import Chosen, Learned, PerClass, PerSample, Schedule
from angulus.plain_numbers import with_article
from angulus.storage import is_address, placed
from angulus.training.recipe.margin_rules import open_margin
from angulus.training.recipe.serialization import name_of

STAGES_CHANGE = (
    "margin, head.strategy, head.filter_above, optim.lr, learning_rate, augment, train.batch_size, train.frames, "
    "train.sampling, train.average_last and fine_tuning"
)
_NONE = type(None)
_BAD = object()

_PHRASES = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path"}


class Walk:
    """One pass over a raw value; `problems` fills as it goes.

    known: paths such as "optim.lr", which unknown keys are compared with.
    allowed: the user's own classes, "module:Class", that may be imported; None allows all.
    """

    def __init__(self, known: Sequence[str] = (), allowed: Collection[str] | None = None) -> None:
        self.problems: list[str] = []
        self.known = known
        self.allowed = allowed

    def build(self, hint: Any, raw: Any, path: str) -> Any:
        """The value of type `hint` that `raw` describes; after a problem, a mark that must not be used."""
        before = len(self.problems)
        members = union_members(hint)
        if raw is None and _NONE in members:
            return None
        members = members - {_NONE}
        family = family_for(members)
        if family is not None:
            value = self.kind(family, raw, path)
        elif len(members) > 1:
            value = self.choice(members, hint, raw, path)
        else:
            value = self.single(next(iter(members)), raw, path)
        return value if len(self.problems) == before else _BAD

    def complain(self, path: str, sentence: str) -> Any:
        self.problems.append(f"{path}: {sentence}" if path else sentence)
        return _BAD

    def single(self, hint: Any, raw: Any, path: str) -> Any:
        origin, arguments = get_origin(hint), get_args(hint)
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            return self.record(hint, raw, path)
        if hint is Any:
            return raw
        if origin is Literal:
            return self.literal(arguments, raw, path)
        if origin in (tuple, list) or (isinstance(origin, type) and issubclass(origin, Sequence)):
            return self.sequence(hint, raw, path)
        if origin is dict or (isinstance(origin, type) and issubclass(origin, Mapping)):
            return self.mapping(hint, raw, path)
        return self.leaf(hint, raw, path)

    def record(self, kind: type, raw: Any, path: str, *, family: Family | None = None) -> Any:
        """A dataclass from a mapping of its fields."""
        if not isinstance(raw, Mapping):
            return self.complain(path, f"must be a mapping of {', '.join(fields_of(kind))}, got {shown(raw)}")
        before = len(self.problems)
        fields = fields_of(kind)
        if family is None and "name" not in fields and "name" in raw and raw["name"] == name_of(kind):
            raw = {key: value for key, value in raw.items() if key != "name"}  # `record` names every class it can
        hints = hints_of(kind)
        for key in raw:
            if key not in fields:
                self.unknown_key(key, kind, path, family)
        given = {key: self.build(hints[key], raw[key], joined(path, key)) for key in fields if key in raw}
        missing = [key for key, field in fields.items() if key not in raw and is_required(field)]
        for key in missing:
            self.complain(joined(path, key), f"is missing; it must be {phrase(hints[key])}")
        is_whole = len(self.problems) == before
        good = {key: value for key, value in given.items() if value is not _BAD}
        if any(is_required(fields[key]) and key not in good for key in fields):
            return _BAD
        return self.construct(kind, good, path, is_whole=is_whole)

    def construct(self, kind: type, given: dict[str, Any], path: str, *, is_whole: bool = True) -> Any:
        """Call the dataclass; a value that it refuses is left out in another call, which may show the next mistake.

        is_whole: False when something was left out already, so that only complaints about what was given count.
        """
        fields = fields_of(kind)
        while True:
            try:
                result = kind(**given)
            except (ValueError, TypeError) as error:
                name, sentence = subject(str(error), fields, path)
                if name in given or is_whole:
                    self.complain(joined(path, name), sentence)
                is_whole = False
                if name not in given or is_required(fields[name]):
                    return _BAD
                given = {key: value for key, value in given.items() if key != name}
            else:
                return result if is_whole else _BAD

    def unknown_key(self, key: str, kind: type, path: str, family: Family | None) -> Any:
        here, fields = joined(path, key), fields_of(kind)
        others = [name for name, other in family.names.items() if key in fields_of(other)] if family else []
        beside = closest(key, fields)
        keys = ", ".join([*(["name"] if family else []), *fields])
        elsewhere = [known for known in self.known if known.rpartition(".")[2] == key]
        in_stage = re.sub(r"^stages\[\d+\]\.", "", here)
        if in_stage != here and in_stage in self.known:
            return self.complain(here, f"cannot change between the stages of a run; what can is {STAGES_CHANGE}")
        if family is not None and others:
            only = f"={others[0]}" if len(others) == 1 else ""
            remedy = f"no key of {family.name_of(kind)}, but of {listed_words(others)}: set {path}.name{only}"
        elif here in elsewhere:  # model.input.height of a network for speech
            remedy = f"a key of another kind than the chosen one; {path} has {keys}"
        elif beside:
            remedy = f"unknown key; did you mean {joined(path, beside)}?"
        elif elsewhere:
            remedy = f"unknown key; did you mean {listed_words(elsewhere[:3])}?"
        else:
            remedy = f"unknown key; {path or 'a recipe'} has {keys}"
        return self.complain(here, remedy)

    def kind(self, family: Family, raw: Any, path: str) -> Any:
        """A class chosen by name, with its fields beside the name."""
        if isinstance(raw, str):
            raw = {"name": raw}
        if not isinstance(raw, Mapping):
            example = next(iter(family.names))
            return self.complain(
                path, f"must name {with_article(family.noun)}, such as {{name: {example}}}, got {shown(raw)}"
            )
        name = raw.get("name", family.default)
        if name is None:
            return self.complain(
                joined(path, "name"), f"is missing; choose {with_article(family.noun)}: {', '.join(family.names)}"
            )
        if not isinstance(name, str):
            return self.complain(joined(path, "name"), f"must be text, got {shown(name)}")
        try:
            kind = find_kind(family, name, allowed=self.allowed)
        except ValueError as error:
            is_path = path.startswith("data") and ("/" in name or Path(name).exists())
            remedy = f"for a folder of images write {path}.path={name}" if is_path else error
            return self.complain(joined(path, "name"), str(remedy))
        rest = {key: value for key, value in raw.items() if key != "name"}
        if family is MARGIN:
            rest = {**dict.fromkeys(open_margin(kind), "auto"), **rest}
        return self.record(kind, rest, path, family=family)

    def choice(self, members: frozenset[Any], hint: Any, raw: Any, path: str) -> Any:
        """A value that may be of several types: the shape of what is given decides which is meant."""
        if isinstance(raw, Mapping):
            special = self.special(members, raw, path)
            if special is not None:
                return special
        if isinstance(raw, list | tuple) and PerClass in members:
            values = self.build(tuple[float, ...], raw, path)
            return _BAD if values is _BAD else PerClass(values)
        if raw == "auto" and Schedule in members:
            return Chosen()
        candidates = [member for member in ordered(members) if suits(member, raw)]
        for member in candidates:
            trial = Walk(self.known, self.allowed)
            value = trial.build(member, raw, path)
            if not trial.problems:
                return value
            if len(candidates) == 1 and not isinstance(raw, str | bool):
                self.problems += trial.problems
                return _BAD
        return self.complain(path, f"must be {phrase(hint)}, got {shown(raw)}")

    def special(self, members: frozenset[Any], raw: Mapping[str, Any], path: str) -> Any:
        """The values of margins that are written as mappings; None when these types know no such value."""
        if "learned" in raw and Learned in members:
            for key in raw:
                if key != "learned":
                    self.complain(joined(path, key), "unknown key beside learned")
            initial = self.build(float, raw["learned"], joined(path, "learned"))
            return _BAD if initial is _BAD else self.construct(Learned, {"initial": initial}, path)
        if Schedule in members:
            return self.kind(SCHEDULE, raw, path)
        return None

    def literal(self, choices: Sequence[Any], raw: Any, path: str) -> Any:
        for choice in choices:
            if raw == choice and type(raw) is type(choice):
                return choice
        hint = did_you_mean(raw, map(str, choices)) if isinstance(raw, str) else ""
        return self.complain(path, f"must be {listed(choices)}, got {shown(raw)}{hint}")

    def sequence(self, hint: Any, raw: Any, path: str) -> Any:
        arguments = get_args(hint)
        if not isinstance(raw, list | tuple):
            return self.complain(path, f"must be {phrase(hint)}, got {shown(raw)}")
        is_tuple = get_origin(hint) is tuple
        any_length = not is_tuple or (len(arguments) == 2 and arguments[1] is Ellipsis)
        if not any_length and len(raw) != len(arguments):
            return self.complain(path, f"must be {phrase(hint)}, got {len(raw)}: {shown(raw)}")
        hints = [arguments[0]] * len(raw) if any_length else list(arguments)
        values = [self.build(one, value, f"{path}[{i}]") for i, (one, value) in enumerate(zip(hints, raw, strict=True))]
        return list(values) if get_origin(hint) is list else tuple(values)

    def mapping(self, hint: Any, raw: Any, path: str) -> Any:
        if not isinstance(raw, Mapping):
            return self.complain(path, f"must be {phrase(hint)}, got {shown(raw)}")
        arguments = get_args(hint)
        return {key: self.build(arguments[1], value, joined(path, key)) for key, value in raw.items()}

    def place(self, raw: str, path: str) -> Any:
        """A path; the address of a store becomes its place on this machine."""
        try:
            return placed(raw) if is_address(raw) else Path(raw).expanduser()
        except StorageError as error:
            return self.complain(path, str(error))

    def leaf(self, hint: Any, raw: Any, path: str) -> Any:
        """Numbers, words, paths, and by pydantic's rules any other type that a user's own class asks for."""
        if hint is Path:
            if isinstance(raw, Path):
                return raw
            if not isinstance(raw, str) or not raw:
                return self.complain(path, f"must be a path, got {shown(raw)}{quote_hint(raw)}")
            return self.place(raw, path)
        plain = hint in (int, float, bool, str)
        try:
            value = adapter(hint).validate_python(raw, strict=True if plain else None)
        except ValidationError as error:
            if plain:
                hinted = quote_hint(raw) if hint is str else ""
                return self.complain(path, f"must be {phrase(hint)}, got {shown(raw)}{hinted}")
            first = error.errors()[0]
            message = str(first["msg"])
            return self.complain(path, f"{message[:1].lower()}{message[1:]}, got {shown(raw)}")
        except (PydanticSchemaGenerationError, PydanticUserError):
            if isinstance(hint, type) and isinstance(raw, hint):
                return raw
            return self.complain(path, f"cannot be given in a recipe: its type is {hint!r}")
        if isinstance(value, float) and not math.isfinite(value):
            return self.complain(path, f"must be a finite number, got {value}")
        return value


def union_members(hint: Any) -> frozenset[Any]:
    """The types of a union, flat; the type itself where it is none."""
    if get_origin(hint) in (Union, types.UnionType):
        return frozenset().union(*(union_members(member) for member in get_args(hint)))
    return frozenset({hint})


@functools.cache
def hints_of(kind: type) -> dict[str, Any]:
    """The types of a dataclass's fields, references by name resolved."""
    return typing.get_type_hints(kind, include_extras=True)


@functools.cache
def fields_of(kind: type) -> dict[str, dataclasses.Field[Any]]:
    """The fields that a recipe may set, by name."""
    return {field.name: field for field in dataclasses.fields(kind) if field.init}


@functools.cache
def adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint, config=ConfigDict(extra="forbid", arbitrary_types_allowed=False))


def is_required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def joined(path: str, key: str | None) -> str:
    return f"{path}.{key}" if path and key else path or key or ""


def subject(sentence: str, fields: Mapping[str, Any], path: str) -> tuple[str | None, str]:
    """The field that a dataclass complains about, if it is named first, and the sentence without repeating it.

    ("m", "ArcFace: m must be ...") and ("batch_size", "must be ...") of "batch_size must be ...".
    """
    owner, colon, rest = sentence.partition(": ")
    is_owner = bool(colon) and owner.isidentifier()
    word, _, after = (rest if is_owner else sentence).partition(" ")
    name = word.removeprefix(f"{path.rpartition('.')[2]}.")
    if name not in fields:
        return None, sentence
    return name, after if not is_owner and after.startswith("must ") else sentence


def ordered(members: frozenset[Any]) -> list[Any]:
    """Stricter types first, so that 1 stays a whole number where both int and float are allowed."""
    ranks = {bool: 0, int: 1, float: 2, Path: 3, str: 4}
    return sorted(members, key=lambda member: (ranks.get(member, 9) if isinstance(member, type) else 9, str(member)))


def suits(member: Any, raw: Any) -> bool:
    """True when a value of this shape could be meant for this type."""
    origin = get_origin(member)
    is_list = origin in (tuple, list)
    is_map = origin is dict or (isinstance(member, type) and dataclasses.is_dataclass(member))
    if isinstance(raw, Mapping):
        return is_map
    return is_list if isinstance(raw, list | tuple) else not is_list and not is_map


def phrase(hint: Any) -> str:
    """A type in words, as in "must be ..."."""
    members = union_members(hint) - {_NONE}
    family = family_for(members)
    if family is not None:
        return f"{with_article(family.noun)}: {', '.join(family.names)}"
    if len(members) > 1:
        parts = [phrase(member) for member in ordered(members - {Learned, PerClass, PerSample, Schedule})]
        extras = {PerClass: "a list with one for each class", Learned: "{learned: 16}"}
        parts += [text for kind, text in extras.items() if kind in members]
        parts += ["a schedule such as {name: linear, end: 0.3, until: 1000}"] if Schedule in members else []
        return listed_words(parts)
    only = next(iter(members))
    origin, arguments = get_origin(only), get_args(only)
    if origin is Literal:
        return listed(arguments)
    if origin in (tuple, list):
        words = {int: "whole numbers", float: "numbers", str: "words", Path: "paths"}
        items = words.get(arguments[0], "values")
        fixed = origin is tuple and arguments[-1] is not Ellipsis
        return f"a list of {len(arguments)} {items}" if fixed else f"a list of {items}"
    if origin is dict:
        inner = family_for(union_members(arguments[1]))
        return f"a mapping of names to {f'a {inner.noun} each' if inner else 'values'}"
    if isinstance(only, type) and dataclasses.is_dataclass(only):
        return f"a mapping of {', '.join(fields_of(only))}"
    return _PHRASES.get(only, getattr(only, "__name__", str(only)))


def listed(choices: Sequence[Any]) -> str:
    return listed_words([str(choice) for choice in choices])


def listed_words(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else "".join(words)


def shown(raw: Any) -> str:
    """A value as a user would know it again."""
    if raw is None:
        return "null"
    if isinstance(raw, bool):
        return str(raw).lower()
    text = repr(raw)
    return text if len(text) <= 60 else f"{text[:57]}..."


def quote_hint(raw: Any) -> str:
    return "; put it in quotes" if isinstance(raw, int | float) and not isinstance(raw, bool) else ""


def known_paths(kind: type, path: str = "", depth: int = 4) -> list[str]:
    """All paths at which something may stand, through every kind that can be chosen."""
    paths: list[str] = []
    for name, hint in ((name, hints_of(kind)[name]) for name in fields_of(kind)):
        here = joined(path, name)
        paths.append(here)
        for inner in kinds_inside(hint) if depth else ():
            paths += known_paths(inner, here, depth - 1)
    return list(dict.fromkeys(paths))


def kinds_inside(hint: Any) -> list[type]:
    """The dataclasses that a field of this type can hold, schedules and values of margins left out."""
    members = union_members(hint) - {_NONE, Schedule, PerClass, PerSample, Learned}
    family = family_for(members)
    if family is not None:
        return list(dict.fromkeys(family.names.values()))
    return [member for member in members if isinstance(member, type) and dataclasses.is_dataclass(member)]
