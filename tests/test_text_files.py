"""Every text that a person may write is read alike: with a mark, with any line ends, and never in another encoding."""

import logging
import os
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from small_sets import write_folder

from angulus.cli.inputs.attacked_people import listed
from angulus.data import FolderSource, apply_edits, read_edits
from angulus.data.formats.conversion import convert
from angulus.data.formats.manifest.reader import open_manifest
from angulus.data.formats.rec.reader import open_rec
from angulus.data.order.recipe_records import read_weights
from angulus.data.views.identity_matching import read_people
from angulus.embeddings import EmbeddingSet
from angulus.errors import AngulusError
from angulus.evaluation import match, read_pairs
from angulus.evaluation.files.blufr_lists import read_blufr_trials
from angulus.evaluation.files.ijb_metadata import (
    read_comparisons,
    read_detected_faces,
    read_template_csv,
    read_template_images,
    read_template_pairs,
)
from angulus.evaluation.scores.pairs import NamedPairs
from angulus.faces.detectors.landmark_lists import ListedLandmarks
from angulus.text_files import is_utf8, printable
from angulus.training.datasets import Identities
from angulus.training.recipe.identity_rules import chosen, read_names


def plain(value):
    """Something that compares by value."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if hasattr(value, "__dataclass_fields__"):
        return plain(astuple(value))
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def pairs(path: Path):
    return plain(read_pairs(path))


def labels(path: Path):
    np.save(path.with_name("m.npy"), np.eye(4, dtype=np.float32)[:3])
    found = EmbeddingSet.load(path.with_name("m.npy"), labels=path)
    return plain((found.labels, found.identities))


def edits(path: Path):
    return [(row.action, row.key, row.identity, row.to, row.reason) for row in read_edits(path).rows]


def manifest(path: Path):
    found = open_manifest(path)
    return found.files, found.keys, found.identities, found.labels.tolist(), found.columns


def rec(path: Path):
    if not path.with_suffix(".rec").exists():
        kept = path.read_bytes()
        path.unlink()
        people = write_folder(path.with_name("people"), {"Ada": 2, "Bob": 1})
        convert(FolderSource.open(people), path.with_suffix(".rec"))
        path.write_bytes(kept)
    found = open_rec(path.with_suffix(".rec"))
    return list(found.identities), list(found.keys)


def comparisons(path: Path):
    rows = path.with_name("metadata.csv")
    rows.write_text("TEMPLATE_ID,SUBJECT_ID,FILENAME\n1,7,a.png\n2,7,b.png\n3,8,c.png\n")
    return plain(read_comparisons(path, read_template_csv(rows)))


def trials(path: Path):
    for name in ("gallery_set.txt", "probe_set.txt"):
        number = 1 + (name == "probe_set.txt")
        path.with_name(name).write_text(f"1\n1\n{number}, a\n")
    return read_blufr_trials(path.parent).names


def landmarks(path: Path):
    return {name: plain(faces[0].landmarks) for name, faces in ListedLandmarks.read(path).faces.items()}


POINTS = " ".join(str(number) for number in range(1, 11))
READERS: dict[str, tuple[Callable, str, str]] = {
    "LFW's pairs": (pairs, "pairs.txt", "1\t1\nAda\t1\t2\nAda\t1\tBob\t2\n"),
    "csv of pairs": (pairs, "pairs.csv", "a,b,same,fold\nx.jpg,y.jpg,1,0\nx.jpg,z.jpg,0,1\n"),
    "trials": (pairs, "trials.txt", "1 x.wav y.wav\n0 x.wav z.wav\n"),
    "labels": (labels, "labels.txt", "0\n0\n1\n"),
    "labels that are names": (labels, "labels.txt", "Ada\nAda\nBob\n"),
    "exclude_from": (read_names, "out.txt", "Ada\nBob\n"),
    "names of an audit": (listed, "names.txt", "Ada\nBob\n"),
    "edits": (edits, "edits.csv", "action,key,identity,to,reason\ndrop,Ada/1.jpg,Ada,,far\nmerge,,Rob,Bob,one\n"),
    "manifest": (manifest, "set.csv", "path,identity,camera\na/1.jpg,Ada,3\nb.jpg,Bob,1\n"),
    "weights": (read_weights, "weights.csv", "identity,weight\nAda,1\nBob,0.5\n"),
    "people": (read_people, "people.csv", "set,name,person\none,Ada,A. L.\ntwo,Bob,Bob\n"),
    ".lst": (rec, "train.lst", "1\t0\tAda/x.jpg\n2\t0\tAda/y.jpg\n3\t1\tBob/z.jpg\n"),
    ".names": (rec, "train.names", "Ada L.\nBob\n"),
    "templates": (lambda path: plain(read_template_images(path)), "tid_mid.txt", "1.jpg 1 2\n2.jpg 1 3\n"),
    "pairs of templates": (lambda path: plain(read_template_pairs(path)), "pair.txt", "1 2 1\n1 3 0\n"),
    "faces": (lambda path: plain(read_detected_faces(path)), "score.txt", f"1.jpg {POINTS} 0.9\n2.jpg {POINTS} 0.8\n"),
    "subjects": (
        lambda path: plain(read_template_csv(path)),
        "gallery.csv",
        "TEMPLATE_ID,SUBJECT_ID,FILENAME\n1,7,a.png\n2,8,b.png\n",
    ),
    "comparisons": (comparisons, "matches.csv", "1,2\n1,3\n"),
    "blufr": (trials, "image_list.txt", "a.jpg\nb.jpg\n"),
    "landmarks": (landmarks, "landmarks.csv", f"a.jpg,{POINTS.replace(' ', ',')}\nb.jpg,{POINTS.replace(' ', ',')}\n"),
}
SAME = {
    "mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "crlf": lambda text: text.replace("\n", "\r\n").encode(),
    "mark and crlf": lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
    "no last newline": lambda text: text[:-1].encode(),
    "blank last lines": lambda text: f"{text}\n\n".encode(),
    "blank last lines, crlf": lambda text: f"{text}\n\n".replace("\n", "\r\n").encode(),
}
REFUSED = {
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16 without a mark": lambda text: text.encode("utf-16-le"),
    "latin-1": lambda text: f"{text}Zo\xeb\n".encode("latin-1"),
}


@pytest.mark.parametrize("form", SAME)
@pytest.mark.parametrize("reader", READERS)
def test_one_content_in_every_form(tmp_path, reader, form):
    read, name, text = READERS[reader]
    path = tmp_path / name
    path.write_bytes(text.encode())
    expected = read(path)
    path.write_bytes(SAME[form](text))
    assert read(path) == expected


@pytest.mark.parametrize("form", REFUSED)
@pytest.mark.parametrize("reader", READERS)
def test_another_encoding_is_refused_in_one_sentence(tmp_path, reader, form):
    read, name, text = READERS[reader]
    path = tmp_path / name
    path.write_bytes(REFUSED[form](text))
    with pytest.raises(AngulusError, match=r"must be UTF-8 text.*; save it as UTF-8") as caught:
        read(path)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_line_of_the_letter_is_named(tmp_path):
    path = tmp_path / "out.txt"
    path.write_bytes("Ada\nZo\xeb\n".encode("latin-1"))
    with pytest.raises(AngulusError, match=r"out\.txt is not a readable list of names: .* line 2 has the byte 0xeb"):
        read_names(path)


def test_letters_beyond_ascii_are_read(tmp_path):
    path = tmp_path / "out.txt"
    path.write_bytes(b"\xef\xbb\xbfZo\xc3\xab\r\n")
    assert read_names(path) == ("Zo\xeb",)


def test_names_that_match_nobody_are_reported(tmp_path, caplog):
    path = tmp_path / "out.txt"
    path.write_text("Ada\nNobody\n")
    source = FolderSource.open(write_folder(tmp_path / "set", {"Ada": 2, "Bob": 2}))
    with caplog.at_level(logging.WARNING):
        kept = chosen(source, Identities(exclude_from=path, exclude=("Nil",)))
    assert list(kept.identities) == ["Bob"]
    assert "2 of 3 names stand for no identity" in caplog.text
    assert "'Nil', 'Nobody'" in caplog.text


def test_names_that_all_match_are_no_warning(tmp_path, caplog):
    path = tmp_path / "out.txt"
    path.write_bytes(b"\xef\xbb\xbfAda\r\n")
    chosen(FolderSource.open(write_folder(tmp_path / "set", {"Ada": 2, "Bob": 2})), Identities(exclude_from=path))
    assert caplog.text == ""


def test_windows_separators_name_the_same_images(tmp_path):
    folder = write_folder(tmp_path, {"Ada": 1, "Bob": 1})
    (folder / "set.csv").write_text("path,identity\nAda\\0000.png,Ada\nBob\\0000.png,Bob\n")
    records = open_manifest(folder / "set.csv")
    assert list(records.keys) == ["Ada/0000.png", "Bob/0000.png"]
    assert records.read_bytes(0) == (folder / "Ada" / "0000.png").read_bytes()
    named = NamedPairs(left=("Ada\\0000.png",), right=("Bob\\0000.png",), same=np.array([False]))
    found = match(named, EmbeddingSet(embeddings=np.eye(2), keys=("Ada/0000.png", "Bob/0000.png")))
    assert (found.left.tolist(), found.right.tolist()) == ([0], [1])
    (folder / "edits.csv").write_text("action,key,identity\ndrop,Ada\\0000.png,Ada\n")
    source = FolderSource.open(folder)
    assert list(apply_edits(source, [read_edits(folder / "edits.csv")]).identities) == ["Bob"]


def test_names_that_are_not_utf8_can_be_shown():
    name = os.fsdecode(b"L\xc3\xa9a/l\xe9.jpg")
    assert printable(name) == "L\u00e9a/l\\xe9.jpg"
    assert printable("a\ud800") == "a\\ud800"
    assert printable("plain \u00e9") == "plain \u00e9"
    assert (is_utf8(name), is_utf8("L\u00e9a")) == (False, True)
