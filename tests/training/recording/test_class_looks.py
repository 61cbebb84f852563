"""What is noted of classes at the end tells one person in two classes, and two in one, from others."""

import numpy as np
import pytest

from angulus.training.recording.class_looks import group_facts, mixed_share
from angulus.training.recording.recorder import FEWEST_LINES, FEWEST_STEPS, MOST_LINES, stretch_epochs


def images(centre, count, seed, spread=0.5):
    found = np.eye(32)[centre] + spread / 32**0.5 * np.random.default_rng(seed).normal(size=(count, 32))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def test_images_of_one_person_lie_beside_each_other_whatever_their_class():
    assert 0.3 < mixed_share(images(0, 40, seed=0), images(0, 40, seed=1)) < 0.7
    assert mixed_share(images(0, 40, seed=0), images(1, 40, seed=1)) == 0.0


def test_two_people_in_a_class_part_and_one_hardly_does():
    one, two = images(0, 20, seed=0), np.concatenate([images(0, 10, seed=1), images(1, 10, seed=2)])
    found = group_facts(two)
    assert found["smaller"] == 10
    assert found["parted"] > 0.5 > 5 * group_facts(one)["parted"]


@pytest.mark.parametrize("epoch_steps", [1, 2, 5, 12, 1000])
@pytest.mark.parametrize("epochs", [1, 3, 10, 120, 1234])
def test_a_stretch_has_some_steps_and_a_run_some_lines(epochs, epoch_steps):
    each = stretch_epochs(epochs, epoch_steps)
    lines = -(-epochs // each)
    assert min(epochs, FEWEST_LINES) <= lines <= MOST_LINES
    assert each * epoch_steps >= FEWEST_STEPS or each == max(1, epochs // FEWEST_LINES)
