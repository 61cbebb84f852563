"""Each rule on records made by hand: it finds its fault, and nothing in a healthy run or one that recorded little."""

import copy
import json
import math
import re
from contextlib import suppress
from pathlib import Path

import pytest

from angulus.cli.printing.diagnosis_account import HEALTHY, PARTLY, account, last_lines
from angulus.diagnosis import Record, examine, read_record
from angulus.diagnosis.findings import Diagnosis
from angulus.diagnosis.optimisation import peak_step
from angulus.diagnosis.page import facts_of, page_of, write_page
from angulus.errors import AngulusError, CheckpointError
from angulus.training.recording.counters import GAP, LENGTH, MASS, OTHER, OWN

RECIPE = {
    "margin": {"name": "arcface", "scale": 16.0},
    "optim": {"name": "sgd", "lr": 0.05, "momentum": 0.9},
    "train": {"batch_size": 64, "clip_norm": 5.0, "epochs": 10},
    "augment": {"flip": 0.5, "erase": 0.0},
}


def spike(bins, value):
    """A histogram with a hundred examples at a value."""
    counts = [0] * bins.count
    counts[int((value - bins.low) / (bins.high - bins.low) * bins.count)] = 100
    return counts


def stretch(epoch, own, other=0.3, loss=2.0, mass=0.3, **changes):
    line = {
        "kind": "stretch",
        "step": epoch * 10,
        "epoch": float(epoch),
        "rate": 0.05,
        "examples": 100,
        "loss": loss,
        "own": own,
        "mass": mass,
        "scale": 16.0,
        "margin": 0.5 * epoch,
        "length": 8.0,
        "bins": {"own": spike(OWN, own), "mass": spike(MASS, mass), "length": spike(LENGTH, 3.0)},
        "probed": {
            "examples": 100,
            "wrong": 0.1,
            "other": other,
            "lead": 16 * (own - other),
            "direction": 0.05,
            "bins": {"other": spike(OTHER, other), "gap": spike(GAP, own - other)},
        },
        "slopes": {"first": 1.0, "last": 1.0, "backbone": 2.0, "head": 1.0},
        "weights": {"first": 5.0, "last": 5.0, "backbone": 20.0, "head": 20.0},
        "classes": {"seen": 100, "unseen": 0, "small": {"own": own}, "large": {"own": own}},
    }
    return {**line, **changes}


def amounts(people, images, each, tenth):
    return {"people": people, "images": images, "images_each": [each] * 5, "largest_tenth": tenth}


def healthy():
    start = {
        "kind": "start",
        "step": 0,
        "steps": 100,
        "train": amounts(100, 1000, 10.0, 0.1),
        "held_out": amounts(20, 200, 10.0, 0.1),
        "shared": {"held-out": {"people": 20, "shared": 0, "names": []}},
        "pass": 64,
        "batch_norm": True,
        "pixels": {"pairs": 500, "plain": 0.65, "mirrored": 0.65, "augmented": 0.64, "flip": 0.5},
        "classes": 100,
        "free": False,
        "first_loss": 8.0,
        "least_loss": 0.01,
        "best_mass": 0.99,
        "scale": 16.0,
    }
    rows = [stretch(k, 0.07 * k, loss=8.0 - 0.7 * k) for k in range(1, 11)]
    judged = [
        {"kind": "judged", "step": 10 * k, "epoch": float(k), "held-out/eer": 0.3 - 0.02 * k, "held-out/auc": 0.9}
        | {"trained/eer": 0.25 - 0.02 * k, "trained/own": 0.6}
        for k in (2, 6, 10)
    ]
    known = {
        "held-out": {"people": 20, "nearest": [0.3, 0.4, 0.5, 0.6, 0.65], "highest": [["a", 0.66]], "all": [0.5] * 20},
        "trained people": {"people": 20, "nearest": [0.8, 0.82, 0.85, 0.9, 0.95], "highest": [], "all": [0.85] * 20},
    }
    groups = [{"class": k, "images": 14, "own": 0.7, "parted": 0.1 + 0.01 * (k % 5), "smaller": 6} for k in range(20)]
    pairs = [{"classes": [1, 2], "weights": 0.5, "across": 0.4, "within": 0.7, "mixed": 0.0, "own": [0.7, 0.7]}]
    spread = {"nearest": [0.3, 0.35, 0.4, 0.45, 0.5], "own": [0.6, 0.65, 0.7]}
    end = {"kind": "end", "step": 100, **spread, "known": known}
    return [start, *rows, *judged, {**end, "groups": groups, "pairs": pairs}]


def of(lines, kind):
    return [line for line in lines if line["kind"] == kind]


def rate_high(lines, recipe):
    for row in of(lines, "stretch"):
        row.update(loss=9.0, own=0.0, rate=1.0)


def diverged(lines, recipe):
    lines[:] = [lines[0], {**stretch(1, 0.0), "kind": "failed", "sentence": "step 3: the loss is not finite"}]


def rate_low(lines, recipe):
    for row in of(lines, "stretch"):
        row.update(loss=7.9, own=0.02, rate=1e-5)


def scale_small(lines, recipe):
    lines[0].update(best_mass=0.2, least_loss=3.2, scale=2.0)


def scale_large(lines, recipe):
    for row in of(lines, "stretch"):
        row.update(mass=0.97, own=0.35, loss=0.1, scale=200.0)


def margin_early(lines, recipe):
    for row in of(lines, "stretch"):
        row.update(own=0.01, loss=15.0, margin=9.0)
    lines[0]["first_loss"] = 16.0


def labels_noisy(lines, recipe):
    for row in of(lines, "stretch"):
        wrong_here(row)


def wrong_here(row):
    good, bad = spike(GAP, 0.4), spike(GAP, -0.6)
    row["probed"]["bins"]["gap"] = [(4 * a + b) // 5 for a, b in zip(good, bad, strict=True)]


def labels_noisy_in_a_short_run(lines, recipe):
    for row in of(lines, "stretch")[:8]:
        row["probed"]["bins"]["gap"] = spike(GAP, 0.0)
    for row in of(lines, "stretch")[8:]:
        wrong_here(row)


def labels_random(lines, recipe):
    lines[0]["pixels"].update(plain=0.505)
    for row in of(lines, "judged"):
        row.update({"held-out/eer": 0.4, "trained/eer": 0.42})


def class_mixed(lines, recipe):
    of(lines, "end")[0]["groups"][0]["parted"] = 0.7


def person_split(lines, recipe):
    of(lines, "end")[0]["pairs"][0].update(across=0.69, mixed=0.4, own=[0.5, 0.55])


def preprocessing(lines, recipe):
    looks = [("bgr", 0.64), ("rgb", 0.2), ("rgb", 1.8)]
    lines[0]["preprocessing"] = [
        {"colour": colour, "mean": 127.5, "std": 128.0, "distance": distance} for colour, distance in looks
    ]


def known_by_name(lines, recipe):
    lines[0]["shared"]["held-out"].update(shared=3, names=["Ada"])


def known_by_place(lines, recipe):
    of(lines, "end")[0]["known"]["held-out"]["all"] = [0.9] * 5 + [0.5] * 15


def mirrored(lines, recipe):
    lines[0]["pixels"].update(mirrored=0.55)


def augmented(lines, recipe):
    lines[0]["pixels"].update(augmented=0.53)
    recipe["augment"]["erase"] = 1.0


def tiny_passes(lines, recipe):
    lines[0]["pass"] = 2


def long_tail(lines, recipe):
    lines[0]["train"]["largest_tenth"] = 0.6
    for row in of(lines, "stretch"):
        row["classes"].update(small={"own": 0.2}, large={"own": 0.5})


def few_images(lines, recipe):
    lines[0]["train"] = amounts(12, 36, 3.0, 0.1)


def overfitting(lines, recipe):
    for row, held in zip(of(lines, "judged"), (0.2, 0.12, 0.19), strict=True):
        row.update({"held-out/eer": held, "trained/eer": 0.001})


FAULTS = {
    "rate_high": [rate_high, diverged],
    "rate_low": [rate_low],
    "scale_small": [scale_small],
    "scale_large": [scale_large],
    "margin_early": [margin_early],
    "labels_noisy": [labels_noisy, labels_noisy_in_a_short_run],
    "labels_random": [labels_random],
    "class_mixed": [class_mixed],
    "person_split": [person_split],
    "preprocessing": [preprocessing],
    "people_known": [known_by_name, known_by_place],
    "augmentation": [mirrored, augmented],
    "batch_norm": [tiny_passes],
    "long_tail": [long_tail],
    "few_images": [few_images],
    "overfitting": [overfitting],
}


def examined(change=None, metrics=()):
    lines, recipe = healthy(), copy.deepcopy(RECIPE)
    if change is not None:
        change(lines, recipe)
    return examine(Record(recipe=recipe, metrics=metrics, lines=lines))


def test_a_healthy_run_has_no_finding():
    assert examined().is_healthy


@pytest.mark.parametrize(("name", "change"), [(name, change) for name, changes in FAULTS.items() for change in changes])
def test_a_fault_is_the_first_finding(name, change):
    found = examined(change).findings
    assert [finding.name for finding in found][:1] == [name]
    assert found[0].evidence
    assert found[0].advice
    assert found[0].keys


def alike_by_nature(lines):
    of(lines, "end")[0]["pairs"][0].update(across=0.69, mixed=0.4)  # as easy to learn as others


def far_apart_weights(lines):
    of(lines, "end")[0]["pairs"][0].update(across=0.69, mixed=0.4, own=[0.5, 0.55], weights=0.35)


def alike_by_a_few_images(lines):
    of(lines, "end")[0]["pairs"][0].update(across=0.69, mixed=0.4, own=[0.5, 0.55], images=[3, 9])


def a_few_odd_images(lines):
    of(lines, "end")[0]["groups"][0].update(parted=0.9, smaller=2)


def parted_by_chance(lines):
    of(lines, "end")[0]["groups"][0].update(parted=0.7, images=8)


def slightly_parted(lines):
    of(lines, "end")[0]["groups"][0]["parted"] = 0.16


def parted_by_a_network_that_knows_nobody_yet(lines):
    end = of(lines, "end")[0]
    end["groups"][0]["parted"] = 0.7
    end["own"] = [0.24, 0.32, 0.42]


def augmented_with_few_pairs(lines):
    lines[0]["pixels"].update(pairs=40, mirrored=0.55, augmented=0.55)


def five_people_in_a_studio(lines):
    lines[0]["pixels"].update(pairs=30, plain=0.96, mirrored=0.735, augmented=0.85)


def people_who_are_told_by_their_colours(lines):
    lines[0]["pixels"].update(plain=0.49)  # grey pictures do not show them


def a_softmax_in_doubt_of_what_is_on_the_other_side(lines):
    for row in of(lines, "stretch"):
        row.update(mass=0.0, own=-0.52)


def two_people_who_are_soon_told_apart(lines):
    lines[0].update(classes=2, train=amounts(2, 2000, 1000.0, 0.5))
    for row in of(lines, "stretch"):
        row.update(mass=0.99, own=0.55, scale=10.0)


def a_few_lookalikes(lines):
    of(lines, "end")[0]["known"]["held-out"]["all"] = [0.83, 0.81] + [0.5] * 18


def not_yet_learned_for_one_stretch(lines):
    first, second, *_ = of(lines, "stretch")
    first["probed"]["bins"]["gap"] = spike(GAP, 0.0)
    wrong_here(second)


def not_yet_learned_in_the_last_stretch(lines):
    *former, last = of(lines, "stretch")
    for row in former:
        row["probed"]["bins"]["gap"] = spike(GAP, 0.0)
    wrong_here(last)


@pytest.mark.parametrize(
    "change",
    [
        not_yet_learned_for_one_stretch,
        not_yet_learned_in_the_last_stretch,
        alike_by_nature,
        far_apart_weights,
        alike_by_a_few_images,
        a_few_odd_images,
        parted_by_chance,
        slightly_parted,
        parted_by_a_network_that_knows_nobody_yet,
        augmented_with_few_pairs,
        five_people_in_a_studio,
        people_who_are_told_by_their_colours,
        a_softmax_in_doubt_of_what_is_on_the_other_side,
        two_people_who_are_soon_told_apart,
        a_few_lookalikes,
    ],
)
def test_what_comes_near_a_fault_is_none(change):
    assert examined(lambda lines, recipe: change(lines)).is_healthy


def found_by(*changes):
    """The findings by name where several things are so at once."""

    def change(lines, recipe):
        for each in changes:
            each(lines, recipe)

    return {finding.name: finding for finding in examined(change).findings}


def test_few_people_explain_what_looks_wrong_of_them():
    def handful(lines, recipe):
        lines[0].update(classes=2, train=amounts(2, 40, 20.0, 0.5))

    assert list(found_by(handful, scale_large, labels_noisy, overfitting)) == ["few_images"]
    assert list(found_by(few_images, scale_large, labels_noisy)) == ["scale_large", "labels_noisy", "few_images"]


def test_labels_are_not_called_wrong_where_a_few_people_have_most_images():
    assert list(found_by(long_tail, labels_noisy)) == ["long_tail"]


@pytest.mark.parametrize(("scale", "is_offered"), [(15.0, False), (16.0, False), (17.0, True), (200.0, True)])
def test_a_scale_is_left_to_the_number_of_classes_only_where_that_lowers_it(scale, is_offered):
    def change(lines, recipe):
        scale_large(lines, recipe)
        of(lines, "stretch")[-1]["scale"] = scale

    assert ("auto" in found_by(change)["scale_large"].advice) == is_offered


@pytest.mark.parametrize("classes", [2, 48, 300, 100_000])
@pytest.mark.parametrize("scale", [1.0, 5.0, 10.0, 30.0])
@pytest.mark.parametrize("left", [-0.2, 0.05, 0.3, 0.6, 1.0])
def test_no_scale_is_advised_that_is_not_above_the_present_one(classes, scale, left):
    mass = 1 / (1 + (classes - 1) * math.exp(-scale * left))
    lines = healthy()
    lines[0].update(classes=classes, scale=scale, best_mass=mass, least_loss=-math.log(mass))
    record = Record(recipe=RECIPE, metrics=[], lines=lines)
    advice = " ".join(one.advice for one in examine(record).findings if one.name == "scale_small")
    for said in re.findall(r"margin\.scale to (\d+)", advice):
        assert int(said) > scale
        assert (
            1 / (1 + (classes - 1) * math.exp(-int(said) * left)) > 0.8 or "lower the margin (margin.m), and" in advice
        )
    assert (mass > 0.8) == (not advice)


@pytest.mark.parametrize("sampling", ["uniform", "balanced", {"name": "pk", "images": 4}])
@pytest.mark.parametrize(("middle", "most"), [(4.0, 25.0), (4.0, 60.0), (4.0, 900.0), (40.0, 400.0), (10.0, 10.0)])
def test_what_a_run_with_a_long_tail_does_already_is_not_advised(sampling, middle, most):
    def change(lines, recipe):
        long_tail(lines, recipe)
        lines[0]["train"]["images_each"] = [3.0, 4.0, middle, middle, most]
        recipe["train"]["sampling"] = sampling

    advice = found_by(change)["long_tail"].advice
    assert ("balanced" in advice) == (sampling == "uniform")
    assert ("max_images" in advice) == (middle < most)
    assert all(middle <= int(cap) < most for cap in re.findall(r"max_images=(\d+)", advice))


@pytest.mark.parametrize("model", [{"name": "tiny", "dropout": 0.0}, {"name": "tiny", "dropout": 0.3}, {"name": "mbf"}])
@pytest.mark.parametrize("keep_best", [True, False])
def test_against_overfitting_only_what_the_run_has_is_advised(model, keep_best):
    def change(lines, recipe):
        overfitting(lines, recipe)
        recipe["model"] = model
        recipe["train"]["keep_best"] = keep_best

    found = found_by(change)["overfitting"]
    offered = model.get("dropout") == 0.0
    assert ("model.dropout" in found.advice, "model.dropout" in found.keys) == (offered, offered)
    assert ("best/" in found.advice) == keep_best


@pytest.mark.parametrize(
    ("tuning", "length"),
    [(None, 0.05), ({"backbone_rate": 0.1, "head_epochs": 0}, 0.005), ({"backbone_rate": 1.0, "head_epochs": 3}, 0.02)],
)
def test_a_step_is_as_long_as_the_rate_of_the_network_makes_it(tuning, length):
    lines = healthy()
    for row in of(lines, "stretch")[:3]:
        row["rate"] = 0.05
    for row in of(lines, "stretch")[3:]:
        row["rate"] = 0.02
    recipe = RECIPE if tuning is None else {**RECIPE, "fine_tuning": tuning}
    record = Record(recipe=recipe, metrics=[], lines=lines)
    assert peak_step(record) == pytest.approx(length)


def test_the_head_learns_alone_only_in_stages_that_say_so():
    stages = [{"epochs": 4, "fine_tuning": {"backbone_rate": None, "head_epochs": None}}]
    stages += [{"epochs": 5, "fine_tuning": {"backbone_rate": 0.5, "head_epochs": 2}}]
    recipe = {**RECIPE, "fine_tuning": {"backbone_rate": 0.1, "head_epochs": 1}, "stages": stages}
    lines = [{"kind": "stage", "step": step, "name": "later", "steps": 40} for step in (100, 140)]
    parts = Record(recipe=recipe, metrics=[], lines=[*healthy(), *lines]).by_stage()
    settings = [("fine_tuning.backbone_rate", 0), ("fine_tuning.head_epochs", 0), ("train.epochs", 0)]
    found = [[part.setting(key, other) for key, other in settings] for _, part in parts]
    assert found == [[0.1, 1, 10], [0.1, 0, 4], [0.5, 2, 5]]


@pytest.mark.parametrize("rate", [1.0, 0.001])
def test_where_the_network_has_a_rate_of_its_own_it_may_be_what_is_too_low(rate):
    def change(lines, recipe):
        rate_low(lines, recipe)
        recipe["fine_tuning"] = {"backbone_rate": rate, "head_epochs": 0}

    found = found_by(change)["rate_low"]
    assert ("backbone_rate" in found.advice) == ("fine_tuning.backbone_rate" in found.keys) == (rate < 1)


FOLDER = {"name": "folder", "path": "people"}


@pytest.mark.parametrize(
    ("data", "also", "counted"),
    [
        (FOLDER, {"name": "folder", "path": "others"}, 0),
        (FOLDER, {"name": "folder", "path": "people"}, 3),
        (FOLDER, {"name": "folder", "path": "people/some"}, 3),
        ({"name": "noisy", "base": FOLDER}, {"name": "folder", "path": "people"}, 3),
        ({"name": "union", "sets": {"a": FOLDER}}, {"name": "folder", "path": "people"}, 3),
        ({"name": "union", "sets": {"a": FOLDER}, "numbers_are_names": True}, {"name": "folder", "path": "others"}, 3),
        ({"name": "synthetic"}, {"name": "synthetic"}, 0),
    ],
)
@pytest.mark.parametrize("numbers", [{}, {"numbers": 3}])
def test_numbers_are_names_of_people_within_one_source_alone(data, also, counted, numbers):
    lines = healthy()
    lines[0]["shared"]["other"] = {"people": 8, "shared": 3, "names": ["0000", "0001", "0002"], **numbers}
    record = Record(recipe={**RECIPE, "data": data, "evaluation": {"also": {"other": also}}}, metrics=[], lines=lines)
    assert [one.name for one in examine(record).findings] == (["people_known"] if counted else [])
    lines[0]["shared"]["other"].update(shared=4, names=["Ada", "0000", "0001", "0002"], numbers=3)
    evidence = examine(record).findings[0].evidence
    assert f"{counted + 1} of 8 people of other" in evidence
    assert ("0000" in evidence) == bool(counted)


@pytest.mark.parametrize("processes", [None, 1, 2])
def test_batch_norm_is_looked_at_in_each_process(processes):
    def change(lines, recipe):
        lines[0].update({"pass": 4} if processes is None else {"pass": 4, "processes": processes})

    found = found_by(change)["batch_norm"]
    assert ("in each process" in found.evidence) == ("synchronised" in found.advice) == (processes == 2)


def test_an_end_of_an_older_version_is_read():
    lines = healthy()
    end = of(lines, "end")[0]
    del end["own"], end["pairs"][0]["mixed"], end["pairs"][0]["own"]
    for group in end["groups"]:
        del group["own"]
    found = examine(Record(recipe=RECIPE, metrics=[], lines=lines))
    assert found.is_healthy
    assert not found.notes


@pytest.mark.parametrize(("how", "said"), [("folds", "verified in folds"), ("nobody", "nobody")])
def test_where_nobody_is_held_out_the_page_says_so(how, said):
    lines = [line for line in healthy() if line["kind"] != "judged"]
    lines[0]["held_out"] = None
    record = Record(recipe={**RECIPE, "evaluation": {"hold_out": how}}, metrics=[], lines=lines)
    assert examine(record).is_healthy
    facts = facts_of(record)
    assert facts["trained on"] == "100 people with 1,000 images"
    assert said in facts["held out"]


def test_a_margin_that_grew_within_the_only_stretch_is_not_called_early():
    lines, recipe = healthy(), copy.deepcopy(RECIPE)
    margin_early(lines, recipe)
    first = of(lines, "stretch")[0]
    short = [line for line in lines if line["kind"] != "stretch" or line is first]
    assert "margin_early" not in [one.name for one in examine(Record(recipe=recipe, metrics=[], lines=short)).findings]


def test_waiting_for_data_is_told():
    rows = [{"step": k, "loss": 1.0, "waiting_for_data": 0.6} for k in (1, 20)]
    assert [finding.name for finding in examined(metrics=rows).findings] == ["data_bound"]


@pytest.mark.parametrize("left", range(16))
def test_a_run_that_stopped_anywhere_is_read(left):
    lines = healthy()[:left]
    record = Record(recipe=RECIPE, metrics=[], lines=lines, finished=False)
    assert examine(record).is_healthy
    assert "<svg" in page_of("run", record, examine(record)) or left < 2


def test_a_run_of_before_is_read_by_its_metrics(tmp_path):
    (tmp_path / "recipe.json").write_text(json.dumps(RECIPE))
    rows = [{"step": k, "epoch": k / 20, "loss": 1.0, "waiting_for_data": 0.9} for k in (1, 20)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = examine(read_record(tmp_path))
    assert [finding.name for finding in found.findings] == ["data_bound"]
    assert "before diagnosis.jsonl" in found.notes[0]


def test_a_run_that_stopped_before_its_first_step_is_not_called_old(tmp_path):
    (tmp_path / "recipe.json").write_text(json.dumps(RECIPE))
    first, *_ = examine(read_record(tmp_path)).notes
    assert "first step" in first
    assert "before diagnosis.jsonl" not in first


def test_a_folder_without_a_run_is_a_sentence(tmp_path):
    with pytest.raises(CheckpointError, match=r"no folder of a run: it has no recipe\.json"):
        read_record(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"photo\.jpg is no folder of a run"):
        read_record(tmp_path / "photo.jpg")


@pytest.mark.parametrize("value", [None, "x", []])
def test_lines_that_no_run_wrote_are_a_note_and_no_traceback(value, tmp_path):
    lines = healthy()
    for line in (lines[0], lines[1], lines[11], lines[-1]):
        for name in line:
            damaged = [{**one, name: value} if one is line and name not in ("kind", "step") else one for one in lines]
            record = Record(recipe=RECIPE, metrics=[], lines=damaged)
            found = examine(record)
            assert all("lines of the record" in note for note in found.notes)
            with suppress(AngulusError):  # a sentence, no traceback
                write_page(tmp_path / "page.html", "run", record, found)


def test_names_of_people_cannot_write_into_the_page():
    lines = healthy()
    lines[0]["shared"]["held-out"].update(shared=1, names=["<script>x</script>"])
    record = Record(recipe=RECIPE, metrics=[], lines=lines)
    assert "<script>" not in page_of("run", record, examine(record))


def test_a_run_that_could_not_be_looked_at_is_not_called_healthy():
    seen, unseen = Diagnosis(findings=()), Diagnosis(findings=(), notes=("only its metrics could be looked at",))
    assert account(seen) == HEALTHY
    assert account(unseen).splitlines()[0] == PARTLY
    assert PARTLY in " ".join(last_lines(unseen, Path("run")).split())
