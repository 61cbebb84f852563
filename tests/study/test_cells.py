"""What is bold in a study's table: the best, and all that the seeds cannot tell from it, or nothing."""

import json
import random
import shutil
from pathlib import Path

import pytest
from scipy.stats import ttest_rel

from angulus.cli import main
from angulus.study.cells import Cell, told_apart
from angulus.study.stored_table import stored_table
from angulus.study.table import best_rows, markdown

ROOT = Path(__file__).parents[2]
STUDIES = sorted(path.name for path in (ROOT / "studies").iterdir())


def cells(**rows: list[float]) -> dict[str, dict[str, Cell]]:
    return {row: {"accuracy": Cell(by_seed=dict(enumerate(values)))} for row, values in rows.items()}


def test_two_rows_are_told_apart_as_a_paired_t_test_tells_them():
    generator = random.Random(0)
    told = 0
    for _ in range(300):
        count, shift = generator.choice((2, 3, 5, 9)), generator.choice((0, 0.5, 2))
        one = [generator.gauss(0, 1) for _ in range(count)]
        other = [value + generator.gauss(shift, 0.5) for value in one]
        expected = ttest_rel(one, other).pvalue < 0.05
        pair = [Cell(by_seed=dict(enumerate(values))) for values in (one, other)]
        assert told_apart(*pair) == told_apart(*reversed(pair)) == expected
        told += expected
    assert 30 < told < 270


def test_the_best_and_all_that_is_as_good_are_bold():
    found = cells(a=[0.90, 0.91, 0.92], b=[0.905, 0.908, 0.921], c=[0.5, 0.51, 0.52])
    assert best_rows("accuracy", found) == {"a", "b"}
    assert best_rows("eer", {row: {"eer": cell["accuracy"]} for row, cell in found.items()}) == {"c"}


def test_nothing_is_bold_where_nothing_is_told_apart():
    assert best_rows("accuracy", cells(a=[0.9, 0.7, 0.8], b=[0.7, 0.9, 0.85])) == set()
    assert best_rows("accuracy", cells(a=[0.9], b=[0.1])) == set()
    assert best_rows("accuracy", cells(a=[0.9, 0.9], b=[])) == set()
    assert best_rows("accuracy", cells(a=[0.9, 0.9], b=[0.9, 0.9])) == set()


def test_seeds_that_one_row_lacks_are_left_out_of_the_comparison():
    one, other = Cell(by_seed={0: 1.0, 1: 2.0, 2: 9.0}), Cell(by_seed={0: 0.5, 1: 1.5})
    assert told_apart(one, other)
    assert not told_apart(one, Cell(by_seed={2: 0.1}))


@pytest.mark.parametrize("name", STUDIES)
def test_the_committed_tables_are_those_of_the_committed_figures(name):
    content = json.loads((ROOT / "studies" / name / "study.json").read_text())
    assert markdown(stored_table(content)) == (ROOT / "studies" / name / "table.md").read_text()


def test_a_table_is_made_anew_from_its_figures_alone(tmp_path, capsys):
    shutil.copy(ROOT / "studies" / "omniglot_losses" / "study.json", tmp_path)
    assert main(["study", str(tmp_path), "--table-only"]) == 0
    expected = (ROOT / "studies" / "omniglot_losses" / "table.md").read_text()
    assert (tmp_path / "table.md").read_text() == capsys.readouterr().out == expected
    assert (tmp_path / "plot.svg").is_file()


@pytest.mark.parametrize(("text", "sentence"), [(None, "no study.json"), ("{}", "is no table"), ("{", "readable")])
def test_a_folder_without_figures_is_said(tmp_path, capsys, text, sentence):
    if text is not None:
        (tmp_path / "study.json").write_text(text)
    assert main(["study", str(tmp_path), "--table-only"]) == 2
    assert sentence in capsys.readouterr().err
