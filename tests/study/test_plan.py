"""A study's file becomes a list of trainings; its mistakes are found before any of them begins."""

from pathlib import Path

import pytest

from angulus.config import load
from angulus.errors import ConfigError
from angulus.study import read_plan

BASE = "data: {path: faces}\nmargin: {name: arcface, m: 0.5}\n"


@pytest.fixture
def write(tmp_path):
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "base.yaml").write_text(BASE)

    def study(text: str) -> Path:
        path = tmp_path / "recipes" / "study.yaml"
        path.write_text(text)
        return path

    return study


def test_runs_times_grid_times_seeds(write, tmp_path):
    plan = read_plan(
        write(
            "title: A study\nbase: [base.yaml]\noverrides: [train.epochs=12]\n"
            "runs:\n  plain: {margin: softmax}\n  ArcFace: {optim: {lr: 0.05}}\n"
            "grid: {train.batch_size: [8, 16]}\nseeds: [0, 1, 2]\ncolumns: [loss]\nout: ../studies/x\n"
        ),
        ["device=cpu"],
    )
    assert plan.title == "A study"
    assert plan.out.resolve() == tmp_path / "studies" / "x"
    assert plan.rows == (
        *("plain, train.batch_size=8", "plain, train.batch_size=16"),
        *("ArcFace, train.batch_size=8", "ArcFace, train.batch_size=16"),
    )
    assert len(plan.jobs) == 12
    job = plan.jobs[-1]
    assert (job.row, job.seed) == ("ArcFace, train.batch_size=16", 2)
    assert job.folder.parent == plan.out / "runs"
    expected = [
        "data.path=faces",
        "margin={name: arcface, m: 0.5}",
        "optim.lr=0.05",
        "train.epochs=12",
        "train.batch_size=16",
    ]
    assert job.experiment == load([], [*expected, "device=cpu", "seed=2", f"out={job.folder}"])
    assert plan.jobs[0].experiment.margin == load([], ["data.path=x", "margin=softmax"]).margin


def test_a_grid_over_a_margin_keeps_the_other_settings(write):
    plan = read_plan(
        write(
            "base: [base.yaml]\nruns:\n  a: {margin: {name: amsoftmax, scale: 16}}\n"
            "grid:\n  margin.m: [0.1, {name: linear, end: 0.2, until: 5}]\n"
        )
    )
    margins = [job.experiment.margin for job in plan.jobs]
    assert [margin.scale for margin in margins] == [16.0, 16.0]
    assert margins[0].m == 0.1
    assert margins[1].m.end == 0.2


def test_the_folder_changes_with_the_recipe_and_not_with_its_place(write, tmp_path):
    text = "base: [base.yaml]\nruns: {a: {}}\n"
    before = read_plan(write(text)).jobs[0]
    assert before.folder.parent == tmp_path / "recipes" / "study" / "runs"
    elsewhere = read_plan(write(text), out=tmp_path / "elsewhere").jobs[0]
    assert elsewhere.folder.name == before.folder.name
    changed = read_plan(write(text), ["optim.lr=0.2"]).jobs[0]
    assert changed.folder.name != before.folder.name


def test_the_mistakes_of_all_runs_are_reported_at_once(write):
    with pytest.raises(ConfigError) as caught:
        read_plan(
            write(
                "base: [base.yaml]\nseeds: [0, 1]\nruns:\n"
                "  one: {margin: arcfase}\n  two: {optim: {lrr: 1}, seeed: 1}\n"
            )
        )
    assert caught.value.problems == [
        "one: margin.name: unknown margin 'arcfase'; did you mean arcface?",
        "two: seeed: unknown key; did you mean seed?",
        "two: optim.lrr: unknown key; did you mean optim.lr?",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("seeds: [0]\n", "runs: is missing; it must be a mapping of names to values"),
        ("runs: {}\n", "runs: must hold at least one run by name, got none"),
        ("runs: {a: {}}\nseeds: [1, 1]\n", "seeds: must be whole numbers, each once, got [1, 1]"),
        ("runs: {a: {}}\nseeds: [x]\n", "seeds[0]: must be a whole number, got 'x'"),
        ("runs: {a: softmax}\n", "runs: must be mappings such as {margin: arcface}, got 'softmax' for a"),
        ("runs: {a: {}}\ngrid: {seed: 3}\n", "grid: must give a list of values for each key, got 3 for seed"),
        ("runs: {a: {}}\ncolums: [loss]\n", "colums: unknown key; did you mean columns?"),
        ("runs: {a: {}}\nbase: [bsae.yaml]\n", "there is no recipe"),
        ("runs: {a: {}}\noverrides: [seed]\n", "seed: a setting is written key=value, such as margin.m=0.4"),
    ],
)
def test_mistakes_in_the_file(write, text, problem):
    with pytest.raises(ConfigError) as caught:
        read_plan(write(text))
    assert caught.value.problems[0].startswith(problem)


def test_a_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="there is no study"):
        read_plan(tmp_path / "none.yaml")


def test_processes_are_named_by_run_or_row(write):
    text = (
        "base: [base.yaml]\nruns: {alone: {margin: softmax}, shared: {}}\ngrid: {train.batch_size: [8, 16]}\n"
        "processes: {shared: 2, 'shared, train.batch_size=16': 3}\n"
    )
    plan = read_plan(write(text))
    assert [job.processes for job in plan.jobs] == [1, 1, 2, 3]
    assert [job.folder.name.rpartition("-")[2] for job in plan.jobs][2:] == ["by2", "by3"]
    with pytest.raises(ConfigError, match="processes: there is no row 'sharde'; did you mean shared"):
        read_plan(write(text.replace("{shared: 2", "{sharde: 2")))
    with pytest.raises(ConfigError, match="processes: must be at least 1, got 0 for shared"):
        read_plan(write(text.replace("{shared: 2", "{shared: 0")))
