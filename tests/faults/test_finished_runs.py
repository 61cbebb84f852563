"""What a run that is finished, or nearly, does when it is resumed: nothing twice, and nothing is lost."""

import json
import shutil

import pytest
from small_run import small

from angulus.errors import CheckpointError
from angulus.folder_locks import locked
from angulus.training import train


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return train(small(tmp_path_factory.mktemp("runs") / "whole", epochs=2))


def content(folder):
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in sorted(folder.rglob("*")) if path.is_file()}


def rows(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    times = ("images_per_second", "waiting_for_data")
    return [{name: value for name, value in row.items() if name not in times} for row in lines]


def test_a_finished_run_is_left_as_it_is(finished, caplog):
    before = content(finished.folder)
    caplog.set_level("INFO", logger="angulus")
    again = train(small(finished.folder, epochs=2), resume=True)
    assert content(finished.folder) == before
    assert again.figures == finished.figures
    assert "is finished already" in caplog.text


def test_a_run_killed_after_its_last_checkpoint_has_no_row_twice_and_its_loss(finished, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished.folder, folder)
    (folder / "result.json").unlink()
    again = train(small(folder, epochs=2), resume=True)
    assert rows(folder) == rows(finished.folder)
    assert {**again.figures, "seconds": 0} == {**finished.figures, "seconds": 0}


def test_half_written_files_of_killed_writers_are_removed(finished, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished.folder, folder)
    (folder / "result.json").unlink()
    left = [folder / "checkpoints" / ".step-00000009.pt.4711.partial", folder / ".metrics.jsonl.4711.partial"]
    for path in left:
        path.write_bytes(b"half")
    (folder / "checkpoints" / ".step-00000009.partial").mkdir()
    train(small(folder, epochs=2), resume=True)
    assert not list(folder.rglob("*.partial"))
    assert not list(folder.rglob(".lock"))


def test_a_second_process_is_refused_and_told_who_holds_the_folder(finished, tmp_path, monkeypatch):
    import os

    import angulus.folder_locks as module

    folder = tmp_path / "held"
    with locked(folder, CheckpointError, "training in"):
        monkeypatch.setattr(module.locked.__wrapped__, "__kwdefaults__", {"patience": 0.3})
        with pytest.raises(CheckpointError, match=f"another process is training in .*held: process {os.getpid()} on"):
            train(small(folder, epochs=2), resume=True)
    assert not (folder / "recipe.json").exists()
    assert not list(folder.iterdir())


@pytest.mark.parametrize("place", ["/proc/none/x", "file/x"])
def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot be written"):
        train(small(tmp_path / place, epochs=1))
