import json
import logging
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from real_data import SHARED
from small_run import small
from small_sets import write_folder

from angulus.embeddings import EmbeddingSet
from angulus.errors import ConfigError, DataError
from angulus.models import InputSpec, load_model
from angulus.training import Evaluation, FolderData, Identities, NoisyData, SyntheticData, UnionData, judge, loop, train
from angulus.training.distributed import Processes
from angulus.training.recipe.data_sources import found_sources, open_sources
from angulus.training.recipe.serialization import as_now, record

SPEC = InputSpec(height=24, width=24)


def people(out, count, images=3, **evaluation):
    experiment = small(out, data=SyntheticData(num_identities=count, images_per_identity=images), epochs=2)
    return replace(experiment, evaluation=replace(experiment.evaluation, **evaluation))


@pytest.mark.parametrize(("count", "held_out"), [(10, 2), (26, 5), (40, 8), (200, 40), (250, 50), (1000, 175)])
def test_a_fifth_is_held_out_to_the_person_below_a_thousand(count, held_out):
    sources = found_sources(people(None, count), SPEC)
    assert len(sources.held_out.identities) == held_out
    assert len(sources.train.identities) == count - held_out
    assert not set(sources.train.identities) & set(sources.held_out.identities)


@pytest.mark.parametrize(("count", "sizes"), [(4, [2, 2]), (5, [3, 2]), (6, [2, 2, 2]), (9, [3, 3, 3])])
def test_few_people_are_held_out_in_folds_of_two_or_more(count, sizes):
    sources = open_sources(people(None, count), SPEC)
    assert sources.hold_out == "folds"
    assert sources.held_out is None
    assert len(sources.train.identities) == count
    assert [len(fold.identities) for fold in sources.folds] == sizes
    assert sorted(name for fold in sources.folds for name in fold.identities) == sorted(sources.train.identities)


@pytest.mark.parametrize("count", [2, 3])
def test_two_or_three_people_need_weights_or_a_word(count, tmp_path):
    write_folder(tmp_path / "my people", {f"p{number}": 3 for number in range(count)})
    experiment = replace(small(None), data=FolderData(path=tmp_path / "my people"))
    with pytest.raises(
        DataError, match=rf"{count} people are too few.*angulus train data.path='.*my people' init=FILE"
    ):
        found_sources(experiment, SPEC)
    write_folder(tmp_path / "my people", {"Ann": 1, "Bo": 1})
    left_out = r"\(left out: dropped 2 images of 2 identities: .*\(Ann, Bo\)\)$"
    with pytest.raises(DataError, match=left_out):  # why there are fewer than the folder has
        found_sources(experiment, SPEC)
    everybody = found_sources(replace(experiment, init=SHARED / "any.ckpt"), SPEC)
    assert everybody.hold_out == "nobody"
    assert len(everybody.train.identities) == count
    regardless = replace(experiment, evaluation=Evaluation(hold_out="nobody"))
    assert found_sources(regardless, SPEC).hold_out == "nobody"


def test_wishes_that_cannot_be_met_say_what_to_do():
    def problem(experiment):
        with pytest.raises((DataError, ConfigError)) as caught:
            found_sources(experiment, SPEC)
        return str(caught.value)

    assert "there is one person with two images" in problem(people(None, 1))
    assert "needs 4 people" in problem(people(None, 3, hold_out="folds"))
    assert "two images of a person; min_images is 2" in problem(people(None, 30, images=1))
    for count, advice in ((2, "add identities"), (3, "set evaluation.hold_out to folds or nobody")):
        message = problem(people(None, count, hold_out="part"))
        for part in ("data.identities.parts (train: 0.8, test: 0.2)", "split_seed 0", advice):
            assert part in message
    many = people(None, 30).data
    both = {"a": many, "b": replace(many, first_identity=50)}
    for data in (UnionData(sets=both, join="separate"), NoisyData(base=many, flips=0.1)):
        assert "evaluation.hold_out must be part or auto" in problem(
            replace(people(None, 3, hold_out="nobody"), data=data)
        )


def test_own_parts_are_respected_where_people_are_few():
    experiment = people(None, 8)
    rules = Identities(parts={"train": 0.5, "tune": 0.25, "test": 0.25}, evaluate_on="tune")
    sources = found_sources(replace(experiment, data=replace(experiment.data, identities=rules)), SPEC)
    assert sources.hold_out == "part"
    assert (len(sources.train.identities), len(sources.held_out.identities)) == (4, 2)


@pytest.mark.slow
def test_a_run_in_folds_is_whole_honest_and_goes_on(tmp_path, caplog):
    experiment = people(tmp_path / "run", 6)
    with caplog.at_level(logging.INFO, logger="angulus"):
        result = train(experiment)
    assert "fold 3 of 3: a model without 2 identities with 6 images" in caplog.text
    assert sorted(path.name for path in (result.folder / "folds").iterdir()) == ["fold1", "fold2", "fold3"]
    for fold in (result.folder / "folds").iterdir():
        seen = json.loads((fold / "classes.json").read_text())
        assert len(seen) == 4
    assert len(json.loads((result.folder / "classes.json").read_text())) == 6
    assert not (result.folder / "best").exists()
    [figures] = json.loads((result.folder / "evaluation.json").read_text())
    assert figures["genuine"] == 3 * 2 * 3
    assert figures["impostors"] == 3 * 9
    assert result.figures["held-out/eer"] == figures["eer"]["eer"]
    assert "figures are from 3 models trained without the people" in result.report.read_text()
    (result.folder / "result.json").unlink()
    again = train(experiment, resume=True)
    without_time = {name: value for name, value in result.figures.items() if name != "seconds"}
    assert {name: value for name, value in again.figures.items() if name != "seconds"} == without_time


@pytest.mark.slow
def test_folds_change_nothing_of_the_model_that_is_kept(tmp_path):
    folds, nobody = (train(people(tmp_path / how, 6, hold_out=how)) for how in ("folds", "nobody"))
    pairs = zip(*(load_model(one.folder / "model").state_dict().values() for one in (folds, nobody)), strict=True)
    assert all(np.array_equal(left, right) for left, right in pairs)
    assert not any(name.startswith("held-out") for name in nobody.figures)
    assert "nobody was held out" in nobody.report.read_text()


def test_pooled_scores_are_those_of_each_fold():
    random = np.random.default_rng(0)
    folds = [
        EmbeddingSet(
            embeddings=random.normal(size=(6, 4)).astype(np.float32),
            labels=np.array([f"{fold}{name}" for name in "aabbcc"]),
            keys=tuple(f"{fold}/{row}" for row in range(6)),
        )
        for fold in "xy"
    ]
    pooled = judge.judge_folds(folds, Evaluation(views="plain", fars=(0.5,)))
    assert (pooled.genuine, pooled.impostors) == (6, 24)
    scores = [one.embeddings / np.linalg.norm(one.embeddings, axis=1, keepdims=True) for one in folds]
    genuine = np.array([unit[row] @ unit[row + 1] for unit in scores for row in (0, 2, 4)], dtype=np.float64)
    impostor = np.array(
        [unit[i] @ unit[j] for unit in scores for i in range(6) for j in range(i + 1, 6) if i // 2 != j // 2]
    )
    expected = np.mean([(impostor < value).mean() + (impostor == value).mean() / 2 for value in genuine])
    assert pooled.auc == pytest.approx(expected, abs=1e-6)


def test_older_recipes_keep_their_people():
    stored = record(people(None, 26))
    del stored["data"]["identities"]["shares"], stored["evaluation"]["hold_out"], stored["evaluation"]["folds"]
    now = as_now(stored)
    assert now["data"]["identities"]["shares"] == "by_name"
    assert now["evaluation"]["hold_out"] == "part"
    assert as_now(record(people(None, 26)))["evaluation"]["hold_out"] == "auto"


@pytest.mark.parametrize(("changes", "processes"), [({"accumulate": 20}, 1), ({}, 2)])
def test_a_run_that_is_refused_leaves_no_folder(changes, processes, tmp_path, monkeypatch):
    """Batch norm over one image, or folds in two processes: with the recipe mended, the same folder is free."""
    monkeypatch.setattr(loop, "processes", lambda device: nullcontext(Processes(0, processes, None)))
    experiment = people(tmp_path / "run", 5 if processes > 1 else 10)
    refused = replace(experiment, train=replace(experiment.train, **changes))
    with pytest.raises(ConfigError, match=r"raise train\.batch_size|in one process, got 2"):
        train(refused)
    assert not (tmp_path / "run").exists()
