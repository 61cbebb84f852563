"""The documents say what the files say."""

import importlib
import importlib.util
import re
from pathlib import Path

import pytest

import angulus
from angulus.margins import MARGINS

ROOT = Path(__file__).parents[1]


def benchmark(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("document", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda p: p.name)
def test_tables_are_those_that_the_commands_wrote(document):
    text = document.read_text()
    assert benchmark("tables").renewed(text) == text, "run: python benchmarks/tables.py"


def test_every_margin_has_its_row():
    page = (ROOT / "docs" / "margins.md").read_text()
    assert [name for name in MARGINS if f"`{name}`" not in page] == []


@pytest.mark.parametrize("document", [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda p: p.name)
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        made = (document.parent / target).resolve().parent == ROOT / "docs" / "reference"  # `make docs` makes these
        assert "://" in target or made or (document.parent / target).exists(), target


def test_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+", angulus.__version__)
    assert angulus.__version__ in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("recipe", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda p: p.name)
def test_every_recipe_is_valid(recipe):
    from angulus.config import load
    from angulus.study import read_plan

    if recipe.name.startswith("study_"):
        assert read_plan(recipe).jobs
    else:
        load([recipe])


def test_no_two_test_files_share_a_name():
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(name for name in names if names.count(name) > 1) == [], "pytest imports each by its bare name"
