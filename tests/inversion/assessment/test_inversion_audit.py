"""What the audit counts, by hand: forms of comparison, thresholds, distances, defences, and the page."""

import numpy as np
import pytest
import torch
from inversion.small_networks import TwoLayers
from reference import frechet as naive
from small_sets import array_source

from angulus.errors import ConfigError, DataError, EvaluationError
from angulus.evaluation.uncertainty.intervals import Interval
from angulus.heads import MarginHead
from angulus.inversion import (
    Attack,
    Faces,
    InversionOptions,
    Judge,
    audit,
    choose_people,
    compare,
    defended,
    frechet_distance,
    model_judge,
    rates,
    run_attacks,
)
from angulus.inversion.assessment.acceptance import calibrated
from angulus.inversion.assessment.audit import frechet, numbers_of
from angulus.inversion.assessment.defences import cut, quantised, rotation, signs
from angulus.inversion.assessment.judges import at_size
from angulus.inversion.assessment.page import findings, render_audit, summary
from angulus.inversion.attack.label_only import average_of_answered, first_answers
from angulus.margins import ArcFace
from angulus.models import InputSpec


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def faces(people, seed=0, spread=0.3, dim=16):
    """People around directions of their own."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(200, dim))
    people = np.asarray(people)
    return Faces(units=unit(centres[people] + spread * random.normal(size=(len(people), dim))), people=people)


@pytest.mark.parametrize("dim", [1, 3, 6])
def test_frechet_distance(dim):
    random = np.random.default_rng(dim)
    first, second = random.normal(size=(30, dim)), 0.5 + random.normal(size=(40, dim)) @ random.normal(size=(dim, dim))
    assert frechet_distance(first, second) == pytest.approx(naive.frechet_distance(first, second), rel=1e-8)
    assert frechet_distance(first, first) == pytest.approx(0.0, abs=1e-9)
    assert frechet_distance(first, first + 2.0) == pytest.approx(4.0 * dim)


def test_frechet_distance_of_too_few_images():
    few, many = np.zeros((6, 6)), np.zeros((9, 6))
    with pytest.raises(EvaluationError, match="of 6 dimensions needs at least 7 images on both sides, got 9 and 6"):
        frechet_distance(many, few)
    with pytest.raises(EvaluationError, match="as many columns"):
        frechet_distance(many, np.zeros((9, 5)))
    assert frechet(few, many)["refused"].startswith("6 dimensions need at least 7 inverted images")
    found = frechet(np.random.default_rng(0).normal(size=(20, 3)), np.random.default_rng(1).normal(size=(60, 3)))
    assert set(found) == {"images", "distance", "of_real_photos"}


def test_forms_by_hand():
    inverted, stolen = faces([0, 1, 2], seed=1), faces([0, 1, 2], seed=2)
    others, strangers = faces([0, 0, 2], seed=3), faces([3, 3, 4, 5], seed=4)
    found = {part.form: part for part in compare(inverted, stolen, others, strangers)}
    counts = {form: len(part.scores) for form, part in found.items()}
    expected = {"same photo": 3, "other photos": 3, "real photos": 3, "strangers": 12, "other inverted": 6}
    assert counts == expected
    one = found["other photos"]
    by_hand = [float(inverted.units[i] @ others.units[j]) for i, j in ((0, 0), (0, 1), (2, 2))]
    assert one.scores == pytest.approx(by_hand)
    assert one.person.tolist() == [0, 0, 2]
    mean = one.mean()
    assert mean["mean"] == pytest.approx(((by_hand[0] + by_hand[1]) / 2 + by_hand[2]) / 2)
    assert mean["low"] < mean["mean"] < mean["high"]
    threshold = float(np.median(one.scores))
    accepted = one.accepted(threshold)
    assert isinstance(accepted, Interval)
    assert accepted.estimate == pytest.approx(1 / 3)
    assert accepted.low < 1 / 3 < accepted.high
    rate = found["strangers"].accepted(0.2)
    by_hand = [(stolen.units[i] @ strangers.units[j]) > 0.2 for i in range(3) for j in range(4)]
    assert rate.estimate == pytest.approx(np.mean(by_hand))


def test_closed_set_has_no_attacked_photo():
    found = {part.form for part in compare(faces([0, 1]), None, faces([0, 0, 1, 1], seed=5), faces([7, 8], seed=6))}
    assert found == {"other photos", "real photos", "strangers", "other inverted"}


def test_thresholds_hold_on_other_people():
    strangers = faces(np.repeat(np.arange(60), 3), seed=7)
    (found,) = calibrated(strangers, (0.05,))
    assert 0.01 < found.achieved.estimate < 0.15
    rows = rates(compare(faces([0, 1]), faces([0, 1], seed=8), faces([0, 1], seed=9), strangers), [found])
    assert rows[0]["form"] == "same photo"
    assert rows[0]["accepted"]["estimate"] == 1.0  # the same centre: all accepted
    assert rows[0]["accepted"]["low"] < 1.0


def test_quantised_templates():
    templates = np.array([[1.0, -0.5, 0.26, 0.0]], np.float32)
    assert quantised(templates, 2)[0].tolist() == pytest.approx([1.0, 0.0, 0.0, 0.0])  # levels -1, 0, 1; ties to even
    assert quantised(templates, 3)[0].tolist() == pytest.approx([1.0, -2 / 3, 1 / 3, 0.0])
    assert np.abs(quantised(templates, 8) - templates).max() <= 0.5 / 127 + 1e-6
    assert len(np.unique(quantised(np.random.default_rng(0).normal(size=(1, 500)), 4))) <= 15
    assert signs(templates)[0].tolist() == pytest.approx([0.5, -0.5, 0.5, 0.5])


def test_rotation_is_one():
    turned = rotation(6, seed=3)
    assert turned @ turned.T == pytest.approx(np.eye(6), abs=1e-12)
    assert not np.allclose(turned, rotation(6, seed=4))


def test_defences_change_what_is_stolen():
    templates, options = np.random.default_rng(0).normal(size=(2, 6)).astype(np.float32), InversionOptions()
    assert defended("none", templates, options).templates is templates
    without = defended("no-statistics", templates, options)
    assert without.options.weights.batch_norm == 0.0
    for name in ("8bit", "4bit", "sign", "rotated", "half-with-key", "quarter-with-key"):
        stolen = defended(name, templates, options)
        assert stolen.options == options  # the same attack, so that the figures can be compared
        lengths = np.linalg.norm(stolen.templates, axis=1)
        assert lengths == pytest.approx(np.linalg.norm(templates, axis=1).mean())
        cosines = (unit(stolen.templates) * unit(templates)).sum(axis=1)
        assert (cosines > (0.99 if name == "8bit" else 0.6)).all() or name not in ("8bit", "4bit", "sign")
    with pytest.raises(ConfigError, match="there is no defence '3bit'"):
        defended("3bit", templates, options)
    with pytest.raises(ConfigError, match="sign protects templates"):
        defended("sign", None, options)


def test_thief_with_the_key_of_a_cut_template_has_the_nearest_that_gives_it():
    templates = np.random.default_rng(1).normal(size=(400, 32)).astype(np.float32)
    kept = rotation(32, seed=0)[:, :16]
    found = cut(templates, 16, seed=0)
    assert found @ kept == pytest.approx(templates @ kept, abs=1e-5)  # what was stored
    assert (np.linalg.norm(found, axis=1) < np.linalg.norm(templates, axis=1)).all()
    assert cut(templates, 32, seed=0) == pytest.approx(templates, abs=1e-5)
    for name, share in (("half-with-key", 0.5), ("quarter-with-key", 0.25)):
        stolen = defended(name, templates, InversionOptions()).templates
        cosines = (unit(stolen) * unit(templates)).sum(axis=1)
        assert (cosines**2).mean() == pytest.approx(share, abs=0.02)  # of random directions


def test_answers_and_their_average():
    head = MarginHead(3, 4, ArcFace(), subcenters=2)
    embeddings = head.weight.detach()[[2, 0, 2], [1, 0, 0]] * 5
    assert first_answers(embeddings, head).tolist() == [2, 0, 2]
    pictures = np.stack([np.full((2, 2, 3), value, np.uint8) for value in (10, 20, 40)])
    guesses, counts = average_of_answered(pictures, np.array([2, 0, 2]), np.array([2, 1]))
    assert counts.tolist() == [2, 0]
    assert guesses[0, 0, 0, 0] == 25
    assert guesses[1, 0, 0, 0] == 23  # nothing learnt: the average of all


@pytest.mark.parametrize(("size", "shape"), [((8, 8), (2, 8, 8, 3)), ((8, 4), (2, 8, 4, 3)), ((4, 6), (2, 4, 6, 3))])
def test_pictures_are_brought_to_size_undistorted(size, shape):
    pictures = np.zeros((2, 8, 6, 3), np.uint8)
    pictures[:, :, 0], pictures[:, :, -1] = 50, 200
    found = at_size(pictures, size)
    assert found.shape == shape
    if size == (8, 8):  # the edges go on
        assert found[0, 0, :, 0].tolist() == [50, 50, 0, 0, 0, 0, 200, 200]


def test_a_judge_must_give_embeddings():
    pictures = np.zeros((2, 4, 4, 3), np.uint8)
    with pytest.raises(EvaluationError, match="one finite embedding for each of the 2 pictures"):
        Judge(name="bad", embed=lambda x: np.zeros(3), size=(4, 4)).units(pictures)
    with pytest.raises(EvaluationError, match="zeros"):
        Judge(name="bad", embed=lambda x: np.zeros((2, 3)), size=(4, 4)).units(pictures)


def test_people_are_chosen_by_name_and_apart():
    source = array_source([3] * 30 + [1] * 5)
    people = choose_people(source, 4, others=2, strangers=20, stranger_images=2)
    assert len(people.names) == 4
    assert len(people.stolen) == 4
    assert list(people.stolen.identities) == list(people.names)
    assert numbers_of(people.stolen, people.names).tolist() == [0, 1, 2, 3]
    assert not set(people.names) & set(people.strangers.identities)
    assert not set(people.stolen.keys) & set(people.others.keys)
    assert len(people.strangers.identities) == 20
    assert choose_people(source, 4, others=2, strangers=20, stranger_images=2).names == people.names
    with pytest.raises(DataError, match="there are 30: lower --people"):
        choose_people(source, 31)
    with pytest.raises(DataError, match="at least 8 people who are not attacked"):
        choose_people(source, 25)


@pytest.mark.parametrize("closed", [False, True])
def test_a_whole_audit(tmp_path, closed):
    spec = InputSpec(height=8, width=6)
    model = TwoLayers(spec=spec).float()
    source = array_source([4] * 40, height=8, width=6)
    names = tuple(source.identities[:10])
    head = MarginHead(5, 10, ArcFace(scale=8.0)) if closed else None
    attack = Attack(
        model=model,
        people=choose_people(source, 6, attack=names if closed else None, strangers=30),
        options=InversionOptions(iterations=4, batch_size=4, clamp=True),
        head=head,
        classes=names if closed else (),
    )
    defences = ["none", "label-only"] if closed else ["none", "sign"]
    made = run_attacks(attack, defences, tmp_path / "out")
    judges = [model_judge("itself", model, is_attacked=True), model_judge("other", TwoLayers(5, spec=spec).float())]
    content = audit(attack, made, judges, fars=(0.1,))
    assert [item["defence"] for item in content["attacks"]] == defences
    forms = [row["form"] for row in content["judges"][1]["attacks"][0]["rates"]]
    assert ("same photo" in forms) is not closed
    assert len(summary(content)) == 2 * (1 + 2 * (len(forms) + 1))
    page = render_audit({"model": "m", **content}, attack, made)
    assert page.count("data:image/png") == 2
    assert "No defence" in page
    assert "data:image/png" not in render_audit({"model": "m", **content}, None, made)
    assert len(findings({"model": "m", **content})) == 4
    again = run_attacks(attack, defences, tmp_path / "out")
    assert np.array_equal(again[0].pictures, made[0].pictures)
    if not closed:
        with pytest.raises(ConfigError, match="use it with --closed"):
            run_attacks(attack, ["label-only"], tmp_path / "other")
    with pytest.raises(ConfigError, match="there is no defence 'magic'"):
        run_attacks(attack, ["magic"], tmp_path / "other")


def test_judging_does_not_train(tmp_path):
    model = TwoLayers(spec=InputSpec(height=8, width=6)).float().train()
    before = model.bn.running_mean.clone()
    model_judge("m", model).units(np.zeros((3, 8, 6, 3), np.uint8))
    assert torch.equal(model.bn.running_mean, before)
    assert model.training
