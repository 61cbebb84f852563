"""Tables of ours: any text comes back as it was, and a spreadsheet executes none of it."""

import csv
import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import angulus
from angulus.data import Edit, EncodedSource, convert, open_source, read_edits, write_edits
from angulus.tables import FORMULAS, escaped, read_csv, table_rows, table_text, unescaped

CELLS = st.text(max_size=12) | st.text("=+-@\t\r\n'\",;1.5eE a", max_size=8)
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)


@given(st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=6))
def test_any_text_comes_back_and_nothing_is_executed(rows):
    text = table_text(rows)
    assert [row for _, row in table_rows(text)] == rows
    for row in csv.reader(io.StringIO(text, newline=""), strict=True):
        assert all(not cell.startswith(FORMULAS) or NUMBER.fullmatch(cell) for cell in row)


@pytest.mark.parametrize("number", ["-1", "+3.5", "-1e-3", "-.5", "+1.", "0"])
def test_numbers_stay_numbers(number):
    assert escaped(number) == number == unescaped(number)


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("@x", "'@x"),
        ("-a", "'-a"),
        ("+1-1", "'+1-1"),
        ("'=x", "''=x"),
        ("'tis", "'tis"),
        ("-", "'-"),
    ],
)
def test_what_is_written(text, cell):
    assert escaped(text) == cell
    assert unescaped(cell) == text


NAME = '=HYPERLINK("http://x","y")'


def test_edits(tmp_path):
    rows = [Edit(action="merge", identity=NAME, to="@Bob", reason="-far", more={"+angle": "-1.5"})]
    write_edits(tmp_path / "edits.csv", rows)
    assert "\n'" not in (tmp_path / "edits.csv").read_text()
    assert re.search(r",\"?[=@]", (tmp_path / "edits.csv").read_text()) is None
    (read,) = read_edits(tmp_path / "edits.csv").rows
    assert (read.identity, read.to, read.reason, dict(read.more)) == (NAME, "@Bob", "-far", {"+angle": "-1.5"})


def test_manifests(tmp_path):
    source = EncodedSource.of([b"\xff\xd8\xffa"] * 2, labels=[0, 1], identities=["=Ada", "Bob"], keys=["-a", "+b"])
    convert(source, tmp_path / "set.csv")
    columns = read_csv(tmp_path / "set.csv")
    assert (columns["identity"], columns["key"], columns["label"]) == (["=Ada", "Bob"], ["-a", "+b"], ["0", "1"])
    assert list(open_source(tmp_path / "set.csv").identities) == ["=Ada", "Bob"]
    assert re.search(r"(^|,)\"?[=@+-]", (tmp_path / "set.csv").read_text(), re.MULTILINE) is None


def test_every_table_is_written_in_one_place():
    source = Path(angulus.__file__).parent
    assert [str(path) for path in source.rglob("*.py") if "csv.writer" in path.read_text()] == []
