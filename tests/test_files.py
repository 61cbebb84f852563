"""A device, a pipe or a folder under a file's name is refused and never waited for."""

import os
from pathlib import Path

import pytest

from angulus.data import decode_image, open_source
from angulus.data.formats.byte_ranges import Blob
from angulus.errors import DataError, FacesError
from angulus.faces.photos import read_photo
from angulus.files import read_regular

SPECIAL = ["pipe", "zero", "folder", "missing"]


@pytest.fixture
def special(tmp_path: Path):
    def make(kind: str) -> Path:
        path = tmp_path / f"{kind}.jpg"
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "zero":
            path.symlink_to("/dev/zero")
        elif kind == "folder":
            path.mkdir()
        return path

    return make


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    for size in (0, 1, 2**16, 2**16 + 1, 300_000):
        content = os.urandom(size)
        (tmp_path / "file").write_bytes(content)
        assert read_regular(tmp_path / "file") == content
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_regular(str(tmp_path / "link")) == content


@pytest.mark.parametrize("kind", SPECIAL)
def test_what_is_no_file_is_refused(special, kind: str) -> None:
    path = special(kind)
    with pytest.raises(OSError, match=r"regular file|directory"):
        read_regular(path)
    with pytest.raises(DataError, match=r"cannot read .*(regular file|directory)"):
        decode_image(path)
    with pytest.raises(FacesError, match=r"cannot read .*(regular file|directory)"):
        read_photo(path)
    with pytest.raises(DataError, match=r"regular file|directory|folder"):
        Blob.find(path)


@pytest.mark.parametrize("kind", ["pipe", "zero"])
def test_a_set_that_lists_it(special, tmp_path: Path, kind: str) -> None:
    special(kind)
    (tmp_path / "list.csv").write_text(f"path,identity\n{kind}.jpg,Ada\n")
    with pytest.raises(DataError, match="regular file"):
        open_source(tmp_path / "list.csv").read(0)
