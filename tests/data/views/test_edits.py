"""Lists of changes: what each does, which goes first, and what is said of a wrong one."""

import os

import numpy as np
import pytest
from small_sets import array_source, write_folder

from angulus.data import Edit, Edits, FolderSource, apply_edits, read_edits, write_edits
from angulus.data.views.edits import write_proposed
from angulus.errors import DataError


def content(source):
    """{key: name of the identity}."""
    return {key: source.identities[label] for key, label in zip(source.keys, source.labels, strict=True)}


def edits(*rows, origin="list.csv"):
    return Edits(rows=tuple(Edit(**row, line=number + 2) for number, row in enumerate(rows)), origin=origin)


@pytest.fixture
def people():
    return array_source([2, 3, 1])  # person000/0 /1, person001/2 /3 /4, person002/5


def test_each_action(people):
    view = apply_edits(
        people,
        [
            edits(
                {"action": "drop", "key": "person000/0", "identity": "person000"},
                {"action": "relabel", "key": "person001/2", "to": "person000"},
                {"action": "split", "key": "person001/3", "identity": "person001", "to": "another"},
                {"action": "merge", "identity": "person002", "to": "person001"},
            )
        ],
    )
    assert content(view) == {
        "person000/1": "person000",
        "person001/2": "person000",
        "person001/3": "another",
        "person001/4": "person001",
        "person002/5": "person001",
    }
    assert view.identities == ["person000", "person001", "another"]
    np.testing.assert_array_equal(view.read(1), people.read(2))
    assert (view.account.images, view.account.identities) == (5, 3)


def test_identities_are_dropped_and_kept_images_stay(people):
    rows = [{"action": "drop", "identity": "person001"}, {"action": "keep", "key": "person001/3"}]
    assert content(apply_edits(people, [edits(*rows)])) == {
        "person000/0": "person000",
        "person000/1": "person000",
        "person001/3": "person001",
        "person002/5": "person002",
    }


def test_later_lists_have_the_last_word(people):
    first = edits({"action": "drop", "key": "person000/0"}, {"action": "drop", "identity": "person002"})
    second = edits({"action": "keep", "key": "person000/0"}, {"action": "keep", "identity": "person002"})
    assert content(apply_edits(people, [first, second])) == content(people)
    assert "person000/0" not in content(apply_edits(people, [second, first]))


def test_merges_are_followed_and_new_names_may_be_given(people):
    rows = [
        {"action": "merge", "identity": "person000", "to": "person001"},
        {"action": "merge", "identity": "person001", "to": "Ada"},
        {"action": "relabel", "key": "person002/5", "to": "person000"},
    ]
    assert set(content(apply_edits(people, [edits(*rows)])).values()) == {"Ada"}


def test_a_list_is_read_as_it_was_written(tmp_path, people):
    rows = (
        Edit(action="drop", key="person000/0", identity="person000", reason='far, "very" far', more={"angle": "83.2"}),
        Edit(action="merge", identity="person002", to="person001"),
    )
    write_edits(tmp_path / "edits.csv", rows, source=people)
    read = read_edits(tmp_path / "edits.csv")
    assert [row.line for row in read.rows] == [3, 4]
    assert [(row.action, row.key, row.identity, row.to, row.reason) for row in read.rows] == [
        (row.action, row.key, row.identity, row.to, row.reason) for row in rows
    ]
    assert read.rows[0].more == {"angle": "83.2"}
    assert len(read.made_for) == 16
    write_edits(tmp_path / "plain.csv", rows)
    assert [row.line for row in read_edits(tmp_path / "plain.csv").rows] == [2, 3]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("path,identity\na,b\n", "must have the columns action, key"),
        ("action,key,identity,to,reason\nremove,a,,,\n", "line 2: action must be one of drop, relabel"),
        ("action,key,identity,to,reason\ndrop,,,,\n", "line 2: drop must name an example"),
        ("action,key,identity,to,reason\nrelabel,a,,,\n", "must name the new identity"),
        ("action,key,identity,to,reason\nsplit,,a,b,\n", "split must name the examples"),
        ("action,key,identity,to,reason\nmerge,a,b,c,\n", "merge is for whole identities"),
        ("action,key,identity,to,reason\ndrop,a\n", "must have 5 columns, got 2"),
        ("# by hand\naction,key\ndrop,a\nkeep,a\n", "line 4: keep a, but line 3 says drop"),
        ("", "it has none"),
        ("# angulus edits; set: 0123456789\n", "line 1: the set must be 16 digits, got '0123456789'; the list is cut"),
        (
            "# angulus edits; set: 0123456789abcdef\naction,key,ident",
            "line 2: the columns identity, to, reason are miss",
        ),
    ],
)
def test_a_wrong_line_is_named(tmp_path, text, sentence):
    (tmp_path / "edits.csv").write_text(text)
    with pytest.raises(DataError, match=sentence):
        read_edits(tmp_path / "edits.csv")


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([{"action": "drop", "key": "nobody/0"}], "line 2: the image nobody/0 is not in"),
        ([{"action": "drop", "key": "person000/0", "identity": "person001"}], "person000/0 of person001 is not in"),
        ([{"action": "drop", "identity": "nobody"}], "the identity nobody is not in"),
        ([{"action": "split", "key": "person000/0", "to": "person001"}], "person001 is in the set; use relabel"),
        (
            [
                {"action": "merge", "identity": "person000", "to": "person001"},
                {"action": "merge", "identity": "person001", "to": "person000"},
            ],
            "merged in a circle: person000 -> person001 -> person000",
        ),
        ([{"action": "drop", "identity": f"person00{label}"} for label in range(3)], "no example is left"),
    ],
)
def test_changes_that_do_not_fit_the_set(people, rows, sentence):
    with pytest.raises(DataError, match=sentence):
        apply_edits(people, [edits(*rows)])


def test_a_list_for_another_set_says_so(tmp_path, people):
    write_edits(tmp_path / "edits.csv", [Edit(action="drop", key="person000/0")], source=people)
    other = FolderSource.open(write_folder(tmp_path / "images", {"Ada": 2}))
    with pytest.raises(DataError, match="the list was made for another set; use the list with its own data"):
        apply_edits(other, [read_edits(tmp_path / "edits.csv")])


def test_a_missing_list(tmp_path):
    with pytest.raises(DataError, match=r"no list of edits at .*absent\.csv: the file does not exist"):
        read_edits(tmp_path / "absent.csv")


def test_a_recipe_applies_its_lists_before_its_other_rules(tmp_path):
    from angulus.models import InputSpec
    from angulus.training.datasets import FolderData, Identities
    from angulus.training.recipe.data_sources import open_data

    folder = write_folder(tmp_path / "images", {"Ada": 2, "Bob": 1, "Robert": 1, "Eve": 2})
    (tmp_path / "edits.csv").write_text("action,key,identity,to\nmerge,,Robert,Bob\ndrop,Eve/0000.png,Eve,\n")
    rules = Identities(edits=(tmp_path / "edits.csv",))
    found = open_data(FolderData(path=folder, identities=rules), InputSpec(height=12, width=10))
    assert content(found) == {
        "Ada/0000.png": "Ada",
        "Ada/0001.png": "Ada",
        "Bob/0000.png": "Bob",
        "Robert/0000.png": "Bob",
    }


def test_convert_writes_the_edited_set(tmp_path):
    from angulus.cli.application import main
    from angulus.data import open_source

    folder = write_folder(tmp_path / "images", {"Ada": 2, "Bob": 1})
    (tmp_path / "edits.csv").write_text("action,key,identity,to\nrelabel,Ada/0001.png,Ada,Bob\n")
    assert main(["convert", str(folder), str(tmp_path / "a.packed"), "--edits", str(tmp_path / "edits.csv")]) == 0
    written = open_source(tmp_path / "a.packed")
    assert sorted(content(written).values()) == ["Ada", "Bob", "Bob"]


def test_a_list_that_somebody_has_edited_is_left(tmp_path, people, caplog):
    path = tmp_path / "edits.csv"
    rows = [Edit(action="drop", key=people.keys[0]), Edit(action="drop", key=people.keys[1])]
    assert write_proposed(path, rows, source=people) == write_proposed(path, rows[:1], source=people) == path
    assert read_edits(path).rows[0].key == rows[0].key
    assert len(read_edits(path)) == 1
    assert not caplog.records
    mine = path.read_text().replace("drop", "keep")
    path.write_text(mine)
    for _ in range(2):  # the second list is nobody's work
        assert write_proposed(path, rows, source=people) == tmp_path / "edits-2.csv"
    assert f"{path} was edited and is left as it is; the new list is" in caplog.text
    assert path.read_text() == mine
    assert read_edits(path).made_for == read_edits(tmp_path / "edits-2.csv").made_for
    (tmp_path / "edits-2.csv").write_text("action,key\n")
    assert write_proposed(path, rows, source=people) == tmp_path / "edits-3.csv"


def test_names_that_are_not_utf8_come_back_from_a_list(tmp_path, people):
    name = os.fsdecode(b"Ada/l\xe9.jpg")
    write_edits(tmp_path / "edits.csv", [Edit(action="drop", key=name)], source=people)
    assert read_edits(tmp_path / "edits.csv").rows[0].key == name
