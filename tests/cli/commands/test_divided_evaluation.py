"""`--part` and `--add`: what one command counts, several count together, and words that do not go together."""

import json
from pathlib import Path

import numpy as np
import pytest

from angulus.cli import main
from angulus.embeddings import EmbeddingSet
from angulus.evaluation.parts.part_files import read_part, write_part


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a labelled set e.npz."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 40, 300).astype(np.int64)
    vectors = random.standard_normal((40, 8))[labels] + 0.7 * random.standard_normal((300, 8))
    keys = tuple(f"p{label}/{row}.jpg" for row, label in enumerate(labels))
    trained = labels < 2
    found = EmbeddingSet(
        embeddings=vectors.astype(np.float32), labels=labels, keys=keys, columns={"trained_on": trained}
    )
    found.save(tmp_path / "e.npz")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def figures(path: str) -> dict:
    return {key: value for key, value in json.loads(Path(path).read_text()).items() if key != "seconds"}


def test_parts_of_all_pairs_add_up_to_the_whole(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["evaluate", "e.npz", "--far", "0.01", "--name", "Mine"]
    assert main([*asked, "--json", "whole.json", "--report", "whole.html", "--markdown", "whole.md"]) == 0
    whole = capsys.readouterr().out.replace("whole.html", "added.html")
    for number in range(2):
        assert main([*asked, "--part", f"{number}/2", "--out", f"{number}.counts"]) == 0
        assert f"part {number}/2: " in capsys.readouterr().out
    words = ["--json", "added.json", "--report", "added.html", "--markdown", "added.md"]
    assert main(["evaluate", "--add", "1.counts", "0.counts", *words]) == 0
    assert capsys.readouterr().out == whole
    assert figures("added.json") == figures("whole.json")
    assert any("trained on" in note for note in figures("added.json")["notes"])
    assert Path("added.md").read_text() == Path("whole.md").read_text()
    assert not list(home.glob("*.partial"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["e.npz", "--part", "0/2"], "--part counts one part of an evaluation into a file, and --out FILE is missing"),
        (["e.npz", "--out", "x.counts"], "--out counts one part of an evaluation into a file, and --part i/n is"),
        (["e.npz", "--part", "2/2", "--out", "x.counts"], "a part must be i/n with i from 0 to n - 1, got 2/2"),
        (["e.npz", "--part", "0/2", "--out", "x.counts", "--pairs", "p.txt"], "--part cannot divide it, so leave"),
        (["e.npz", "--part", "0/2", "--out", "x.counts", "--groups", "sex"], "--part cannot divide it, so leave"),
        (["e.npz", "--part", "0/2", "--out", "x.counts", "--json", "x.json"], "one part has no figures, so that there"),
        (["e.npz", "faces", "--part", "0/2", "--out", "x.counts"], "embed the images first: angulus embed"),
        (["model", "--part", "0/2", "--out", "x.counts"], "--part divides stored embeddings (.npz"),
        (["--add", "x.counts"], "no counts at x.counts: the file does not exist"),
        (["--add", "e.npz"], "e.npz is no file of counts that angulus wrote"),
        (
            ["e.npz", "--add", "x.counts"],
            "--add takes the set and what is asked of it from",
        ),
        (
            ["--add", "x.counts", "--far", "0.1"],
            "--add takes the set and what is asked of it from",
        ),
        (["--add", "x.counts", "--part", "0/2", "--out", "y.counts"], "name one of them"),
        (["e.npz", "--after", "x.counts"], "--after is for --part"),
    ],
)
def test_words_that_do_not_go_together_are_refused(
    home: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert main(["evaluate", *words]) == 2
    assert sentence in capsys.readouterr().err
    assert sorted(path.name for path in home.iterdir()) == ["e.npz"]


@pytest.mark.parametrize(
    ("words", "figures_asked"),
    [
        (["identify", "e.npz"], ["--fpir", "0.05", "--rank", "2"]),
        (["identify", "p.npz", "e.npz", "--distractors", "d.npz"], ["--no-intervals"]),
        (["retrieve", "e.npz"], ["--at", "2"]),
        (["retrieve", "p.npz", "e.npz", "--precision", "trapezoid"], []),
    ],
    ids=["identify", "identify-gallery", "retrieve", "retrieve-gallery"],
)
def test_parts_of_searches_add_up_to_the_whole(
    home: Path, capsys: pytest.CaptureFixture[str], words: list[str], figures_asked: list[str]
) -> None:
    """Parts hold what was found; which rates are made of it is asked where they are added."""
    random = np.random.default_rng(1)
    whole = EmbeddingSet.load("e.npz")
    near = whole.select(np.arange(0, 300, 2))
    noisy = near.embeddings + random.normal(0, 0.3, near.embeddings.shape).astype(np.float32)
    twin = np.where(np.arange(150)[:, None] < 2, whole.embeddings[1:300:2], noisy)  # two stand under another name
    keys = tuple(f"q{row}.jpg" for row in range(150))
    EmbeddingSet(embeddings=twin.astype(np.float32), labels=near.labels, keys=keys).save("p.npz")
    EmbeddingSet(embeddings=random.standard_normal((90, 8)).astype(np.float32)).save("d.npz")
    assert main(["evaluate", *words, *figures_asked, "--json", "whole.json"]) == 0
    said = capsys.readouterr().out
    for number in range(3):
        assert main(["evaluate", *words, "--part", f"{number}/3", "--out", f"{number}.counts"]) == 0
    capsys.readouterr()
    files = ["2.counts", "0.counts", "1.counts"]
    assert main(["evaluate", words[0], "--add", *files, *figures_asked, "--json", "added.json"]) == 0
    assert capsys.readouterr().out == said
    assert figures("added.json") == figures("whole.json")
    assert main(["evaluate", words[0], "--add", *files[:2]]) == 2
    assert "1 of 3 parts is missing: 1/3" in capsys.readouterr().err
    other = "retrieve" if words[0] == "identify" else "identify"
    assert main(["evaluate", other, "--add", *files]) == 2
    assert f"holds a part of {words[0]}, not of {other}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["identify"], "PROBES is missing; angulus evaluate identify --help says what it is"),
        (["identify", "e.npz", "--part", "0/2", "--out", "x.counts", "--fpir", "0.1"], "nothing for --fpir; name it"),
        (["identify", "e.npz", "--add", "x.counts"], "from the files of the parts; leave probes out"),
        (["retrieve"], "QUERIES is missing; angulus evaluate retrieve --help says what it is"),
        (["retrieve", "e.npz", "--part", "0/2", "--out", "x.counts", "--rerank"], "leave --rerank out"),
        (["retrieve", "model", "faces", "--part", "0/2", "--out", "x.counts"], "embed the images first: angulus embed"),
        (["retrieve", "--add", "x.counts", "--rule", "plain"], "from the files of the parts; leave --rule out"),
        (["blufr", "e.npz", "--part", "0/2"], "Unknown option: --part"),
    ],
    ids=["no-probes", "rates", "set", "no-queries", "rerank", "images", "rule", "blufr"],
)
def test_searches_refuse_words_that_do_not_go_together(
    home: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert main(["evaluate", *words]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert sorted(path.name for path in home.iterdir()) == ["e.npz"]


def test_finds_that_do_not_line_up_are_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("identify", "retrieve"):
        for number in range(2):
            assert main(["evaluate", name, "e.npz", "--part", f"{number}/2", "--out", f"{number}.counts"]) == 0
        stored = read_part(Path("1.counts"))
        first = next(key for key in stored.arrays if key != "labels")
        write_part(Path("x.counts"), stored.header, {**stored.arrays, first: stored.arrays[first][1:]})
        assert main(["evaluate", name, "--add", "0.counts", "x.counts"]) == 2
        assert "of unlike numbers of" in capsys.readouterr().err
        twice = {key: np.concatenate([found, found]) for key, found in stored.arrays.items()}
        write_part(Path("x.counts"), stored.header, twice)
        assert main(["evaluate", name, "--add", "0.counts", "x.counts"]) == 2
        assert "count them again" in capsys.readouterr().err
