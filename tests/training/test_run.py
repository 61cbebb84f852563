import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from full_disk import full_from
from small_run import small, stop_at

from angulus.data import Balanced, decoder
from angulus.errors import CheckpointError, DataError, NonFiniteError
from angulus.margins import L2Softmax, Learned, Margin
from angulus.models import InputSpec, TinyNet, load_model
from angulus.training import FolderData, train


def losses(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [(row["step"], row["loss"], row["gradient_norm"]) for row in rows if "loss" in row]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    return train(small(folder))


def test_a_run_leaves_everything_it_promises(finished):
    names = {path.name for path in finished.folder.iterdir()}
    expected = {"recipe.json", "environment.json", "metrics.jsonl", "checkpoints", "model", "best", "result.json"}
    assert expected | {"report.html", "evaluation.json"} <= names
    assert finished.figures["held-out/auc"] > 0.5
    assert not [path for path in finished.folder.rglob("*.partial")]
    model = load_model(finished.folder / "model")
    assert model.input == InputSpec(height=24, width=24)
    recipe = json.loads((finished.folder / "recipe.json").read_text())
    assert recipe["margin"]["m"]["name"] == "linear"
    assert json.loads((finished.folder / "environment.json").read_text())["decoder"] == decoder()


def test_only_the_last_checkpoints_are_kept(finished):
    assert len(list((finished.folder / "checkpoints").glob("step-*.pt"))) == 2


@pytest.mark.parametrize("step", [2, 7, 14])
def test_resume_equals_the_uninterrupted_run_to_the_bit(finished, tmp_path, monkeypatch, step):
    experiment = small(tmp_path / "cut")
    with monkeypatch.context() as patch:
        stop_at(patch, step)
        with pytest.raises(KeyboardInterrupt):
            train(experiment)
    resumed = train(experiment, resume=True)
    assert losses(resumed.folder) == losses(finished.folder)
    recorded = [(folder / "diagnosis.jsonl").read_text() for folder in (finished.folder, resumed.folder)]
    assert recorded[0] == recorded[1]
    before, after = finished.figures, resumed.figures
    assert {k: v for k, v in after.items() if k != "seconds"} == {k: v for k, v in before.items() if k != "seconds"}
    states = [load_model(folder / "model").state_dict() for folder in (finished.folder, resumed.folder)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.slow
def test_a_stretch_of_several_epochs_is_recorded_the_same_when_resumed_within_it(tmp_path, monkeypatch):
    whole = train(small(tmp_path / "whole", epochs=8))
    experiment = small(tmp_path / "cut", epochs=8)
    with monkeypatch.context() as patch:
        stop_at(patch, 14)
        with pytest.raises(KeyboardInterrupt):
            train(experiment)
    resumed = train(experiment, resume=True)
    recorded = [(folder / "diagnosis.jsonl").read_text() for folder in (whole.folder, resumed.folder)]
    assert recorded[0] == recorded[1]
    ends = [row["epoch"] for row in map(json.loads, recorded[0].splitlines()) if row["kind"] == "stretch"]
    assert ends == [2, 4, 6, 8]


def test_a_run_is_never_overwritten_or_resumed_with_another_recipe(finished):
    with pytest.raises(CheckpointError, match="already holds a run"):
        train(small(finished.folder))
    with pytest.raises(CheckpointError, match=r"train.epochs was 4, now 5"):
        train(small(finished.folder, epochs=5), resume=True)


def test_a_checkpoint_of_another_architecture_is_refused(finished, tmp_path):
    other = TinyNet(channels=(8, 12), units=(1, 0), embedding_dim=16, input=InputSpec(height=24, width=24))
    folder = tmp_path / "other"
    (folder / "checkpoints").mkdir(parents=True)
    source = sorted((finished.folder / "checkpoints").glob("*.pt"))[-1]
    (folder / "checkpoints" / source.name).write_bytes(source.read_bytes())
    with pytest.raises(CheckpointError, match="belongs to another architecture"):
        train(small(folder, model=other), resume=True)


def test_a_damaged_checkpoint_is_named(finished, tmp_path):
    folder = tmp_path / "damaged"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "step-00000003.pt").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(CheckpointError, match=r"step-00000003\.pt is not a readable checkpoint"):
        train(small(folder), resume=True)


def test_accumulated_gradients_are_the_average(tmp_path):
    """With frozen batch norm two micro-batches give what one batch gives."""
    whole = train(small(tmp_path / "whole", batch_norm="frozen", epochs=1))
    halves = train(small(tmp_path / "halves", batch_norm="frozen", epochs=1, accumulate=2))
    for (_, loss, norm), (_, other_loss, other_norm) in zip(losses(whole.folder), losses(halves.folder), strict=True):
        assert loss == pytest.approx(other_loss, rel=1e-4)
        assert norm == pytest.approx(other_norm, rel=1e-3)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(finished, tmp_path):
    same = train(small(tmp_path / "same"))
    other = train(small(tmp_path / "other", seed=1, epochs=1))
    assert losses(same.folder) == losses(finished.folder)
    assert losses(other.folder)[0] != losses(finished.folder)[0]


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_examples(tmp_path, monkeypatch):
    original = TinyNet.build

    def poisoned(self):
        model = original(self)
        encode = model.encode

        def bad(images):
            embeddings = encode(images)
            calls.append(1)
            return embeddings * (float("nan") if len(calls) == 8 else 1.0)

        calls: list[int] = []
        monkeypatch.setattr(model, "encode", bad)
        return model

    monkeypatch.setattr(TinyNet, "build", poisoned)
    with pytest.raises(NonFiniteError, match=r"step 7: the loss of 20 examples \(first: synthetic-\d+/\d+"):
        train(small(tmp_path / "nan", evaluation=replace(small(tmp_path).evaluation, every=None)))
    assert [path.name for path in sorted((tmp_path / "nan" / "checkpoints").iterdir())] == [
        "step-00000003.pt",
        "step-00000006.pt",
    ]


def test_a_gradient_that_is_not_finite_names_its_tensor(tmp_path, monkeypatch):
    from angulus.training import step as step_module

    original = step_module.gradients

    def poisoned(recogniser, *args, **kwargs):
        output = original(recogniser, *args, **kwargs)
        if kwargs["step"] == 4:
            recogniser.head.weight.grad[0, 0] = float("inf")
        return output

    monkeypatch.setattr("angulus.training.loop.gradients", poisoned)
    with pytest.raises(NonFiniteError, match=r"step 4: the gradient of head\.weight is not finite"):
        train(small(tmp_path / "inf"))


def test_a_full_disk_stops_with_a_sentence_and_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    import angulus.training.storage.checkpoint as module

    monkeypatch.setattr(module.torch, "save", full_from(6))
    experiment = small(tmp_path / "full")
    with pytest.raises(CheckpointError, match="the disk is full"):
        train(experiment)
    assert [path.name for path in (tmp_path / "full" / "checkpoints").iterdir()] == ["step-00000003.pt"]
    monkeypatch.undo()
    assert train(experiment, resume=True).figures["held-out/auc"] > 0.5


def test_learned_scale_and_plain_margins_train(tmp_path):
    result = train(small(tmp_path / "l2", margin=L2Softmax(scale=Learned(8.0)), epochs=1))
    assert np.isfinite(result.figures["loss"])
    result = train(small(tmp_path / "plain", margin=Margin(scale=16.0), epochs=1, precision="bfloat16"))
    assert np.isfinite(result.figures["loss"])


def test_balanced_sampling_and_adamw_and_no_cache(tmp_path):
    from angulus.training import AdamW

    result = train(small(tmp_path / "b", sampling=Balanced(), optim=AdamW(), cache="none", epochs=1))
    assert np.isfinite(result.figures["loss"])


def test_missing_data_is_an_error_with_the_path(tmp_path):
    experiment = small(tmp_path / "run", data=FolderData(path=tmp_path / "nowhere"))
    with pytest.raises(DataError, match=re.escape(str(tmp_path / "nowhere"))):
        train(experiment)


@pytest.mark.slow
def test_update_inside_backward_trains_like_the_optimizer_and_resumes(tmp_path, monkeypatch):
    from angulus.heads import Streamed
    from angulus.training import Head

    plain = train(small(tmp_path / "plain", head=Head(strategy=Streamed(chunk=8))))
    experiment = small(tmp_path / "moved", head=Head(strategy=Streamed(chunk=8), update_in_backward=True))
    with monkeypatch.context() as patch:
        stop_at(patch, 7)
        with pytest.raises(KeyboardInterrupt):
            train(experiment)
    moved = train(experiment, resume=True)
    for (_, loss, _), (_, other, _) in zip(losses(plain.folder), losses(moved.folder), strict=True):
        assert loss == pytest.approx(other, rel=2e-2)
    with pytest.raises(ValueError, match="cannot add up micro-batches"):
        small(tmp_path / "no", head=experiment.head, accumulate=2)
    with pytest.raises(ValueError, match="needs strategy=streamed, panels, fused, sampled or auto"):
        Head(update_in_backward=True)


def test_fine_tuning_begins_at_the_class_means(finished, tmp_path):
    from angulus.training import Head

    start = finished.folder / "model"
    cold = train(small(tmp_path / "cold", init=start, epochs=1, head=Head(from_data=False)))
    warm = train(small(tmp_path / "warm", init=start, epochs=1, head=Head(from_data=True)))
    assert losses(warm.folder)[0][1] < 0.7 * losses(cold.folder)[0][1]
