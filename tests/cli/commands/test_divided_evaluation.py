"""`--part` and `--add`: what one command counts, several count together, and words that do not go together."""

import json
from pathlib import Path

import numpy as np
import pytest

from angulus.cli import main
from angulus.embeddings import EmbeddingSet


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
        (["model", "--part", "0/2", "--out", "x.counts"], "--part divides all pairs of stored embeddings"),
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
