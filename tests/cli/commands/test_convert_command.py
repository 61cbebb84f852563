"""`angulus convert` to insightface's verification sets."""

import json

import numpy as np
import pytest
from small_sets import write_folder

from angulus.cli.application import main
from angulus.evaluation import read_bin


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "images", {"Ada": 3, "Bob": 2})


def write_pairs(path, folds="xyxy"):
    pairs = ["Ada/0000.png,Ada/0001.png,1", "Ada/0002.png,Bob/0001.png,0", "Bob/0000.png,Bob/0001.png,1"]
    pairs.append("Bob/0000.png,Ada/0002.png,0")
    path.write_text("a,b,same,fold\n" + "".join(f"{row},{fold}\n" for row, fold in zip(pairs, folds, strict=True)))
    return path


def test_a_bin_of_pairs_in_the_order_of_the_folds(folder, tmp_path, capsys):
    pairs = write_pairs(tmp_path / "pairs.csv")
    target, figures = tmp_path / "set.bin", tmp_path / "done.json"
    assert main(["convert", str(folder), str(target), "--pairs", str(pairs), "--json", str(figures)]) == 0
    found = read_bin(target, folds=2)
    names = ["Ada/0000", "Ada/0001", "Bob/0000", "Bob/0001", "Ada/0002", "Bob/0001", "Bob/0000", "Ada/0002"]
    assert list(found.images) == [(folder / f"{name}.png").read_bytes() for name in names]
    np.testing.assert_array_equal(found.pairs.same, [True, True, False, False])
    np.testing.assert_array_equal(found.pairs.fold, [0, 0, 1, 1])
    assert json.loads(figures.read_text())["pairs"] == 4
    assert main(["convert", str(folder), str(target), "--pairs", str(pairs)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_what_a_bin_needs(folder, tmp_path, capsys):
    pairs = write_pairs(tmp_path / "pairs.csv", folds="xyyy")
    for target, more in (("set.bin", []), ("set.packed", ["--pairs", str(pairs)])):
        assert main(["convert", str(folder), str(tmp_path / target), *more]) == 2
        assert "--pairs and a target NAME.bin belong together" in capsys.readouterr().err
    assert main(["convert", str(folder), str(tmp_path / "set.bin"), "--pairs", str(pairs)]) == 2
    assert "1, 3 pairs; use folds of one size" in capsys.readouterr().err
    assert not (tmp_path / "set.bin").exists()
