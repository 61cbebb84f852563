"""A folder of photos becomes a folder of crops: same folders, a manifest, lists, and nothing done twice."""

import csv
import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from angulus.cli import main
from angulus.data import FolderSource, SyntheticFaces
from angulus.errors import FacesError
from angulus.faces import (
    ARCFACE,
    SPHEREFACE,
    AlignOptions,
    DetectorChoice,
    ListedLandmarks,
    align_folder,
    contact_sheet,
)
from angulus.faces import alignment as run_module
from angulus.faces.journal import write_whole
from angulus.faces.photos import list_photos, read_photo
from angulus.faces.similarity_transform import apply
from angulus.faces.templates import LANDMARKS

COLUMNS = [f"{name}_{axis}" for name in LANDMARKS for axis in "xy"]


@pytest.fixture
def photos(tmp_path):
    """Three drawn faces that are aligned already, pasted into larger photos, and the list of their landmarks."""
    folder = tmp_path / "photos"
    faces = SyntheticFaces(num_identities=3, images_per_identity=1)
    rows = []
    for number, name in enumerate(("Ada/1.jpg", "Ada/deep/2.png", "Bob/3.bmp")):
        page = Image.new("RGB", (260, 240), (40, 60, 80))
        page.paste(Image.fromarray(faces.read(number)).resize((112, 112)), (50 + 10 * number, 60))
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        page.save(path)
        points = ARCFACE.array() + np.array([50 + 10 * number, 60])
        rows.append([name, *points.ravel()])
    Image.new("RGB", (90, 80)).save(folder / "Bob" / "nobody.png")
    (folder / "Bob" / "broken.jpg").write_bytes(b"\xff\xd8\xff no image")
    (folder / "notes.txt").write_text("not a photo")
    listed = tmp_path / "landmarks.csv"
    with listed.open("w", newline="") as file:
        csv.writer(file).writerows([["source", *COLUMNS], *rows])
    return folder, listed


def options(listed, **more):
    return AlignOptions(detector=DetectorChoice(name="landmarks", file=listed), **more)


def test_crops_lie_in_the_same_folders_with_a_manifest(photos, tmp_path):
    folder, listed = photos
    seen = []
    done = align_folder(
        folder, tmp_path / "out", options(listed, kind="png"), progress=lambda n, of: seen.append((n, of))
    )
    counts = {"photos": 5, "crops": 3, "without_face": 1, "unreadable": 1, "done_before": 0, "gone": 0}
    assert done.counts() == {**counts, "ignored": 1, "without_reader": 0}
    assert seen[-1] == (5, 5)
    out = tmp_path / "out"
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.png")) == [
        "Ada/1.png",
        "Ada/deep/2.png",
        "Bob/3.png",
    ]
    assert (out / "without_face.txt").read_text() == "Bob/nobody.png\n"
    assert (out / "unreadable.txt").read_text().startswith("Bob/broken.jpg\tcannot read")
    rows = list(csv.DictReader((out / "manifest.csv").open()))
    assert [(row["path"], row["source"], row["identity"]) for row in rows] == [
        ("Ada/1.png", "Ada/1.jpg", "Ada"),
        ("Ada/deep/2.png", "Ada/deep/2.png", "Ada"),
        ("Bob/3.png", "Bob/3.bmp", "Bob"),
    ]
    assert rows[0]["chosen"] == "the only face"
    assert float(rows[0]["misfit"]) < 1e-3
    np.testing.assert_allclose(
        [float(rows[2][name]) for name in COLUMNS], (ARCFACE.array() + np.array([70, 60])).ravel(), atol=1e-3
    )
    # the landmarks were those of the template, so the crop is that piece of the photo
    np.testing.assert_array_equal(read_photo(out / "Bob/3.png"), read_photo(folder / "Bob/3.bmp")[60:172, 70:182])
    # and what was written can be read as a list of landmarks
    assert len(ListedLandmarks.read(out / "manifest.csv").of("Ada/1.jpg")) == 1


def test_a_second_run_does_only_what_is_missing(photos, tmp_path, monkeypatch):
    folder, listed = photos
    out = tmp_path / "out"
    align_folder(folder, out, options(listed))
    manifest = (out / "manifest.csv").read_text()
    assert align_folder(folder, out, options(listed)).before == 5
    (out / "Ada/1.jpg").unlink()
    journal = out / ".align.jsonl"
    journal.write_text(journal.read_text()[:-40])  # the last line was cut off
    again = align_folder(folder, out, options(listed))
    assert again.before == 3
    assert (out / "manifest.csv").read_text() == manifest
    Image.new("RGB", (90, 80), (9, 9, 9)).resize((60, 70)).save(folder / "Bob" / "nobody.png")
    assert align_folder(folder, out, options(listed)).before == 4


def test_a_run_that_is_cut_off_keeps_what_is_finished(photos, tmp_path, monkeypatch):
    folder, listed = photos
    real, calls = run_module.align_photo, []

    def stops(task, *rest):
        calls.append(task.source)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(task, *rest)

    monkeypatch.setattr(run_module, "align_photo", stops)
    with pytest.raises(KeyboardInterrupt):
        align_folder(folder, tmp_path / "out", options(listed))
    monkeypatch.setattr(run_module, "align_photo", real)
    assert align_folder(folder, tmp_path / "out", options(listed)).before == 2
    assert not list((tmp_path / "out").rglob("*.partial"))


def test_other_settings_and_damaged_journals_are_refused(photos, tmp_path):
    folder, listed = photos
    out = tmp_path / "out"
    align_folder(folder, out, options(listed))
    with pytest.raises(FacesError, match="width was 112 and is 96"):
        align_folder(folder, out, options(listed, template=SPHEREFACE))
    (out / ".align.jsonl").write_text((out / ".align.jsonl").read_text().splitlines()[0] + "\nnonsense\n")
    with pytest.raises(FacesError, match="is damaged"):
        align_folder(folder, out, options(listed))


@pytest.mark.slow
def test_several_processes_give_the_same(photos, tmp_path):
    folder, listed = photos
    for number in range(12):
        Image.new("RGB", (90, 80), (number, 0, 0)).save(folder / "Bob" / f"more{number}.png")
    align_folder(folder, tmp_path / "one", options(listed))
    align_folder(folder, tmp_path / "two", options(listed), jobs=2)
    for name in ("manifest.csv", "without_face.txt", "Ada/1.jpg"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_all_faces_are_numbered_and_like_names_kept_apart(photos, tmp_path):
    folder, listed = photos
    Image.new("RGB", (260, 240)).save(folder / "Ada" / "1.png")
    with listed.open("a") as file:
        for shift in (20, 90):
            file.write(",".join(["Ada/1.png", *(f"{v}" for v in (ARCFACE.array() + shift).ravel())]) + "\n")
    done = align_folder(folder, tmp_path / "out", options(listed, choose="all"))
    found = sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out" / "Ada").glob("*.jpg"))
    assert found == ["Ada/1.jpg_face1.jpg", "Ada/1.png_face1.jpg", "Ada/1.png_face2.jpg"]
    assert {crop.chosen for outcome in done.outcomes for crop in outcome.crops} == {"the only face", "every face of 2"}


def test_landmarks_that_fit_nothing_count_as_no_face(photos, tmp_path):
    folder, listed = photos
    listed.write_text("Ada/1.jpg" + ",5" * 10 + "\n")
    align_folder(folder, tmp_path / "out", options(listed))
    assert "Ada/1.jpg\tlandmarks must be apart" in (tmp_path / "out" / "without_face.txt").read_text()


def test_photos_are_turned_upright_and_results_among_them_left_out(tmp_path):
    picture = Image.new("RGB", (40, 20))
    picture.putpixel((0, 0), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    (tmp_path / "out").mkdir()
    picture.save(tmp_path / "a.png", exif=exif)
    picture.save(tmp_path / "out" / "b.png")
    (tmp_path / "circle").symlink_to(tmp_path)
    assert read_photo(tmp_path / "a.png").shape == (40, 20, 3)
    assert list_photos(tmp_path, without=tmp_path / "out") == ["a.png"]
    with pytest.raises(FacesError, match="is no folder"):
        list_photos(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FacesError, match="holds no photo"):
        list_photos(tmp_path / "empty")


def test_a_folder_that_cannot_be_written_is_said(photos, tmp_path):
    folder, listed = photos
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "Ada").write_text("a file in the way")
    with pytest.raises(FacesError, match=r"could not be written: .*; what is finished is kept"):
        align_folder(folder, tmp_path / "out", options(listed))


def test_the_contact_sheet_shows_crops_in_rows(tmp_path):
    for name, level in (("a", 10), ("b", 200)):
        Image.new("RGB", (112, 96), (level,) * 3).save(tmp_path / f"{name}.png")
    page = contact_sheet([tmp_path / "a.png", tmp_path / "b.png", tmp_path / "a.png"], columns=2, side=56)
    assert page.shape == (2 + 2 * 58, 2 + 2 * 58, 3)
    assert (page[20, 20] == 10).all()
    assert (page[20, 80] == 200).all()
    assert (page[80, 80] == 255).all()
    with pytest.raises(FacesError, match="at least 1 crop"):
        contact_sheet([])


def test_the_command(photos, tmp_path, capsys, monkeypatch):
    folder, listed = photos
    monkeypatch.chdir(tmp_path)
    words = ["align", str(folder), "out", "--detector", "landmarks", "--file", str(listed), "--template", "sphereface"]
    assert main([*words, "--height", "224", "--json", "done.json"]) == 0
    said = capsys.readouterr().out
    assert "5 photos, 3 crops" in said
    assert "without a face: 1, listed in out/without_face.txt" in said
    assert Image.open("out/Ada/1.jpg").size == (192, 224)
    assert json.loads(Path("done.json").read_text())["crops"] == 3
    assert Image.open("out_contact.png").size[0] > 96
    assert len(FolderSource.open("out")) == 3
    assert main(words) == 2
    assert "made with other settings" in capsys.readouterr().err
    assert main([*words[:3], "--detector", "scrfd"]) == 2
    assert "needs an ONNX file that you have: --file PATH" in capsys.readouterr().err


def test_scaled_templates_show_the_same_piece(photos, tmp_path):
    folder, listed = photos
    sizes = {112: None, 56: None}
    for height in sizes:
        out = tmp_path / f"out{height}"
        align_folder(folder, out, options(listed, kind="png", template=ARCFACE.scaled(height)))
        sizes[height] = read_photo(out / "Ada/1.png").astype(float)
    halved = sizes[112].reshape(56, 2, 56, 2, 3).mean((1, 3))
    assert np.abs(halved - sizes[56]).mean() < 1.5
    np.testing.assert_allclose(apply(np.eye(2, 3), ARCFACE.scaled(56).array()), (ARCFACE.array() + 0.5) / 2 - 0.5)


def test_a_photo_that_was_replaced_by_one_of_its_size_is_done_again(photos, tmp_path):
    folder, listed = photos
    out, photo = tmp_path / "out", folder / "Bob" / "3.bmp"
    align_folder(folder, out, options(listed, kind="png"))
    before, times = (out / "Bob/3.png").read_bytes(), photo.stat()
    content = bytearray(photo.read_bytes())
    content[-60_000:] = bytes(60_000)
    photo.write_bytes(content)
    os.utime(photo, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert align_folder(folder, out, options(listed, kind="png")).before == 4
    assert (out / "Bob/3.png").read_bytes() != before
    os.utime(photo)  # touched, or copied: the same content is the same photo
    assert align_folder(folder, out, options(listed, kind="png")).before == 5


def test_crops_of_photos_that_are_gone_are_moved_away_and_listed(photos, tmp_path, capsys):
    folder, listed = photos
    out = tmp_path / "out"
    words = ["align", str(folder), str(out), "--detector", "landmarks", "--file", str(listed), "--no-sheet", "--quiet"]
    assert main(words) == 0
    crop = (out / "Ada/1.jpg").read_bytes()
    (folder / "Ada" / "1.jpg").unlink()
    (folder / "Bob" / "3.bmp").write_bytes(b"no photo any more")
    assert main(words) == 0
    assert "crops of photos that are gone or were replaced: 2, moved to" in capsys.readouterr().out
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.jpg")) == [
        ".gone/Ada/1.jpg",
        ".gone/Bob/3.jpg",
        "Ada/deep/2.jpg",
    ]
    assert (out / ".gone/Ada/1.jpg").read_bytes() == crop
    assert (out / "gone.txt").read_text() == "Ada/1.jpg\nBob/3.jpg\n"
    assert "Ada/1.jpg" not in (out / "manifest.csv").read_text()


def test_a_name_that_is_not_utf8_or_too_long_is_listed_and_stops_nothing(photos, tmp_path, capsys):
    folder, listed = photos
    (folder / "Bob" / os.fsdecode(b"l\xe9.jpg")).write_bytes((folder / "Ada/1.jpg").read_bytes())
    (folder / os.fsdecode(b"notes\xe9.txt")).write_text("")
    long = "n" * 251 + ".jpg"
    (folder / "Bob" / long).write_bytes((folder / "Ada/1.jpg").read_bytes())
    with listed.open("a") as file:
        file.write(listed.read_text().splitlines()[1].replace("Ada/1.jpg", f"Bob/{long}") + "\n")
    out = tmp_path / "out"
    command = ["align", str(folder), str(out), "--detector", "landmarks", "--file", str(listed), "--quiet"]
    for _ in range(2):  # the second finds all of it done
        assert main(command) == 0
        unreadable = (out / "unreadable.txt").read_text().splitlines()
        assert unreadable[1].startswith("Bob/l\\xe9.jpg\tits name, or that of a folder above it, is not UTF-8")
        assert len(unreadable) == 2
        assert (out / "ignored.txt").read_text().splitlines() == ["notes.txt", "notes\\xe9.txt"]
        assert (out / "Bob" / long).is_file()
        assert "Bob/l\\xe9.jpg: its name" in (tmp_path / "out_contact.html").read_text()
    assert "6 photos (7 done before), 4 crops" not in capsys.readouterr().out
    # crops of such a photo, as earlier versions made them, go to where no reader looks
    journal = out / ".align.jsonl"
    rows = [json.loads(line) for line in journal.read_text().splitlines()[1:]]
    made = next(row for row in rows if row["source"] == "Ada/1.jpg")
    odd = {**made, "source": os.fsdecode(b"Bob/l\xe9.jpg"), "crops": [{**made["crops"][0]}]}
    odd["crops"][0]["path"] = os.fsdecode(b"Bob/l\xe9.jpg")
    odd["checksum"] = next(row for row in rows if row["source"] == odd["source"])["checksum"]
    (out / odd["crops"][0]["path"]).write_bytes(b"a crop")
    with journal.open("a") as file:
        file.write(json.dumps(odd) + "\n")
    assert main(command) == 0
    assert (out / "gone.txt").read_text() == "Bob/l\\xe9.jpg\n"
    assert not (out / odd["crops"][0]["path"]).exists()
    every = align_folder(folder, tmp_path / "every", options(listed, choose="all"))
    assert [one.problem for one in every.outcomes if one.source == f"Bob/{long}"] == [
        "its name is too long for that of a crop, which has at most 255 bytes: rename it"
    ]


def test_only_a_full_disk_wants_room(tmp_path, monkeypatch):
    for number, sentence in ((errno.ENOSPC, "the disk is full; .* make room and"), (errno.EACCES, "mend that and")):

        def refuses(*names, number=number):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "replace", refuses)
        with pytest.raises(FacesError, match=sentence):
            write_whole(tmp_path / "x", b"")
