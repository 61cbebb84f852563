"""A thief without gradients: templates of several photos, and a map to another network that is inverted instead."""

from dataclasses import replace

import numpy as np
import pytest
from inversion.small_networks import TwoLayers
from small_sets import array_source

from angulus.errors import ConfigError, DataError
from angulus.heads import MarginHead
from angulus.inversion import (
    SETTINGS,
    Attack,
    InversionOptions,
    Surrogate,
    audit,
    choose_people,
    fitted_map,
    model_judge,
    run_attacks,
)
from angulus.inversion.assessment.audit import embedded, stolen_templates
from angulus.inversion.assessment.page import render_audit
from angulus.inversion.attack.faces.surrogate import ridge_solution, unit
from angulus.margins import ArcFace
from angulus.models import InputSpec

SPEC = InputSpec(height=8, width=6)
FEW = InversionOptions(iterations=3, batch_size=4, clamp=True)


def test_ridge_by_hand():
    random = np.random.default_rng(0)
    given, wanted = random.normal(size=(30, 4)), random.normal(size=(30, 3))
    found = ridge_solution(given, wanted, 0.5)
    weight = 0.5 * 30 / 4  # the gradient of the objective is zero there
    assert given.T @ (given @ found - wanted) + weight * found == pytest.approx(0, abs=1e-9)


def test_a_linear_relation_is_found_and_told():
    random = np.random.default_rng(1)
    people = np.repeat(np.arange(60), 3)
    given = unit(random.normal(size=(180, 16))).astype(np.float32)
    truth = random.normal(size=(16, 8))
    wanted = (given @ truth).astype(np.float32)
    found = fitted_map(given, wanted, people)
    assert found.cosine > 0.999
    assert (unit(found.apply(given)) * unit(wanted)).sum(1).min() > 0.999
    assert np.linalg.norm(found.apply(7 * given), axis=1) == pytest.approx(found.length)
    assert found.facts() == {"cosine": found.cosine, "ridge": 1e-4, "faces": 180, "people": 60}
    noise = fitted_map(given, random.normal(size=(180, 8)).astype(np.float32), people)
    assert abs(noise.cosine) < 0.3  # judged on people who had no part in it, and so not deceived
    assert noise.ridge >= 1.0
    with pytest.raises(DataError, match="at least 20 people, got 4"):
        fitted_map(given[:12], wanted[:12], people[:12])


def test_a_template_is_pooled_from_several_photos():
    source = array_source([5] * 14 + [2] * 4, height=8, width=6)
    people = choose_people(source, 4, stolen=3, others=2)
    assert len(people.first) == 4
    assert len(people.stolen) >= len(people.first)
    assert not set(people.stolen.keys) & set(people.others.keys)
    for label, name in enumerate(people.names):
        count = int((np.asarray(people.stolen.labels) == label).sum())
        has = int((np.asarray(source.labels) == list(source.identities).index(name)).sum())
        assert count == min(3, has - 1)
    model = TwoLayers(spec=SPEC).float()
    attack = Attack(model=model, people=people, options=FEW)
    templates, each = stolen_templates(attack), embedded(model, people.stolen, "cpu")
    own = each[np.asarray(people.stolen.labels) == 0]
    mean = unit(own).mean(0)
    expected = mean / np.linalg.norm(mean) * np.linalg.norm(own, axis=1).mean()
    assert templates[0] == pytest.approx(expected, rel=1e-5)
    alone = Attack(model=model, people=choose_people(source, 4), options=FEW)
    assert np.array_equal(stolen_templates(alone), embedded(model, alone.people.stolen, "cpu"))
    with pytest.raises(DataError, match="at least 1 photo, got 0"):
        choose_people(source, 4, stolen=0)


def test_another_network_is_inverted(tmp_path):
    source, public = array_source([4] * 20, height=8, width=6), array_source([3] * 30, height=10, width=10)
    other = InputSpec(height=10, width=10)
    attack = Attack(
        model=TwoLayers(spec=SPEC).float(),
        people=choose_people(source, 4),
        options=FEW,
        through=Surrogate(name="other", model=TwoLayers(3, spec=other, dim=7).float()),
        public=public,
    )
    (made,) = run_attacks(attack, ["none"], tmp_path / "out")
    assert made.pictures.shape == (4, 10, 10, 3)
    assert made.facts["through"] == "other"
    assert set(made.facts["map"]) == {"cosine", "ridge", "faces", "people"}


def test_the_strongest_settings_and_the_weakest_thief_on_one_page(tmp_path):
    source, public = array_source([4] * 30, height=8, width=6), array_source([3] * 50, height=8, width=6)
    model = TwoLayers(spec=SPEC).float()
    attack = Attack(
        model=model,
        people=choose_people(source, 4),
        options=replace(SETTINGS["best"], iterations=3, batch_size=4),
        through=Surrogate(name="another", model=TwoLayers(3, spec=SPEC, dim=7).float()),
        public=public,
    )
    made = run_attacks(attack, ["none", "vectors-only"], tmp_path / "out")
    assert made[1].pictures.shape == (4, 8, 6, 3)
    content = audit(attack, made, [model_judge("itself", model, is_attacked=True)], fars=(0.1,))
    page = render_audit({"model": "m", **content}, attack, made)
    assert "Inverted through another, after a linear map" in page
    assert "Images are combinations of 75 eigenfaces of 150 public faces." in page
    assert "150 public faces, made the pictures to begin with." in page
    assert "150 public faces, made the pictures.</dd>" in page
    closed = replace(attack, through=None, head=MarginHead(5, 4, ArcFace()), classes=attack.people.names)
    with pytest.raises(ConfigError, match="vectors-only is about templates"):
        run_attacks(closed, ["vectors-only"], tmp_path / "no")
