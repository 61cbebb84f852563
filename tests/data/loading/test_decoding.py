"""simplejpeg and Pillow give the same pixels or the same error, whatever the file."""

import struct
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageOps
from real_data import SHARED, needs_shared
from small_sets import picture

from angulus.data import decode_image, decoder
from angulus.data.loading import decoding
from angulus.errors import DataError

pytest.importorskip("simplejpeg")


def jpeg(pixels, **options):
    file = BytesIO()
    Image.fromarray(pixels).save(file, "jpeg", **options)
    return file.getvalue()


def smooth(seed, height, width):
    """Noise of low frequency: nearer to a photo than noise alone."""
    small = picture(seed, max(1, height // 4), max(1, width // 4))
    return np.array(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def by_pillow(content):
    with Image.open(BytesIO(content)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def outcome(content, monkeypatch, *, fast):
    """The pixels, or the sentence of the error."""
    with monkeypatch.context() as patch:
        if not fast:
            patch.setattr(decoding, "_simplejpeg", lambda: None)
        try:
            return decode_image(content, name="it")
        except DataError as error:
            return str(error)


def is_fast(content):
    return decoding._decode_plain(content, None) is not None


def test_the_decoder_in_use_is_named(monkeypatch):
    assert decoder().startswith("simplejpeg 1.")
    monkeypatch.setattr(decoding, "_simplejpeg", lambda: None)
    assert decoder().startswith("pillow 1")


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (8, 8), (15, 17), (16, 16), (31, 2), (57, 33), (112, 112), (113, 96)])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0", "4:1:1", "4:4:0"])
def test_pixels_are_pillows_for_every_subsampling_size_and_quality(size, subsampling):
    for number, quality in enumerate((5, 50, 90, 95, 100)):
        for pixels in (picture(number, *size), smooth(number, *size)):
            options = {"quality": quality, "subsampling": subsampling, "optimize": number % 2 == 0}
            if subsampling in ("4:1:1", "4:4:0"):
                options["subsampling"] = 2
            content = jpeg(pixels, progressive=number % 3 == 0, **options)
            if subsampling in ("4:1:1", "4:4:0"):
                content = resampled(content, subsampling)
            decoded = decode_image(content)
            assert np.array_equal(decoded, by_pillow(content))
            assert decoded.dtype == np.uint8
            assert decoded.flags.writeable
            assert subsampling in ("4:1:1", "4:4:0") or is_fast(content)


def resampled(content, subsampling):
    """The same data said to be of another subsampling: what comes out is noise, or a warning and Pillow's word."""
    frame = next(place for place in (content.find(b"\xff\xc0"), content.find(b"\xff\xc2")) if place > 0)
    factors = {"4:1:1": 0x41, "4:4:0": 0x12}[subsampling]
    return content[: frame + 11] + bytes([factors]) + content[frame + 12 :]


@pytest.mark.parametrize("size", [(1, 1), (9, 14), (40, 33)])
def test_grey_rgb_and_commented_files_are_decoded_alike(size):
    pixels = smooth(3, *size)
    for content in (
        jpeg(pixels[:, :, 0]),
        jpeg(pixels[:, :, 1], progressive=True),
        jpeg(pixels, keep_rgb=True),
        jpeg(pixels, comment=b"\xff\xda within a comment"),
        jpeg(pixels, icc_profile=b"a profile"),
        jpeg(pixels, restart_marker_blocks=1),
        jpeg(pixels, dpi=(300, 300)),
    ):
        assert np.array_equal(decode_image(content), by_pillow(content))
    assert is_fast(jpeg(pixels, icc_profile=b"a profile"))
    assert is_fast(jpeg(pixels[:, :, 0]))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_images_are_turned_as_their_exif_says(orientation, byte_order):
    head = (b"II*\0" if byte_order == "<" else b"MM\0*") + struct.pack(byte_order + "I", 8)
    exif = head + struct.pack(byte_order + "HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    content = jpeg(smooth(1, 24, 16), exif=b"Exif\0\0" + exif)
    decoded = decode_image(content)
    assert np.array_equal(decoded, by_pillow(content))
    assert decoded.shape == ((24, 16, 3) if orientation < 5 else (16, 24, 3))


def test_other_kinds_go_to_pillow(monkeypatch):
    pixels = smooth(5, 20, 12)
    files = []
    for mode, kind in (("CMYK", "jpeg"), ("RGB", "png"), ("RGB", "bmp"), ("RGB", "webp"), ("P", "gif")):
        file = BytesIO()
        Image.fromarray(pixels).convert(mode).save(file, kind)
        files.append(file.getvalue())
    files.append(jpeg(pixels, xmp=b'<x tiff:Orientation="6"/>'))
    for content in files:
        assert not is_fast(content)
        slow = outcome(content, monkeypatch, fast=False)
        assert np.array_equal(outcome(content, monkeypatch, fast=True), slow)
    assert decode_image(files[-1]).shape == (12, 20, 3)


def test_pixels_are_written_where_asked_if_they_fit():
    pixels = smooth(2, 18, 10)
    content = jpeg(pixels)
    batch = np.zeros((3, 18, 10, 3), dtype=np.uint8)
    given = decode_image(content, out=batch[1])
    assert np.shares_memory(given, batch)
    assert np.array_equal(batch[1], by_pillow(content))
    assert not batch[0].any()
    assert not batch[2].any()
    for other in (np.zeros((10, 18, 3), dtype=np.uint8), np.zeros((20, 20, 3), dtype=np.uint8)):
        given = decode_image(content, out=other)
        assert not np.shares_memory(given, other)
        assert not other.any()
        assert np.array_equal(given, by_pillow(content))


def test_another_libjpeg_is_noticed_and_not_used(monkeypatch, caplog):
    import simplejpeg

    monkeypatch.setattr(simplejpeg, "decode_jpeg", lambda data: np.zeros((37, 43, 3), dtype=np.uint8))
    assert decoding._simplejpeg.__wrapped__() is None
    assert "different pixels" in caplog.text


def test_damaged_files_give_the_pixels_or_the_sentence_that_pillow_gives(monkeypatch):
    random = np.random.default_rng(7)
    plain = [jpeg(smooth(seed, 33, 47), subsampling=seed % 3, progressive=seed % 2 == 0) for seed in range(6)]
    seen = {"pixels": 0, "sentence": 0, "fast": 0}
    for _ in range(600):
        content = damaged(plain[random.integers(len(plain))], random)
        fast = outcome(content, monkeypatch, fast=True)
        slow = outcome(content, monkeypatch, fast=False)
        assert type(fast) is type(slow)
        assert fast == slow if isinstance(fast, str) else np.array_equal(fast, slow)
        seen["sentence" if isinstance(fast, str) else "pixels"] += 1
        seen["fast"] += is_fast(content)
    assert min(seen.values()) > 50


def damaged(content, random):
    """Cut off, with bytes changed anywhere or in the head, or with bytes put in or taken out."""
    changed = bytearray(content)
    place = int(random.integers(len(content)))
    head = content.find(b"\xff\xda") + 14
    match random.integers(5):
        case 0:
            return content[:place]
        case 1:
            changed[place] = random.integers(256)
        case 2:
            changed[random.integers(head)] = random.integers(256)
        case 3:
            changed[place:place] = random.bytes(int(random.integers(1, 20)))
        case _:
            del changed[place : place + int(random.integers(1, 20))]
    return bytes(changed)


def test_threads_decode_at_once():
    contents = [jpeg(smooth(seed, 30 + seed % 5, 40), subsampling=seed % 3) for seed in range(60)]
    expected = [by_pillow(content) for content in contents]
    with ThreadPoolExecutor(4) as pool:
        for one, other in zip(pool.map(decode_image, contents * 3), expected * 3, strict=True):
            assert np.array_equal(one, other)


@needs_shared
def test_real_crops_are_decoded_alike():
    files = sorted((SHARED / "lfw112").glob("*/*.jpg"))[::40]
    assert len(files) > 300
    for file in files:
        content = file.read_bytes()
        assert is_fast(content)
        assert np.array_equal(decode_image(content), by_pillow(content))
