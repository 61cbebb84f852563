"""The recipe stored in a run is data: a class that it names is imported only when the user allows it."""

import json
from pathlib import Path

import pytest

from angulus.config import load, resolve, to_dict
from angulus.errors import ConfigError
from angulus.study import read_plan

EVIL = (
    "from dataclasses import dataclass\nfrom pathlib import Path\nfrom angulus.margins import ArcFace\n"
    "Path({mark!r}).touch()\n\n\n@dataclass(frozen=True, kw_only=True)\nclass Kind(ArcFace):\n    extra: float = 1.0\n"
)
PLACES = {
    "margin": {"margin": {"name": "evil_kind:Kind"}},
    "margin, short": {"margin": "evil_kind:Kind"},
    "schedule": {"margin": {"name": "arcface", "m": {"name": "evil_kind:Kind"}}},
    "scale": {"margin": {"name": "arcface", "scale": {"name": "evil_kind:Kind"}}},
    "model": {"model": {"name": "evil_kind:Kind"}},
    "optimizer": {"optim": {"name": "evil_kind:Kind"}},
    "strategy": {"head": {"strategy": {"name": "evil_kind:Kind"}}},
    "sampling": {"train": {"sampling": {"name": "evil_kind:Kind"}}},
    "data": {"data": {"name": "evil_kind:Kind", "path": "x"}},
    "member": {"data": {"name": "noisy", "flips": 0.1, "base": {"name": "evil_kind:Kind", "path": "x"}}},
    "set": {"data": {"name": "union", "sets": {"one": {"name": "evil_kind:Kind", "path": "x"}}}},
    "also": {"evaluation": {"also": {"second": {"name": "evil_kind:Kind", "path": "x"}}}},
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A run folder of a stranger, in whose folder the user stands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "evil_kind", raising=False)
    (tmp_path / "evil_kind.py").write_text(EVIL.format(mark=str(tmp_path / "touched")))

    def write(recipe: dict[str, object]) -> Path:
        folder = tmp_path / "run"
        folder.mkdir()
        (folder / "recipe.json").write_text(json.dumps({"data": {"path": "faces"}, **recipe}))
        return folder

    return write


@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_imported_unasked(run, tmp_path: Path, place: str) -> None:
    with pytest.raises(ConfigError, match=r"evil_kind:Kind"):
        load([run(PLACES[place])])
    assert not (tmp_path / "touched").exists()


def test_the_sentence_says_how_to_allow_it(run) -> None:
    with pytest.raises(ConfigError, match=r"margin.name: .*if you trust it, allow it: --allow evil_kind:Kind"):
        load([run(PLACES["margin"])])


@pytest.mark.parametrize(
    "words",
    [
        {"allow": ["evil_kind:Kind"]},
        {"overrides": ["margin.name=evil_kind:Kind"]},
    ],
)
def test_what_the_user_allows_or_names_is_imported(run, tmp_path: Path, words: dict[str, list[str]]) -> None:
    experiment = load([run({"margin": {"name": "evil_kind:Kind", "extra": 2.0}})], **words)
    assert experiment.margin.extra == 2.0  # type: ignore[union-attr]
    assert (tmp_path / "touched").exists()


def test_a_recipe_of_ones_own_names_what_it_likes(run, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("margin: {name: 'evil_kind:Kind'}\n")
    assert load([run({}), tmp_path / "mine.yaml"]).margin is not None


def test_allowing_one_class_allows_no_other(run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="evil_kind:Kind"):
        load([run(PLACES["margin"])], ["model.name=own_kinds:OwnNetwork"], allow=["other:Kind"])
    assert not (tmp_path / "touched").exists()


def whole(name: str = "evil_kind:Kind") -> dict[str, object]:
    """A recipe with every field, as a run writes it."""
    fields = to_dict(resolve({"data": {"path": "faces"}, "margin": "arcface"}))
    return {**fields, "margin": {"name": name}}


PLACED = {
    "the file in the folder": "run/recipe.json",
    "YAML in the folder": "run/recipe.yaml",
    "another name in the folder": "run/best.yaml",
    "JSON from elsewhere": "good.json",
    "every field in a YAML": "good.yaml",
}


@pytest.mark.parametrize("place", PLACED.values(), ids=PLACED)
def test_nothing_is_imported_of_a_stored_recipe_that_is_named_by_its_file(run, tmp_path: Path, place: str) -> None:
    run({})
    (tmp_path / place).write_text(json.dumps(whole()))
    with pytest.raises(ConfigError, match=r"--allow evil_kind:Kind"):
        load([place])
    assert not (tmp_path / "touched").exists()
    assert load([place], allow=["evil_kind:Kind"]).margin is not None


def test_a_link_to_a_stored_recipe_is_a_stored_one(run, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").symlink_to(run(PLACES["margin"]) / "recipe.json")
    with pytest.raises(ConfigError, match=r"--allow evil_kind:Kind"):
        load(["mine.yaml"])
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("base", ["run", "run/recipe.json"])
def test_nothing_is_imported_of_the_stored_base_of_a_study(run, tmp_path: Path, base: str) -> None:
    run(PLACES["margin"])
    (tmp_path / "study.yaml").write_text(f"base: [{base}]\nruns: {{one: {{seed: 1}}}}\n")
    with pytest.raises(ConfigError, match=r"--allow evil_kind:Kind"):
        read_plan(tmp_path / "study.yaml")
    assert not (tmp_path / "touched").exists()
    assert read_plan(tmp_path / "study.yaml", allow=["evil_kind:Kind"]).jobs


@pytest.mark.parametrize("source", ["run", "run/recipe.json"])
def test_a_stored_recipe_does_not_say_where_its_run_is_kept(run, tmp_path: Path, source: str) -> None:
    run({"out": str(tmp_path / "elsewhere")})
    assert load([source]).out == Path("run")
    assert load([source], ["out=mine"]).out == Path("mine")


def test_json_from_elsewhere_does_not_say_where_its_run_is_kept(
    run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "good.json").write_text(json.dumps({"data": {"path": "faces"}, "out": "/elsewhere"}))
    assert load(["good.json"]).out is None
    assert "out=FOLDER" in caplog.text
    (tmp_path / "mine.yaml").write_text("{data: {path: faces}, out: mine}")
    assert load(["mine.yaml"]).out == Path("mine")
