"""Copies found by several jobs: reports are those of one job, and parts of other images are refused."""

import json
import shutil
from pathlib import Path

import pytest
from faces_drawn import face
from PIL import Image

from angulus.cli import main


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A training and a test set of soft noise with photos that are in both, and twice in one."""
    for place, name in enumerate(("train", "test")):
        for person in range(5):
            for number in range(3):
                path = tmp_path / name / f"{name}{person}" / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(face(10 * place + person, number, side=96)).save(path)
    for number in range(3):
        photo = Image.open(tmp_path / "train" / f"train{number}" / "0.png")
        photo.save(tmp_path / "test" / f"test{number}" / "9.jpg", quality=85)
        photo.save(tmp_path / "train" / f"train{number}" / "9.jpg", quality=90)
    shutil.copy(tmp_path / "train" / "train4" / "1.png", tmp_path / "test" / "test3" / "8.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "result"),
    [(["data", "leaks", "train", "test"], "leaks.json"), (["data", "report", "train"], "report.json")],
    ids=["leaks", "report"],
)
def test_parts_find_what_one_search_finds(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], result: str
) -> None:
    from angulus.inspection import copies, nearest

    monkeypatch.setitem(nearest._BLOCKS, "cpu", 4)
    assert main([*words, "--quiet", "--out", "one"]) == 0
    for number in range(3):
        assert main([*words, "--quiet", "--part", f"{number}/3", "--out", f"{number}.counts"]) == 0
    files = ["2.counts", "0.counts", "1.counts"]
    with monkeypatch.context() as patched:
        patched.setattr(copies, "near_pairs", lambda *given, **options: pytest.fail("compared again"))
        assert main([*words, "--quiet", "--add", *files, "--out", "added"]) == 0
    one, added = (json.loads(Path(name, result).read_text()) for name in ("one", "added"))
    assert added == one
    assert "copy" in {copy["kind"] for copy in one["copies"]}
    capsys.readouterr()
    assert main([*words, "--add", *files[1:], "--out", "x"]) == 2
    assert "1 of 3 parts is missing: 2/3" in capsys.readouterr().err
    monkeypatch.setitem(nearest._BLOCKS, "cpu", 5)
    assert main([*words, "--quiet", "--part", "2/3", "--out", "2.counts"]) == 0
    assert main([*words, "--quiet", "--add", *files, "--out", "x"]) == 2
    assert "was counted with another block than" in capsys.readouterr().err
    monkeypatch.setitem(nearest._BLOCKS, "cpu", 4)
    assert main([*words, "--quiet", "--part", "2/3", "--out", "2.counts"]) == 0
    Path("train", "train0", "1.png").unlink()
    assert main([*words, "--quiet", "--add", *files, "--out", "x"]) == 2
    assert "is of other examples, or of embeddings of another model" in capsys.readouterr().err
