"""A run that is kept in a store: published while it goes on, gone on with elsewhere, and stopped by no store."""

import json
import logging
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from angulus_store import Store
from PIL import Image

from angulus.config import load
from angulus.errors import CheckpointError, StorageError
from angulus.models import load_model
from angulus.storage import cache, run_publication
from angulus.training import train

SETTINGS = (
    "model={name: tiny, input: {height: 16, width: 16}, channels: [4, 4], units: [0, 0], embedding_dim: 8}",
    "train.batch_size=8",
    "train.epochs=2",
    "train.checkpoint_every=3",
    "train.workers=0",
    "train.precision=float32",
    "train.layout=contiguous",
    "evaluation.hold_out=nobody",
    "device=cpu",
)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("run") / "people", np.random.default_rng(3)
    for person in range(4):
        (folder / f"p{person}").mkdir(parents=True)
        for number in range(4):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"p{person}" / f"{number}.png")
    return folder


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_publication, "LOOK", 0.02)
    monkeypatch.setattr(run_publication, "EVERY", 0.1)


def weights(folder: str | Path) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in load_model(f"{folder}/model").state_dict().items()}


def assert_same_weights(one: str | Path, other: str | Path) -> None:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_run_goes_on_on_another_machine(store: Store, people: Path, tmp_path: Path) -> None:
    def stop(progress: object) -> None:
        raise KeyboardInterrupt

    train(load([], [f"data.path={people}", f"out={tmp_path / 'whole'}", *SETTINGS]))
    there = load([], [f"data.path={people}", f"out={store.root}/run", *SETTINGS, "train.log_every=3"])
    with pytest.raises(KeyboardInterrupt):
        train(there, progress=stop)
    assert "run/checkpoints/newest.json" not in store.names()  # it stopped before its first checkpoint
    train(there, resume=True, progress=lambda progress: None)
    assert "run/checkpoints/newest.json" in store.names()
    assert [name for name in store.names() if ".lock" in name or "partial" in name] == []
    shutil.rmtree(cache.cache_folder())  # another machine has none of it
    done = train(there, resume=True)
    assert done.figures
    shutil.rmtree(cache.cache_folder())
    assert_same_weights(f"{store.root}/run", tmp_path / "whole")
    with pytest.raises(StorageError, match="exists already"):
        train(there)


@pytest.mark.slow
@pytest.mark.parametrize("writes", ["waiting", "background"])
def test_from_a_checkpoint_in_the_store_it_ends_as_if_it_had_not_stopped(
    store: Store, people: Path, tmp_path: Path, writes: str
) -> None:
    whole = [f"data.path={people}", f"out={tmp_path / 'whole'}", *SETTINGS, "train.log_every=1"]
    train(load([], whole))
    there = load(
        [],
        [
            f"data.path={people}",
            f"out={store.root}/run",
            *SETTINGS,
            "train.log_every=1",
            f"train.checkpoint_writes={writes}",
        ],
    )

    def stop(progress: object) -> None:
        if progress.step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(there, progress=stop)
    steps = [name for name in store.names() if "step-" in name]
    assert steps == ["run/checkpoints/step-00000003.pt"] or "run/checkpoints/step-00000002.pt" in steps
    shutil.rmtree(cache.cache_folder())
    train(there, resume=True)
    assert_same_weights(f"{store.root}/run", tmp_path / "whole")


@pytest.mark.parametrize("writes", ["waiting", "background"])
def test_whenever_it_is_killed_the_store_has_a_run_to_go_on_with(store: Store, people: Path, writes: str) -> None:
    there = load([], [f"data.path={people}", f"out={store.root}/run", *SETTINGS, f"train.checkpoint_writes={writes}"])
    store.server.gate.requests.clear()
    train(there)
    puts = [path.partition("/run/")[2] for method, path, _ in store.server.gate.requests if method == "PUT"]
    puts = [name for name in puts if name]
    named = [place for place, name in enumerate(puts) if name == "checkpoints/newest.json"]
    whole = [place for place, name in enumerate(puts) if name.startswith("checkpoints/step-")]
    assert named
    assert all(puts.index(name) < min(whole) for name in run_publication.BEGUN)
    assert all(any(one < place for one in whole) for place in named)


@pytest.mark.slow
@pytest.mark.parametrize("hard_links", [True, False])
def test_a_store_slower_than_checkpoints_has_one_all_the_same(
    store: Store, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool
) -> None:
    def none(*names: object) -> None:
        raise PermissionError

    if not hard_links:
        monkeypatch.setattr(os, "link", none)
    whole = [f"data.path={people}", *SETTINGS, "train.epochs=40", "train.checkpoint_every=1", "train.keep_last=1"]
    whole += ["train.log_every=1"]
    there = load([], [*whole, f"out={store.root}/run"])
    store.plant("slow", "PUT", "/run/checkpoints/step-", 10**6)
    found: list[int] = []

    def look(progress: object) -> None:
        time.sleep(0.1)  # a third of what a checkpoint takes
        if "run/checkpoints/newest.json" in store.names():
            named = json.loads(store.files.cat_file(f"{store.root}/run/checkpoints/newest.json"))["name"]
            assert f"run/checkpoints/{named}" in store.names()
            found.append(progress.step)
        if len(found) == 3 or progress.step == 76:
            raise SystemError  # the machine is lost

    with pytest.raises(SystemError):
        train(there, progress=look)
    assert found
    assert not list(cache.cache_folder().rglob(run_publication.HELD))
    store.server.gate.faults.clear()
    shutil.rmtree(cache.cache_folder())
    train(there, resume=True)
    train(load([], [*whole, f"out={tmp_path / 'whole'}"]))
    assert_same_weights(f"{store.root}/run", tmp_path / "whole")


def test_a_store_that_fails_stops_no_run(store: Store, people: Path, caplog: pytest.LogCaptureFixture) -> None:
    there = load([], [f"data.path={people}", f"out={store.root}/run", *SETTINGS, "train.log_every=1"])
    fault = store.plant("expired", "PUT", "/run/", 10**6)
    seen: list[int] = []

    def heal(progress: object) -> None:
        seen.append(progress.step)
        if progress.step == 4:
            time.sleep(0.5)
            fault.times = 0

    with caplog.at_level(logging.WARNING):
        train(there, progress=heal)
    assert seen[-1] == 4
    assert any("Training goes on, and what is missing there is published later" in line for line in caplog.messages)
    assert "run/result.json" in store.names()


def test_what_could_not_be_published_at_the_end_is_published_by_resuming(store: Store, people: Path) -> None:
    there = load([], [f"data.path={people}", f"out={store.root}/run", *SETTINGS])
    fault = store.plant("expired", "PUT", "/run/", 10**6)
    with pytest.raises(StorageError, match=r"this publishes it: angulus train --resume s3://.*/run"):
        train(there)
    assert "run/result.json" not in store.names()
    fault.times = 0
    train(there, resume=True)
    assert "run/result.json" in store.names()


def test_a_run_of_another_recipe_is_not_gone_on_with(store: Store, people: Path) -> None:
    train(load([], [f"data.path={people}", f"out={store.root}/run", *SETTINGS]))
    shutil.rmtree(cache.cache_folder())
    other = load([], [f"data.path={people}", f"out={store.root}/run", *SETTINGS, "seed=7"])
    with pytest.raises(CheckpointError, match="holds a run with another recipe"):
        train(other, resume=True)
