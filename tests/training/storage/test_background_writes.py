"""Checkpoints that a thread writes while training goes on: the same bytes, the same run, nothing lost, one sentence."""

import json
import os
import re
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from full_disk import full_from
from small_run import small, stop_at
from test_run import losses

import angulus.training.storage.checkpoint as module
from angulus.errors import CheckpointError
from angulus.heads.sharding.remarks import one_process_is_fine
from angulus.interruptions import Interruption
from angulus.training import AdamW, Experiment, Head, train
from angulus.training.distributed import Processes
from angulus.training.loop import Run
from angulus.training.plan.forecast import plan
from angulus.training.plan.write_choice import LEAST, chosen
from angulus.training.storage import run_state
from angulus.training.storage.checkpoint import Checkpoints
from angulus.training.storage.host_copies import HostCopies
from angulus.training.storage.run_state import Trained, TrainState

HEADS = {"whole": Head(), "divided": Head(sharded=True)}


def beside(folder: Path, head: Head = HEADS["whole"], writes: str = "background") -> Experiment:
    return small(folder, head=head, optim=AdamW(lr=1e-3), epochs=2, average_last=2, checkpoint_writes=writes)


def files_in(folder: Path) -> dict[str, bytes]:
    """By name; without the number that torch draws for every save, and the checksum of the file that holds it."""
    found = {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}
    drawn = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|crc32 [0-9a-f]{8}")
    return {name: drawn.sub(b"", content) if name.endswith(".metadata") else content for name, content in found.items()}


def slowed(monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[str]:
    """Every write takes so long; the names of the threads that wrote."""
    writers: list[str] = []
    original = torch.save

    def slow(content: object, file: object) -> None:
        writers.append(threading.current_thread().name)
        time.sleep(seconds)
        original(content, file)

    monkeypatch.setattr(module.torch, "save", slow)
    return writers


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each head whose steps wait for their checkpoints."""
    folder = tmp_path_factory.mktemp("waiting")
    return {name: train(beside(folder / name, head, "waiting")).folder for name, head in HEADS.items()}


def assert_same_run(one: Path, other: Path) -> None:
    assert losses(one) == losses(other)
    for name in ("model", "best", "last"):
        weights = [(folder / name / "model.safetensors").read_bytes() for folder in (one, other)]
        assert weights[0] == weights[1], name


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
def test_a_checkpoint_has_the_same_bytes_written_from_a_copy(tmp_path, monkeypatch, head):
    seen: list[int] = []

    def both(trained: Trained, checkpoints: Checkpoints, state: TrainState) -> None:
        copies, rooms = HostCopies(), []
        for name in ("first", "again"):  # the second time into the room of the first
            own = run_state.snapshot(trained, state)
            copied = own.copied(copies, Processes())
            rooms.append([one.data_ptr() for one in copies.room])
            with one_process_is_fine():
                run_state.write(own, Checkpoints(tmp_path / "shared", 9), Processes())
                shared = files_in(tmp_path / "shared")
                (tmp_path / "shared").rename(tmp_path / f"{name}-{state.step}")
                run_state.write(copied, Checkpoints(tmp_path / "shared", 9), Processes())
            assert files_in(tmp_path / "shared") == shared
            (tmp_path / "shared").rename(tmp_path / f"{name}-{state.step}-copied")
        assert rooms[0] == rooms[1]
        seen.append(state.step)

    monkeypatch.setattr("angulus.training.storage.writer.save", both)
    train(beside(tmp_path / "run", HEADS[head], "waiting"))
    assert seen == [3, 6, 9, 10]


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
def test_a_run_with_writes_beside_it_equals_one_that_waits(tmp_path, waiting, monkeypatch, head):
    writers = slowed(monkeypatch, 0.1)
    found = train(beside(tmp_path / "run", HEADS[head])).folder
    assert writers
    assert set(writers) == {"checkpoint"}
    assert_same_run(found, waiting[head])
    names = [sorted(path.name for path in (one / "checkpoints").iterdir()) for one in (found, waiting[head])]
    assert names[0] == names[1]
    choices = json.loads((found / "environment.json").read_text())["choices"]
    assert choices["checkpoint_writes"] == {"chosen": "background", "reason": "as the recipe says", "factor": None}


def test_steps_go_on_while_a_checkpoint_is_written_and_the_next_waits_for_it(tmp_path, monkeypatch):
    events: list[str] = []
    original = torch.save
    going_on = threading.Event()

    def slow(content, file):
        events.append(f"writing {content['step']}")
        if content["step"] == 3:
            assert going_on.wait(30)
        original(content, file)
        events.append(f"written {content['step']}")

    def rate(self, before=Run.rate):
        if self.state.step == 5:
            events.append("step 5")
            going_on.set()
        return before(self)

    monkeypatch.setattr(module.torch, "save", slow)
    monkeypatch.setattr(Run, "rate", rate)
    train(beside(tmp_path / "run"))
    events = list(dict.fromkeys(events))
    steps = ["writing 3", "step 5", "written 3"]
    assert [event for event in events if event in steps] == steps
    order = [event.split() for event in events if event != "step 5"]
    assert [word for word, _ in order] == ["writing", "written"] * (len(order) // 2)


@pytest.mark.slow
@pytest.mark.parametrize("head", HEADS)
def test_a_crash_loses_no_write_that_had_begun(tmp_path, waiting, monkeypatch, head):
    run = beside(tmp_path / "run", HEADS[head])
    with monkeypatch.context() as patch:
        slowed(patch, 0.5)
        stop_at(patch, 7)
        with pytest.raises(KeyboardInterrupt):
            train(run)
    assert sorted(path.name[:13] for path in run.out.glob("checkpoints/*"))[-1] == "step-00000006"
    assert_same_run(train(run, resume=True).folder, waiting[head])


@pytest.mark.slow
def test_a_signal_is_answered_when_all_is_written(tmp_path, waiting, monkeypatch):
    run = beside(tmp_path / "run")
    with monkeypatch.context() as patch:
        slowed(patch, 0.3)

        def rate(self, before=Run.rate):
            if self.state.step == 6:
                os.kill(os.getpid(), signal.SIGTERM)
            return before(self)

        patch.setattr(Run, "rate", rate)
        with pytest.raises(Interruption, match="step 7 of 10 is saved"):
            train(run)
    assert sorted(path.name for path in run.out.glob("checkpoints/*"))[-1] == "step-00000007.pt"
    assert_same_run(train(run, resume=True).folder, waiting["whole"])


def test_a_write_that_fails_stops_the_run_with_the_sentence_of_one_that_waits(tmp_path, monkeypatch):
    told, steps = [], []
    for writes in ("waiting", "background"):
        run = beside(tmp_path / writes, writes=writes)
        with monkeypatch.context() as patch:
            patch.setattr(module.torch, "save", full_from(6))
            patch.setattr(Run, "tell_time", lambda self, _: steps.append(self.state.step))
            with pytest.raises(CheckpointError, match="the disk is full") as stopped:
                train(run)
        told.append(str(stopped.value).replace(str(run.out), "RUN"))
        assert [path.name for path in run.out.glob("checkpoints/*")] == ["step-00000003.pt"]
    assert told[0] == told[1]
    assert max(steps) < 10


def test_a_write_that_fails_at_the_end_leaves_no_finished_run(tmp_path, monkeypatch):
    run = beside(tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(module.torch, "save", full_from(10))
        with pytest.raises(CheckpointError, match="the disk is full"):
            train(run)
    assert not (run.out / "result.json").exists()
    assert train(run, resume=True).figures


def test_copies_keep_what_shares_memory_and_how_it_lies():
    whole = torch.arange(12.0).view(3, 4)
    value = {"a": whole, "b": [whole[1:].t(), (whole[0], 5)], "names": {"c": None}, "half": whole.bfloat16()}
    found = HostCopies().of(value)
    expected = [whole.clone(), whole[1:].t().clone()]
    whole.zero_()
    assert torch.equal(found["a"], expected[0])
    assert torch.equal(found["b"][0], expected[1])
    assert found["b"][0].stride() == (1, 4)
    assert found["b"][1][0].data_ptr() == found["a"].data_ptr()
    assert found["b"][1][1] == 5
    assert found["names"] == {"c": None}
    assert found["half"].dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("found", "choice", "reason"),
    [
        ([("a", LEAST - 1, 2**40)], "waiting", "are soon written"),
        ([("a", LEAST, 2**40)], "background", "copied sooner than written"),
        ([("a", LEAST, 4 * LEAST), ("b", LEAST, 4 * LEAST)], "background", "copied"),
        ([("a", LEAST, 4 * LEAST), ("a", LEAST, 4 * LEAST)], "waiting", "copies would take 64 MiB of 128 MiB"),
        ([("a", 0, 2**40), ("b", LEAST, LEAST)], "waiting", "copies would take"),
    ],
)
def test_auto_asks_for_the_size_and_for_the_room(found, choice, reason):
    made = chosen(found)
    assert made.chosen == choice
    assert reason in made.reason


def test_a_small_run_waits_by_itself_and_a_large_one_does_not(tmp_path, monkeypatch):
    small_one = beside(tmp_path / "small", writes="auto")
    train(replace(small_one, train=replace(small_one.train, epochs=1, average_last=0)))
    monkeypatch.setattr("angulus.training.plan.write_choice.LEAST", 1)
    large = beside(tmp_path / "large", writes="auto")
    writers = slowed(monkeypatch, 0.0)
    train(replace(large, train=replace(large.train, epochs=1, average_last=0)))
    assert set(writers) == {"checkpoint"}
    told = [json.loads((tmp_path / name / "environment.json").read_text())["choices"] for name in ("small", "large")]
    assert [one["checkpoint_writes"]["chosen"] for one in told] == ["waiting", "background"]


def test_a_plan_counts_the_copy_that_a_recipe_asks_for(tmp_path, monkeypatch):
    plans = {writes: plan(beside(tmp_path / "run", writes=writes)) for writes in ("waiting", "background")}
    own = {writes: next(row for row in made.rows if row.is_own) for writes, made in plans.items()}
    copy = plans["background"].parts["copy for checkpoints"]
    assert "copy for checkpoints" not in plans["waiting"].parts
    assert own["background"].total - own["waiting"].total == copy > 0
    monkeypatch.setattr("angulus.training.plan.forecast.LEAST", 1)
    assert any("from a copy in the memory of the host" in note for note in plan(beside(tmp_path, writes="auto")).notes)
