"""Who is who in several sets: by name, by a table, or everybody apart."""

import pytest

from angulus.data.views.identity_matching import check_people, join, keep_apart, read_people
from angulus.data.views.split import folded_name
from angulus.errors import DataError

NAMES = {"west": ["Ada", "Bob", "Cy"], "east": ["Bob", "Dan", "ada"]}


def labels(joined):
    return {name: found.tolist() for name, found in joined.labels.items()}


def table(tmp_path, text):
    path = tmp_path / "people.csv"
    path.write_text(text)
    return path


def test_equal_names_are_one_person():
    joined = join(NAMES)
    assert joined.identities == ["Ada", "Bob", "Cy", "Dan", "ada"]
    assert labels(joined) == {"west": [0, 1, 2], "east": [1, 3, 4]}
    assert joined.shared() == ["Bob"]


def test_folded_names_are_one_person_under_the_first_spelling():
    joined = join({"west": ["Ada Lovelace"], "east": ["ada_lovelace", "Bob"]}, spelling="folded")
    assert joined.identities == ["Ada Lovelace", "Bob"]
    assert labels(joined) == {"west": [0], "east": [0, 1]}
    assert folded_name(" Ada -Lovelace") == "ada_lovelace"


def test_kept_apart_everybody_has_a_name_with_the_set():
    joined = keep_apart(NAMES)
    assert joined.identities == ["west/Ada", "west/Bob", "west/Cy", "east/Bob", "east/Dan", "east/ada"]
    assert labels(joined) == {"west": [0, 1, 2], "east": [3, 4, 5]}
    assert joined.shared() == []


def test_a_table_says_who_is_who(tmp_path):
    people = read_people(table(tmp_path, "name,set,person,note\nAda,west,Ada Lovelace,x\nDan,east,Ada Lovelace,\n"))
    assert people == {("west", "Ada"): "Ada Lovelace", ("east", "Dan"): "Ada Lovelace"}
    joined = join(NAMES, people=people)
    assert joined.identities == ["Ada Lovelace", "Bob", "Cy", "ada"]  # the others by their names
    assert labels(joined) == {"west": [0, 1, 2], "east": [1, 0, 3]}


def test_two_identities_of_one_set_can_be_one_person(tmp_path):
    people = read_people(table(tmp_path, "set,name,person\nwest,Bob,Ada\n"))
    assert labels(join(NAMES, people=people))["west"] == [0, 0, 1]


def test_numbers_are_no_names(tmp_path):
    names = {"west": ["0000001", "0000002"], "east": ["0000002", "0000003"]}
    with pytest.raises(DataError, match=r"join: 1 names that several sets share are numbers alone \(0000002\).*separ"):
        join(names)
    assert join(names, numbers_are_names=True).shared() == ["0000002"]
    people = read_people(table(tmp_path, "set,name,person\nwest,0000001,Ada\neast,0000003,Ada\n"))
    assert join(names, people=people).identities == ["Ada", "west/0000002", "east/0000002"]
    assert join({"west": ["1"], "east": ["2"]}).identities == ["1", "2"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("set,name\nwest,Ada\n", r"people\.csv must have the columns set, name, person; it lacks person"),
        ("set,name,person\nwest,Ada,\n", r"people\.csv, line 2: person must not be empty"),
        ("set,name,person\nwest,Ada\n", r"line 2: person must not be empty"),
        ("set,name,person\nwest,Ada,A\nwest,Ada,B\n", r"line 3: 'Ada' of west is 'B' here and 'A' in an earlier"),
    ],
)
def test_a_table_that_is_wrong(tmp_path, text, sentence):
    with pytest.raises(DataError, match=sentence):
        read_people(table(tmp_path, text))


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"no table of people at .*none\.csv: the file does not exist"):
        read_people(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("people", "sentence"),
    [
        ({("wset", "Ada"): "A"}, r"names the set 'wset', which is none of west, east; did you mean west\?"),
        (
            {("east", "Bobb"): "A", ("east", "x"): "B"},
            r"names 'Bobb' \(and 1 more\), which is no identity of the set e",
        ),
    ],
)
def test_a_table_that_names_somebody_who_is_not_there(tmp_path, people, sentence):
    check_people(tmp_path, {("west", "Ada"): "A"}, NAMES)
    with pytest.raises(DataError, match=sentence):
        check_people(tmp_path, people, NAMES)
