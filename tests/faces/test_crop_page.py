"""What a person sees of an alignment: every file is accounted for, HEIC and GIF too, and a page shows the crops."""

import csv
import re
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

import angulus.image_files as image_files
from angulus.cli import main
from angulus.errors import FacesError
from angulus.faces import ARCFACE
from angulus.faces import crop_page as page_module
from angulus.faces.photos import kinds_of, list_files, list_photos, read_photo
from angulus.faces.templates import LANDMARKS

COLUMNS = [f"{name}_{axis}" for name in LANDMARKS for axis in "xy"]
NAMES = ("Ada & Bo/1 #.jpg", "Ada & Bo/2.gif", "Cy/3.heic")


def save_heic(path, colour=(200, 30, 60)):
    pytest.importorskip("pillow_heif").register_heif_opener()
    Image.new("RGB", (200, 180), colour).save(path, "HEIF", quality=90)


@pytest.fixture
def photos(tmp_path):
    """A JPEG, an animated GIF and a HEIC with landmarks, a photo without, a film and a list."""
    folder = tmp_path / "photos"
    for person in ("Ada & Bo", "Cy"):
        (folder / person).mkdir(parents=True)
    Image.new("RGB", (200, 180), (20, 60, 90)).save(folder / NAMES[0])
    frames = [Image.new("RGB", (200, 180), colour) for colour in ((250, 0, 0), (0, 250, 0))]
    frames[0].save(folder / NAMES[1], save_all=True, append_images=frames[1:])
    save_heic(folder / NAMES[2])
    Image.new("RGB", (50, 40)).save(folder / "Cy" / "nobody.png")
    (folder / "Cy" / "film.mov").write_bytes(b"film")
    (folder / "list").write_text("a list")
    (folder / ".DS_Store").write_bytes(b"hidden")
    (folder / "Thumbs.db").write_bytes(b"hidden")
    listed = tmp_path / "landmarks.csv"
    with listed.open("w", newline="") as file:
        csv.writer(file).writerows([["source", *COLUMNS], *([name, *(ARCFACE.array() + 30).ravel()] for name in NAMES)])
    return folder, listed


def align(photos, out, capsys, *more):
    folder, listed = photos
    words = ["align", str(folder), str(out), "--detector", "landmarks", "--file", str(listed), "--quiet", *more]
    assert main(words) == 0
    return capsys.readouterr().out


def test_files_that_are_no_photos_are_counted_and_listed(photos, tmp_path, capsys):
    out = tmp_path / "crops"
    said = align(photos, out, capsys)
    assert "4 photos, 3 crops" in said
    assert f"ignored, no photos by their names: 1 .mov, 1 without ending, listed in {out / 'ignored.txt'}" in said
    assert (out / "ignored.txt").read_text().splitlines() == ["Cy/film.mov", "list"]
    (photos[0] / "list").unlink()
    (photos[0] / "Cy" / "film.mov").unlink()
    assert "ignored" not in align(photos, out, capsys)
    assert (out / "ignored.txt").read_text() == ""


def test_of_an_animation_the_first_frame_is_taken(photos):
    assert read_photo(photos[0] / NAMES[1])[90, 100].tolist() == [250, 0, 0]


def test_heic_is_read(photos):
    np.testing.assert_allclose(read_photo(photos[0] / NAMES[2])[90, 100], (200, 30, 60), atol=6)


def test_without_pillow_heif_it_is_said_and_tried_again_later(photos, tmp_path, capsys, monkeypatch):
    out = tmp_path / "crops"
    with monkeypatch.context() as patch:
        patch.setattr(image_files, "known_formats", lambda: ("JPEG", "PNG", "GIF"))
        said = align(photos, out, capsys)
        assert "unreadable: 1, listed in" in said
        assert '1 of these: HEIC, the format of many phones, needs pillow-heif: pip install "angulus[heif]"' in said
        assert NAMES[2] in (out / "unreadable.txt").read_text()
    assert "4 photos (3 done before), 3 crops" in align(photos, out, capsys)


def test_a_folder_without_photos_says_what_is_in_it(tmp_path):
    for name in ("a.cr2", "b.cr2", "c.mov"):
        (tmp_path / name).write_text("")
    with pytest.raises(FacesError, match=r"holds no photo .*, only 2 \.cr2, 1 \.mov"):
        list_photos(tmp_path)
    assert kinds_of(["a.x", "b.y", "c.z", "d.u", "e.v", "f.w"]).endswith(", ...")


def test_the_page_shows_every_crop_by_a_link_that_holds(photos, tmp_path, capsys):
    out = tmp_path / "the crops"
    said = align(photos, out, capsys)
    page = tmp_path / "the crops_contact.html"
    assert f"and {page}" in said
    text = page.read_text()
    links = re.findall(r'<img loading="lazy" decoding="async" src="([^"]+)"', text)
    assert len(links) == 3
    assert all((tmp_path / unquote(link)).is_file() for link in links)
    assert not re.search(r"https?://|<script|@import", text)
    for shown in ("Ada &amp; Bo/1 #.jpg", "score 1.00", "No face was found: 1", "Cy/nobody.png", "Cy/film.mov"):
        assert shown in text


def test_no_sheet_makes_no_page(photos, tmp_path, capsys):
    align(photos, tmp_path / "crops", capsys, "--no-sheet")
    assert not list(tmp_path.glob("*.html"))


def test_of_a_large_set_the_worst_are_shown(photos, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(page_module, "MOST_CROPS", 2)
    align(photos, tmp_path / "crops", capsys)
    text = (tmp_path / "crops_contact.html").read_text()
    assert text.count("<figure>") == 2
    assert "The first 2 of 3" in text


def test_the_folder_of_results_is_left_out(photos):
    assert list_files(photos[0], without=photos[0] / "Cy").photos == list(NAMES[:2])
