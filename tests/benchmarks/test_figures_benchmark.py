"""benchmarks/figures.py tells a figure that came out again from one that did not."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "figures.py"


@pytest.fixture(scope="module")
def figures():
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        import figures as script
    finally:
        sys.path.remove(str(SCRIPT.parent))
    return script


def command(*options: str, **settings: str) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, str(SCRIPT), *options]
    return subprocess.run(arguments, capture_output=True, text=True, check=False, env=os.environ | settings)


def test_equal_to_the_last_digit_whatever_the_time_and_the_order_of_keys(figures):
    was = {"rates": [0.1, math.nan, None], "name": "all pairs", "empty": [], "seconds": 3.0, "deep": {"machine": "a"}}
    now = {"empty": [], "name": "all pairs", "rates": [0.1, math.nan, None], "seconds": 9.5, "deep": {"machine": "b"}}
    found = figures.compare(figures.compared(was), figures.compared(now))
    assert found.found == []
    assert str(found) == "6 equal"


@pytest.mark.parametrize(
    ("now", "found"),
    [
        ({"rates": [0.1, math.nextafter(0.2, 1)]}, ("/rates/1", "0.2", "0.20000000000000004")),
        ({"rates": [0.1]}, ("/rates/1", "0.2", "nothing")),
        ({"rates": [0.1, 0.2], "more": 1}, ("/more", "nothing", "1")),
        ({"rates": [0.1, "0.2"]}, ("/rates/1", "0.2", '"0.2"')),
    ],
    ids=["last digit", "missing", "new", "text"],
)
def test_whatever_else_changes_is_named_with_both_values(figures, now, found):
    assert figures.compare({"rates": [0.1, 0.2]}, now).found == [found]


def test_another_checkout_on_the_same_machine_decides_where_there_is_one(figures):
    equal = figures.Comparison(values=1, found=[])
    other = figures.Comparison(values=1, found=[("/loss", "1.0", "2.0")])
    assert figures.Outcome(seconds=1.0, committed=other, earlier=equal).is_good
    assert not figures.Outcome(seconds=1.0, committed=equal, earlier=other).is_good
    assert not figures.Outcome(seconds=1.0, committed=other).is_good
    assert not figures.Outcome(seconds=1.0, committed=equal, error="ended with status 2").is_good


def test_what_one_checkout_keeps_is_compared_in_the_next(figures, tmp_path):
    figure = figures.Figure(command=("-c", "print()"), made="made.json", committed=None)
    (tmp_path / "made.json").write_text(json.dumps({"rate": 0.5, "seconds": 1.0}))
    first = figures.recompute("own", figure, figures.Place(work=tmp_path, save=tmp_path))
    (tmp_path / "made.json").write_text(json.dumps({"rate": 0.25, "seconds": 2.0}))
    second = figures.recompute("own", figure, figures.Place(work=tmp_path, against=tmp_path))
    assert first.is_good
    assert second.earlier.found == [("/rate", "0.5", "0.25")]
    assert not second.is_good


def test_a_figure_that_another_checkout_did_not_keep_is_named_before_anything_runs(tmp_path):
    done = command("--only", "intervals", "--against", str(tmp_path))
    assert done.returncode == 1
    assert f"{tmp_path} does not hold intervals: make it with --save" in done.stderr


def test_a_command_that_fails_is_a_line_of_the_table(figures, tmp_path):
    figure = figures.Figure(command=("-c", "raise SystemExit('no such set')"), made="made.json", committed=None)
    outcome = figures.recompute("own", figure, figures.Place(work=tmp_path))
    assert outcome.error == "ended with status 1: no such set"


def test_every_figure_names_what_the_repository_holds(figures):
    for name, figure in figures.FIGURES.items():
        if figure.committed:
            record = figures.read(figure.committed)
            assert figures.compare(figure.part(record), figure.part(record)).values > 20 or name == "study"
    assert command("--list").stdout.count("\n") == len(figures.FIGURES)


def test_absent_data_end_with_a_sentence(tmp_path):
    done = command("--only", "identify", ANGULUS_DATA=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.strip().endswith("set ANGULUS_DATA to the folder that holds lfw_embeddings")
