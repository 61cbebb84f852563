"""Every mistake in a recipe is found at once, with its path and what to do."""

import pytest

from angulus.config import load, resolve
from angulus.errors import ConfigError
from angulus.margins import Chosen


def problems_of(*settings: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load([], settings)
    return caught.value.problems


def only_problem(*settings: str) -> str:
    (problem,) = problems_of("data.path=faces", *settings)
    return problem


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        # unknown keys
        ("optim.lrr=1", "optim.lrr: unknown key; did you mean optim.lr?"),
        ("lr=0.1", "lr: unknown key; did you mean optim.lr?"),
        ("epochs=3", "epochs: unknown key; did you mean train.epochs?"),
        ("margn=arcface", "margn: unknown key; did you mean margin?"),
        ("data.num_identities=5", "data.num_identities: no key of folder, but of synthetic, drawn_reid"),
        (
            "head.strategy.chunk=5",
            "head.strategy.chunk: no key of dense, but of streamed or panels: set head.strategy.name",
        ),
        ("head.qqq=5", "head.qqq: unknown key; head has subcenters, strategy"),
        # names of kinds
        ("margin=arcfase", "margin.name: unknown margin 'arcfase'; did you mean arcface?"),
        ("margin=ArcFace", "margin.name: unknown margin 'ArcFace'; did you mean arcface?"),
        ("optim=lamb", "optim.name: unknown optimizer 'lamb'; known are: sgd, adamw"),
        ("model=mobilfacenet", "model.name: unknown model 'mobilfacenet'; did you mean mobilefacenet?"),
        ("margin=[1]", "margin: must name a margin, such as {name: softmax}, got [1]"),
        ("margin.name=3", "margin.name: must be text, got 3"),
        # types
        ("train.epochs=ten", "train.epochs: must be a whole number, got 'ten'"),
        ("train.epochs=1.5", "train.epochs: must be a whole number, got 1.5"),
        ("train.epochs=true", "train.epochs: must be a whole number, got true"),
        ("optim.lr=fast", "optim.lr: must be a number, got 'fast'"),
        ("optim.lr='0.1'", "optim.lr: must be a number, got '0.1'"),
        ("optim.lr=true", "optim.lr: must be a number, got true"),
        ("optim.lr=.nan", "optim.lr: must be a finite number, got nan"),
        ("optim.momentum=null", "optim.momentum: must be a number, got null"),
        ("train.compile=yes", "train.compile: must be true or false or auto, on or off, got 'yes'"),
        ("train.compile=1", "train.compile: must be true or false or auto, on or off, got 1"),
        ("device=0", "device: must be text, got 0; put it in quotes"),
        ("data.path=2024", "data.path: must be a path, got 2024; put it in quotes"),
        ("data.path=''", "data.path: must be a path, got ''"),
        ("train=fast", "train: must be a mapping of epochs, batch_size"),
        ("evaluation.fars=0.1", "evaluation.fars: must be a list of numbers, got 0.1"),
        ("evaluation.fars=[0.1, x]", "evaluation.fars[1]: must be a number, got 'x'"),
        ("augment.crop_scale=[1]", "augment.crop_scale: must be a list of 2 numbers, got 1: [1]"),
        ("data.identities.parts=[1]", "data.identities.parts: must be a mapping of names to values, got [1]"),
        ("data.identities.parts.test=x", "data.identities.parts.test: must be a number, got 'x'"),
        ("data.identities.exclude=[12]", "data.identities.exclude[0]: must be text, got 12; put it in quotes"),
        # one of several words
        ("train.cache=memry", "train.cache: must be auto, memory or none, got 'memry'; did you mean memory?"),
        ("train.precision=16", "train.precision: must be auto, float32 or bfloat16, got 16"),
        # what the dataclasses themselves refuse
        ("train.batch_size=0", "train.batch_size: must be at least 1, got 0"),
        ("data.identities.evaluate_on=dev", "data.identities: there is no part 'dev'; parts has train, test"),
        # kinds deeper down
        ("evaluation.also.x.name=foldr", "evaluation.also.x.name: unknown kind of data 'foldr'; did you mean folder?"),
        ("evaluation.also.x=folder", "evaluation.also.x.path: is missing; it must be a path"),
        ("evaluation.also=7", "evaluation.also: must be a mapping of names to a kind of data each, got 7"),
    ],
)
def test_one_mistake_gives_one_sentence(setting, problem):
    assert only_problem(setting).startswith(problem)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (["margin.m=5"], "margin.m: ArcFace: m must be between 0 and 3.14159, got 5"),
        (["margin.m=[0.1, 9]"], "margin.m: ArcFace: m must be between 0 and 3.14159, got 9"),
        (["margin.m=[0.1, x]"], "margin.m[1]: must be a number, got 'x'"),
        (["margin.scale={learned: -1}"], "margin.scale: a learned scale must start above 0, got -1"),
        (["margin.scale={learned: a}"], "margin.scale.learned: must be a number, got 'a'"),
        (["margin.scale={learned: 1, x: 2}"], "margin.scale.x: unknown key beside learned"),
        (["margin.m={learned: 1}"], "margin.m.name: is missing; choose a schedule: linear, exponential"),
        (["margin.m={name: linaer}"], "margin.m.name: unknown schedule 'linaer'; did you mean linear?"),
        (["margin.m={name: linear, end: 1}"], "margin.m.until: is missing; it must be a number"),
        (["margin.m={name: linear, end: 9, until: 3}"], "margin.m: ArcFace: m must be between 0 and 3.14159, got 9"),
        (
            ["margin.m={name: linear, end: 1, until: 0}"],
            "margin.m: a schedule must end after it begins, got begin 0, until 0",
        ),
        (["margin.m={name: linear, end: 1, until: 2, unit: epochs}"], "margin.m.unit: must be step, epoch or run"),
        (["margin.m=much"], "margin.m: must be a number, a list with one for each class or a schedule such as"),
        (["margin.scale=much"], "margin.scale: must be a number, a list with one for each class, {learned: 16} or"),
        (["margin.t=1"], "margin.t: no key of arcface, but of ammsoftmax, mvsoftmax or sphereface2: set margin.name"),
        (["margin.overflow=clp"], "margin.overflow: must be continuous, mirror, clip"),
    ],
)
def test_mistakes_in_margins(settings, problem):
    assert only_problem("margin=arcface", *settings).startswith(problem)


def test_everything_is_reported_at_once():
    found = problems_of(
        *["margin=arcface", "margin.m=5", "margin.scale=-1", "margin.mm=1", "optim.lrr=0.1", "train.epochs=ten"],
        *["train.batch_size=0", "train.log_every=-1", "model=tiny", "model.input.height=0", "seed=x"],
    )
    paths = {problem.partition(":")[0] for problem in found}
    assert len(found) == 10
    assert paths == {
        *("data", "margin.m", "margin.mm", "margin.scale", "model.input.height", "optim.lrr", "seed"),
        *("train.batch_size", "train.epochs", "train.log_every"),
    }


def test_a_left_out_value_never_causes_another_complaint():
    # lower_m is refused; with its default in place upper_m would be refused only because of it
    found = problems_of("data.path=x", "margin=magface", "margin.lower_m=9", "margin.upper_m=0.6")
    assert [problem.partition(":")[0] for problem in found] == ["margin.lower_m"]


def test_nothing_at_all_says_how_to_begin():
    (problem,) = problems_of()
    assert problem.startswith("data: is missing; name a folder that has one sub-folder of images for each person")


def test_a_folder_in_place_of_a_kind_of_data():
    (problem,) = problems_of("data=photos/people")
    assert problem == "data.name: for a folder of images write data.path=photos/people"


def test_a_margin_without_its_name_is_the_one_that_would_be_chosen():
    experiment = load([], ["data=synthetic", "margin.scale=24"])
    assert (type(experiment.margin).__name__, experiment.margin.scale) == ("ArcFace", 24.0)
    assert isinstance(experiment.margin.m, Chosen)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("own_kinds:OwnMargn", "module own_kinds has no 'OwnMargn'; did you mean OwnMargin?"),
        ("own_kindz:X", "cannot import 'own_kindz' for 'own_kindz:X': ModuleNotFoundError"),
        ("own_kinds:not_a_class", "own_kinds:not_a_class must be a dataclass, got <function"),
        ("own_kinds:NotAMargin", "own_kinds:NotAMargin cannot be the margin: it must derive from Margin"),
        ("os:system", "os:system must be a dataclass"),
    ],
)
def test_mistakes_in_naming_a_class_of_ones_own(monkeypatch, name, problem):
    monkeypatch.syspath_prepend(__file__.rpartition("/")[0])
    assert only_problem(f"margin={name}").startswith(f"margin.name: {problem}")


def test_a_user_class_as_model_or_data_must_be_of_that_sort(monkeypatch):
    monkeypatch.syspath_prepend(__file__.rpartition("/")[0])
    wanted = "model.name: own_kinds:NotAMargin cannot be the model: it must have build, input, embedding_dim"
    assert only_problem("model=own_kinds:NotAMargin") == wanted
    (problem,) = problems_of("data=own_kinds:NotAMargin")
    assert problem.endswith(
        "cannot be the kind of data: it must be one of folder, omniglot, synthetic, drawn_reid, kaldi, features, "
        "drawn_speech, rec, tar, parquet, packed, manifest, market1501, msmt17, union, noisy"
    )


def test_types_that_only_a_users_class_has_are_checked_by_pydantic(monkeypatch):
    monkeypatch.syspath_prepend(__file__.rpartition("/")[0])
    problem = only_problem("margin=own_kinds:OwnMargin", "margin.times=0")
    assert problem == "margin.times: input should be greater than or equal to 1, got 0"


def test_resolve_never_changes_what_it_was_given():
    values = {"data": {"path": "x"}, "margin": "arcface"}
    resolve(values)
    assert values == {"data": {"path": "x"}, "margin": "arcface"}
