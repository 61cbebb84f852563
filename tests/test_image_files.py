"""An image of a stranger: known formats only, and no larger than its bytes can fill."""

import ast
import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

import angulus
from angulus.data import decode_image
from angulus.errors import DataError, FacesError
from angulus.faces.photos import read_photo
from angulus.image_files import FORMATS, ImageTooLargeError, known_formats, open_image

SOURCE = Path(angulus.__file__).parent
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n/x 1 def\nshowpage\n%%EOF\n"


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose head says so, with hardly any pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("name", ["JPEG", "PNG", "BMP", "WEBP", "PPM", "TIFF", "GIF", "JPEG2000"])
def test_the_formats_of_photos_are_read(name: str) -> None:
    file = BytesIO()
    Image.fromarray(np.full((9, 7, 3), 100, np.uint8)).save(file, name)
    with open_image(file.getvalue()) as image:
        assert (image.format, image.size) == (name, (7, 9))


@pytest.mark.parametrize("name", ["EPS", "PCX", "TGA", "SGI", "ICO", "DDS"])
def test_other_formats_are_not(tmp_path: Path, name: str) -> None:
    file = BytesIO()
    Image.fromarray(np.full((16, 16, 3), 100, np.uint8)).save(file, name)
    refused_everywhere(tmp_path / "a.jpg", file.getvalue(), "not an image of a known format")


def test_eps_under_another_name_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.Popen", lambda *arguments, **options: pytest.fail(f"started {arguments}"))
    refused_everywhere(tmp_path / "a.jpg", EPS, "not an image of a known format")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(60_000, 60_000), (12_000, 12_000), (2**31 - 1, 1)])
def test_more_pixels_than_the_bytes_fill(tmp_path: Path, size: tuple[int, int]) -> None:
    refused_everywhere(tmp_path / "a.png", png_of_size(*size), "pixels")


def refused_everywhere(path: Path, content: bytes, words: str) -> None:
    path.write_bytes(content)
    for given in (path, content):
        with pytest.raises((UnidentifiedImageError, ImageTooLargeError)):
            open_image(given)
    with pytest.raises(DataError, match=words):
        decode_image(content)
    with pytest.raises(DataError, match=words):
        decode_image(path)
    with pytest.raises(FacesError, match=words):
        read_photo(path)


def test_a_large_picture_of_one_colour_is_read() -> None:
    file = BytesIO()
    Image.new("1", (5000, 5000)).save(file, "PNG", optimize=True)
    with open_image(file.getvalue()) as image:
        assert image.size == (5000, 5000)


def test_what_is_known_is_what_pillow_has() -> None:
    assert set(known_formats()) <= set(FORMATS)
    assert {"JPEG", "PNG", "BMP", "PPM"} <= set(known_formats())


def test_every_image_is_opened_here() -> None:
    for path in sorted(SOURCE.rglob("*.py")):
        if path.name == "image_files.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "open":
                assert not (isinstance(node.func.value, ast.Name) and node.func.value.id == "Image"), path
