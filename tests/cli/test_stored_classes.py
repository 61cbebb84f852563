"""No command imports a class that the recipe stored in a run names, unless it is allowed on the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from angulus.cli import main
from angulus.models import InputSpec, TinyNet, save_model

EVIL = (
    "from dataclasses import dataclass\nfrom pathlib import Path\nfrom angulus.margins import ArcFace\n"
    "Path({mark!r}).touch()\n\n\n@dataclass(frozen=True, kw_only=True)\nclass Kind(ArcFace):\n    extra: float = 1.0\n"
)
RECIPE = {"data": {"path": "people"}, "margin": {"name": "evil_class:Kind"}, "out": "run"}
COMMANDS = {
    "train": ["train", "run"],
    "resume": ["train", "--resume", "run"],
    "plan": ["plan", "run"],
    "config": ["config", "run"],
    "purify": ["purify", "run"],
    "purify recipes": ["purify", "run", "data.path=people"],
    "audit labels": ["audit", "labels", "run", "--out", "audit"],
    "invert": ["invert", "run", "--first", "1", "--out", "inverted"],
    "audit inversion": ["audit", "inversion", "run", "people", "--out", "attack", "--closed"],
}
# These need the network of a run alone, and never look at its margin.
NETWORK_ALONE = {
    "embed": ["embed", "run", "people", "--out", "e.npz"],
    "evaluate": ["evaluate", "run", "people"],
    "invert": ["invert", "run", "--images", "people", "--out", "inverted", "--iterations", "1"],
    "data report": ["data", "report", "people", "--model", "run", "--out", "seen"],
    "data leaks": ["data", "leaks", "people", "people", "--model", "run", "--out", "leaks"],
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where the user stands: a set of images, a module of a stranger's, and a run that names it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "evil_class", raising=False)
    for person in ("Ada", "Bob", "Eve"):
        (tmp_path / "people" / person).mkdir(parents=True)
        for number in range(2):
            pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "people" / person / f"{number}.png")
    (tmp_path / "evil_class.py").write_text(EVIL.format(mark=str(tmp_path / "touched")))
    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.json").write_text(json.dumps(RECIPE))
    (run / "result.json").write_text('{"figures": {}}')
    config = TinyNet(channels=(4, 8), units=(0, 0), embedding_dim=8, input=InputSpec(height=32, width=32))
    save_model(run / "model", config.build(), config)
    return tmp_path


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS.keys())
def test_nothing_of_a_run_is_imported(home: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert "error: " in capsys.readouterr().err
    assert not (home / "touched").exists()


@pytest.mark.parametrize("words", NETWORK_ALONE.values(), ids=NETWORK_ALONE.keys())
def test_what_needs_the_network_alone_imports_nothing_either(home: Path, words: list[str]) -> None:
    assert main([*words, "--quiet"]) == 0
    assert not (home / "touched").exists()


@pytest.mark.parametrize("name", ["train", "resume", "plan", "config", "purify", "audit labels", "invert"])
def test_the_sentence_says_how_to_allow_it(home: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(COMMANDS[name])
    assert "--allow evil_class:Kind" in capsys.readouterr().err


def test_what_is_allowed_is_imported(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "run", "--allow", "evil_class:Kind"]) == 0
    assert "evil_class:Kind" in capsys.readouterr().out
    assert (home / "touched").exists()


def test_foreign_weights_of_a_network_of_ones_own(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "net_of_mine.py").write_text(
        "from dataclasses import dataclass, field\nfrom angulus.models import InputSpec, TinyNet\n\n\n"
        "@dataclass(frozen=True, kw_only=True)\nclass Mine:\n    embedding_dim: int = 8\n"
        "    input: InputSpec = field(default_factory=lambda: InputSpec(height=32, width=32))\n\n"
        "    def build(self):\n        return TinyNet(embedding_dim=self.embedding_dim, input=self.input).build()\n"
    )
    from net_of_mine import Mine  # pyrefly: ignore[missing-import]

    assert isinstance(Mine().input, type(TinyNet().input))
    torch.save(Mine().build().state_dict(), home / "weights.pt")
    assert main(["embed", "weights.pt", "people", "--out", "e.npz", "--network", "net_of_mine:Mine", "--quiet"]) == 0
    assert "6 images of 3 people" in capsys.readouterr().out
    assert main(["evaluate", "weights.pt", "people", "--network", "net_of_mine:Mine", "--quiet"]) == 0


def test_a_network_that_needs_settings(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "net_with_size.py").write_text(
        "from dataclasses import dataclass\n\n\n@dataclass(frozen=True, kw_only=True)\nclass Sized:\n"
        "    embedding_dim: int\n    input: object = None\n\n    def build(self): ...\n"
    )
    torch.save({"weight": torch.zeros(1)}, home / "weights.pt")
    assert main(["embed", "weights.pt", "people", "--out", "e.npz", "--network", "net_with_size:Sized"]) == 2
    assert "--network net_with_size:Sized must be made without settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    "recipe", ["", "[]", "null", '{"data": []}', '{"data": {"base": 3}}', '{"train": [1], "data": 5}']
)
def test_a_recipe_that_is_none_takes_nothing_else_with_it(home: Path, recipe: str, capsys) -> None:
    (home / "run" / "recipe.json").write_text(recipe)
    assert main(["embed", "run", "people", "--out", "e.npz", "--quiet"]) == 0
    (home / "run" / "result.json").unlink()
    for words in (["train", "--resume", "run"], ["train", "data.path=people", "out=run", "--resume"], ["plan", "run"]):
        assert main([*words, "train.epochs=1"]) == 2
        assert "error: " in capsys.readouterr().err
