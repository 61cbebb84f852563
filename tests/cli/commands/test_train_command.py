"""`angulus train` hands a checked experiment to the library and shows what comes back; the training is a stand-in."""

import json
import logging
from pathlib import Path

import pytest

import angulus.training
from angulus.cli import main
from angulus.config import load, to_dict
from angulus.errors import DataError
from angulus.training import Progress, RunResult


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """Each call of the training that is replaced."""
    made = []

    def train(experiment, *, resume=False, progress=None):
        made.append((experiment, resume))
        logging.getLogger("angulus.training.loop").info("a line of the log")
        if progress is not None:
            progress(Progress(1, 2, 0, None, 10.0))
        return RunResult(Path("runs/x"), {"held-out/eer": 0.125, "seconds": 2.5}, Path("runs/x/report.html"))

    monkeypatch.setattr(angulus.training, "train", train)
    monkeypatch.chdir(tmp_path)
    return made


def test_a_run_shows_its_figures_and_writes_json(calls, capsys):
    assert main(["train", "data.path=faces", "margin=arcface", "--json", "out/x.json"]) == 0
    captured = capsys.readouterr()
    assert "held-out/eer  0.125" in captured.out
    assert "run folder  runs/x" in captured.out
    assert captured.err == "a line of the log\n"
    assert json.loads(Path("out/x.json").read_text())["figures"] == {"held-out/eer": 0.125, "seconds": 2.5}
    (experiment, resume), *_ = calls
    assert experiment == load([], ["data.path=faces", "margin=arcface"])
    assert resume is False


def test_quiet_shows_no_log(calls, capsys):
    assert main(["train", "data.path=faces", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_the_log_is_as_it_was_afterwards(calls):
    logger = logging.getLogger("angulus")
    before = list(logger.handlers), logger.level
    main(["train", "data.path=faces"])
    assert (logger.handlers, logger.level) == before


def test_a_bar_on_a_terminal(calls, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    assert main(["train", "data.path=faces"]) == 0
    assert "a line of the log" in capsys.readouterr().err


def write_run(folder: Path, **settings: object) -> None:
    folder.mkdir(parents=True)
    recipe = to_dict(load([], ["data.path=faces", "margin=arcface", *(f"{k}={v}" for k, v in settings.items())]))
    (folder / "recipe.json").write_text(json.dumps(recipe))


def test_a_run_is_resumed_from_its_folder(calls):
    write_run(Path("runs/mine"), out="runs/mine", seed=3)
    assert main(["train", "--resume", "runs/mine"]) == 0
    experiment, resume = calls[0]
    assert resume is True
    assert (experiment.seed, experiment.out) == (3, Path("runs/mine"))


@pytest.mark.parametrize("words", [["elsewhere/x"], ["elsewhere/x/recipe.json"]])
@pytest.mark.parametrize("resume", [["--resume"], []])
def test_the_run_of_a_folder_is_kept_in_it_whatever_its_recipe_says(calls, words, resume):
    write_run(Path("elsewhere/x"), out="runs/mine")
    main(["train", *resume, *words])
    assert calls[0][0].out == Path("elsewhere/x")


def test_the_recipe_of_a_run_is_trained_anew_where_the_user_says(calls):
    write_run(Path("elsewhere/x"), out="runs/mine")
    main(["train", "elsewhere/x", "out=mine"])
    assert calls[0][0].out == Path("mine")


def test_an_interruption_says_how_to_go_on(monkeypatch, capsys, calls):
    def interrupted(experiment, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(angulus.training, "train", interrupted)
    assert main(["train", "data.path=my faces", "margin.name=arcface", "--json", "x.json"]) == 130
    expected = "interrupted; go on with: angulus train 'data.path=my faces' margin.name=arcface --resume\n"
    assert capsys.readouterr().err.endswith(expected)
    assert not Path("x.json").exists()


def test_an_error_of_the_training_is_a_sentence(monkeypatch, capsys, calls):
    def failing(experiment, **more):
        raise DataError("data.path: faces is empty")

    monkeypatch.setattr(angulus.training, "train", failing)
    assert main(["train", "data.path=faces", "--json", "x.json"]) == 2
    assert capsys.readouterr().err == "error: data.path: faces is empty\n"
    assert not Path("x.json").exists()


def test_other_processes_of_a_run_print_nothing(monkeypatch, capsys, calls):
    monkeypatch.setattr(angulus.training, "train", lambda *a, **b: RunResult(Path("x"), {}, Path("x/report.html")))
    assert main(["train", "data.path=faces"]) == 0
    assert capsys.readouterr().out == ""
