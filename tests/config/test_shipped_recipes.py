"""Recipes come with Angulus: they are found by name without a clone, and listed where one is missed."""

import logging
import tomllib
from pathlib import Path

import pytest

from angulus.config import load
from angulus.config import shipped_recipes as module
from angulus.config.shipped_recipes import located, shipped
from angulus.errors import ConfigError
from angulus.study import read_plan

ROOT = Path(__file__).parents[2]


def test_every_recipe_of_the_clone_is_shipped_and_travels_in_the_wheel():
    assert sorted(shipped()) == sorted(path.name for path in (ROOT / "recipes").glob("*.yaml"))
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"recipes": "angulus/recipes"}


@pytest.mark.parametrize("name", ["lfw_tiny.yaml", "recipes/lfw_tiny.yaml", "lfw_tiny"])
def test_a_name_that_is_no_file_here_is_a_recipe_that_came_with_angulus(monkeypatch, tmp_path, caplog, name):
    monkeypatch.chdir(tmp_path)
    with caplog.at_level(logging.INFO, "angulus"):
        experiment = load([name], ["train.epochs=3"])
    assert experiment.train.epochs == 3
    assert f"there is no {name} here: taking the recipe lfw_tiny.yaml that came with Angulus" in caplog.text


def test_a_file_that_is_here_comes_first(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("lfw_tiny.yaml").write_text("data: {path: mine}\n")
    assert located("lfw_tiny.yaml") == Path("lfw_tiny.yaml")
    assert str(load(["lfw_tiny.yaml"]).data.path) == "mine"
    # nor is anything else looked up by its last part
    assert located("elsewhere/lfw_tiny.yaml") == Path("elsewhere/lfw_tiny.yaml")
    assert located("/lfw_tiny.yaml") == Path("/lfw_tiny.yaml")


def test_the_recipes_are_listed_where_one_is_missed(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"no recipe other\.yaml.*with Angulus come .*lfw_tiny.* study study_lfw"):
        load(["other.yaml"])
    with pytest.raises(ConfigError, match=r"no study other\.yaml.*with Angulus come study_lfw_losses\.yaml"):
        read_plan("other.yaml")


def test_a_study_of_an_installed_copy_is_kept_below_the_working_folder(monkeypatch, tmp_path):
    installed = tmp_path / "site" / "recipes"
    installed.mkdir(parents=True)
    for path in (ROOT / "recipes").glob("*.yaml"):
        (installed / path.name).write_text(path.read_text())
    monkeypatch.setattr(module, "_PLACES", (installed, tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    shipped.cache_clear()
    try:
        plan = read_plan("study_lfw_losses.yaml")
    finally:
        shipped.cache_clear()
    assert plan.out == Path("studies/lfw_losses")
    assert sorted(path.name for path in installed.parent.iterdir()) == ["recipes"]


def test_a_study_that_came_with_angulus_is_kept_below_the_working_folder(monkeypatch, tmp_path):
    """In a clone as well, whose own results lie where the study's file says."""
    monkeypatch.chdir(tmp_path)
    study = "study_lfw_losses.yaml"
    assert read_plan(f"recipes/{study}").out == read_plan(study).out == Path("studies/lfw_losses")
    # named by its place, the file of a clone is like any other
    assert read_plan(ROOT / "recipes" / study).out.resolve() == ROOT / "studies" / "lfw_losses"
