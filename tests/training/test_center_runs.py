"""Runs with a center loss and triplets: what a step adds up, and that they go on in the middle of an epoch."""

import json

import pytest
import torch
from training.small_run import stop_at
from training.test_triplet_runs import drawn_run

from angulus.errors import CheckpointError
from angulus.heads import Center, Triplet
from angulus.training import Head, train
from angulus.training.storage.checkpoint import Checkpoints, load_content

BOTH = Head(triplet=Triplet(), center=Center(weight=0.01))
SAME = ("loss", "loss/triplet", "loss/center", "gradient_norm", "lr")


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def steps(folder):
    return [{name: row[name] for name in SAME if name in row} for row in rows(folder) if "loss" in row]


def newest(folder):
    return load_content(Checkpoints(folder / "checkpoints", 1).paths()[-1], torch.device("cpu")).tensors


def flat(content, name=""):
    """Whatever a checkpoint holds, by the way to it."""
    if isinstance(content, dict):
        return {key: value for part, some in content.items() for key, value in flat(some, f"{name}/{part}").items()}
    if isinstance(content, list | tuple):
        return flat(dict(enumerate(content)), name)
    return {name: content}


def is_same(left, right):
    return torch.equal(left, right) if isinstance(right, torch.Tensor) else left == right


@pytest.mark.slow
@pytest.mark.parametrize("head", [Head(triplet=Triplet()), BOTH], ids=["pairs", "both"])
def test_a_run_goes_on_in_the_middle_of_an_epoch(tmp_path, monkeypatch, head):
    """To the bit: losses, network, class weights, centers and the order of the identities in batches of P x K."""
    settings = {"head": head, "checkpoint_every": 2, "epochs": 3}
    whole = train(drawn_run(tmp_path / "whole", **settings))
    broken = drawn_run(tmp_path / "broken", **settings)
    with monkeypatch.context() as patch:
        stop_at(patch, 5)  # the second of three steps of an epoch; the checkpoint is of the one before
        with pytest.raises(KeyboardInterrupt):
            train(broken)
    assert rows(broken.out)[-1]["step"] == 5
    resumed = train(broken, resume=True)
    assert steps(resumed.folder) == steps(whole.folder)
    found, wanted = newest(resumed.folder), newest(whole.folder)
    parts = ["backbone", "head", "optimizer", "random"] + ["centers"] * (head.center is not None)
    for part in parts:
        assert flat(found[part]).keys() == flat(wanted[part]).keys()
        assert all(is_same(flat(found[part])[name], value) for name, value in flat(wanted[part]).items()), part
    assert ("centers" in wanted) == (head.center is not None)
    if head.center is not None:
        assert bool((wanted["centers"].norm(dim=1) > 0).all())
    assert {**resumed.figures, "seconds": 0} == {**whole.figures, "seconds": 0}


def test_a_checkpoint_without_its_centers_is_refused(tmp_path, monkeypatch):
    experiment = drawn_run(tmp_path / "run", head=BOTH, checkpoint_every=2)
    with monkeypatch.context() as patch:
        stop_at(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            train(experiment)
    checkpoints = Checkpoints(experiment.out / "checkpoints", 1)
    content = load_content(checkpoints.paths()[-1], torch.device("cpu"))
    content.tensors["centers"] = content.tensors["centers"][:2]
    checkpoints.save(content)
    with pytest.raises(CheckpointError, match=r"its centers must be float32 \[6, 64\], a row for each class"):
        train(experiment, resume=True)
