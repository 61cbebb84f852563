"""A run that began with an older version goes on: what its recipe does not name is as it was then, or as it is now."""

import json
from pathlib import Path

import pytest
from small_run import small

from angulus.errors import CheckpointError
from angulus.training import train

LATER = ("layout", "float32_precision", "threads")


def older(folder: Path) -> None:
    """What a version before these fields would have left, after some steps."""
    train(small(folder))
    recipe = json.loads((folder / "recipe.json").read_text())
    for name in LATER:
        del recipe["train"][name]
    recipe["train"]["compile"] = False
    (folder / "recipe.json").write_text(json.dumps(recipe))
    (folder / "result.json").unlink()


def test_an_older_run_is_resumed(tmp_path: Path) -> None:
    older(tmp_path / "run")
    resumed = train(small(tmp_path / "run", layout="auto"), resume=True)
    assert resumed.figures["seconds"] > 0


def test_what_it_names_must_be_the_same(tmp_path: Path) -> None:
    older(tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"Different: train\.clip_norm was 5\.0, now 1\.0"):
        train(small(tmp_path / "run", clip_norm=1.0), resume=True)
