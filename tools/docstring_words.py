"""Docstrings as Markdown: paragraphs, lists of arguments, formulas."""

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any


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
    """A paragraph in which lines such as "name: what it is" begin becomes a list; indented lines are a formula."""
    words: list[str] = []
    formula: list[str] = []
    has_items = False
    for line in (piece for whole in lines for piece in pieces(whole, names)):
        item = ITEM.match(line.strip())
        if item and all(name in names for name in item["names"].split(", ")):
            has_items = True
            words.append(f"\n* `{item['names']}`: {item['text']}")
        elif has_items and line.startswith("Raises "):
            words.append(f"\n\n{line}")
        elif words and not has_items and line.startswith("    "):
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
