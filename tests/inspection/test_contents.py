"""What is seen in an image: size, format, blur, hashes; and an unreadable one does not end the pass."""

import io

import numpy as np
import pytest
from faces_drawn import face
from PIL import Image, ImageFilter
from reference import inspection as oracle

from angulus.data import FolderSource
from angulus.errors import DataError
from angulus.inspection.contents import scan, typical_spectrum
from angulus.inspection.hashing import distances, mirrored, signs, spectrum
from angulus.inspection.looks.photos import blur_of


def test_the_spectrum_is_a_cosine_transform():
    grey = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8))
    np.testing.assert_allclose(spectrum(grey), oracle.spectrum(np.asarray(grey)), rtol=1e-4, atol=0.2)


def test_the_hash_of_a_mirror_image_costs_no_second_picture():
    grey = Image.fromarray(face(1)).convert("L")
    turned = spectrum(grey.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    np.testing.assert_allclose(
        mirrored(spectrum(grey)[None])[0], turned, atol=40.0
    )  # of some 10,000; grey values are rounded


def test_hashes_survive_changes_and_tell_pictures_apart():
    pictures = [Image.fromarray(face(person, 1, side=96)).convert("L") for person in range(60)]
    spectra = np.stack([spectrum(picture) for picture in pictures])
    typical = np.median(spectra, axis=0)
    hashes = signs(spectra, typical)
    buffer = io.BytesIO()
    pictures[7].save(buffer, "JPEG", quality=40)
    changed = {
        "jpeg": Image.open(buffer),
        "half": pictures[7].resize((48, 48), Image.Resampling.BICUBIC),
        "darker": pictures[7].point(lambda value: 0.8 * value),
    }
    for name, picture in changed.items():
        found = distances(np.repeat(signs(spectrum(picture)[None], typical), 60, axis=0), hashes)
        assert found[7] <= 40, name
        assert np.delete(found, 7).min() > 60, name


def test_blur_is_that_of_a_loop_and_grows_with_blurring():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 20), dtype=np.uint8))
    grey = np.asarray(picture, dtype=np.float32)
    assert blur_of(grey) == pytest.approx(oracle.blur(grey), rel=1e-3)
    soft = np.asarray(picture.filter(ImageFilter.GaussianBlur(3)), dtype=np.float32)
    assert blur_of(soft) > blur_of(grey) + 0.2
    assert blur_of(np.full((10, 10), 7, np.float32)) == 1.0


def write(path, picture, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, **options)


def test_a_scan_goes_on_past_what_cannot_be_read(tmp_path):
    write(tmp_path / "Ada" / "1.png", face(0))
    write(tmp_path / "Ada" / "2.jpg", face(0), quality=90)
    write(tmp_path / "Bob" / "1.png", np.zeros((10, 30), np.uint8))
    (tmp_path / "Bob" / "2.png").write_bytes(b"no image")
    source = FolderSource.open(tmp_path)
    done = []
    typical = typical_spectrum(source)
    contents = scan(source, typical, threads=2, progress=lambda *counts: done.append(counts))
    assert contents.readable.tolist() == [True, True, True, False]
    ((row, problem),) = contents.problems
    assert (row, "Bob/2.png" in problem) == (3, True)
    assert [contents.formats[number] for number in contents.rows["format"][:3]] == ["PNG RGB", "JPEG RGB", "PNG L"]
    assert contents.rows["height"].tolist()[:3] == [48, 48, 10]
    assert contents.rows["brightness"][2] == 0
    assert contents.rows["bytes"][0] == (tmp_path / "Ada" / "1.png").stat().st_size
    assert done == [(4, 4)]
    assert (contents.rows == scan(source, typical, threads=1).rows).all()


def test_a_set_of_which_nothing_can_be_read(tmp_path):
    (tmp_path / "Ada").mkdir()
    (tmp_path / "Ada" / "1.png").write_bytes(b"")
    with pytest.raises(DataError, match="not one image could be read"):
        typical_spectrum(FolderSource.open(tmp_path))
