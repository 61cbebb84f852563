"""Words that a person writes by mistake are answered with what was meant, before any work begins."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from angulus.cli import main
from angulus.cli.application import app
from angulus.cli.inputs.purified_runs import default_folder
from angulus.cli.inputs.words.mistyped_settings import key_of
from angulus.cli.options import check_outside
from angulus.config import load
from angulus.errors import AngulusError


def error_of(capsys, *tokens: str) -> str:
    assert main(tokens) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.removeprefix("error: ").rstrip("\n")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with photos of two people, a file of another kind, and nothing else."""
    monkeypatch.chdir(tmp_path)
    for person in ("Ada", "Bo"):
        Path("photos", person).mkdir(parents=True)
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(Path("photos", person, "1.jpg"))
    shutil.copy("photos/Ada/1.jpg", "photo.jpg")
    Path("settings.yaml").write_text("train: {epochs: 1}\n")
    return tmp_path


@pytest.mark.parametrize("command", ["train", "config", "plan", "study", "purify"])
@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["--epochs", "3"], "train.epochs=3"),
        (["--data", "x"], "data.path=x"),
        (["--lr", "0.1"], "optim.lr=0.1"),
        (["--batch-size=64"], "train.batch_size=64"),
        (["--epocs", "3"], "train.epochs=3"),
        (["--margin.m", "0.4"], "margin.m=0.4"),
        (["--loss", "arcface", "--lr=1"], "margin=arcface optim.lr=1"),
        (["--epochs"], "train.epochs=..."),
    ],
)
def test_an_option_that_is_a_setting_is_answered_with_the_setting(capsys, command, words, meant):
    assert error_of(capsys, command, *words).endswith(f"written without dashes: angulus {command} {meant}")


def test_other_unknown_options_are_answered_as_before(capsys):
    assert error_of(capsys, "train", "--config", "a.yaml").endswith("without an option: angulus train a.yaml")
    assert error_of(capsys, "train", "--resum") == "Unknown option: --resum. Did you mean --resume?"
    assert error_of(capsys, "train", "--frobnicate") == "Unknown option: --frobnicate."
    assert "train.epochs" not in error_of(capsys, "evaluate", "x.npz", "--epochs", "3")


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        (["doctor", "run", "more"], "angulus doctor takes no further words, got more; angulus doctor --help says all"),
        (
            ["evaluate", "x.pt", "photos", "data.fit=crop"],
            "angulus evaluate takes no further words, got data.fit=crop; settings are for train and config, here they "
            "are options; angulus evaluate --help says all",
        ),
    ],
)
def test_a_word_too_many_is_named(capsys, tokens, sentence):
    assert error_of(capsys, *tokens) == sentence


def test_the_key_nearest_to_the_root_is_meant():
    assert key_of("seed") == "seed"
    assert key_of("dropout") == "model.dropout"
    assert key_of("frobnicate") is None


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        (["evaluate", "x.npz", "--far", "5"], "--far must be a rate between 0 and 1, got 5; 5 % is 0.05"),
        (["evaluate", "x.npz", "--far", "0.1", "--far", "200"], "--far must be a rate between 0 and 1, got 200"),
        (["evaluate", "calibrate", "x.npz", "--out", "c", "--far", "1"], "--far must be a rate between 0 and 1, got 1"),
        (["evaluate", "identify", "x.npz", "--fpir", "nan"], "--fpir must be a rate between 0 and 1, got nan"),
        (["evaluate", "identify", "x.npz", "--rank", "0"], "--rank must be at least 1, got 0"),
        (["audit", "inversion", "m", "x", "--out", "o", "--fars", "0.1,5"], "--fars must be a rate between 0 and 1"),
        (["embed", "m", "x", "--out", "o", "--batch-size", "0"], "--batch-size must be at least 1, got 0"),
        (["invert", "m", "--out", "o", "--lr", "inf"], "--lr must be a number above 0, got inf"),
        (["invert", "m", "--out", "o", "--bn", "-1"], "--bn must be a number of at least 0, got -1"),
        (["align", "x", "o", "--score", "50"], "--score must lie in 0 to 1, got 50"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused_at_once(capsys, home, tokens, sentence):
    assert error_of(capsys, *tokens).startswith(sentence)
    assert sorted(path.name for path in home.iterdir()) == ["photo.jpg", "photos", "settings.yaml"]


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        (["evaluate", "photo.jpg"], "photo.jpg is a photo; evaluate takes a model and a folder"),
        (["evaluate", "gone.jpg"], "gone.jpg is not here; evaluate takes a model and a folder"),
        (["evaluate", "photos"], "photos is a folder of folders; evaluate takes"),
        (["evaluate", "settings.yaml"], "settings.yaml is a recipe; evaluate takes"),
        (["evaluate", "photo.jpg", "photos"], "photo.jpg is a photo, not a model"),
        (["evaluate", "identify", "photo.jpg"], "photo.jpg is a photo, not a file of embeddings"),
        (["embed", "photos", "photos", "--out", "x.npz"], "photos is a folder of folders, not a model"),
        (["train", "--resume", "runs/nothing"], "there is no run runs/nothing to go on with; --resume takes"),
        (["convert", "photos", "five.zip"], "five.zip: .zip is no layout that is written; there are a folder"),
    ],
)
def test_a_path_of_another_kind_is_said_for_what_it_is(capsys, home, tokens, sentence):
    assert error_of(capsys, *tokens).startswith(sentence)


def test_runs_beside_one_that_is_missed_are_named(capsys, home):
    for name in ("first", "second"):
        Path("runs", name).mkdir(parents=True)
        Path("runs", name, "recipe.json").write_text("{}")
    assert "(in runs there are second, first)" in error_of(capsys, "train", "--resume", "runs/secnd")


def test_a_layout_that_is_named_may_have_any_suffix(home):
    assert main(["convert", "photos", "five.zip", "--to", "folder", "--quiet"]) == 0
    assert Path("five.zip", "Ada", "1.jpg").is_file()


# Every command with a folder of results, as it is called with that folder inside the images that it reads.
FOLDERS_OF_RESULTS = {
    "align": ["align", "photos", "photos/out"],
    "audit inversion": ["audit", "inversion", "m", "photos", "--out", "photos/out"],
    "audit labels": ["audit", "labels", "m", "photos", "--out", "photos/out"],
    "convert": ["convert", "photos", "photos/out"],
    "data leaks": ["data", "leaks", "other", "photos", "--out", "photos/out"],
    "data report": ["data", "report", "photos", "--out", "photos/out"],
    "invert": ["invert", "m", "--images", "photos", "--out", "photos/out"],
    "purify": ["purify", "photos", "--out", "photos/out"],
    "study": ["study", "study.yaml", "--out", "photos/out"],
    "train": ["train", "data.path=photos", "out=photos/out"],
}
# --out is a file, or nothing is read that lies in folders
FILES_OF_RESULTS = {"embed", "data get", "verify", "gallery export", "export"}
FILES_OF_RESULTS |= {"evaluate", "evaluate calibrate", "evaluate identify", "evaluate retrieve"}


@pytest.mark.parametrize("name", FOLDERS_OF_RESULTS)
def test_results_are_not_laid_among_the_images_that_are_read(capsys, home, name):
    Path("study.yaml").write_text("runs: {one: {data: {path: photos}}}\n")
    said = error_of(capsys, *FOLDERS_OF_RESULTS[name])
    assert "photos/out lies inside photos, which is read" in said
    assert "such as photos_out" in said
    assert not Path("photos", "out").exists()


def test_every_command_with_an_out_is_known_here():
    def found(group, words=()):
        for name in group:
            if name.startswith("-"):
                continue
            command = group[name]
            yield from found(command, (*words, name))
            if command.default_command:
                names = {each.name for each in command.assemble_argument_collection()}
                if names & {"--out", "OUT", "TARGET"}:
                    yield " ".join((*words, name))

    assert set(found(app)) == (set(FOLDERS_OF_RESULTS) | FILES_OF_RESULTS) - {"train"}


def test_the_folder_itself_and_links_to_it_are_inside(home):
    Path("link").symlink_to("photos")
    for inside in ("photos", "link/out", "photos/../photos/out"):
        with pytest.raises(AngulusError, match=r"(which|that) is read"):
            check_outside(Path(inside), Path("photos"))
    check_outside(Path("photos_out"), Path("photos"), None)
    check_outside(None, Path("photos"))


def test_the_place_of_a_purification_is_known_without_a_margin():
    experiment = load([], ["data.path=photos"])
    assert experiment.margin is None
    assert default_folder(experiment, None) == Path("runs/folder_arcface_0_purified")


def test_help_names_no_option_that_empties_another(capsys):
    for words in (["invert"], ["audit", "inversion"], ["evaluate", "templates"]):
        assert main([*words, "--help"]) == 0
        assert "--empty-" not in capsys.readouterr().out


def test_the_options_of_invert_stand_in_groups(capsys):
    assert main(["invert", "--help"]) == 0
    shown = capsys.readouterr().out
    titles = ["Arguments", "Parameters", "Whom to make", "The steps", "What is minimised", "What the network is shown"]
    places = [shown.index(f" {title}") for title in titles]
    assert places == sorted(places)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_that_the_shell_can_read_is_written(capsys, tmp_path, monkeypatch, shell):
    monkeypatch.setenv("HOME", str(tmp_path))
    written = tmp_path / "completion"
    assert main(["--install-completion", "--shell", shell, "--output", str(written)]) == 0
    text = written.read_text()
    assert all(word in text for word in ("identify", "--protocol", "train"))
    if shutil.which(shell):
        subprocess.run([shell, "-n", written], check=True, timeout=60)


@pytest.mark.parametrize("module", ["angulus", "angulus.cli"])
def test_the_package_is_a_command(module):
    done = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("angulus ")


def test_types_are_there_for_others():
    import angulus

    assert (Path(angulus.__file__).parent / "py.typed").is_file()


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        (["align", "photos"], "OUT is missing; angulus align --help says what it is"),
        (["evaluate"], "WHAT is missing; angulus evaluate --help says what it is"),
        (["evaluate", "calibrate", "x.npz"], "--out is missing; angulus evaluate calibrate --help says what it is"),
    ],
)
def test_a_word_that_is_missing_is_named_with_the_help_to_ask_for(capsys, tokens, sentence):
    assert main(tokens) == 2
    assert capsys.readouterr().err.splitlines()[0] == f"error: {sentence}"
