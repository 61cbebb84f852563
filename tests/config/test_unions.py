"""Several data sets in a recipe: typed, checked all at once, and read back."""

from pathlib import Path

import pytest

from angulus.config import load, resolve, to_dict
from angulus.errors import ConfigError
from angulus.training import FolderData, Identities, RecData, UnionData

SETS = {"ms1m": {"name": "rec", "path": "faces"}, "asian": {"path": "more"}}


def union(**more):
    return resolve({"data": {"name": "union", "sets": SETS, **more}})


def sentence(*settings, **more):
    """The only problem of a union with other settings."""
    with pytest.raises(ConfigError) as found:
        union(**more) if not settings else load([], settings)
    (problem,) = found.value.problems
    return problem


def test_what_a_recipe_says():
    data = union(join="separate", weights={"ms1m": 1, "asian": 3}, identities={"min_images": 5}).data
    assert data == UnionData(
        sets={"ms1m": RecData(path=Path("faces")), "asian": FolderData(path=Path("more"))},
        join="separate",
        weights={"ms1m": 1.0, "asian": 3.0},
        identities=Identities(min_images=5),
    )
    assert resolve(to_dict(union(join="people.csv"))) == union(join="people.csv")


def test_settings_change_one_set(tmp_path):
    (tmp_path / "recipe.yaml").write_text("data: {name: union, sets: {a: {name: rec, path: x}, b: y}}")
    with pytest.raises(ConfigError, match=r"data\.sets\.b\.name: unknown kind of data 'y'"):
        load([tmp_path / "recipe.yaml"])
    with pytest.raises(ConfigError, match=r"data\.sets\.b\.name: for a folder of images write data\.sets\.b\.path=y/z"):
        load([tmp_path / "recipe.yaml"], ["data.sets.b=y/z"])
    recipe = "data: {name: union, sets: {a: {name: rec, path: x}, b: {path: y}}}"
    (tmp_path / "recipe.yaml").write_text(recipe)
    data = load([tmp_path / "recipe.yaml"], ["data.sets.b.path=z", "data.sets.a.fit=crop"]).data
    assert data.sets == {"a": RecData(path=Path("x"), fit="crop"), "b": FolderData(path=Path("z"))}


def test_a_name_that_stands_twice(tmp_path):
    (tmp_path / "recipe.yaml").write_text("data:\n  name: union\n  sets:\n    a: {path: x}\n    a: {path: y}\n")
    with pytest.raises(ConfigError, match=r"line 5.*the key 'a' stands twice"):
        load([tmp_path / "recipe.yaml"])


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"weights": {"asain": 2}}, "data.weights: must name sets of the union, got 'asain' of ms1m, asian"),
        ({"weights": {"asian": 0}}, "data.weights: must be above 0, got 0.0 for asian"),
        (
            {"loss_weights": {"asian": 2}},
            "data.loss_weights: must belong to separate heads (join=separate), got join=names",
        ),
        (
            {"join": "separate", "loss_weights": {"asian": -1}},
            "data.loss_weights: must be at least 0, got -1.0 for asian",
        ),
        ({"join": "name"}, "data.join: must be names, separate or a table such as people.csv, got 'name'"),
        ({"spelling": "loose"}, "data.spelling: must be exact or folded, got 'loose'"),
        ({"sets": {}}, "data.sets: must name at least one data set, got none"),
        ({"sets": {"a/b": {"path": "x"}}}, "data.sets: must have names of letters, digits, - and _, got 'a/b'"),
        ({"sets": {"a": {"path": "x"}, "b": {"path": "x"}}}, "data.sets: must differ; b is the same as a"),
        (
            {"sets": {"a": {"path": "x", "identities": {"parts": {"train": 0.5, "test": 0.5}}}}},
            "data.sets: must leave parts to the union, whose identities are split once they are joined: set "
            "data.identities.parts instead of that of a",
        ),
        (
            {"sets": {"a": {"name": "union", "sets": {}}}},
            "data.sets.a.name: unknown kind of data 'union'; known are: folder, omniglot, synthetic, "
            "drawn_reid, kaldi, features, drawn_speech, rec, tar, parquet, packed, manifest, market1501, msmt17",
        ),
        ({"sets": {"a": {"name": "rec"}}}, "data.sets.a.path: is missing; it must be a path"),
    ],
)
def test_what_is_wrong_with_a_union(more, expected):
    assert sentence(**more) == expected


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(ConfigError) as found:
        union(sets={"a": {"path": "x", "fitt": "crop"}, "b": {"name": "tra", "path": "y"}}, join=3, weight={})
    assert len(found.value.problems) == 4
    assert found.value.problems[0].startswith("data.weight: unknown key; did you mean data.weights?")


def test_shares_of_a_batch_need_uniform_sampling():
    settings = ["data={name: union, join: separate, sets: {a: {path: x}}}", "train.sampling=balanced"]
    assert "sampling must be uniform where every batch has a fixed number" in sentence(*settings)
    assert load([], ["data={name: union, sets: {a: {path: x}}}", "train.sampling=balanced"])
