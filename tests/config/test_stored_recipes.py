"""The recipe stored in a run is data: a class that it names is imported only when the user allows it."""

import json
from pathlib import Path

import pytest

from angulus.config import load
from angulus.errors import ConfigError

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
