"""Files of a run that hold something else than a run writes: one sentence, or a warning, and never a traceback."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_run import small

from angulus.config import load
from angulus.errors import AngulusError, CheckpointError
from angulus.margins import ArcFace
from angulus.purification import centers_of_run
from angulus.purification.runs import open_run
from angulus.training import train
from angulus.training.storage.checkpoint import Checkpoint, load_content
from angulus.training.storage.run_folder import Metrics, finished_figures
from angulus.training.trained_head import read_head

CPU = torch.device("cpu")
Change = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(small(tmp_path_factory.mktemp("runs") / "whole", epochs=2)).folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A run without its end, with one checkpoint."""
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    for old in sorted((tmp_path / "run" / "checkpoints").glob("*.pt"))[:-1]:
        old.unlink()
    return tmp_path / "run"


def newest(run: Path) -> Path:
    return next((run / "checkpoints").glob("*.pt"))


def changed(run: Path, change: Change) -> None:
    """Write the checkpoint anew, sound, with other content."""
    path = newest(run)
    found = load_content(path, CPU)
    whole: dict[str, Any] = {**vars(found), "tensors": dict(found.tensors)}
    change(whole)
    Checkpoint(**whole).write(path)


def put(name: str, value: Any) -> Change:
    return lambda whole: whole["tensors"].__setitem__(name, value)


def without(name: str) -> Change:
    return lambda whole: whole["tensors"].pop(name)


def settings(**values: Any) -> Change:
    return lambda whole: whole["tensors"]["optimizer"]["param_groups"][0].update(values)


def momentum(value: Any) -> Change:
    return lambda whole: whole["tensors"]["optimizer"]["state"][0].update(momentum_buffer=value)


ON_RESUME: dict[str, Change] = {
    **{f"no {name}": without(name) for name in ("backbone", "head", "optimizer", "random", "best")},
    **{f"{name} is a number": put(name, 5) for name in ("backbone", "head", "optimizer", "random")},
    **{f"{name} is a list": put(name, [1]) for name in ("backbone", "head", "optimizer", "best", "seconds")},
    **{f"{name} is empty": put(name, {}) for name in ("backbone", "head", "optimizer", "random")},
    "best is a text": put("best", "good"),
    "seconds run backwards": put("seconds", -1.0),
    "random numbers of another kind": put("random", {"cpu": torch.zeros(3), "cuda": None}),
    "random numbers that are none": put("random", {"cpu": "x", "cuda": None}),
    "a weight of another shape": lambda whole: whole["tensors"]["head"].update(weight=torch.zeros(3)),
    "a weight that is none": lambda whole: whole["tensors"]["head"].update(weight="x"),
    "no settings": lambda whole: whole["tensors"]["optimizer"].pop("param_groups"),
    "a setting that is a text": settings(momentum="x"),
    "a setting that is nothing": settings(weight_decay=None),
    "momentum of another shape": momentum(torch.zeros(2, 2)),
    "momentum that is a text": momentum("x"),
    "other classes": lambda whole: whole.update(classes=("Ada",)),
    "classes that are numbers": lambda whole: whole.update(classes=(1, 2)),
    "another architecture": lambda whole: whole.update(architecture={"model": [1]}),
    "an architecture without end": lambda whole: whole.update(architecture={"model": twice_over()}),
    "a step beyond the end": lambda whole: whole.update(step=10**9),
    "a step of another name": lambda whole: whole.update(step=1),
}


def twice_over(depth: int = 50) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(depth):
        found = {"a": found, "b": found}
    return found


@pytest.mark.grid
@pytest.mark.parametrize("name", ON_RESUME)
def test_a_checkpoint_of_another_content_is_not_resumed(copy: Path, name: str) -> None:
    changed(copy, ON_RESUME[name])
    with pytest.raises(CheckpointError) as found:
        train(small(copy, epochs=2), resume=True)
    assert len(str(found.value)) < 1000


HEADS: dict[str, Change] = {
    "no head": without("head"),
    "a head that is a number": put("head", 5),
    "no weight": put("head", {}),
    "a weight of one side": put("head", {"weight": torch.zeros(5)}),
    "a weight of four sides": put("head", {"weight": torch.zeros(5, 1, 1, 1)}),
    "a weight of no columns": put("head", {"weight": torch.zeros(5, 0)}),
    "a weight that is a text": put("head", {"weight": "x"}),
    "whole numbers": put("head", {"weight": torch.zeros(20, 16, dtype=torch.int64)}),
    "more weights than names": put("head", {"weight": torch.zeros(99, 16)}),
}


@pytest.mark.parametrize("name", HEADS)
def test_a_head_of_another_content_is_not_read(copy: Path, name: str) -> None:
    changed(copy, HEADS[name])
    with pytest.raises(CheckpointError):
        read_head(copy, ArcFace(), 2)
    with pytest.raises(CheckpointError):
        centers_of_run(copy)


@pytest.mark.parametrize("name", ["no backbone", "backbone is a number", "backbone is a list", "backbone is empty"])
def test_a_network_of_another_content_is_not_purified_with(copy: Path, name: str) -> None:
    changed(copy, ON_RESUME[name])
    (copy / "result.json").write_text('{"figures": {}}')
    with pytest.raises(AngulusError):
        open_run(copy)


def test_a_step_beyond_the_end_is_refused_under_its_own_name(copy: Path) -> None:
    changed(copy, lambda whole: whole.update(step=10**7))
    newest(copy).rename(copy / "checkpoints" / "step-10000000.pt")
    with pytest.raises(CheckpointError, match=r"step 10000000, and the run has \d+"):
        train(small(copy, epochs=2), resume=True)


def test_an_empty_folder_is_no_checkpoint(copy: Path) -> None:
    newest(copy).unlink()
    (copy / "checkpoints" / "step-00000009").mkdir()
    with pytest.raises(CheckpointError, match=r"incomplete, .* or from the beginning where there is none"):
        train(small(copy, epochs=2), resume=True)


# Metrics

LINES = ["[1]", "5", '{"a": 1}', '{"step": "x"}', '{"step": -1}', '{"step": true}', '{"step": 1, "loss": "x"}', "null"]


@pytest.mark.grid
@pytest.mark.parametrize("line", [*(line.encode() for line in LINES), b"\xff\xfe", b'{"step": 1, "a": [1]}'])
def test_lines_that_are_no_rows_are_left_out(copy: Path, line: bytes, caplog: pytest.LogCaptureFixture) -> None:
    path = copy / "metrics.jsonl"
    path.write_bytes(line + b"\n" + path.read_bytes())
    with caplog.at_level(logging.WARNING):
        figures = train(small(copy, epochs=2), resume=True).figures
    assert "no rows of a run" in caplog.text
    assert "loss" in figures


@pytest.mark.parametrize("left", [0, 3])
def test_a_loss_whose_row_was_lost_is_not_told(copy: Path, left: int, caplog: pytest.LogCaptureFixture) -> None:
    path = copy / "metrics.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:left]))
    with caplog.at_level(logging.WARNING):
        figures = train(small(copy, epochs=2), resume=True).figures
    assert "loss" not in figures
    assert "lost the row of the last step" in caplog.text


def test_the_loss_before_a_step(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path / "metrics.jsonl")
    for step in (1, 3, 5):
        metrics.append({"step": step, "loss": float(step)})
    assert [metrics.loss_at(step, 5) for step in (1, 2, 4, 5)] == [1.0, 1.0, 3.0, 5.0]


# Figures


@pytest.mark.grid
@pytest.mark.parametrize("figures", [{"a": "x"}, {"a": None}, {"a": [1]}, {"a": True}, [1], 5, "x", None])
def test_figures_that_are_no_numbers_are_made_again(copy: Path, figures: Any) -> None:
    (copy / "result.json").write_text(json.dumps({"figures": figures}))
    assert finished_figures(copy) is None
    again = train(small(copy, epochs=2), resume=True).figures
    assert finished_figures(copy) == again
    assert load([copy]).out == copy
