"""The reference that is made from the code names everything, and its pages are good Markdown."""

import re
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

import angulus
from angulus.cli.application import app
from angulus.config.kinds import FAMILIES
from angulus.margins import SCHEDULES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tools():
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import python_reference
        import reference_pages
    finally:
        sys.path.remove(str(ROOT / "tools"))
    return reference_pages, python_reference


@pytest.fixture(scope="module")
def pages(tools):
    return tools[0].pages()


def test_every_command_and_option_is_there(tools, pages):
    reference, _ = tools
    text = pages["commands.md"]
    sections = dict(zip(*[iter(re.split(r"^## angulus (.*)$", text, flags=re.MULTILINE)[1:])] * 2, strict=True))
    assert list(sections) == [" ".join(path) for path, _ in reference.commands(app)]
    assert {"train", "evaluate", "evaluate identify", "data leaks", "audit labels"} <= set(sections)
    for path, command in reference.commands(app):
        for argument in reference.arguments_of(command):
            assert all(f"`{name}`" in sections[" ".join(path)] for name in argument.names), (path, argument.names)


def test_every_option_is_explained(pages):
    lines = pages["commands.md"].splitlines()
    unexplained = [line for line, after in pairwise(lines) if line[:3] == "* *" and not after.strip()]
    assert unexplained == []


def test_every_key_of_the_schema_and_every_kind_is_there(pages):
    from angulus.config import schema

    keys = set(re.findall(r"^\s*(?:#\s+)?(\w+):", schema(), flags=re.MULTILINE)) - {
        "name",
        "Everything",
        "A",
        "Schedules",
    }
    named = set(re.findall(r"\*\*`(?:[\w*]+\.)*(\w+)`\*\*", pages["recipe.md"]))
    headings = set(re.findall(r"^#+ (?:[\w*]+\.)*(\w+)", pages["recipe.md"], flags=re.MULTILINE))
    assert keys - named - headings == set()
    kinds = {name for family in FAMILIES for name in family.names} | set(SCHEDULES)
    assert {name for name in kinds if not re.search(rf"\b{name}\b", pages["recipe.md"])} == set()


def test_every_public_name_is_there(tools, pages):
    _, python_reference = tools
    for name in angulus.__all__:
        assert name.startswith("_") or f"## angulus.{name}\n" in pages["python.md"]
    for room in python_reference.ROOMS:
        import importlib

        for name in importlib.import_module(f"angulus.{room}").__all__:
            assert f"## {name}\n" in pages[f"python_{room}.md"], (room, name)


def test_the_menu_names_every_page(pages):
    menu = (ROOT / "mkdocs.yml").read_text()
    assert [name for name in pages if f"reference/{name}" not in menu] == []
    assert yaml.safe_load(menu)["nav"]
    for page in (ROOT / "docs").rglob("*.md"):
        assert str(page.relative_to(ROOT / "docs")) in menu


def test_fences_are_closed(pages):
    assert [name for name, text in pages.items() if text.count("```") % 2] == []
