"""A study runs what is missing, survives failures, and keeps its table up to date; the training is a stand-in."""

import json
import threading
import time
import xml.etree.ElementTree
from pathlib import Path

import pytest

import angulus.study.run as running
from angulus.cli import main
from angulus.errors import AngulusError
from angulus.study import Job, Outcome, read_plan, run_study
from angulus.study.plot import ticks

STUDY = """
title: Two losses
base: [base.yaml]
runs: {plain | softmax: {margin: softmax}, ArcFace: {margin: arcface}}
seeds: [0, 1, 2]
columns: [held-out/accuracy, held-out/eer, loss, seconds]
out: out
"""


@pytest.fixture
def study(tmp_path):
    (tmp_path / "base.yaml").write_text("data: {path: faces}\n")
    path = tmp_path / "study.yaml"
    path.write_text(STUDY)
    return path


def figures_of(job: Job) -> dict[str, float]:
    better = 0.05 if job.row == "ArcFace" else 0.0
    accuracy = 0.90 + better + 0.01 * job.seed
    return {"held-out/accuracy": accuracy, "held-out/eer": 1 - accuracy, "loss": 5 - job.seed, "seconds": 60.0}


def fake(job: Job, threads: int) -> Outcome:
    job.folder.mkdir(parents=True)
    (job.folder / "result.json").write_text(json.dumps({"figures": figures_of(job), "recipe": {}}))
    return Outcome(figures=figures_of(job))


def test_the_table_has_means_and_spreads(study):
    plan = read_plan(study)
    outcomes = run_study(plan, run=fake)
    assert all(outcome.is_done for outcome in outcomes.values())
    lines = (plan.out / "table.md").read_text().splitlines()
    assert lines[2] == "| run | held-out/accuracy (%) | held-out/eer (%) | loss | seconds | seeds |"
    assert lines[4] == "| plain \\| softmax | 91.00 +- 1.00 | 9.00 +- 1.00 | 4.0 +- 1.0 | 60.00 +- 0.00 | 3 |"
    assert lines[5] == "| ArcFace | **96.00 +- 1.00** | **4.00 +- 1.00** | 4.0 +- 1.0 | 60.00 +- 0.00 | 3 |"
    content = json.loads((plan.out / "study.json").read_text())
    assert content["rows"]["ArcFace"]["held-out/accuracy"]["mean"] == pytest.approx(0.96)
    assert content["rows"]["ArcFace"]["held-out/accuracy"]["standard_deviation"] == pytest.approx(0.01)
    assert content["rows"]["ArcFace"]["held-out/accuracy"]["values"] == pytest.approx([0.95, 0.96, 0.97])
    assert len(content["runs"]) == 6
    assert content["runs"][0]["recipe"]["margin"]["name"] == "softmax"
    picture = xml.etree.ElementTree.parse(plan.out / "plot.svg").getroot()
    assert len(picture.findall(".//{*}circle")) == 24


def test_only_what_is_missing_is_run(study):
    plan = read_plan(study)
    ran: list[str] = []

    def counted(job: Job, threads: int) -> Outcome:
        ran.append(f"{job.row} {job.seed}")
        return fake(job, threads)

    run_study(plan, run=counted)
    # by seed, so that all rows can be compared early
    assert ran == [f"{row} {seed}" for seed in range(3) for row in ("plain | softmax", "ArcFace")]
    run_study(read_plan(study), run=counted)
    assert len(ran) == 6
    (plan.jobs[0].folder / "result.json").unlink()
    plan.jobs[0].folder.rmdir()
    run_study(read_plan(study), run=counted)
    assert ran[6:] == ["plain | softmax 0"]
    run_study(read_plan(study, ["optim.lr=0.3"]), run=counted)
    assert len(ran) == 13


def test_a_failure_is_a_line_and_the_study_goes_on(study):
    plan = read_plan(study)

    def failing(job: Job, threads: int) -> Outcome:
        if job.row == "ArcFace" and job.seed == 1:
            raise AngulusError("the loss became NaN at step 7")
        return fake(job, threads)

    outcomes = run_study(plan, run=failing)
    assert sum(outcome.is_done for outcome in outcomes.values()) == 5
    text = (plan.out / "table.md").read_text()
    assert "- ArcFace, seed 1: the loss became NaN at step 7" in text
    assert "| **96.00 +- 1.41** |" in text
    assert "| 2 of 3 |" in text
    states = [run["state"] for run in json.loads((plan.out / "study.json").read_text())["runs"]]
    assert states == ["done", "done", "done", "done", "failed", "done"]
    assert all(outcome.is_done for outcome in run_study(plan, run=fake).values())


def test_the_table_is_written_after_every_run(study):
    plan = read_plan(study)
    seen: list[int] = []

    def looking(job: Job, threads: int) -> Outcome:
        content = json.loads((plan.out / "study.json").read_text())
        seen.append(sum(run["state"] == "done" for run in content["runs"]))
        return fake(job, threads)

    run_study(plan, run=looking)
    assert seen == [0, 1, 2, 3, 4, 5]


def test_table_only_runs_nothing(study):
    plan = read_plan(study)
    outcomes = run_study(plan, run=fake, table_only=True)
    assert not any(outcome.is_done for outcome in outcomes.values())
    assert "| ArcFace | - | - | - | - | 0 of 3 |" in (plan.out / "table.md").read_text()


def test_several_at_a_time_share_the_cores(study, monkeypatch):
    monkeypatch.setattr("angulus.study.run.usable_cores", lambda: 6)
    barrier = threading.Barrier(3, timeout=20)
    threads_given: set[int] = set()

    def together(job: Job, threads: int) -> Outcome:
        threads_given.add(threads)
        barrier.wait()
        return fake(job, threads)

    run_study(read_plan(study), jobs=3, run=together)
    assert threads_given == {2}


def test_columns_that_no_run_has_are_warned_of(study, caplog):
    study.write_text(STUDY.replace("held-out/eer", "held-out/err"))
    run_study(read_plan(study), run=fake)
    assert "columns: no run has the figure held-out/err; did you mean held-out/eer?" in caplog.text


def test_without_columns_every_figure_is_shown(study):
    study.write_text(STUDY.replace("columns: [held-out/accuracy, held-out/eer, loss, seconds]", ""))
    plan = read_plan(study)
    run_study(plan, run=fake)
    assert (
        "| run | held-out/accuracy (%) | held-out/eer (%) | loss | seconds | seeds |"
        in (plan.out / "table.md").read_text()
    )


def test_a_column_that_one_row_lacks_is_kept(study):
    study.write_text(STUDY.replace("columns: [held-out/accuracy, held-out/eer, loss, seconds]", ""))
    plan = read_plan(study)
    run_study(plan, run=fake)
    for job in plan.jobs:
        if job.row == "ArcFace":
            path = job.folder / "result.json"
            content = json.loads(path.read_text())
            del content["figures"]["loss"]
            path.write_text(json.dumps(content))
    run_study(plan, table_only=True)
    lines = (plan.out / "table.md").read_text().splitlines()
    assert lines[2] == "| run | held-out/accuracy (%) | held-out/eer (%) | loss | seconds | seeds |"
    assert "| - | 60.00 +- 0.00 | 3 |" in lines[5]


def test_a_broken_result_is_run_again(study):
    plan = read_plan(study)
    run_study(plan, run=fake)
    (plan.jobs[0].folder / "result.json").write_text('{"figures": ')
    outcomes = run_study(plan, table_only=True)
    assert "cannot be read" in (outcomes[plan.jobs[0]].error or "")


@pytest.mark.parametrize(("jobs", "threads"), [(0, 1), (1, 0)])
def test_numbers_below_one_are_refused(study, jobs, threads):
    with pytest.raises(AngulusError, match="must be at least 1"):
        run_study(read_plan(study), jobs=jobs, threads=threads, run=fake)


def test_an_interruption_stops_what_runs(study, monkeypatch):
    monkeypatch.chdir(study.parent)
    Path("faces").mkdir()
    plan = read_plan(study)
    begun = threading.Event()

    def popen_of_a_sleeper(command: list[str], **more: object) -> object:
        begun.set()
        return real_popen(["sleep", "60"], **more)

    real_popen = running.subprocess.Popen
    monkeypatch.setattr(running.subprocess, "Popen", popen_of_a_sleeper)

    def interrupted(*arguments: object, **more: object) -> object:
        begun.wait(20)
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "as_completed", interrupted)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_study(plan, jobs=2)
    assert time.monotonic() - started < 20
    assert "Failed" not in (plan.out / "table.md").read_text()


def test_a_table_with_figures_is_not_replaced_by_one_without(study):
    plan = read_plan(study)
    run_study(plan, run=fake)
    before = {name: (plan.out / name).read_bytes() for name in ("table.md", "study.json", "plot.svg")}
    changed = read_plan(study, ["optim.lr=0.2"])
    with pytest.raises(AngulusError, match=r"no run of the study is done, and .*out holds a table with the figures"):
        run_study(changed, run=lambda job, threads: Outcome(error="no luck"))
    with pytest.raises(AngulusError, match="no run of the study is done"):
        run_study(changed, table_only=True)
    assert {name: (plan.out / name).read_bytes() for name in before} == before
    run_study(changed, run=fake)
    assert (plan.out / "table.md").read_bytes() == before["table.md"]


def test_data_that_are_not_there_are_missed_before_the_first_training(study, monkeypatch, capsys):
    monkeypatch.chdir(study.parent)
    monkeypatch.setattr(running.Processes, "run", lambda self, job, threads: pytest.fail("a training began"))
    also = "evaluation.also.x={name: folder, path: there/not}"
    study.write_text(STUDY.replace("runs:", f"overrides: ['{also}', data.identities.exclude_from=nor/this]\nruns:"))
    assert main(["study", str(study), "--quiet"]) == 2
    said = capsys.readouterr().err
    assert "there is no faces, which plain | softmax reads; there is no nor/this" in said
    assert "there is no there/not" in said
    assert not (study.parent / "out" / "table.md").exists()


def test_the_command_prints_the_table_and_fails_when_a_run_failed(study, monkeypatch, capsys):
    monkeypatch.chdir(study.parent)
    Path("faces").mkdir()
    monkeypatch.setattr(running.Processes, "run", lambda self, job, threads: fake(job, threads))
    copy = study.with_name("copy.json")
    assert main(["study", str(study), "--json", str(copy)]) == 0
    captured = capsys.readouterr()
    assert "| ArcFace | **96.00 +- 1.00** |" in captured.out
    assert "6/6  ArcFace, seed 2: done" in captured.err
    assert json.loads(copy.read_text())["title"] == "Two losses"
    other = study.with_name("other")
    monkeypatch.setattr(running.Processes, "run", lambda self, job, threads: Outcome(error="no luck"))
    assert main(["study", str(study), "--out", str(other), "--quiet"]) == 1
    assert "- ArcFace, seed 0: no luck" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("log", "status", "reason"),
    [
        ("step 1\nerror: the loss\n  - became NaN\n", 2, "the loss - became NaN"),
        ("error: no room\nerror: no room\nW1 Sending process 7 closing signal\nTraceback\n", 1, "no room"),
        ("step 1\nMemoryError\n", 1, "ended with status 1: MemoryError"),
        ("", -9, "ended by signal 9 without a word"),
    ],
)
def test_why_a_process_ended(tmp_path: Path, log, status, reason):
    (tmp_path / "x.log").write_text(log)
    assert running.last_words(tmp_path / "x.log", status) == reason


@pytest.mark.slow
def test_a_real_study_of_drawn_faces(tmp_path):
    (tmp_path / "base.yaml").write_text(
        "data: {name: synthetic, num_identities: 40, images_per_identity: 3}\n"
        "model: {name: tiny, channels: [4, 8], units: [0, 0], embedding_dim: 8, input: {height: 24, width: 24}}\n"
        "train: {epochs: 1, batch_size: 32, batch_norm: frozen}\nevaluation: {every: null, fars: [0.1]}\n"
        "head: {sharded: true}\n"
    )
    (tmp_path / "study.yaml").write_text(
        "base: [base.yaml]\nruns: {plain: {margin: softmax}, shared: {margin: softmax}, "
        "broken: {data: {num_identities: 0}}}\nprocesses: {shared: 2}\n"
        "columns: [held-out/eer, loss]\nout: out\n"
    )
    plan = read_plan(tmp_path / "study.yaml")
    outcomes = run_study(plan, threads=1)
    good, shared, bad = (outcomes[job] for job in plan.jobs)
    assert good.is_done
    assert "held-out/eer" in good.figures
    assert shared.figures["loss"] == pytest.approx(good.figures["loss"], rel=1e-4)
    assert "must be at least" in (bad.error or "")
    assert all(outcome.error is None for outcome in run_study(plan, threads=1, table_only=True).values())


@pytest.mark.parametrize(("low", "high"), [(85.1, 90.2), (0.0, 1.0), (-3e-5, 2e-5), (9.9, 10.1), (0.0, 999.0)])
def test_an_axis_has_a_few_round_numbers(low, high):
    found = ticks(low, high)
    assert 2 <= len(found) <= 6
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in found)
    assert all(len(f"{tick:.6g}".replace("-", "").replace("e", "")) <= 7 for tick in found)
