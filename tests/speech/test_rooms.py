"""Room responses against loops over images, the decay that was asked for, and what is no room."""

import numpy as np
import pytest

from angulus.speech import Room, drawn_responses, room_response
from angulus.speech.rooms import STEPS, aligned, drawn_room
from tests.reference.rooms import naive_room_response

SMALL = Room(size=(2.0, 1.7, 2.3), source=(0.5, 0.61, 1.2), microphone=(1.43, 1.1, 0.9), t60=0.15)
FLAT = Room(size=(4.0, 1.1, 0.9), source=(0.2, 0.5, 0.4), microphone=(3.9, 0.6, 0.45), t60=0.05)


def measured_t60(response: np.ndarray, rate: int) -> float:
    """Seconds for 60 dB, from those for 5 to 25 dB of Schroeder's backward sum."""
    decay = np.cumsum(response[::-1] ** 2)[::-1]
    levels = 10 * np.log10(decay / decay[0])
    first, last = np.argmax(levels < -5), np.argmax(levels < -25)
    return 60 * (last - first) / rate / (levels[first] - levels[last])


@pytest.mark.parametrize("room", [SMALL, FLAT], ids=["small", "flat"])
@pytest.mark.parametrize(("rate", "samples"), [(8000, 120), (16_000, 90), (4000, 1)])
def test_it_is_what_loops_give(room: Room, rate: int, samples: int) -> None:
    found = room_response(room, rate, samples)
    assert found.shape == (samples,)
    expected = naive_room_response(room, rate, samples, steps=STEPS)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    exact = naive_room_response(room, rate, samples)
    assert np.abs(found - exact).max() <= 0.05 * max(np.abs(exact).max(), 1e-9)


def test_the_direct_sound_comes_when_it_must() -> None:
    far = Room(size=(60.0, 60.0, 60.0), source=(30.0, 30.0, 30.0), microphone=(33.43, 30.0, 30.0), t60=0.5)
    response = room_response(far, 16_000, 400)
    assert int(np.abs(response).argmax()) == 160  # 3.43 m at 343 m/s
    assert response[160] == pytest.approx(1 / (4 * np.pi * 3.43), rel=0.05)


@pytest.mark.parametrize("t60", [0.2, 0.4, 0.7])
def test_sound_dies_away_in_about_the_time_that_was_asked_for(t60: float) -> None:
    room = Room(size=(5.0, 4.3, 3.7), source=(1.1, 1.3, 1.5), microphone=(3.2, 2.9, 1.9), t60=t60)
    assert measured_t60(room_response(room, 8000, 8000), 8000) == pytest.approx(t60, rel=0.25)


def test_drawn_responses_begin_loud_and_keep_the_level() -> None:
    drawn = drawn_responses(3, 8000, 3, seconds=0.2)
    assert drawn.shape == (3, 1600)
    assert drawn.dtype == np.float32
    assert np.array_equal(drawn, drawn_responses(3, 8000, 3, seconds=0.2))
    assert not np.array_equal(drawn[0], drawn[1])
    assert (np.abs(drawn).argmax(axis=1) == 0).all()
    np.testing.assert_allclose((drawn[:, :400].astype(np.float64) ** 2).sum(axis=1), 1.0, rtol=1e-5)
    assert drawn_responses(0, 8000, 0).shape == (0, 4000)


def test_drawn_rooms_are_rooms() -> None:
    rooms = [drawn_room(0, number, (0.2, 0.3)) for number in range(50)]
    assert all(0.2 <= room.t60 <= 0.3 for room in rooms)
    assert len({room.size for room in rooms}) == 50


@pytest.mark.parametrize("response", [[], [0.0, 0.0], [1.0, np.nan]])
def test_what_is_no_response(response: list) -> None:
    with pytest.raises(ValueError, match="must have finite samples that are not all 0"):
        aligned(np.array(response), 8000, 10)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"source": (0.0, 1.0, 1.0)}, "source must lie in the room"),
        ({"microphone": (1.0, 1.0, 9.0)}, "microphone must lie in the room"),
        ({"microphone": (0.5, 0.61, 1.2)}, "must lie apart"),
        ({"t60": 0.0}, "t60 must be from 0.01"),
        ({"t60": float("nan")}, "t60 must be from 0.01"),
    ],
)
def test_what_is_no_room(values: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Room(**{"size": SMALL.size, "source": SMALL.source, "microphone": SMALL.microphone, "t60": 0.3, **values})
