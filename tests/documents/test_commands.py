"""Every command line in the documents is one that the program understands: commands, options and recipe keys exist."""

import re
import shlex
from pathlib import Path

import pytest
from cyclopts import CycloptsError

from angulus.cli.application import app, main
from angulus.config import merge, parse_overrides, resolve
from angulus.errors import ConfigError

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in DOCUMENTS if page.name != "errors.md"]  # which quotes what programs say
LINE = re.compile(
    r"^(?:    |\$ )*(?:\$ )?(?P<line>(?:[\w./-]*/)?(?:angulus|python -m angulus|torchrun .*-m angulus) .*)$"
)
INLINE = re.compile(r"`(angulus [^`]+)`", re.DOTALL)
TAKE_SETTINGS = ("train", "config", "plan", "purify", "study")
PLACES = re.compile(r"^[A-Z][A-Z_]*$")


def lines_of(text: str) -> list[str]:
    """Command lines of a page: those that stand alone, continued by a backslash or not, and those inside a sentence."""
    joined = re.sub(r" *\\\n\s*", " ", text)
    alone = [found["line"] for line in joined.splitlines() if (found := LINE.match(line))]
    fences = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return [*alone, *(" ".join(found.split()) for found in INLINE.findall(fences))]


def words_of(line: str) -> list[str]:
    """The words after `angulus`; comments, pipes and redirections are left out."""
    line = re.sub(r"\[((?:--|[A-Z])[^\]]*)\]", r"\1", line)  # what may be left out
    words = shlex.split(re.split(r"\s{3,}", line.replace("--protocol ...", ""))[0], comments=True)
    start = next(place for place, word in enumerate(words) if word.rpartition("/")[2] == "angulus")
    end = next((place for place, word in enumerate(words) if word in ("|", ">", "&&", ";")), len(words))
    return words[start + 1 : end]


def problems_of(words: list[str]) -> list[str]:
    """What is wrong with a command line; nothing is run or read."""
    if (words and (PLACES.match(words[0]) or words[0] in ("...", "--version"))) or "--help" in words:
        words = [word for word in words if not word.startswith("-") and not PLACES.match(word)]
        place = app
        for word in words:
            if word not in place:
                return [f"there is no command {word}"]
            place = place[word]
        return []
    try:
        app.parse_args(words, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        missing = type(error).__name__ == "MissingArgumentError"  # a sentence need not name every argument
        return [] if missing else [str(error)]
    settings = [word for word in words if re.match(r"^[a-z_]+[\w.]*=", word)]
    return unknown_keys(settings) if words[0] in TAKE_SETTINGS else []


def unknown_keys(settings: list[str]) -> list[str]:
    """Recipe keys among settings that no recipe has."""
    base = {"data": {"path": "people"}}
    try:
        resolve(merge(base, parse_overrides([word.replace("=...", "=null") for word in settings])))
    except ConfigError as error:
        return [problem for problem in error.problems if "unknown" in problem]
    return []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist(page):
    found = {line: problems_of(words_of(line)) for line in lines_of(page.read_text())}
    assert {line: problems for line, problems in found.items() if problems} == {}


@pytest.mark.parametrize(
    "line",
    [
        "angulus trian data.path=people",
        "angulus train data.path=people --resumee",
        "angulus train data.path=people train.epoch=3",
        "angulus evaluate e.npz --protocol lfw",
        "angulus evaluate verify --help",
        "torchrun --nproc-per-node 2 -m angulus train margin.name=arcfase",
    ],
)
def test_wrong_lines_are_found(line):
    assert problems_of(words_of(line))


def test_there_are_many():
    assert sum(len(lines_of(page.read_text())) for page in PAGES) > 100


def fenced(page: str, kind: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text()
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def test_the_recipe_and_the_study_of_the_tutorials_are_valid(tmp_path):
    from angulus.config import load
    from angulus.study import read_plan

    (tmp_path / "noisy.yaml").write_text(fenced("tutorials/clean_a_noisy_set.md", "yaml")[0])
    assert load([tmp_path / "noisy.yaml"]).data.flips == 0.2
    (tmp_path / "losses.yaml").write_text(fenced("tutorials/compare_losses.md", "yaml")[0])
    assert len(read_plan(tmp_path / "losses.yaml").jobs) == 6
    (tmp_path / "lfw_tiny.yaml").write_text((ROOT / "recipes" / "lfw_tiny.yaml").read_text())
    (tmp_path / "study.yaml").write_text(fenced("study.md", "yaml")[0])
    assert len(read_plan(tmp_path / "study.yaml").jobs) == 2 * 2 * 3


def drawn_folder(folder, first_identity):
    """Drawn people where `angulus align` would have put crops."""
    from PIL import Image

    from angulus.data import SyntheticFaces

    faces = SyntheticFaces(num_identities=24, images_per_identity=3, height=32, width=32, first_identity=first_identity)
    for index, key in enumerate(faces.keys):
        path = folder / f"{key}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(faces.read(index)).save(path)


def small_weights(file):
    """Weights at random, in a file as others publish them, for crops of 32x32."""
    import torch

    from angulus.models import InputSpec, MobileFaceNet

    torch.manual_seed(0)
    network = MobileFaceNet(embedding_dim=8, input=InputSpec(height=32, width=32)).build()
    torch.save({"net_state_dict": network.state_dict()}, file)


@pytest.mark.slow
def test_the_quick_start_can_be_walked(tmp_path, monkeypatch, capsys):
    """Its commands as they are printed, on drawn crops; only the size of the training is made smaller."""
    monkeypatch.chdir(tmp_path)
    drawn_folder(tmp_path / "people", 0)
    drawn_folder(tmp_path / "others", 1000)
    small_weights(tmp_path / "068.ckpt")
    lines = [line for line in lines_of((ROOT / "docs" / "quick_start.md").read_text()) if "--resume" not in line]
    walked = [words_of(line) for line in lines if "align" not in line]
    assert [words[0] for words in walked] == ["train", "embed", "evaluate", "embed", "evaluate", "evaluate", "doctor"]
    smaller = ["train.epochs=1", "train.batch_size=24"]
    for words in walked:
        words = [word.replace("1e-3", "1e-2") for word in words]  # what so few people can resolve
        assert main([*words, *(smaller if words[0] == "train" else [])]) == 0, capsys.readouterr().err
    assert (tmp_path / "others.html").exists()
    assert (tmp_path / "threshold.json").exists()
