"""YAML recipes laid over each other, then `key=value` from the command line: one nested mapping comes out."""

import dataclasses
import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.scanner import ScannerError

from angulus.config.kinds import DATA_KIND, MEMBER_KIND, Family, family_at
from angulus.config.shipped_recipes import listed, shipped
from angulus.config.stored_recipes import is_stored, is_whole, placed
from angulus.config.suggestions import closest
from angulus.errors import ConfigError
from angulus.files import BoundedReader
from angulus.training.recipe.serialization import as_now

log = logging.getLogger(__name__)

Raw = dict[str, Any]

# A mapping with one of these keys is of another sort than one with another.
_SORTS = ("name", "learned")


MOST_DEEP = 64
MOST_VALUES = 100_000
MOST_CHARACTERS = 2**20


class _Loader(yaml.SafeLoader):
    """YAML 1.2's reading of plain words: 1e-3 is a number, `on` and `no` are words; a key may stand only once.

    Depth and the number of values are bounded, those counted that an alias stands for.
    """

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  (PyYAML's own way of being configured)

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth, self._values = 0, 0
        self._sizes: dict[Any, int] = {}

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:
        if self.flow_level >= MOST_DEEP:
            raise ScannerError(None, None, f"it must nest at most {MOST_DEEP} deep", self.get_mark())
        super().fetch_flow_collection_start(TokenClass)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        alias = self.check_event(yaml.AliasEvent)
        mark, before = self.peek_event().start_mark, self._values
        self._depth += 1
        if self._depth > MOST_DEEP:
            raise ComposerError(None, None, f"it must nest at most {MOST_DEEP} deep", mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if alias and node not in self._sizes:
            raise ComposerError(None, None, "an alias stands within what it is an alias of", mark)
        self._values += self._sizes[node] if alias else 1
        if self._values > MOST_VALUES:
            problem = f"it must have at most {MOST_VALUES:,} values, those counted that aliases stand for"
            raise ComposerError(None, None, problem, mark)
        if not alias:
            self._sizes[node] = self._values - before
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a word", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice in one mapping", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_NUMBER = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", rf"{_NUMBER}(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+0123456789."),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), ["" if c == "\0" else c for c in _first]
    )


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    return int(text, 0) if text[:2] in ("0x", "0o") else int(text)  # PyYAML reads 010 as eight


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)


def parse_yaml(text: str, where: str) -> Any:
    """The value of a YAML text. Raises ConfigError with `where`, line and column."""
    if len(text) > MOST_CHARACTERS:
        raise ConfigError(f"{where}: a recipe must have at most {MOST_CHARACTERS:,} characters, got {len(text):,}")
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark and "\n" in text else ""
        raise ConfigError(f"{where}{place}: not valid YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError) as error:
        # the last three come of a value that its tag forbids
        lines = str(error).splitlines() or [type(error).__name__]
        raise ConfigError(f"{where}: not valid YAML: {lines[0]}") from error


def read_layer(source: str | Path) -> Raw:
    """The mapping in a recipe file, or in the folder of a run. Raises ConfigError when it is missing or no mapping."""
    path = recipe_path(Path(source))
    try:
        with BoundedReader(path) as file:
            text = file.read(4 * MOST_CHARACTERS + 4).decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(missing_file(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the recipe {path} cannot be read: {error}") from error
    value = parse_yaml(text, str(path))
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: a recipe is a mapping such as `margin: {{name: arcface}}`, got {value!r:.60}")
    check_keys(value, str(path))
    return value


def recipe_path(path: Path) -> Path:
    """The recipe in a run folder, or the path as it is."""
    if not path.is_dir():
        return path
    for name in ("recipe.json", "recipe.yaml"):
        if (path / name).is_file():
            return path / name
    raise ConfigError(
        f"{path} is a folder without a recipe.json, so it is no run; to train on its images: data.path={path}"
    )


def missing_file(path: Path) -> str:
    # names alone are compared: a recipe is often looked for in the wrong folder; one beside it comes first
    here = {found.name: found for folder in (Path("recipes"), path.parent) for found in sorted(folder.glob("*.y*ml"))}
    names = {**{name: Path(name) for name in shipped()}, **here}
    found = closest(path.name, names) or closest(f"{path.name}.yaml", names)
    return f"there is no recipe {path}" + (f"; did you mean {names[found]}?" if found else "") + listed()


def check_keys(value: Any, where: str) -> None:
    """Raise ConfigError unless all keys of all mappings are words."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise ConfigError(f"{where}: keys must be words, got {key!r}; put it in quotes")
            check_keys(inner, where)
    elif isinstance(value, list):
        for inner in value:
            check_keys(inner, where)


def parse_overrides(overrides: Sequence[str]) -> Raw:
    """`["margin.m=0.4", "optim.lr=1e-3"]` as one nested mapping; among equal keys the last counts.

    Raises ConfigError with all that are not `key=value`.
    """
    layer: Raw = {}
    problems = []
    for text in overrides:
        key, equals, value = text.partition("=")
        path = tuple(key.strip().split("."))
        if not equals or not all(path):
            problems.append(f"{text}: a setting is written key=value, such as margin.m=0.4")
            continue
        try:
            parsed = parse_yaml(value, text)
            check_keys(parsed, text)
            layer = merge(layer, nested(path, parsed), one_layer=True)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return layer


def nested(path: tuple[str, ...], value: Any) -> Raw:
    """{"margin": {"m": 0.4}} of ("margin", "m") and 0.4."""
    return {path[0]: nested(path[1:], value)} if path else value


def merge(old: Any, new: Any, path: tuple[str, ...] = (), *, one_layer: bool = False) -> Any:
    """`new` laid over `old`: mappings key by key; a mapping of another kind and everything else replaces.

    Of another kind of data, settings that both kinds have are kept; what is dropped is said in the log.

    A name alone where a kind stands (`margin: arcface`) is short for `{name: arcface}`. one_layer: both belong to one
    layer, in which a name never drops the settings beside it, whatever their order.
    """
    family = family_at(path)
    if family is not None:
        old, new = in_full(old), in_full(new)
    if not isinstance(new, Mapping):
        return new
    if not isinstance(old, Mapping):
        old = {}
    elif not one_layer and is_other_sort(old, new, family.default if family else None):
        old = what_fits(old, new, path, family)
    return {
        key: merge(old.get(key), new[key], (*path, key), one_layer=one_layer) if key in new else old[key]
        for key in dict.fromkeys([*old, *new])
    }


IN_FULL = ("margin", "learning_rate", "augment")


def with_stages(values: Raw) -> Raw:
    """A recipe whose stages say margin, learning rate and random changes in full, where they say something of them.

    A mapping without a name, or of the same name, is laid over that of the stage before; another replaces it.
    """
    stages = values.get("stages")
    if not isinstance(stages, list) or not all(isinstance(stage, Mapping) for stage in stages):
        return values  # which the walk complains of
    before = {name: values.get(name) for name in IN_FULL}
    found: list[Any] = []
    for stage in stages:
        own = {name: laid_over(before[name], stage[name], name) for name in IN_FULL if stage.get(name) is not None}
        before |= own
        found.append({**stage, **own})
    return {**values, "stages": found}


def laid_over(old: Any, new: Any, name: str) -> Any:
    family = family_at((name,))
    if family is not None:
        old, new = in_full(old), in_full(new)
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return new
    if is_other_sort(old, new, family.default if family else None):
        return new
    if name == "learning_rate":
        old = {key: value for key, value in old.items() if key != "warmup_epochs"}  # of a longer stage
    return merge(old, new, (name,))


def in_full(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def is_other_sort(old: Mapping[str, Any], new: Mapping[str, Any], default: str | None) -> bool:
    """True when `new` names another kind than `old` is; one that names none is of the kind that was there."""
    for key in _SORTS:
        if key not in new:
            continue
        before = old.get(key, default if key == "name" else None)
        if key == "name" and before is not None and before != new[key]:
            return True
        if any(other in old for other in _SORTS if other != key):
            return True
    return False


def what_fits(old: Mapping[str, Any], new: Mapping[str, Any], path: tuple[str, ...], family: Family | None) -> Raw:
    """The settings of a kind that another one takes over; the others are named in a warning.

    Kinds of data share fields of one name and type. Elsewhere nothing is kept: m of one margin is not m of another.
    """
    before = old.get("name", family.default if family else None)
    shared: set[str] = set()
    if family is not None and family in (DATA_KIND, MEMBER_KIND):
        shared = shared_fields(family.names.get(str(before)), family.names.get(str(new.get("name"))))
    kept = {key: value for key, value in old.items() if key in shared}
    dropped = [key for key in old if key not in (*kept, *new, *_SORTS)]
    if dropped:
        place, now = ".".join(path), new.get("name", next(iter(new), None))
        log.warning(
            "%s is %s now, so %s of %s no longer %s; set %s again where meant",
            *(place, now, ", ".join(f"{place}.{key}={old[key]!r:.60}" for key in dropped), before or "before"),
            *(("holds", "it") if len(dropped) == 1 else ("hold", "them")),
        )
    return kept


def shared_fields(old: type | None, new: type | None) -> set[str]:
    """Names of the fields that two records have with the same type."""
    if old is None or new is None:
        return set()
    types = {one.name: one.type for one in dataclasses.fields(new)}
    return {one.name for one in dataclasses.fields(old) if types.get(one.name) == one.type}


def read_layers(sources: Sequence[str | Path], overrides: Sequence[str] = ()) -> Raw:
    """All recipes and settings as one mapping, `out` as `stored_recipes.placed` has it.

    Raises ConfigError with the problems of all of them.
    """
    merged: Raw = {}
    problems: list[str] = []
    for layer in _layers(sources, overrides, problems):
        merged = merge(merged, layer)
    if problems:
        raise ConfigError(problems)
    return merged


def classes_allowed(sources: Sequence[str | Path], named: Any, allow: Collection[str]) -> set[str] | None:
    """The classes "module:Class" that may be imported: those of `allow` and those that the user's own recipes name.

    named: further words of the user, such as settings.  Returns None, which allows all, where no recipe is stored.
    """
    layers = [(source, read_layer(source)) for source in sources]
    own = [layer for source, layer in layers if not is_stored(source, layer)]
    return None if len(own) == len(layers) else {*allow, *classes_named([*own, named])}


def classes_named(value: Any) -> set[str]:
    """Every text in a recipe that may name a class, "module:Class"."""
    if isinstance(value, str):
        return {value} if ":" in value else set()
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return {name for each in inner for name in classes_named(each)}


def _layers(sources: Sequence[str | Path], overrides: Sequence[str], problems: list[str]) -> Iterator[Raw]:
    for source in sources:
        try:
            layer = read_layer(source)
            yield placed(source, as_now(layer) if is_whole(layer) else layer)
        except ConfigError as error:
            problems += error.problems
    try:
        yield parse_overrides(overrides)
    except ConfigError as error:
        problems += error.problems
