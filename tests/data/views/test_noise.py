"""Injected noise: its rates, what is known of it, and that it changes nothing else."""

import re
from dataclasses import replace

import numpy as np
import pytest
from small_sets import array_source, picture

from angulus.config import load, resolve
from angulus.data import STATES, InMemory, Noise, add_noise, apply_edits, read_images, subset, truth_of
from angulus.data.views.edits import Edit, Edits
from angulus.data.views.noise import CHANGES, changed
from angulus.errors import ConfigError, DataError
from angulus.models import InputSpec
from angulus.training import record
from angulus.training.recipe.data_sources import found_sources, open_data


def strangers(count):
    source = array_source([1] * count)
    return replace(source, identities=[f"stranger{label}" for label in range(count)])


def noisy(counts=(20, 30, 50), **rates):
    return add_noise(array_source(counts), Noise(**rates), outside=strangers(60))


def states(source):
    return dict(zip(STATES, np.bincount(source.states, minlength=4).tolist(), strict=True))


def test_rates_are_shares_of_the_noisy_set():
    source = noisy(flips=0.1, outliers=0.2, duplicates=0.2, relabelled=0.5)
    assert len(source) == 166  # 100 / 0.6, each fault rounded
    assert states(source)["flipped"] == round(0.1 * 167)
    assert states(source)["outlier"] == states(source)["duplicate"] == round(0.2 * 167)
    assert len(set(source.keys)) == len(source)


def test_flips_alone_change_no_number_and_every_one_is_another_label():
    source = noisy(flips=0.4)
    flipped = source.states == STATES.index("flipped")
    own = array_source((20, 30, 50)).labels
    assert len(source) == 100
    assert flipped.sum() == 40
    np.testing.assert_array_equal(flipped, source.labels != own)
    assert source.keys == array_source((20, 30, 50)).keys


def test_the_same_seed_gives_the_same_noise_and_another_one_another():
    first, again, other = noisy(flips=0.3, outliers=0.1), noisy(flips=0.3, outliers=0.1), noisy(flips=0.3, seed=1)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert first.keys == again.keys
    assert (first.labels[:100] != other.labels).any()
    # more of one fault does not move another
    np.testing.assert_array_equal(noisy(flips=0.3).labels == noisy().labels, noisy(flips=0.3, seed=0).states == 0)


def test_wrong_labels_fall_in_proportion_to_the_images():
    source = noisy((10, 30) * 30, flips=0.5)
    share = np.bincount(source.labels) / len(source)
    assert share[::2].sum() == pytest.approx(0.25, abs=0.03)


def test_images_are_those_of_their_origin():
    source = noisy(outliers=0.2, duplicates=0.2)
    for index in range(len(source)):
        origin, row = source.origin(index)
        expected = origin.read(row)
        if source.changes[index] >= 0:
            expected = changed(expected, CHANGES[source.changes[index]])
        np.testing.assert_array_equal(source.read(index), expected)
    assert read_images(source, np.arange(len(source))).shape == (len(source), 3, 12, 10)


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_near_but_not_the_same(change):
    smooth = np.repeat(np.linspace(0, 255, 40).astype(np.uint8)[None, :, None], 40, axis=0).repeat(3, axis=2)
    copy = changed(smooth, change)
    assert copy.shape == smooth.shape
    assert not np.array_equal(copy, smooth)
    back = copy[:, ::-1] if change == "mirrored" else copy
    assert np.abs(back.astype(int) - smooth).mean() < 12


def test_the_truth_is_known_through_every_view():
    source = noisy(flips=0.2, outliers=0.2, duplicates=0.1, relabelled=1.0)
    dropped = Edits(rows=tuple(Edit(action="drop", key=key) for key in source.keys[::3]))
    view = InMemory.load(subset(apply_edits(source, [dropped]), min_images=2))
    truth = truth_of(view)
    names = dict(zip(source.keys, (source.shown(index) for index in range(len(source))), strict=True))
    assert truth.shown == [names[key] for key in view.keys]
    expected = [view.identities[label] != names[key] for key, label in zip(view.keys, view.labels, strict=True)]
    np.testing.assert_array_equal(truth.is_wrong, expected)
    assert truth_of(array_source([2, 2])) is None


def test_relabelled_mistakes_are_put_right_by_edits():
    source = noisy(flips=0.2)
    wrong = np.flatnonzero(truth_of(source).is_wrong)
    rows = tuple(Edit(action="relabel", key=source.keys[row], to=source.shown(row)) for row in wrong)
    assert not truth_of(apply_edits(source, [Edits(rows=rows)])).is_wrong.any()


def test_only_the_named_identities_get_noise():
    source = add_noise(array_source((20, 30, 50)), Noise(flips=0.5), among=["person000", "person001"])
    own = array_source((20, 30, 50)).labels
    moved = source.labels != own
    assert moved.sum() == 25
    assert set(own[moved]) | set(source.labels[moved]) == {0, 1}


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ({"flips": 1.5}, "flips must be a share between 0 and 1, got 1.5"),
        ({"flips": 0.5, "outliers": 0.5}, "must leave something clean, got 1 together"),
    ],
)
def test_rates_that_cannot_be(rates, message):
    with pytest.raises(ValueError, match=message):
        Noise(**rates)


def test_sets_that_do_not_suffice():
    with pytest.raises(DataError, match="at least 2 identities to confuse, got 1"):
        add_noise(array_source([5]), Noise(flips=0.2))
    with pytest.raises(DataError, match="outliers need another set of images"):
        add_noise(array_source([5, 5]), Noise(outliers=0.2))
    with pytest.raises(DataError, match="an image for each of 10 outliers, got 3"):
        add_noise(array_source([5, 5]), Noise(outliers=0.5), outside=strangers(3))
    with pytest.raises(DataError, match=re.escape("person000, person001 are in both")):
        add_noise(array_source([5, 5]), Noise(outliers=0.2), outside=array_source([5, 5]))


SETTINGS = (
    "data={name: noisy, flips: 0.25, outliers: 0.2, seed: 3}",
    "data.base={name: synthetic, num_identities: 20, images_per_identity: 6}",
    "data.outside={name: synthetic, num_identities: 40, first_identity: 100, images_per_identity: 2}",
)


def test_a_recipe_makes_the_training_part_noisy_and_no_other():
    experiment = load([], list(SETTINGS))
    assert resolve({"data": record(experiment.data)}).data == experiment.data
    found = found_sources(experiment, InputSpec(height=16, width=16))
    truth = truth_of(found.train)
    assert 0.4 < truth.is_wrong.mean() < 0.5
    assert not truth_of(found.held_out).is_wrong.any()
    assert set(truth_of(found.held_out).states) == {0}


def test_edits_of_a_recipe_come_after_the_noise(tmp_path):
    experiment = load([], list(SETTINGS))
    spec = InputSpec(height=16, width=16)
    whole = open_data(experiment.data, spec)
    key = next(key for key in whole.keys if key.startswith("outlier/"))
    (tmp_path / "list.csv").write_text(f"action,key\ndrop,{key}\n")
    edited = load([], [*SETTINGS, f"data.identities.edits=[{tmp_path / 'list.csv'}]"])
    view = open_data(edited.data, spec)
    assert len(view) == len(whole) - 1
    assert key not in view.keys


def test_all_mistakes_of_a_recipe_are_said_at_once():
    with pytest.raises(ConfigError) as caught:
        load([], ["data={name: noisy, flips: much, base: {name: foldr, path: x}, outlier: 0.1}"])
    assert [line.partition(":")[0] for line in caught.value.problems] == [
        "data.outlier",
        "data.base.name",
        "data.flips",
    ]
    with pytest.raises(ConfigError, match=r"data\.outside: must name a set of images where outliers is above 0"):
        load([], ["data={name: noisy, outliers: 0.1, base: {path: x}}"])


def test_a_picture_is_read_when_it_is_asked_for():
    class Counting(type(array_source([1]))):
        def read(self, index):
            reads.append(index)
            return picture(index)

    reads = []
    plain = array_source([5, 5])
    source = add_noise(Counting(plain.labels, plain.identities), Noise(flips=0.2, duplicates=0.2))
    assert reads == []
    source.read(0)
    assert reads == [0]
