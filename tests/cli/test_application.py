"""The command line answers mistakes with a sentence and an exit status, and help at once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import angulus
from angulus.cli import main
from angulus.cli.options import check_output, split_arguments
from angulus.errors import AngulusError


def error_of(capsys, *tokens: str) -> str:
    assert main(tokens) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert "Traceback" not in captured.err
    return captured.err.removeprefix("error: ").rstrip("\n")


def run(*tokens: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **more}
    command = [sys.executable, "-m", "angulus.cli", *tokens]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize("tokens", [["--help"], ["train", "--help"], ["study", "--help"]])
def test_help_answers_at_once(tokens):
    before = os.times()
    finished = run(*tokens)
    after = os.times()
    # measured at 0.3 s of the processor's time, whatever else the machine does
    assert after.children_user + after.children_system - before.children_user - before.children_system < 2.0
    assert finished.returncode == 0
    assert "Usage: angulus" in finished.stdout


def test_help_imports_nothing_heavy():
    code = "import sys; from angulus.cli import main; main(sys.argv[1:]); print(sorted(sys.modules))"
    commands = [[], ["train"], ["evaluate"], ["embed"], ["config"], ["convert"]]
    commands += [["data"], *(["data", name] for name in ("report", "leaks", "get"))]
    commands += [["evaluate", name] for name in ("identify", "templates", "calibrate", "compare")]
    for tokens in ([*command, "--help"] for command in commands):
        finished = subprocess.run([sys.executable, "-c", code, *tokens], capture_output=True, text=True, check=True)
        modules = finished.stdout.splitlines()[-1]
        for heavy in ("torch", "numpy", "pydantic", "PIL", "yaml"):
            assert f"'{heavy}'" not in modules, (tokens, heavy)


def test_evaluating_embeddings_loads_neither_training_nor_networks(tmp_path):
    import numpy as np

    vectors = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    np.savez(tmp_path / "x.npz", embeddings=vectors, labels=np.arange(12) // 3)
    code = "import sys; from angulus.cli import main; main(sys.argv[1:]); print(sorted(sys.modules))"
    tokens = ["evaluate", str(tmp_path / "x.npz"), "--no-intervals"]
    finished = subprocess.run([sys.executable, "-c", code, *tokens], capture_output=True, text=True, check=True)
    modules = finished.stdout.splitlines()[-1]
    assert "'angulus.evaluation'" in modules
    for room in ("training", "models", "heads"):
        assert f"'angulus.{room}'" not in modules, room


def test_the_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"angulus {angulus.__version__}"


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        (["trian"], 'Unknown command "trian". Did you mean "train"?'),
        (["train", "--resum"], "Unknown option: --resum. Did you mean --resume?"),
        (["train", "--margin.m", "0.4"], "Settings are written without dashes: angulus train margin.m=0.4"),
        (["evaluate", "x.npz", "--protocol", "insightfac"], 'Invalid value "insightfac" for --protocol.'),
        (["evaluate", "x.npz", "--far", "low"], "Invalid value for --far"),
        (["evaluate", "x.npz"], "no embeddings at x.npz: the file does not exist"),
        (["evaluate", "a", "b", "c"], "c"),
        (["evaluate", "x.npz", "images"], "x.npz holds embeddings already"),
        (["evaluate", "runs/none"], "to evaluate the model runs/none, name a folder of images after it"),
        (["evaluate", "runs/none", "images"], "there is no model runs/none"),
        (["evaluate", "idenify"], "did you mean the command identify?"),
        (["evaluate", "identify", "x.npz"], "no embeddings at x.npz: the file does not exist"),
        (["evaluate", "templates", "x.npz", "--images", "m.txt"], "say what to do: --pairs PAIRS"),
        (["evaluate", "compare", "a.json", "b.json"], "no result at a.json: the file does not exist"),
        (["embed", "runs/none", "images"], "--out"),
        (["embed", "runs/none", "images", "--out", "x.npz"], "there is no model runs/none"),
        (["study"], "name one file of a study"),
        (["study", "none.yaml"], "there is no study none.yaml"),
        (["train", "none.yaml"], "there is no recipe none.yaml"),
        (["train"], "data: is missing; name a folder"),
        (["config", "data.path=x", "margin=arcfase"], "margin.name: unknown margin 'arcfase'; did you mean arcface?"),
        (["config", "data.path=x", "optim.lrr=1"], "optim.lrr: unknown key; did you mean optim.lr?"),
        (["config", "data.path=x", "margin=arcface", "margin.m=5"], "margin.m: ArcFace: m must be between 0 and 3.14"),
    ],
)
def test_a_mistake_gives_a_sentence_and_status_2(capsys, monkeypatch, tmp_path, tokens, sentence):
    monkeypatch.chdir(tmp_path)
    assert sentence in error_of(capsys, *tokens)


def test_all_mistakes_of_a_recipe_are_listed(capsys):
    text = error_of(capsys, "config", "data.path=x", "margin=arcfase", "optim.lrr=1", "train.epochs=ten")
    assert text.splitlines() == [
        "3 problems in the configuration:",
        "  - margin.name: unknown margin 'arcfase'; did you mean arcface?",
        "  - optim.lrr: unknown key; did you mean optim.lr?",
        "  - train.epochs: must be a whole number, got 'ten'",
    ]


def test_config_shows_what_a_recipe_comes_to(capsys, tmp_path):
    (tmp_path / "a.yaml").write_text("data: {path: faces}\nmargin: {name: arcface, m: 0.3}\n")
    (tmp_path / "b.yaml").write_text("optim: {lr: 0.05}\n")
    out = tmp_path / "resolved.json"
    assert main(["config", str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml"), "margin.m=0.4", "--json", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "lr: 0.05" in shown
    resolved = json.loads(out.read_text())
    assert resolved["margin"]["m"] == 0.4
    # what is shown is a recipe itself
    (tmp_path / "shown.yaml").write_text(shown)
    assert main(["config", str(tmp_path / "shown.yaml")]) == 0
    assert capsys.readouterr().out == shown


def test_config_shows_the_schema(capsys):
    assert main(["config", "--schema"]) == 0
    assert "batch_size: null" in capsys.readouterr().out


def test_nothing_is_written_after_a_mistake(tmp_path):
    out = tmp_path / "x.json"
    assert main(["config", "data.path=x", "seed=one", "--json", str(out)]) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_an_equals_sign_is_a_recipe(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("m=0.4.yaml").write_text("")
    assert split_arguments(["m=0.4.yaml", "m=0.4", "a.yaml"]) == (["m=0.4.yaml", "a.yaml"], ["m=0.4"])


def test_an_output_that_cannot_be_written_is_known_before_the_work_begins(tmp_path):
    (tmp_path / "file").write_text("")
    check_output(None, tmp_path / "new" / "x.json")
    assert list((tmp_path / "new").iterdir()) == []
    with pytest.raises(AngulusError, match="is a folder; name a file"):
        check_output(tmp_path)
    with pytest.raises(AngulusError, match=r"x\.json cannot be written: "):
        check_output(tmp_path / "file" / "x.json")


@pytest.mark.slow
def test_a_closed_pipe_is_no_traceback():
    command = f"{sys.executable} -m angulus.cli config --schema | head -1"
    finished = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert finished.stderr == ""
    assert finished.stdout.startswith("# Everything")


def test_threads_spin_only_for_a_moment_while_they_wait():
    script = "import os, angulus.cli; print(os.environ['OMP_WAIT_POLICY'], os.environ.get('GOMP_SPINCOUNT'))"
    for own, expected in ((None, "PASSIVE 5000"), ("ACTIVE", "ACTIVE None")):
        mine = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
        environment = {name: value for name, value in os.environ.items() if name not in mine}
        environment |= {"OMP_WAIT_POLICY": own} if own else {}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.stdout.strip() == expected
