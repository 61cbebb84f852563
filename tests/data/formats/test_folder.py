import json

import numpy as np
import pytest
from PIL import Image
from real_data import SHARED, needs_shared
from small_sets import array_source, picture, write_folder

from angulus.data import FolderSource, account_of, decode_image, fingerprint, fit_image, read_images
from angulus.errors import DataError
from angulus.faces.journal import GONE_LIST, IGNORED, MANIFEST, UNREADABLE, WITHOUT_FACE


@pytest.fixture
def people(tmp_path):
    return write_folder(tmp_path / "people", {"Ada": 3, "Bob": 1, "Cyd": 2})


def test_what_align_writes_beside_the_people_is_not_told_as_ignored(people):
    for name in (MANIFEST, WITHOUT_FACE, UNREADABLE, IGNORED, GONE_LIST):
        (people / name).write_text("x")
    assert len(FolderSource.open(people).account.lines()) == 1
    (people / "Ada" / MANIFEST).write_text("x")
    assert FolderSource.open(people).account.lines()[1].endswith("1 .csv (Ada/manifest.csv)")


def test_labels_follow_the_sorted_names(people):
    source = FolderSource.open(people)
    assert source.identities == ["Ada", "Bob", "Cyd"]
    assert source.labels.tolist() == [0, 0, 0, 1, 2, 2]
    assert source.labels.dtype == np.int64
    assert source.keys[3] == "Bob/0000.png"
    assert np.array_equal(source.read(4), picture((2, 0)))


def test_identities_with_too_few_images_are_accounted_for(people):
    account = FolderSource.open(people, min_images=2).account
    assert (account.images, account.identities) == (5, 2)
    assert account.lines()[1] == "  dropped 1 image of 1 identity: fewer than 2 images (Bob)"
    assert json.loads(json.dumps(account.as_dict()))["drops"][0]["examples"] == ["Bob"]


def test_excluded_included_and_stray_files_are_accounted_for(people):
    (people / "notes.txt").write_text("x")
    (people / "loose.JPG").write_bytes(b"x")
    (people / ".hidden").write_text("x")
    (people / "Ada" / "deeper").mkdir()
    (people / "Ada" / "deeper" / "IMG_1.HEIC").write_bytes(b"x")
    source = FolderSource.open(people, exclude=["Bob"])
    assert source.identities == ["Ada", "Cyd"]
    text = "\n".join(source.account.lines())
    for part in (
        "notes.txt",
        "loose.JPG",
        "Ada/deeper/IMG_1.HEIC",
        "1 .heic, 1 .txt; angulus align",
        "excluded by name (Bob)",
    ):
        assert part in text
    assert "hidden" not in text
    assert FolderSource.open(people, include=["Cyd"]).identities == ["Cyd"]
    with pytest.raises(DataError, match=r"no identity Adda.*did you mean Ada"):
        FolderSource.open(people, include=["Adda"])


def test_extensions_ignore_case(tmp_path):
    (tmp_path / "Ada").mkdir()
    Image.fromarray(picture(0)).save(tmp_path / "Ada" / "A.PNG")
    Image.fromarray(picture(0)).convert("L").save(tmp_path / "Ada" / "b.Pgm")
    assert len(FolderSource.open(tmp_path)) == 2


def test_layouts_that_are_not_one_folder_per_identity(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        FolderSource.open(tmp_path / "absent")
    with pytest.raises(DataError, match="is empty"):
        FolderSource.open(tmp_path)
    Image.fromarray(picture(0)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="is a file"):
        FolderSource.open(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"holds 1 image .*path/<identity>/<image>"):
        FolderSource.open(tmp_path)
    write_folder(tmp_path / "sets" / "train", {"Ada": 1})
    with pytest.raises(DataError, match=r"did you mean data.path=.*train"):
        FolderSource.open(tmp_path / "sets")


def test_folders_inside_the_folder_of_an_identity_are_entered(people):
    write_folder(people / "Ada", {"2019": 2, "2020": 1})
    (people / "Ada" / "2019" / "again").symlink_to(people / "Ada" / "2019")
    (people / "Ada" / ".thumbs").mkdir()
    (people / "Ada" / ".thumbs" / "0000.png").write_bytes(b"x")
    source = FolderSource.open(people)
    assert source.keys[:6] == [
        f"Ada/{name}.png" for name in ("0000", "0001", "0002", "2019/0000", "2019/0001", "2020/0000")
    ]
    assert source.labels.tolist() == [0] * 6 + [1] + [2] * 2
    assert source.read(4).shape == (12, 10, 3)


def test_people_who_only_have_folders_are_people(tmp_path):
    for name in ("Ada", "Bob"):
        write_folder(tmp_path / name, {"2019": 2, "2020": 1})
    assert FolderSource.open(tmp_path).identities == ["Ada", "Bob"]


@pytest.mark.parametrize("parts", [("train", "val"), ("dataset",), ("Training", "TEST", "valid")])
def test_people_one_folder_deeper_are_pointed_at(tmp_path, parts):
    for part in parts:
        write_folder(tmp_path / part, {"Ada": 2, "Bob": 1})
    with pytest.raises(DataError, match=rf"one folder deeper, in .*{max(parts)} .Ada, Bob.: did you mean data.path="):
        FolderSource.open(tmp_path)


def test_photos_that_cannot_be_read_are_counted_by_their_endings(tmp_path):
    (tmp_path / "Ada").mkdir()
    for name in ("a.heic", "b.HEIC", "c.gif", "README"):
        (tmp_path / "Ada" / name).write_bytes(b"x")
    with pytest.raises(DataError, match=r"none of the 1 folders .*only 2 .heic, 1 .gif, 1 without an ending"):
        FolderSource.open(tmp_path)


def test_an_identity_without_images_is_named_or_skipped(people):
    (people / "Dan").mkdir()
    with pytest.raises(DataError, match=r"without an image: Dan.*data.on_empty=skip"):
        FolderSource.open(people)
    source = FolderSource.open(people, on_empty="skip")
    assert source.identities == ["Ada", "Bob", "Cyd"]
    assert "Dan" in source.account.lines()[1]
    with pytest.raises(DataError, match="none of the 1 folders"):
        FolderSource.open(_only_empty(people.parent / "other"))


def _only_empty(root):
    (root / "Ada").mkdir(parents=True)
    return root


@pytest.fixture
def damaged(people):
    """A truncated JPEG, an empty file and a text with the name of an image; Bob has nothing else."""
    whole = people / "whole.jpg"
    Image.fromarray(picture(0, 64, 64)).save(whole, quality=95)
    content = whole.read_bytes()
    whole.unlink()
    (people / "Ada" / "cut.jpg").write_bytes(content[: len(content) // 2])
    (people / "Bob" / "0000.png").write_bytes(b"")
    (people / "Cyd" / "text.jpg").write_text("not an image")
    return people


def test_a_damaged_image_is_an_error_that_names_it(damaged):
    source = FolderSource.open(damaged)
    bad = dict(source.verify())
    assert list(bad) == ["Ada/cut.jpg", "Bob/0000.png", "Cyd/text.jpg"]
    assert "truncated" in bad["Ada/cut.jpg"]
    assert "is empty" in bad["Bob/0000.png"]
    assert "not an image" in bad["Cyd/text.jpg"]
    with pytest.raises(DataError, match=r"cannot read .*Ada/cut.jpg: image file is truncated"):
        source.read(source.keys.index("Ada/cut.jpg"))


def test_damaged_images_are_skipped_and_listed(damaged):
    source = FolderSource.open(damaged, on_unreadable="skip")
    assert source.identities == ["Ada", "Cyd"]
    assert len(source) == 5
    assert source.verify() == []
    lines = source.account.lines()
    assert "dropped 3 images: unreadable (Ada/cut.jpg, Bob/0000.png, Cyd/text.jpg)" in lines[1]
    assert "dropped 1 identity: no readable image left (Bob)" in lines[2]


def test_nothing_left_says_why(people):
    with pytest.raises(DataError, match=r"nothing is left.*min_images=9\n.*\n.*fewer than 9 images"):
        FolderSource.open(people, min_images=9)


@pytest.mark.parametrize("setting", [{"min_images": 0}, {"size": (0, 4)}])
def test_settings_out_of_range(people, setting):
    with pytest.raises(DataError, match=r"at least 1.*got"):
        FolderSource.open(people, **setting)


def test_images_are_fitted_to_the_size(people):
    assert FolderSource.open(people, size=(12, 10)).read(0).shape == (12, 10, 3)
    assert FolderSource.open(people, size=(7, 5)).read(0).shape == (7, 5, 3)
    with pytest.raises(DataError, match=r"Ada/0000.png is 12x10 .* takes 7x5"):
        FolderSource.open(people, size=(7, 5), fit="error").read(0)
    with pytest.raises(DataError, match="too small to crop"):
        FolderSource.open(people, size=(20, 5), fit="crop").read(0)


def test_crop_of_an_aligned_face_takes_columns_8_to_103():
    image = picture(0, 112, 112)
    assert np.array_equal(fit_image(image, (112, 96), "crop"), image[:, 8:104])


def test_a_batch_of_two_sizes_names_both():
    source = array_source([2])
    object.__setattr__(source, "read", lambda index: picture(index, 12 + index, 10))
    with pytest.raises(DataError, match=r"person000/0 is 12x10 and person000/1 is 13x10.*size=\(112, 112\)"):
        read_images(source, np.arange(2))


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "RGBA", "LA"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    Image.fromarray(picture(0)).convert(mode).save(path)
    decoded = decode_image(path)
    assert decoded.shape == (12, 10, 3)
    assert decoded.dtype == np.uint8
    if mode in ("L", "1", "LA"):
        assert (decoded == decoded[:, :, :1]).all()


def test_transparent_pixels_are_laid_over_black(tmp_path):
    pixels = np.full((2, 2, 4), 200, dtype=np.uint8)
    pixels[0, 0, 3], pixels[1, 1, 3] = 0, 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    decoded = decode_image(tmp_path / "a.png")
    assert decoded[0, 0].tolist() == [0, 0, 0]
    assert decoded[1, 1].tolist() == [200, 200, 200]


def test_sixteen_bits_become_eight(tmp_path):
    values = np.array([[0, 257, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert decode_image(tmp_path / "a.png")[0, :, 0].tolist() == [0, 1, 255]
    (tmp_path / "b.pgm").write_bytes(b"P5 3 1 65535\n" + values.astype(">u2").tobytes())
    assert decode_image(tmp_path / "b.pgm")[0, :, 0].tolist() == [0, 1, 255]


def test_exif_orientation_is_applied(tmp_path):
    image = Image.fromarray(picture(0, 16, 8))
    exif = image.getexif()
    exif[0x0112] = 6  # rotated by a quarter turn
    image.save(tmp_path / "a.jpg", exif=exif)
    assert decode_image(tmp_path / "a.jpg").shape == (8, 16, 3)


def test_fingerprint_changes_with_content_and_fit_but_not_with_the_place(people, tmp_path):
    first = fingerprint(FolderSource.open(people))
    twin = write_folder(tmp_path / "twin", {"Ada": 3, "Bob": 1, "Cyd": 2})
    assert fingerprint(FolderSource.open(twin)) == first
    assert fingerprint(FolderSource.open(people, size=(8, 8))) != first
    assert fingerprint(FolderSource.open(people, exclude=["Bob"])) != first
    assert fingerprint(FolderSource.open(twin), times=True) != fingerprint(FolderSource.open(people), times=True)
    (twin / "Bob" / "0000.png").write_bytes(b"x")
    assert fingerprint(FolderSource.open(twin)) != first


def test_a_source_without_an_account_is_counted():
    assert account_of(array_source([2, 1])).lines() == ["ArraySource: 3 images of 2 identities"]


@needs_shared
def test_whole_of_lfw():
    source = FolderSource.open(SHARED / "lfw112", size=(112, 96), fit="crop")
    assert (len(source), len(source.identities)) == (13233, 5749)
    assert source.read(0).shape == (112, 96, 3)
    several = FolderSource.open(SHARED / "lfw112", min_images=2)
    assert (len(several), len(several.identities)) == (9164, 1680)


@needs_shared
def test_orl_faces_are_grey_and_readable():
    source = FolderSource.open(SHARED / "orl")
    assert (len(source), len(source.identities)) == (400, 40)
    assert source.read(0).shape == (112, 92, 3)
    assert "README" in source.account.lines()[1]
