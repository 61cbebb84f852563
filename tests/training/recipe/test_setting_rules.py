"""What a recipe leaves open is filled by rules, each with a reason; what it says is kept."""

import itertools
import json
import math
from dataclasses import fields, replace

import pytest
import torch

from angulus.config import load, resolve, to_dict, to_yaml
from angulus.data.loading.augmentation import Augment
from angulus.data.order.sampling import batches_in
from angulus.errors import ConfigError
from angulus.heads import MarginHead
from angulus.margins import (
    MARGINS,
    AMSoftmax,
    ArcFace,
    Chosen,
    L2Softmax,
    Linear,
    Margin,
    MVSoftmax,
    Schedule,
    SphereFace,
)
from angulus.training import SGD, AdamW, Experiment, SyntheticData, Training
from angulus.training.recipe.begun_choices import as_begun
from angulus.training.recipe.defaults import filled, with_choices, with_model
from angulus.training.recipe.fine_tuning import with_fine_tuning
from angulus.training.recipe.margin_rules import OPEN, margin_scale, with_margin
from angulus.training.recipe.rules import Rules
from angulus.training.recipe.serialization import record

CPU = torch.device("cpu")
SIZES = [(2, 4), (5, 20), (40, 400), (500, 7_000), (5_000, 20_000), (85_742, 5_800_000), (2_000_000, 40_000_000)]


def open_fields(value: object) -> list[str]:
    """The fields of a recipe that are still open, by path."""
    flat = to_dict(value)

    def walk(part: object, path: str) -> list[str]:
        if isinstance(part, dict):
            return [line for key, inner in part.items() for line in walk(inner, f"{path}.{key}")]
        return [path] if part == "auto" or part is None else []

    return walk(flat, "")


@pytest.mark.parametrize(("classes", "images"), SIZES)
@pytest.mark.parametrize("optim", [SGD(), AdamW()])
def test_nothing_that_a_rule_fills_stays_open(classes: int, images: int, optim: SGD | AdamW) -> None:
    experiment = Experiment(data=SyntheticData(), optim=optim)
    done, choices = with_choices(with_model(experiment, CPU), images, classes, CPU, model_is_open=True)
    filled_keys = {"train.batch_size", "train.epochs", "optim.lr", "optim.weight_decay", "learning_rate.warmup_epochs"}
    filled_keys |= {"margin.name", "margin.scale", "margin.m", "model.dropout", "augment"}
    assert {choice.key for choice in choices} == filled_keys
    assert not [path for path in open_fields(done) if path.startswith((".optim", ".margin", ".learning_rate.warm"))]
    assert all(choice.reason and not choice.reason.endswith(".") for choice in choices)
    assert 16 <= done.train.batch <= 128
    assert with_choices(done, images, classes, CPU)[1] == ()


@pytest.mark.parametrize("data", ["synthetic", {"name": "drawn_speech", "num_identities": 4, "seconds": [1.0, 1.1]}])
def test_whatever_was_chosen_is_kept_when_a_run_is_resumed(data: object) -> None:
    """Of images and of recordings alike, by any rules: here none of the values is one that a rule of today gives."""
    asked = resolve({"data": data})
    begun = json.loads(json.dumps(record(filled(with_model(asked, CPU), 300, 30, CPU, model_is_open=True))))
    begun["model"]["dropout"] = 0.125
    begun["train"] |= {"batch_size": 18, "epochs": 7} | ({"frames": [90, 91]} if data != "synthetic" else {})
    done, choices = with_choices(with_model(as_begun(asked, begun), CPU), 300, 30, CPU)
    assert choices == ()
    assert json.loads(json.dumps(record(done))) == begun


def test_what_a_recipe_says_is_kept() -> None:
    said = {
        "data": "synthetic",
        "margin": {"name": "arcface", "scale": 64, "m": 0.5},
        "train": {"batch_size": 48, "epochs": 3},
        "optim": {"lr": 0.02, "weight_decay": 1e-3},
        "learning_rate": {"warmup_epochs": 0},
        "augment": {"flip": 0.25},
    }
    done, choices = with_choices(resolve(said), 1_000, 100, CPU)
    assert choices == ()
    assert done.margin == ArcFace(scale=64, m=0.5)
    assert (done.train.batch, done.train.epochs, done.optim.lr, done.optim.weight_decay) == (48, 3, 0.02, 1e-3)
    assert done.augment is not None
    assert (done.learning_rate.warmup_epochs, done.augment.flip) == (0, 0.25)


def test_a_loss_that_is_only_named_gets_settings_for_its_data_and_one_from_python_keeps_the_published_ones() -> None:
    named = filled(resolve({"data": "synthetic", "margin": "amsoftmax"}), 5_000, 1_000, CPU).margin
    assert isinstance(named, AMSoftmax)
    assert named.scale == 23
    assert named.m == Linear(start=0.0, end=0.35, until=0.5, unit="run")
    made = filled(Experiment(data=SyntheticData(), margin=AMSoftmax()), 5_000, 1_000, CPU).margin
    assert made == AMSoftmax(scale=30.0, m=0.35)


@pytest.mark.parametrize("name", MARGINS)
@pytest.mark.parametrize("classes", [2, 3, 12, 1_000, 90_000])
def test_every_named_loss_is_whole_for_any_number_of_classes(name: str, classes: int) -> None:
    margin = resolve({"data": "synthetic", "margin": name}).margin
    done, _ = with_margin(margin, classes)
    assert not [field.name for field in fields(done) if isinstance(getattr(done, field.name), Chosen)]
    if classes == 12:
        steps = {key: value.in_steps(5, 10) for key, value in vars(done).items() if isinstance(value, Schedule)}
        head = MarginHead(8, classes, type(done)(**{**vars(done), **steps}))
        assert head(torch.randn(4, 8), torch.tensor([0, 1, 2, 11])).loss.isfinite()


def test_open_fields_are_fields_and_recipes_say_auto() -> None:
    for kind, names in OPEN.items():
        assert set(names) <= {field.name for field in fields(kind)}
    experiment = resolve({"data": "synthetic", "margin": {"name": "arcface", "scale": "auto", "m": 0.2}})
    assert experiment.margin == ArcFace(scale=Chosen(), m=0.2)
    assert "scale: auto" in to_yaml(experiment)
    assert resolve(to_dict(experiment)) == experiment


def test_a_value_that_is_to_be_chosen_is_refused_where_nobody_chooses_it() -> None:
    head = MarginHead(8, 4, ArcFace(scale=Chosen()))
    with pytest.raises(ValueError, match="give a number"):
        head(torch.randn(2, 8), torch.tensor([0, 1]))
    with pytest.raises(ConfigError, match="overflow"):
        load([], ["data=synthetic", "margin={name: arcface, overflow: auto}"])


def test_the_scale_grows_with_the_classes_and_meets_the_published_ones() -> None:
    counts = [2, 10, 100, 1_000, 10_575, 50_000, 85_742, 360_232, 10**9]
    scales = [margin_scale(count) for count in counts]
    assert scales == sorted(scales)
    assert (scales[0], margin_scale(10_575), margin_scale(85_742), scales[-1]) == (10, 32, 64, 64)
    for before, after in itertools.pairwise([margin_scale(round(1.1**power)) for power in range(8, 150)]):
        assert after - before <= 2, "no jump"


@pytest.mark.parametrize("classes", [3, 50, 10_000])
def test_l2_softmax_has_the_papers_bound(classes: int) -> None:
    margin, choices = with_margin(L2Softmax(scale=Chosen()), classes)
    assert isinstance(margin.scale, float)
    bound = math.log(0.95 * (classes - 2) / 0.05)
    assert margin.scale == pytest.approx(max(2.0, bound), abs=0.051)
    assert "bound" in choices[0].reason


def test_sphereface_begins_without_its_margin_and_ends_with_half_of_it() -> None:
    margin, _ = with_margin(SphereFace(m=Chosen(), annealing=Chosen()), 100)
    assert isinstance(margin, SphereFace)
    assert isinstance(margin.annealing, Linear)
    assert margin.m == 1.5
    assert [margin.annealing.in_steps(1, 100).at(step) for step in (0, 50, 99)] == [10.0, 1.0, 1.0]


def test_batches_fit_accumulation_and_sampling() -> None:
    for multiple in (1, 3, 4, 12, 200):
        assert Rules(images=900).batch(multiple).value % multiple == 0
    said = {"data": "synthetic", "train": {"sampling": {"name": "pk", "images": 3}, "accumulate": 4}}
    done = filled(resolve(said), 900, 90, CPU)
    assert done.train.batch % 12 == 0


@pytest.mark.parametrize("hold_out", ["part", "folds"])
@pytest.mark.parametrize("people", [3, 5, 8, 12, 100])
@pytest.mark.parametrize("images", [2, 4, 7])
def test_a_batch_of_people_and_images_has_no_more_people_than_there_are(hold_out, people: int, images: int) -> None:
    said = {"data": "synthetic", "train": {"sampling": {"name": "pk", "images": images}}}
    done = filled(resolve({**said, "evaluation": {"hold_out": hold_out}}), 200 * people, people, CPU)
    folds = min(5, people // 2)
    trained = people - math.ceil(people / folds) if hold_out == "folds" else people
    assert done.train.batch % images == 0
    assert done.train.batch // images <= max(1, trained)


@pytest.mark.parametrize("images", [20, 30, 300, 10_000])
def test_steps_are_those_that_a_run_makes(images: int) -> None:
    done, choices = with_choices(resolve({"data": "synthetic"}), images, 10, CPU)
    assert done.train.epochs is not None
    steps = done.train.epochs * batches_in(images, done.train.batch, drop_last=True)
    assert f" in {steps:,} steps" in next(one.reason for one in choices if one.key == "train.epochs")


def test_a_rate_at_its_bound_says_so() -> None:
    _, choices = with_choices(
        resolve({"data": "synthetic", "model": "tiny", "train": {"batch_size": 512}}), 10_000, 100, CPU
    )
    rate = next(one for one in choices if one.key == "optim.lr")
    assert rate.value == 0.1
    assert rate.reason == "0.05 x root of batch / 64, with 512, at most 0.1"


def test_what_is_asked_of_the_last_passes_is_there() -> None:
    for said in ({}, {"init": "some.ckpt"}):
        asked = resolve({"data": "synthetic", "train": {"average_last": 130}} | said)
        done = filled(with_fine_tuning(asked, 1_000, CPU)[0], 1_000, 100, CPU)
        assert done.train.epochs is not None
        assert done.train.epochs >= 130


@pytest.mark.parametrize("epochs", [None, 1, 2, 30])
@pytest.mark.parametrize("alone", [None, 1, 9])
def test_a_network_that_is_tuned_moves(epochs: int | None, alone: int | None) -> None:
    """The class weights alone take no more passes than there are, and never all of those that were chosen."""
    asked = resolve(
        {"data": "synthetic", "init": "x.ckpt", "train": {"epochs": epochs}, "fine_tuning": {"head_epochs": alone}}
    )
    if epochs is not None and alone is not None and alone > epochs:
        with pytest.raises(ConfigError, match=f"must be at most train.epochs, {epochs}, got {alone}"):
            with_fine_tuning(asked, 5_000, CPU)
        return
    done, _ = with_fine_tuning(asked, 5_000, CPU)
    assert done.train.epochs is not None
    assert done.fine_tuning.head_epochs is not None
    if epochs is None or alone is None:
        assert done.fine_tuning.head_epochs < done.train.epochs


def test_a_rate_names_class_means_only_where_they_are_taken() -> None:
    for from_data in (True, False):
        asked = resolve({"data": "synthetic", "init": "x.ckpt", "head": {"from_data": from_data}})
        _, choices = with_choices(with_fine_tuning(asked, 500, CPU)[0], 500, 50, CPU)
        assert ("mean embeddings" in next(one.reason for one in choices if one.key == "optim.lr")) == from_data


@pytest.mark.parametrize(
    ("said", "people", "decay"),
    [
        ({"margin": "softmax", "model": "tiny"}, 101, 2.5e-3),
        ({"margin": "softmax", "model": "tiny"}, 100, 5e-4),
        ({"margin": "arcface", "model": "tiny"}, 101, 5e-4),
        ({"margin": "l2softmax", "model": "tiny"}, 101, 5e-4),
        ({"margin": "softmax", "model": "iresnet18"}, 101, 5e-4),
        ({"margin": "softmax", "model": "tiny", "optim": "adamw"}, 101, 0.05),
        ({"margin": "softmax", "model": "tiny", "init": "x.ckpt"}, 101, 5e-4),
    ],
)
def test_plain_softmax_of_a_small_network_and_many_people_decays_more(said, people: int, decay: float) -> None:
    assert filled(resolve({"data": "synthetic"} | said), 1_000, people, CPU).optim.weight_decay == decay


def test_a_scale_is_that_of_the_largest_head() -> None:
    asked = resolve({"data": "synthetic"})
    whole = filled(asked, 1_000, 10, CPU)
    assert with_choices(asked, 1_000, 300, CPU, head_classes=10)[0].margin == whole.margin


def test_characters_are_changed_more_than_faces_and_never_mirrored() -> None:
    faces = filled(resolve({"data": "synthetic"}), 1_000, 100, CPU).augment
    characters = filled(resolve({"data": {"name": "omniglot", "path": "x"}, "model": "tiny"}), 1_000, 100, CPU).augment
    large = filled(resolve({"data": {"name": "omniglot", "path": "x"}, "model": "iresnet18"}), 1_000, 100, CPU).augment
    assert faces == Augment()
    assert characters == replace(Augment(), flip=0.0, crop=0.6, photometric=0.6, low_resolution=0.3)
    assert large == replace(Augment(), flip=0.0)


@pytest.mark.parametrize(
    ("images", "classes", "is_small", "size"),
    [
        (1_000, 50, True, 16),
        (1_200, 300, True, 32),
        (4_000, 800, True, 32),
        (4_000, 800, False, 64),
        (7_000, 500, True, 64),
        (7_000, 500, False, 128),
        (15_000, 5_000, True, 128),
        (7_000, 2_000, True, 128),
        (300, 2, True, 16),
        (1_000, 10, True, 64),
        (2_144, 12, True, 128),
        (2_144, 12, False, 32),
        (2_144, 22, True, 32),
    ],
)
def test_batches_by_images(images: int, classes: int, is_small: bool, size: int) -> None:
    assert Rules(images=images, classes=classes, is_small=is_small).batch().value == size


@pytest.mark.parametrize(
    ("images", "classes", "model", "end", "until"),
    [
        (2_144, 12, "tiny", 0.2, 0.8),
        (1_199, 12, "tiny", 0.35, 0.5),
        (40_000, 101, "tiny", 0.35, 0.5),
        (2_144, 12, "iresnet18", 0.35, 0.5),
    ],
)
def test_few_people_with_many_images_get_a_small_margin_that_grows_for_long(
    images: int, classes: int, model: str, end: float, until: float
) -> None:
    stages = [{"name": "later", "margin": "mvsoftmax", "epochs": 2}]
    said = {"data": "synthetic", "margin": "amsoftmax", "model": model, "stages": stages}
    done = filled(resolve(said), images, classes, CPU)
    assert isinstance(done.margin, AMSoftmax)
    assert done.margin.m == Linear(start=0.0, end=end, until=until, unit="run")
    assert isinstance(done.stages[0].margin, MVSoftmax)
    assert done.stages[0].margin.m == done.margin.m


def test_a_small_set_gets_enough_steps_and_a_large_one_few_passes() -> None:
    small, large = Rules(images=100, classes=10), Rules(images=10**7, classes=10**5)
    assert 100 <= small.epochs(16).value <= 400
    assert large.epochs(128).value == 6


@pytest.mark.parametrize(("images", "is_small", "passes"), [(2_000, True, 60), (2_000, False, 40), (10_000, True, 15)])
def test_passes_of_sets_between(images: int, is_small: bool, passes: int) -> None:
    assert Rules(images=images, classes=200, is_small=is_small).epochs(32).value == passes
    assert Rules(images=images, classes=200, is_small=is_small, noun="recording").epochs(32).value == min(40, passes)


@pytest.mark.parametrize(
    ("images", "classes", "passes"), [(2_148, 12, 18), (7_470, 19, 8), (6_000, 60, 26), (9_000, 2, 6)]
)
def test_few_people_with_many_images_are_not_seen_too_often(images: int, classes: int, passes: int) -> None:
    rules = Rules(images=images, classes=classes)
    batch = rules.batch().value
    chosen = rules.epochs(batch)
    assert chosen.value == passes
    whole = replace(rules, is_tuned=True).epochs(batch).value
    assert ("by heart" in chosen.reason) == (chosen.value < whole)


def test_a_batch_is_asked_for_only_once_it_is_chosen() -> None:
    with pytest.raises(ValueError, match=r"train\.batch_size must be chosen"):
        _ = Training().batch
    assert isinstance(Margin(), Margin)


@pytest.mark.parametrize("batch", [4, 16, 64, 128, 512])
def test_the_rate_never_grows_beyond_the_usual_one(batch: int) -> None:
    for small, tuned in itertools.product((True, False), repeat=2):
        rules = Rules(images=900, is_small=small, is_tuned=tuned)
        assert 0 < rules.rate(batch, 10, is_sgd=True).value <= 0.1
    rates = [Rules(images=900).rate(size, 10, is_sgd=True).value for size in (16, 32, 64, 128)]
    assert rates == [0.025, 0.035, 0.05, 0.071]
    rates = [Rules(images=900, noun="recording").rate(size, 10, is_sgd=True).value for size in (16, 32, 64, 128)]
    assert rates == [0.05, 0.071, 0.1, 0.1]


@pytest.mark.parametrize(("epochs", "rate"), [(1, 0.018), (11, 0.019), (20, 0.035), (40, 0.071), (90, 0.071)])
def test_people_who_are_seen_seldom_get_short_steps(epochs: int, rate: float) -> None:
    chosen = Rules(images=15_000, classes=5_000).rate(128, epochs, is_sgd=True)
    assert chosen.value == rate
    assert ("seen only" in chosen.reason) == (epochs < 40)


@pytest.mark.parametrize(
    ("loss", "classes", "rate"),
    [
        ("softmax", 5_000, 0.16),
        ("normface", 5_000, 0.019),
        ("arcface", 5_000, 0.019),
        ("softmax", 90_000, 0.2),
        ("softmax", 900, 0.071),
    ],
)
def test_plain_softmax_keeps_its_rate_where_people_are_seen_seldom(loss: str, classes: int, rate: float) -> None:
    given = {"data": "synthetic", "margin": loss, "model": "tiny", "train": {"epochs": 11, "batch_size": 128}}
    done = filled(resolve(given), 3 * classes, classes, CPU)
    assert done.optim.lr == rate


@pytest.mark.parametrize("processes", [1, 2, 5, 64, 1_000])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_every_process_gets_two_examples_of_a_batch_that_was_chosen(processes: int, accumulate: int) -> None:
    said = resolve({"data": "synthetic", "train": {"accumulate": accumulate}})
    done = filled(said, 60, 10, CPU, processes=processes)
    assert done.train.batch % accumulate == 0
    assert done.train.batch >= 16
    if processes > 1:
        assert done.train.batch >= 2 * processes * accumulate


@pytest.mark.parametrize(("images", "reason"), [(400, "few"), (49_999, "few"), (50_000, "enough"), (10**7, "enough")])
def test_the_reason_says_what_was_chosen(images: int, reason: str) -> None:
    choice = Rules(images=images).dropout()
    assert (choice.value > 0) == (reason == "few")
    assert f"are {reason} for the network" in choice.reason
