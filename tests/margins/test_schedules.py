"""Schedules of margins, scales and annealing weights: the published curves and their use inside a margin."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from angulus.margins import AMSoftmax, ArcFace, Exponential, InverseDecay, Linear, Seen, SphereFace, Steps


@pytest.mark.parametrize(
    ("iteration", "value"), [(1, 892.857), (10, 454.545), (100, 76.923), (1000, 8.264), (1658, 5.001), (1659, 5.0)]
)
def test_the_annealing_of_sphereface(iteration: int, value: float) -> None:
    """The authors count iterations from 1, this project counts steps from 0."""
    assert InverseDecay().at(iteration - 1) == pytest.approx(value, abs=6e-4)
    assert SphereFace().annealing == InverseDecay(base=1000, gamma=0.12, power=1, minimum=5)


def test_the_annealing_of_l_softmax() -> None:
    schedule = InverseDecay(base=1000, gamma=2.5e-5, power=35, minimum=0)
    assert schedule.at(19_999) == pytest.approx(1000 * 1.5**-35)


def test_the_linear_margin_of_am_softmax_without_feature_normalisation() -> None:
    schedule = Linear(start=0.0, end=0.4, begin=0, until=8000)
    assert [schedule.at(step) for step in (0, 2000, 8000, 90_000)] == pytest.approx([0.0, 0.1, 0.4, 0.4])


def test_the_exponential_margin_of_speaker_recipes() -> None:
    schedule = Exponential(start=0.0, end=0.2, begin=20, until=40)
    rate = math.log(1e-3 / (1 + 1e-6))
    assert schedule.at(20) == 0.0
    assert schedule.at(0) == 0.0
    assert schedule.at(30) == pytest.approx(0.2 * (1 - math.exp(0.5 * rate)))
    assert schedule.at(40) == pytest.approx(0.2, abs=0.2 * 1.1e-3)
    assert schedule.at(41) == pytest.approx(0.2)


@given(
    st.sampled_from([Linear, Exponential]),
    st.floats(-1, 1),
    st.floats(-1, 1),
    st.integers(0, 100),
    st.integers(1, 100),
)
@settings(deadline=None, max_examples=50, derandomize=True, database=None)
def test_ramps_go_from_start_to_end_without_turning(kind, start: float, end: float, begin: int, length: int) -> None:
    schedule = kind(start=start, end=end, begin=begin, until=begin + length)
    values = [schedule.at(step) for step in range(begin + length + 20)]
    assert values[: begin + 1] == [pytest.approx(start)] * (begin + 1)
    assert values[-1] == pytest.approx(end)
    changes = [b - a for a, b in itertools.pairwise(values)]
    assert all(change * (end - start) >= -1e-12 for change in changes)
    assert min(schedule.extremes()) - 1e-12 <= min(values)
    assert max(values) <= max(schedule.extremes()) + 1e-12


def test_epochs_and_shares_of_the_run_become_steps() -> None:
    by_epoch = Linear(end=0.5, begin=2, until=4, unit="epoch").in_steps(epoch=10, run=100)
    assert [by_epoch.at(step) for step in (20, 30, 40)] == pytest.approx([0.0, 0.25, 0.5])
    by_run = Linear(end=0.5, begin=0.0, until=0.5, unit="run").in_steps(epoch=10, run=100)
    assert [by_run.at(step) for step in (0, 25, 50, 99)] == pytest.approx([0.0, 0.25, 0.5, 0.5])
    with pytest.raises(ValueError, match="epoch"):
        Linear(end=0.5, until=4, unit="epoch").at(0)


def test_a_staircase() -> None:
    stairs = Steps(boundaries=(10, 20), values=(0.1, 0.2, 0.3))
    assert [stairs.at(step) for step in (0, 9, 10, 19, 20, 99)] == [0.1, 0.1, 0.2, 0.2, 0.3, 0.3]
    with pytest.raises(ValueError, match="boundaries"):
        Steps(boundaries=(20, 10), values=(0.1, 0.2, 0.3))
    with pytest.raises(ValueError, match="2 values"):
        Steps(boundaries=(10, 20), values=(0.1, 0.2))


def test_a_scheduled_margin_and_scale_follow_the_step() -> None:
    cos = torch.tensor([0.3], dtype=torch.float64)
    margin = AMSoftmax(m=Linear(end=0.4, until=100), scale=Linear(start=10.0, end=30.0, until=100))
    for step, m, scale in ((0, 0.0, 10.0), (50, 0.2, 20.0), (500, 0.4, 30.0)):
        seen = Seen.of(cos, step=step)
        assert margin.target(cos, seen).item() == pytest.approx(0.3 - m)
        assert margin.temperature(seen) == pytest.approx(scale)


def test_bad_schedules_are_named() -> None:
    with pytest.raises(ValueError, match="begin 5, until 5"):
        Linear(end=0.5, begin=5, until=5)
    with pytest.raises(ValueError, match="m must be"):
        ArcFace(m=Linear(start=0.0, end=-0.5, until=10))
