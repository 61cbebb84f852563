"""A bundle is whole or not there, and what a killed export left is cleared away."""

import os
import subprocess
import sys

import pytest

from angulus.errors import BundleError
from angulus.export.bundle_files import check_free, moved, staged


def test_what_is_staged_goes_in_one_step(tmp_path):
    out = tmp_path / "deep" / "b"
    with staged(out) as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_text("whole")
        assert not out.exists()
        moved(folder, out)
    assert (out / "inner" / "file").read_text() == "whole"
    assert [path.name for path in out.parent.iterdir()] == ["b"]


def test_an_error_leaves_nothing(tmp_path):
    def half() -> None:
        with staged(tmp_path / "b") as folder:
            (folder / "file").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_export_left_is_cleared_away(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left, living = tmp_path / f".b.{gone.pid}.partial", tmp_path / f".b.{os.getppid()}.partial"
    for folder in (left, living):
        folder.mkdir()
        (folder / "model.onnx").write_text("half")
    with staged(tmp_path / "b"):
        assert not left.exists()
    assert living.exists()


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_lies_there_is_not_written_over(tmp_path, kind):
    out = tmp_path / "b"
    if kind == "file":
        out.write_text("mine")
    elif kind == "folder":
        (out / "inner").mkdir(parents=True)
    else:
        out.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="exists already"):
        check_free(out)


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match="could not be written"), staged(tmp_path / "file" / "b"):
        pass
