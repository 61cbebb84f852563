"""A checkpoint that is not what was written is told, and the one before it takes its place."""

import random
import shutil

import pytest
import torch
from small_run import small
from test_run import losses

from angulus.checksums import LENGTH
from angulus.errors import CheckpointError, DamagedCheckpointError
from angulus.models import load_model
from angulus.training import AdamW, Head, train
from angulus.training.storage.checkpoint import load_content

CPU = torch.device("cpu")


def experiment(folder, *, divided=False):
    return small(folder, head=Head(sharded=divided), optim=AdamW(lr=1e-3), epochs=2)


@pytest.fixture(scope="module", params=[False, True], ids=["one-file", "folder"])
def unfinished(request, tmp_path_factory):
    """A whole run, a copy of it without its end, and its recipe."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    finished = train(experiment(folder, divided=request.param))
    return finished, request.param


@pytest.fixture
def copy(unfinished, tmp_path):
    finished, divided = unfinished
    folder = tmp_path / "copy"
    shutil.copytree(finished.folder, folder)
    (folder / "result.json").unlink()
    return finished, folder, experiment(folder, divided=divided)


def flip(path, count=100, seed=0):
    content = bytearray(path.read_bytes())
    moments = random.Random(seed)
    for place in moments.sample(range(len(content)), min(count, len(content))):
        content[place] ^= 1 << moments.randrange(8)
    path.write_bytes(content)


def largest(path):
    return max((file for file in path.rglob("*") if file.is_file()), key=lambda f: f.stat().st_size, default=path)


DAMAGES = {
    "one bit": lambda path: flip(path, 1),
    "a hundred bytes": flip,
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1000]),
    "cut by the checksum": lambda path: path.write_bytes(path.read_bytes()[:-LENGTH]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
}


@pytest.mark.grid
@pytest.mark.parametrize("damage", DAMAGES)
def test_the_one_before_a_damaged_checkpoint_is_resumed_with_a_warning(copy, damage, caplog):
    finished, folder, run = copy
    newest = sorted((folder / "checkpoints").glob("step-*"))[-1]
    DAMAGES[damage](largest(newest))
    resumed = train(run, resume=True)
    assert f"It is set aside as {newest.name}.damaged: going on from step-0000000" in caplog.text
    assert losses(folder) == losses(finished.folder)
    states = [load_model(one.folder / "model").state_dict() for one in (finished, resumed)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_without_one_before_it_is_an_error(copy):
    _, folder, run = copy
    for path in (folder / "checkpoints").glob("step-*"):
        DAMAGES["empty"](largest(path))
    with pytest.raises(DamagedCheckpointError, match=r"is not a readable checkpoint"):
        train(run, resume=True)


def test_a_checkpoint_without_a_checksum_is_read_as_it_is(tmp_path):
    content = {"step": 3, "architecture": {}, "classes": None, "tensors": {}}
    torch.save({"format": 1, **content}, tmp_path / "step-00000003.pt")
    assert load_content(tmp_path / "step-00000003.pt", CPU).step == 3
    torch.save({"format": 2, **content}, tmp_path / "step-00000004.pt")
    with pytest.raises(CheckpointError, match="its checksum is missing"):
        load_content(tmp_path / "step-00000004.pt", CPU)


def test_every_flipped_bit_is_found(copy):
    _, folder, _ = copy
    newest = sorted((folder / "checkpoints").glob("step-*"))[-1]
    file = newest / "run.pt" if newest.is_dir() else newest
    whole = file.read_bytes()
    for seed in range(100):
        file.write_bytes(whole)
        flip(file, 1, seed)
        with pytest.raises(DamagedCheckpointError):
            load_content(newest, CPU)
