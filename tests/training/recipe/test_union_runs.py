"""Runs on several sets: who is trained on, what a batch holds, and a head for each set where they are kept apart."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_run import small
from small_sets import write_folder

from angulus.config import load
from angulus.data import batches
from angulus.data.order.mixture import spread
from angulus.errors import CheckpointError, ConfigError, DataError
from angulus.heads import MarginHead, Sampled, Streamed
from angulus.margins import AdaFace, ArcFace, CurricularFace, PerClass
from angulus.models import InputSpec, load_model
from angulus.training import SGD, AdamW, Evaluation, FolderData, Head, Identities, SyntheticData, UnionData, train
from angulus.training import step as stepping
from angulus.training.assembly import build_model
from angulus.training.batch_order import heads_of, portions_of, sampler_of
from angulus.training.changes import ImageChanges
from angulus.training.distributed import Processes
from angulus.training.loop import Run
from angulus.training.plan.assumptions import Pretended
from angulus.training.plan.forecast import plan
from angulus.training.recipe.data_sources import found_sources, open_sources
from angulus.training.recipe.defaults import plain_augment
from angulus.training.step import Recogniser, gradients

PARTS = Identities(parts={"train": 0.65, "test": 0.35})
TINY = InputSpec(height=6, width=5)


def drawn(**more):
    """Two sets of drawn people, of whom six are in both."""
    sets = {
        "west": SyntheticData(num_identities=18, images_per_identity=4),
        "east": SyntheticData(num_identities=16, images_per_identity=5, first_identity=12),
    }
    return UnionData(**{"sets": sets, "identities": PARTS, **more})


def run_of(out, **changes):
    """Two epochs, with the data of `drawn` changed by field where a change is one of its fields."""
    data = {name: value for name, value in changes.items() if hasattr(drawn(), name)}
    others = {name: value for name, value in changes.items() if name not in data}
    quick = {"epochs": 2, "evaluation": Evaluation(every=None, fars=(0.1,)), "batch_size": 16}
    return small(out, **{**quick, "data": drawn(**data), **others})


def rows(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    timed = ("images_per_second", "waiting_for_data")
    return [{name: value for name, value in row.items() if name not in timed} for row in lines]


# ---- who is who, and in which part


def people(tmp_path, west, east, **more):
    """A union of two folders; `more` are fields of it."""
    sets = {name: FolderData(path=write_folder(tmp_path / name, counts)) for name, counts in (("w", west), ("e", east))}
    return UnionData(sets=sets, **more)


def names_in(data):
    """The names that are trained on, and those held out."""
    sources = found_sources(small(None, data=data), TINY)
    return list(sources.train.identities), list(sources.held_out.identities), sources


def spelt(names, change):
    return {change(name): 2 for name in names}


MANY = [f"Person {number}" for number in range(40)]


@pytest.mark.parametrize("how", ["names", "folded", "table", "separate"])
def test_a_person_of_two_sets_is_never_trained_on_and_tested(tmp_path, how):
    changes = {
        "folded": lambda name: name.upper().replace(" ", "-"),
        "table": lambda name: name.replace("Person", "No"),
    }
    change = changes.get(how, lambda name: name)
    table = tmp_path / "people.csv"
    table.write_text("set,name,person\n" + "".join(f"e,{change(name)},{name}\n" for name in MANY))
    join = {"folded": "names", "table": str(table)}.get(how, how)
    spelling = "folded" if how == "folded" else "exact"
    data = people(tmp_path, spelt(MANY, str), spelt(MANY, change), join=join, spelling=spelling)
    train_on, held_out, sources = names_in(data)
    both = 2 if how == "separate" else 1
    assert len(train_on) + len(held_out) == 40 * both
    assert len(sources.train) + len(sources.held_out) == 160
    own = [{name.partition("/")[2] or name for name in names} for names in (train_on, held_out)]
    assert not own[0] & own[1]
    assert min(map(len, own)) > 3
    if how != "separate":
        assert np.bincount(sources.train.labels).tolist() == [4] * len(train_on)


def test_images_are_counted_once_people_are_joined(tmp_path):
    counts = {f"p{number}": 1 for number in range(20)}
    data = people(tmp_path, counts, {**counts, "alone": 1})
    train_on, held_out, sources = names_in(data)
    assert sorted([*train_on, *held_out]) == sorted(counts)
    assert any("fewer than 2 images (alone)" in note for note in sources.notes)
    strict = replace(data.sets["w"], identities=Identities(min_images=2))
    with pytest.raises(DataError, match=r"data\.sets\.w: no example is left"):
        names_in(replace(data, sets={**data.sets, "w": strict}))


def test_rules_of_the_sets_come_first_then_those_of_the_union(tmp_path):
    counts = {f"p{number:02d}": 3 for number in range(20)}
    data = people(tmp_path, counts, counts, identities=Identities(max_images=4, exclude=("p01",)))
    west = replace(data.sets["w"], identities=Identities(exclude=("p00",), max_images=2))
    train_on, held_out, sources = names_in(replace(data, sets={**data.sets, "w": west}))
    assert "p01" not in [*train_on, *held_out]
    found = {
        name: int((source.labels == label).sum())
        for source in (sources.train, sources.held_out)
        for label, name in enumerate(source.identities)
    }
    assert found.pop("p00") == 3
    assert set(found.values()) == {4}


def test_names_that_are_left_out_are_left_out_of_every_separate_set(tmp_path):
    counts = {f"p{number:02d}": 3 for number in range(20)}
    rules = Identities(exclude=("p01", "p02"))
    train_on, held_out, _ = names_in(people(tmp_path, counts, counts, join="separate", identities=rules))
    assert len([*train_on, *held_out]) == 36
    assert not [name for name in [*train_on, *held_out] if name.endswith(("p01", "p02"))]


def test_a_set_of_which_nobody_is_trained_on(tmp_path):
    data = people(tmp_path, {f"p{number}": 2 for number in range(30)}, {"p3": 2}, weights={"e": 2.0})
    alone = names_in(replace(data, weights={}))[0]
    name = next(name for name in (f"p{number}" for number in range(30)) if name not in alone)
    data = people(tmp_path / "other", {f"p{number}": 2 for number in range(30)}, {name: 2}, weights={"e": 2.0})
    with pytest.raises(DataError, match="the set e has 0 identities to train on and needs at least 1"):
        names_in(data)
    with pytest.raises(DataError, match="needs at least 2"):
        names_in(replace(data, weights={}, join="separate"))


def test_a_missing_set_is_named(tmp_path):
    data = people(tmp_path, {"a": 2}, {"a": 2})
    gone = replace(data.sets["e"], path=tmp_path / "gone")
    with pytest.raises(DataError, match=r"data\.sets\.e: .*gone"):
        names_in(replace(data, sets={**data.sets, "e": gone}))


def test_settings_left_open_are_written_down(tmp_path):
    train(run_of(tmp_path / "run", epochs=1))
    recipe = json.loads((tmp_path / "run" / "recipe.json").read_text())["data"]
    assert [part["identities"]["min_images"] for part in (recipe, *recipe["sets"].values())] == [2, 1, 1]
    assert load([tmp_path / "run"]).data.sets["east"].first_identity == 12


# ---- one head for all


def test_a_joined_union_is_one_set_with_one_plain_shuffle(tmp_path):
    result = train(run_of(tmp_path / "run"))
    names = json.loads((result.folder / "classes.json").read_text())
    assert all(name.startswith("synthetic-") for name in names)
    assert "loss/west" not in rows(result.folder)[0]
    sources = open_sources(load([result.folder]), InputSpec(height=24, width=24))
    assert sources.mixture is None
    assert len(sources.train.identities) == len(names)


def stopped(run, monkeypatch, step):
    """Begin a run, let it die after so many steps, and resume it."""
    original = Run.rate

    def dying(self):
        if self.state.step == step:
            raise KeyboardInterrupt
        return original(self)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "rate", dying)
        with pytest.raises(KeyboardInterrupt):
            train(run)
    return train(run, resume=True)


CASES = {
    "joined with weights": {"weights": {"east": 3.0}},
    "separate": {"join": "separate", "margin": CurricularFace(scale=16.0)},
    "separate, moved": {
        "join": "separate",
        "loss_weights": {"east": 0.5},
        "margin": AdaFace(scale=16.0),
        "head": Head(strategy=Streamed(chunk=3, mode="recompute"), update_in_backward=True, subcenters=2),
    },
    "separate, sampled": {
        "join": "separate",
        "head": Head(strategy=Sampled(rate=0.5), update_in_backward=True, sharded=True),
    },
    "separate, divided": {"join": "separate", "optim": AdamW(lr=1e-3), "head": Head(sharded=True, from_data=True)},
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_resumed_run_equals_the_uninterrupted_one_to_the_bit(tmp_path, monkeypatch, case):
    whole = train(run_of(tmp_path / "whole", **CASES[case]))
    resumed = stopped(run_of(tmp_path / "cut", **CASES[case]), monkeypatch, 5)
    assert rows(resumed.folder) == rows(whole.folder)
    states = [load_model(folder / "model").state_dict() for folder in (whole.folder, resumed.folder)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    first = rows(whole.folder)[0]
    assert {"loss/west", "loss/east"} <= set(first)


def test_the_loss_is_that_of_the_sets_by_their_shares(tmp_path):
    joined = rows(train(run_of(tmp_path / "joined", epochs=1, weights={"east": 3.0})).folder)
    weighted = {"join": "separate", "weights": {"east": 3.0}, "loss_weights": {"west": 2.0, "east": 0.5}}
    separate = rows(train(run_of(tmp_path / "separate", epochs=1, **weighted)).folder)
    for row in joined[:-1]:
        assert row["loss"] == pytest.approx(0.25 * row["loss/west"] + 0.75 * row["loss/east"], rel=1e-5)
    for row in separate[:-1]:
        assert row["loss"] == pytest.approx(0.5 * row["loss/west"] + 0.375 * row["loss/east"], rel=1e-5)


# ---- a head for each set


@pytest.fixture(scope="module")
def separate(tmp_path_factory):
    return train(run_of(tmp_path_factory.mktemp("runs") / "separate", join="separate"))


def test_what_a_run_with_separate_heads_leaves(separate):
    names = json.loads((separate.folder / "classes.json").read_text())
    west = [name for name in names if name.startswith("west/")]
    assert names[: len(west)] == west
    assert all(name.startswith("east/") for name in names[len(west) :])
    assert {"held-out/eer", "held-out of west/eer", "held-out of east/eer"} <= set(separate.figures)
    report = (separate.folder / "report.html").read_text()
    assert f"{len(west)} of west and {len(names) - len(west)} of east" in report
    saved = torch.load(sorted((separate.folder / "checkpoints").glob("*.pt"))[-1], weights_only=True)
    assert saved["architecture"]["head"]["classes"] == {"west": len(west), "east": len(names) - len(west)}


@pytest.mark.parametrize(
    ("margin", "accumulate"),
    [
        (ArcFace(scale=16.0, m=0.3), 1),
        (ArcFace(scale=16.0, m=0.3), 2),
        (AdaFace(scale=16.0), 1),  # running statistics move with every micro-batch
        (CurricularFace(scale=16.0), 1),
    ],
    ids=["arcface", "arcface, accumulated", "adaface", "curricular"],
)
def test_a_step_equals_two_heads_by_hand(tmp_path, monkeypatch, margin, accumulate):
    """Images to gradients of backbone and of both class weights, in float64."""
    prepare = stepping.prepared
    monkeypatch.setattr(stepping, "prepared", lambda model, images, *layout: prepare(model, images, *layout).double())
    weighted = {"weights": {"west": 1.0, "east": 1.7}, "loss_weights": {"east": 0.3}}
    run = run_of(tmp_path, join="separate", margin=margin, accumulate=accumulate, **weighted)
    model, _ = build_model(run)
    sources = open_sources(run, model.input)
    sampler = sampler_of(run, sources)
    head, portions = heads_of(run, sources, 16, margin, Processes(), torch.device("cpu"))
    recogniser = Recogniser(model, head).double().train()
    model.eval()  # batch norm looks at no batch
    for one in head:
        torch.nn.init.normal_(one.weight)
    twin, hands = copy.deepcopy(model), [copy.deepcopy(one) for one in head]
    batch = next(batches(sources.train, sampler))
    changes = ImageChanges(augment=plain_augment(run))
    common = {"augment": changes, "config": run.train, "seed": 0, "step": 3, "device": torch.device("cpu")}
    output = gradients(recogniser, model, batch, **common, portions=portions)

    images = plain_augment(run).apply(batch.examples, seed=0, step=3, start=0, total=16)
    embeddings = twin(stepping.prepared(twin, images))
    sets = torch.from_numpy(sources.mixture.sets)[batch.indices]
    first = head.classes["east"].start
    outputs = [
        hand(embeddings[sets == number], batch.labels[sets == number] - number * first, step=3)
        for number, hand in enumerate(hands)
    ]
    assert torch.bincount(sets).tolist() == [6, 10]
    loss = 6 / 16 * outputs[0].loss + 0.3 * 10 / 16 * outputs[1].loss
    loss.backward()
    assert float((output.loss - loss).detach()) == pytest.approx(0.0, abs=1e-10)
    pairs = [(model, twin), *zip(head, hands, strict=True)]
    for module, expected in pairs:
        for mine, theirs in zip(module.parameters(), expected.parameters(), strict=True):
            if theirs.grad is not None:
                assert torch.allclose(mine.grad, theirs.grad, atol=1e-10, rtol=0)
    for one, hand in zip(head, hands, strict=True):
        assert all(torch.allclose(value, hand.state[name], atol=1e-12) for name, value in one.state.items())


def test_every_process_and_micro_batch_has_its_share():
    pattern = spread([5, 11])
    found = [portions_of(pattern, ("west", "east"), rank, 2, 2) for rank in range(2)]
    for number in range(2):
        for micro in range(2):
            sizes = found[0][micro][number].sizes
            assert found[1][micro][number].sizes == sizes
            assert [len(some[micro][number].rows) for some in found] == list(sizes)
            assert min(sizes) >= 1
    assert sum(sum(portion.sizes) for micro in found[0] for portion in micro) == 16
    with pytest.raises(ConfigError, match=r"the set west has 2 of 16 examples of a batch, too few.* = 2 x 2"):
        portions_of(spread([2, 14]), ("west", "east"), 0, 2, 2)


def weights(folder):
    content = torch.load(sorted((folder / "checkpoints").glob("*.pt"))[-1], weights_only=True)
    tensors = content["tensors"]["head"]
    heads = content["architecture"]["head"]["classes"]
    keys = [f"of_{name}.weight" for name in heads] if isinstance(heads, dict) else ["weight"]
    return dict(zip(content["classes"], torch.cat([tensors[key] for key in keys]), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("divided", [False, True])
def test_class_weights_are_taken_over_by_name(separate, tmp_path, monkeypatch, divided):
    """Another order of the sets, one set more, more people."""
    begun = []
    original = Run.wrapped
    monkeypatch.setattr(Run, "wrapped", lambda self: begun.append(copy.deepcopy(self.head)) or original(self))
    source = separate.folder
    if divided:
        source = train(run_of(tmp_path / "divided", join="separate", epochs=1, head=Head(sharded=True))).folder
        begun.clear()
    sets = drawn().sets
    more = {
        "north": replace(sets["west"], first_identity=100),
        "east": replace(sets["east"], num_identities=20),
        "west": sets["west"],
    }
    run = run_of(tmp_path / "new", join="separate", sets=more, epochs=1, head=Head(weights_from=source))
    folder = train(run).folder
    if divided:
        from angulus.training.head_initialisation import read_weights

        old = read_weights(source)
        before = dict(zip(old.names, old.weight, strict=True))
    else:
        before = weights(source)
    names = json.loads((folder / "classes.json").read_text())
    now = dict(zip(names, torch.cat([one.weight.detach() for one in begun[0]]), strict=True))
    kept = [name for name in names if name in before]
    assert len(kept) == len(before) < len(names)
    assert all(torch.equal(now[name], before[name]) for name in kept)
    assert not any(name.startswith("north") for name in kept)


def test_a_run_is_not_resumed_with_other_heads(separate, tmp_path):
    with pytest.raises(CheckpointError, match="holds a run with another recipe"):
        train(run_of(separate.folder, weights={"west": 1.0}), resume=True)


def test_values_per_class_go_to_their_heads(tmp_path):
    run = run_of(tmp_path, join="separate")
    sources = found_sources(run, InputSpec(height=24, width=24))
    count = len(sources.train.identities)
    values = tuple(float(number) / count for number in range(count))
    margin = ArcFace(scale=16.0, m=PerClass(values))
    head, _ = heads_of(run, sources, 16, margin, Processes(), torch.device("cpu"))
    west = head.head("west")
    assert west.margin.m.values + head.head("east").margin.m.values == values
    assert isinstance(west, MarginHead)
    with pytest.raises(ConfigError, match=rf"margin\.m must have a value for each of {count} classes, got 3"):
        heads_of(run, sources, 16, ArcFace(m=PerClass((1.0, 1.0, 1.0))), Processes(), torch.device("cpu"))


def test_first_weights_depend_neither_on_other_sets_nor_on_a_division(tmp_path):
    run = run_of(tmp_path, join="separate")
    sources = found_sources(run, InputSpec(height=24, width=24))
    found = []
    for sharded in (False, True, True):
        torch.manual_seed(5)
        config = replace(run, head=Head(sharded=sharded))
        found.append(heads_of(config, sources, 16, ArcFace(), Processes(), torch.device("cpu"))[0])
    assert all(torch.equal(one.weight, other.weight) for one, other in zip(found[1], found[2], strict=True))
    assert not torch.equal(found[0].head("west").weight[:8], found[0].head("east").weight[:8])


def test_a_plan_adds_up_the_heads(tmp_path):
    run = run_of(tmp_path, join="separate", optim=SGD(lr=0.1))
    joined = plan(run_of(tmp_path))
    planned = plan(run)
    classes = len(found_sources(run, InputSpec(height=24, width=24)).train.identities)
    dense = next(row for row in planned.rows if row.name == "dense")
    assert dense.weights == 4 * 16 * classes
    assert "a head each for" in planned.facts["training on"]
    assert "a head each for" not in joined.facts["training on"]
    assert all(row.seconds > 0 for row in planned.rows)
    pretended = plan(run, Pretended(classes=5000, memory="8GB"))
    assert any("separate heads are planned as one" in note for note in pretended.notes)


def test_edits_of_a_set_and_of_the_union(tmp_path):
    """Those of a set use its names and come before the table; those of the union use the names of people."""
    counts = {f"p{number:02d}": 3 for number in range(12)}
    own, common, table = tmp_path / "own.csv", tmp_path / "common.csv", tmp_path / "people.csv"
    own.write_text("action,key,identity,to\nmerge,,p01,twin\ndrop,p00/0000.png,p00,\n")
    common.write_text("action,key,identity,to\nmerge,,p02,p03\ndrop,w/p04/0001.png,p04,\n")
    table.write_text("set,name,person\ne,twin,Ada\nw,p01,Ada\n")
    data = people(tmp_path, counts, counts, join=str(table), identities=Identities(edits=(common,)), weights={"e": 2})
    east = replace(data.sets["e"], identities=Identities(edits=(own,)))
    sources = names_in(replace(data, sets={**data.sets, "e": east}))[2]
    found = {
        name: int((source.labels == label).sum())
        for source in (sources.train, sources.held_out)
        for label, name in enumerate(source.identities)
    }
    assert set(found) == {"p00", "Ada", *(f"p{number:02d}" for number in range(3, 12))}
    assert (found["p00"], found["Ada"], found["p03"], found["p04"], found["p05"]) == (5, 6, 12, 5, 6)
    keys = list(sources.train.keys)
    assert [("w", "e")[number] for number in sources.mixture.sets] == [key[0] for key in keys]
