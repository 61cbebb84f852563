"""What a list or a link names elsewhere on the machine is announced, and copied only if it is an image."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from angulus.data import convert, open_source
from angulus.data.formats.file_places import FETCHED, is_elsewhere, outside
from angulus.errors import DataError


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder `set` with an image, and beside it an image and a secret."""
    (tmp_path / "set" / "Ada").mkdir(parents=True)
    for place in ("set/Ada/a.png", "other.png"):
        Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(tmp_path / place)
    (tmp_path / "secret.txt").write_text("password\n")
    return tmp_path


def listing(machine: Path, *files: str) -> Path:
    path = machine / "set" / "list.csv"
    path.write_text("path,identity\n" + "".join(f"{file},Ada\n" for file in files))
    return path


def test_what_lies_outside(machine: Path) -> None:
    inside = ["Ada/a.png", "Ada/../Ada/a.png", str(machine / "set" / "Ada" / "a.png"), "Ada/..a.png"]
    assert outside(machine / "set", inside) == []
    assert outside(machine / "set", ["../other.png", "/etc/passwd"]) == ["../other.png", "/etc/passwd"]
    os.symlink(machine / "secret.txt", machine / "set" / "Ada" / "b.png")
    os.symlink(machine / "set" / "Ada" / "a.png", machine / "set" / "Ada" / "c.png")
    os.symlink(machine, machine / "set" / "Eve")
    assert is_elsewhere(machine / "set", "Ada/b.png")
    assert is_elsewhere(machine / "set", "Eve/other.png")
    assert not is_elsewhere(machine / "set", "Ada/c.png")


def test_files_elsewhere_are_announced(machine: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="angulus"):
        source = open_source(listing(machine, "Ada/a.png", "../other.png"))
    assert "names 1 of 2 files outside its folder, such as ../other.png" in caplog.text
    assert source.read(1).shape == (8, 8, 3)
    convert(source, machine / "out")
    assert len(open_source(machine / "out")) == 2


def test_no_word_where_all_lies_inside(machine: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="angulus"):
        open_source(listing(machine, "Ada/a.png"))
    assert caplog.text == ""


@pytest.mark.parametrize("file", ["../secret.txt", "/etc/passwd"])
def test_a_secret_is_not_copied(machine: Path, file: str) -> None:
    source = open_source(listing(machine, "Ada/a.png", file))
    with pytest.raises(DataError, match="is neither an image nor a recording of a known format"):
        convert(source, machine / "out.packed")
    assert not (machine / "out.packed").exists()


def test_a_link_to_a_secret_is_not_copied(machine: Path) -> None:
    os.symlink(machine / "secret.txt", machine / "set" / "Ada" / "b.png")
    with pytest.raises(DataError, match="is neither an image nor a recording of a known format"):
        convert(open_source(machine / "set"), machine / "out.packed")
    assert not (machine / "out.packed").exists()


def test_a_fetched_set_names_its_own_files_only(machine: Path) -> None:
    (machine / "set" / FETCHED).touch()
    with pytest.raises(DataError, match=r"list of a fetched set and must name files in its own folder"):
        open_source(listing(machine, "../other.png"))
    assert len(open_source(listing(machine, "Ada/a.png"))) == 1
