"""Checkpoints that are folders: whole or not there, and one sentence where they are damaged."""

import re
import shutil

import pytest
from small_run import small
from test_run import losses

import angulus.training.storage.checkpoint as module
from angulus.errors import CheckpointError
from angulus.training import AdamW, Head, train


def experiment(folder):
    return small(folder, head=Head(sharded=True), optim=AdamW(lr=1e-3), epochs=2)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return train(experiment(tmp_path_factory.mktemp("runs") / "whole"))


@pytest.fixture
def copy(finished, tmp_path):
    """A run that lacks its end and has one checkpoint, which one may damage."""
    folder = tmp_path / "copy"
    shutil.copytree(finished.folder, folder)
    (folder / "result.json").unlink()
    before, newest = sorted((folder / "checkpoints").iterdir())
    shutil.rmtree(before)
    return folder, newest


@pytest.mark.slow
def test_only_the_last_folders_are_kept(finished):
    names = sorted(path.name for path in (finished.folder / "checkpoints").iterdir())
    assert names == ["step-00000009", "step-00000010"]


@pytest.mark.slow
@pytest.mark.parametrize("step", [3, 6])
def test_a_write_that_is_killed_leaves_nothing_that_is_resumed(finished, tmp_path, monkeypatch, step):
    original = module.put_in_place

    def killed(partial, path):
        if path.name.endswith(str(step)):
            raise KeyboardInterrupt
        original(partial, path)

    run = experiment(tmp_path / "killed")
    with monkeypatch.context() as patch:
        patch.setattr(module, "put_in_place", killed)
        with pytest.raises(KeyboardInterrupt):
            train(run)
    assert [path.name for path in run.out.glob("checkpoints/.*")] == [f".step-0000000{step}.partial"]
    resumed = train(run, resume=True)
    assert losses(resumed.folder) == losses(finished.folder)
    assert not list(run.out.glob("checkpoints/.*"))


@pytest.mark.grid
@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda path: (path / "run.pt").unlink(), "is incomplete, it has no run.pt; remove it"),
        (lambda path: (path / "run.pt").write_bytes(b"PK\x03\x04 nothing"), r"run\.pt is not a readable checkpoint"),
        (lambda path: (path / ".metadata").unlink(), "has no file .metadata"),
        (lambda path: (path / ".metadata").write_bytes(b"nothing"), "is not a readable checkpoint"),
        (lambda path: (path / "__0_0.distcp").unlink(), "is not a readable checkpoint"),
        (lambda path: (path / "__0_0.distcp").write_bytes(b"PK\x03\x04 nothing"), "is not a readable checkpoint"),
    ],
)
def test_a_damaged_folder_is_named_with_what_to_do(copy, damage, sentence):
    folder, newest = copy
    damage(newest)
    with pytest.raises(CheckpointError, match=sentence) as told:
        train(experiment(folder), resume=True)
    assert "step-00000010" in str(told.value)
    assert re.search("remove it|take another", str(told.value))
    shutil.rmtree(newest)
    assert train(experiment(folder), resume=True).figures


def test_a_full_disk_stops_with_a_sentence(tmp_path, monkeypatch):
    from torch.distributed.checkpoint import FileSystemWriter

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FileSystemWriter, "write_data", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        train(experiment(tmp_path / "full"))
    assert not list((tmp_path / "full" / "checkpoints").glob("step-*"))
