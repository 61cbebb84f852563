"""Pages of the reference, made from the code: every command and option, every key of a recipe, what Python code calls.

    python tools/reference_pages.py FOLDER       writes them there (`make docs` does it for the site)

Nothing of this is committed, so that it is never out of date.
"""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from docstring_words import paragraphs, plain
from python_reference import ROOMS, front_page, room_page

from angulus.cli.application import app
from angulus.config import schema_text
from angulus.config.kinds import family_for
from angulus.config.walk import fields_of, hints_of, is_required, kinds_inside, union_members, with_article
from angulus.margins import SCHEDULES
from angulus.training import Experiment


def pages() -> dict[str, str]:
    """The text of every page by its name."""
    found = {"commands.md": commands_page(), "recipe.md": recipe_page(), "python.md": front_page()}
    return found | {f"python_{room}.md": room_page(room) for room in ROOMS}


# Commands


def commands_page() -> str:
    """Every command with every option."""
    lines = [
        "# Every command\n",
        "`angulus COMMAND --help` shows the same. Settings of a run are no options but keys of its recipe, written "
        "without dashes: `train.epochs=20` ([all of them](recipe.md)).\n",
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
        "A recipe is YAML; on the command line the same keys are written `train.epochs=20`. `angulus config` shows a "
        "recipe filled in, `angulus config --schema` this list as text. A value of `null` is chosen from the data and "
        "the device. Kinds are chosen by `name`; `name: mypackage.module:Class` imports your own.\n",
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
    needed = ", required" if is_required(field) else ""
    yield f"{with_article(family.noun).capitalize()}{usual}{needed}. {plain(note)}\n"
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


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for page, content in pages().items():
        (folder / page).write_text(content, encoding="utf-8")
    print(f"reference: {folder}")
