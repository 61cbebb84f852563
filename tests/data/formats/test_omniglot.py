import zipfile
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from real_data import SHARED, needs_shared

from angulus.data import OmniglotSource
from angulus.errors import DataError


def drawing(seed):
    """PNG bytes with one bit a pixel, 105 x 105, a dark stroke on white."""
    pixels = np.full((105, 105), 255, dtype=np.uint8)
    pixels[10 + seed : 20 + seed, 20:80] = 0
    buffer = BytesIO()
    Image.fromarray(pixels).convert("1").save(buffer, "PNG")
    return buffer.getvalue()


def archive(path, drawings):
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr(f"{path.stem}/readme.txt", "strokes")
        for name, content in drawings.items():
            opened.writestr(f"{path.stem}/{name}", content)
    return path


@pytest.fixture
def two_archives(tmp_path):
    archive(tmp_path / "small1.zip", {f"Greek/character01/1_{i}.png": drawing(i) for i in range(3)})
    archive(
        tmp_path / "small2.zip",
        {"Greek/character01/1_0.png": drawing(0), "Latin/character02/7_1.png": drawing(1)},
    )
    return tmp_path


def test_overlapping_archives_are_merged_by_name(two_archives):
    source = OmniglotSource.open(two_archives)
    assert source.identities == ["Greek/character01", "Latin/character02"]
    assert source.labels.tolist() == [0, 0, 0, 1]
    assert source.keys[0] == "Greek/character01/1_0.png"
    assert "ignored 1 entry: the same drawing in two archives" in source.account.lines()[1]


def test_ink_and_size(two_archives):
    plain = OmniglotSource.open(two_archives / "small1.zip").read(0)
    assert plain.shape == (105, 105, 3)
    assert plain[15, 50].tolist() == [0, 0, 0]
    assert plain[90, 50].tolist() == [255, 255, 255]
    inverted = OmniglotSource.open([two_archives / "small1.zip"], size=(28, 32), invert=True).read(0)
    assert inverted.shape == (28, 32, 3)
    assert inverted[4, 15, 0] > 240
    assert inverted[24, 15, 0] == 0


def test_archives_that_disagree_or_are_damaged(two_archives):
    with pytest.raises(DataError, match="does not exist"):
        OmniglotSource.open(two_archives / "absent.zip")
    archive(two_archives / "small3.zip", {"Greek/character01/1_0.png": drawing(9)})
    with pytest.raises(DataError, match=r"small3.zip has another drawing under Greek/character01/1_0.png"):
        OmniglotSource.open(two_archives)
    (two_archives / "small3.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"cannot read .*small3.zip"):
        OmniglotSource.open(two_archives)


def test_folders_without_drawings(tmp_path):
    with pytest.raises(DataError, match="no zip file"):
        OmniglotSource.open(tmp_path)
    with pytest.raises(DataError, match="no drawing"):
        OmniglotSource.open(archive(tmp_path / "a.zip", {}))


@needs_shared
def test_the_two_small_sets():
    source = OmniglotSource.open(SHARED / "omniglot_small", size=(32, 32), invert=True)
    assert (len(source), len(source.identities)) == (4840, 242)
    assert (np.bincount(source.labels) == 20).all()
    image = source.read(100)
    assert image.shape == (32, 32, 3)
    assert image.mean() < 64  # mostly paper, which is black now
