"""Pages of the reference, made from the code: every command and option, every key of a recipe, what Python code calls.

    python tools/reference.py FOLDER       writes them there (`make docs` does it for the site)

Nothing of this is committed, so that it is never out of date.
"""

import ast
import dataclasses
import importlib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import angulus
from angulus.cli.application import app
from angulus.config import schema_text
from angulus.config.kinds import family_for
from angulus.config.walk import fields_of, hints_of, is_required, kinds_inside, union_members, with_article
from angulus.margins import SCHEDULES
from angulus.training import Experiment

ROOMS = {
    "margins": "losses as functions of cosines",
    "heads": "class weights, and how the softmax is summed",
    "models": "networks, their input and their files",
    "data": "sources of images, and in which order they are seen",
    "embeddings": "what a model made of images",
    "evaluation": "error rates, searches, thresholds",
    "faces": "photos to crops",
    "training": "runs",
    "study": "grids of runs",
    "config": "recipes",
    "inspection": "what is in a set, and what leaked into another",
    "purification": "wrong labels",
    "inversion": "what a model gives away",
}


def pages() -> dict[str, str]:
    """The text of every page by its name."""
    found = {"commands.md": commands_page(), "recipe.md": recipe_page(), "python.md": front_page()}
    return found | {f"python_{room}.md": room_page(room) for room in ROOMS}


# Commands


def commands_page() -> str:
    """Every command with every option."""
    lines = [
        "# Every command\n",
        "`angulus COMMAND --help` shows the same. Settings of a run are no options but keys of its recipe, written without "
        "dashes: `train.epochs=20` ([all of them](recipe.md)).\n",
    ]
    for path, command in commands(app):
        lines += [f"## angulus {' '.join(path)}\n", *paragraphs(command.help or "")]
        lines += [f"* {argument_line(argument)}" for argument in arguments_of(command)] + [""]
    return "\n".join(lines)


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, with its words; a group that is a command itself comes before its own."""
    for name in group:
        if name.startswith("-"):
            continue
        command = group[name]
        if command.default_command is not None:
            yield (*path, name), command
        yield from commands(command, (*path, name))


def arguments_of(command: Any) -> list[Any]:
    """Arguments and options that a user may write."""
    return [argument for argument in command.assemble_argument_collection(parse_docstring=True) if argument.show]


def argument_line(argument: Any) -> str:
    names = ", ".join(f"`{name}`" for name in argument.names)
    facts = [*choices_of(argument.hint), *default_of(argument)]
    told = f" ({'; '.join(facts)})" if facts else ""
    return f"**{names}**{told}  \n  {plain(' '.join((argument.parameter.help or '').split()))}"


def choices_of(hint: Any) -> list[str]:
    """What may stand there, where that is a short list; else the kind of value."""
    members = [member for member in (union_members(hint) or {hint}) if member is not type(None)]
    words = [word for member in members for word in get_args(member) if isinstance(word, str)]
    if words:
        return [", ".join(f"`{word}`" for word in words)]
    kinds = {"int": "a whole number", "float": "a number"}
    told = [kinds[kind.__name__] for kind in members if getattr(kind, "__name__", "") in kinds]
    return told[:1]


def default_of(argument: Any) -> list[str]:
    if argument.required:
        return ["required"]
    value = argument.field_info.default
    empty = value is None or value is inspect.Parameter.empty or value == () or isinstance(value, bool)
    return [] if empty else [f"default `{value}`"]


# Recipes


def recipe_page() -> str:
    """Every key of a recipe, the kinds that may stand there, and their keys."""
    lines = [
        "# Every key of a recipe\n",
        "A recipe is YAML; on the command line the same keys are written `train.epochs=20`. `angulus config` shows a recipe "
        "filled in, `angulus config --schema` this list as text. A value of `null` is chosen from the data and the device. "
        "Kinds are chosen by `name`; `name: mypackage.module:Class` imports your own.\n",
    ]
    single = []
    for name, field in fields_of(Experiment).items():
        inner = kinds_inside(hints_of(Experiment)[name])
        if inner:
            lines += [f"## {name}\n", *section(Experiment, name, field, name, 3), ""]
        else:
            single.append(key_line(Experiment, name, field, name))
    lines += ["## Keys of the run itself\n", *single, "", "## Schedules\n"]
    lines.append("For values of margins: a number that moves with the steps.\n")
    for name, kind in SCHEDULES.items():
        lines += [f"### schedule: {name}\n", f"{plain(schema_text.first_sentence(kind))}.\n", *keys_of(kind, "", 4), ""]
    return "\n".join(lines)


def section(kind: type, name: str, field: Any, path: str, depth: int) -> Iterator[str]:
    """What may stand at one key that holds more than a value."""
    hint = hints_of(kind)[name]
    family = family_for(union_members(hint) - {type(None)})
    note = schema_text.explanations(kind).get(name, "")
    if family is None:
        if note:
            yield f"{plain(note)}\n"
        for inner in kinds_inside(hint):
            yield from keys_of(inner, f"{path}.", depth)
        return
    usual = f", `{family.default}` unless named" if family.default else ""
    yield f"{with_article(family.noun).capitalize()}{usual}{', required' if is_required(field) else ''}. {plain(note)}\n"
    for inner in kinds_inside(hint):
        names = " or ".join(key for key, known in family.names.items() if known is inner)
        yield f"{'#' * depth} {path}: {names}\n"
        yield f"{plain(schema_text.first_sentence(inner))}.\n"
        yield from keys_of(inner, f"{path}.", depth + 1)
        yield ""


def keys_of(kind: type, prefix: str, depth: int) -> Iterator[str]:
    """The keys of one record; those that hold more than a value come last, under headings of their own."""
    deeper = []
    for name, field in fields_of(kind).items():
        if kinds_inside(hints_of(kind)[name]) and depth < 6:
            deeper.append((name, field))
        else:
            yield key_line(kind, name, field, f"{prefix}{name}")
    for name, field in deeper:
        if is_shared(kind, name):
            yield f"* **`{prefix}{name}`**: as at [data.identities](#dataidentities)"
            continue
        yield ""
        yield f"{'#' * depth} {prefix}{name}\n"
        yield from section(kind, name, field, f"{prefix}{name}", depth + 1)


def is_shared(kind: type, name: str) -> bool:
    """The rules about identities are the same for every kind of data and described once, with the first."""
    return name == "identities" and kind.__name__ not in ("FolderData", "UnionData")


def key_line(kind: type, name: str, field: Any, path: str) -> str:
    note = schema_text.explanations(kind).get(name, "")
    told = f"`{schema_text.default_text(field)}`" if not is_required(field) else "required"
    return f"* **`{path}`** ({schema_text.type_text(hints_of(kind)[name])}; {told}){': ' if note else ''}{plain(note)}"


# Python


def front_page() -> str:
    """What `import angulus` gives, and the rooms behind it."""
    lines = [
        "# Python\n",
        "`import angulus` gives what most code needs, each imported when it is first used. Examples that run: "
        "[a training loop](../python/training_loop.md), [a network](../python/network.md), "
        "[arrays](../python/arrays.md), [a margin](../python/margin.md), [data](../python/data_source.md).\n",
        *(f"* [`angulus.{room}`](python_{room}.md): {about}" for room, about in ROOMS.items()),
        "",
    ]
    names = [name for name in angulus.__all__ if not name.startswith("_")]
    for name in sorted(names, key=str.lower):
        lines += entry(f"angulus.{name}", getattr(angulus, name))
    return "\n".join(lines)


def room_page(room: str) -> str:
    """Every name of one room."""
    module = importlib.import_module(f"angulus.{room}")
    lines = [f"# angulus.{room}\n", *paragraphs(inspect.getdoc(module) or "")]
    for name in sorted(module.__all__, key=str.lower):
        lines += entry(name, getattr(module, name))
    return "\n".join(lines)


def entry(title: str, value: Any) -> Iterator[str]:
    """Heading, signature and explanation of one name."""
    yield f"## {title}\n"
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        names = value if isinstance(value, dict | tuple | list) else []
        listed = ", ".join(f"`{name}`" for name in names if isinstance(name, str))
        yield f"{type(value).__name__ if listed else 'a type'}{': ' + listed if listed else ''}\n"
        return
    yield f"```python\n{signature(title.removeprefix('angulus.'), value)}\n```\n"
    yield from docstring(value)
    if inspect.isclass(value):
        for name, method in vars(value).items():
            text = inspect.getdoc(method)
            if not name.startswith("_") and text and (inspect.isfunction(method) or isinstance(method, classmethod)):
                yield f"* **`.{name}`**`({arguments_text(method, own=False)})`: {plain(' '.join(text.partition(chr(10) * 2)[0].split()))}"
        yield ""


def signature(name: str, value: Any) -> str:
    """The call as it stands in the source, an argument a line where it is long."""
    node = node_of(value)
    if isinstance(node, ast.ClassDef) and dataclasses.is_dataclass(value):
        keywords = any(field.kw_only for field in dataclasses.fields(value) if field.init)
        parts = ["*", *field_texts(value)] if keywords else [*field_texts(value)]
        after = ""
    else:
        made = node
        if isinstance(node, ast.ClassDef):
            made = next(
                (part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"), None
            )
        if made is None:
            return f"class {name}"
        parts = argument_texts(made, own=isinstance(node, ast.ClassDef))
        after = f" -> {ast.unparse(made.returns)}" if made.returns and not isinstance(node, ast.ClassDef) else ""
    line = f"{name}({', '.join(parts)}){after}"
    return line if len(line) <= 88 else f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){after}"


def field_texts(value: type) -> Iterator[str]:
    """The fields of a dataclass, inherited ones first, with types and defaults as they are written down."""
    found: dict[str, str] = {}
    for base in reversed(value.__mro__):
        node = node_of(base) if dataclasses.is_dataclass(base) else None
        for part in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                default = f" = {ast.unparse(part.value)}" if part.value else ""
                found[part.target.id] = f"{part.target.id}: {ast.unparse(part.annotation)}{default}"
    known = {field.name for field in dataclasses.fields(value) if field.init}
    return (text for name, text in found.items() if name in known)


def arguments_text(method: Any, *, own: bool) -> str:
    node = node_of(method.__func__ if isinstance(method, classmethod) else method)
    return ", ".join(argument_texts(node, own=True)) if isinstance(node, ast.FunctionDef) else ""


def argument_texts(node: ast.FunctionDef, *, own: bool) -> list[str]:
    """Arguments with types and defaults; `self` and `cls` left out where the function belongs to a class."""
    plain_ones = [*node.args.posonlyargs, *node.args.args]
    defaults = [None] * (len(plain_ones) - len(node.args.defaults)) + list(node.args.defaults)
    pairs: list[tuple[str, ast.arg, Any]] = [("", *pair) for pair in zip(plain_ones, defaults, strict=True)]
    parts = [argument_text(*pair) for pair in (pairs[1:] if own else pairs)]
    if node.args.vararg:
        parts.append(argument_text("*", node.args.vararg, None))
    elif node.args.kwonlyargs:
        parts.append("*")
    parts += [argument_text("", *pair) for pair in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)]
    return parts


def argument_text(stars: str, argument: ast.arg, default: Any) -> str:
    quoted = isinstance(argument.annotation, ast.Constant) and isinstance(argument.annotation.value, str)
    written = argument.annotation.value if quoted else ast.unparse(argument.annotation) if argument.annotation else ""
    kind = f": {written}" if written else ""
    return f"{stars}{argument.arg}{kind}{f' = {ast.unparse(default)}' if default is not None else ''}"


def node_of(value: Any) -> Any:
    """The syntax of a class or function, or None where there is no source."""
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(value)))).body[0]
    except (OSError, TypeError):
        return None


def docstring(value: Any) -> Iterator[str]:
    """What a docstring says, as Markdown: paragraphs, lists of arguments, formulas."""
    if not isinstance(value.__doc__, str):
        return
    names = {*(inspect.signature(value).parameters if callable(value) else ())}
    if dataclasses.is_dataclass(value):
        names |= {field.name for field in dataclasses.fields(value)}
    yield from paragraphs(inspect.cleandoc(value.__doc__), names)


ITEM = re.compile(r"^(?P<names>\w+(?:, \w+)*): +(?P<text>\S.*)$")


def paragraphs(text: str, names: set[str] | None = None) -> Iterator[str]:
    """Each paragraph of a docstring; formulas are indented, and stay as they are."""
    for part in re.split(r"\n\s*\n", text.strip("\n")):
        body = re.sub(r"^(Args|Attributes|Arguments|Parameters):\n", "", part)
        lines = textwrap.dedent(body).splitlines()
        if not lines:
            continue
        if part.startswith("    ") and body is part and not ITEM.match(lines[0]):
            yield "```text\n" + "\n".join(lines) + "\n```\n"
        else:
            yield from items_or_words(lines, names or set())


def items_or_words(lines: list[str], names: set[str]) -> Iterator[str]:
    """A paragraph in which lines such as "name: what it is" begin become a list."""
    words: list[str] = []
    formula: list[str] = []
    for line in [piece for line in lines for piece in pieces(line, names)]:
        item = ITEM.match(line.strip())
        if words and words[-1][:1] == "\n" and line.startswith("Raises "):
            words.append("\n\n")
        if item and all(name in names for name in item["names"].split(", ")):
            words.append(f"\n* `{item['names']}`: {item['text']}")
        elif (words and words[0][:1] != "\n" and not formula and line.startswith("    ")) or (
            formula and line.startswith("    ")
        ):
            formula.append(line)
        else:
            words.append(line.strip())
    yield plain(" ".join(words)).replace(" \n", "\n").strip() + "\n"
    if formula:
        yield "```text\n" + textwrap.dedent("\n".join(formula)) + "\n```\n"


def pieces(line: str, names: set[str]) -> list[str]:
    """A line that explains several names, two spaces apart, as several."""
    parts = re.split(r"(?<=\S)\s{2,}(?=\w+(?:, \w+)*: )", line)
    known = all((item := ITEM.match(part.strip())) and item["names"].split(", ")[0] in names for part in parts[1:])
    return parts if known else [line]


def plain(text: str) -> str:
    """Words of a docstring as Markdown: nothing of them is markup but what stands in backticks."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part if part.startswith("`") else re.sub(r"(?<!\n)(?<!^)([*_])", r"\\\1", part.replace("<", "&lt;"))
        for part in parts
    )


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for page, content in pages().items():
        (folder / page).write_text(content, encoding="utf-8")
    print(f"reference: {folder}")
