"""Responses of drawn rooms, for reverberation: the image method of Allen and Berkley (1979) in a box.

    h(t) = sum over images of beta^reflections / (4 pi d) * delta(t - d / c)
    beta = exp(-0.0805 V / (S T60))                                          Eyring's formula for walls of one kind

An image lies at (1 - 2p) source + 2 n size along each axis, for p of 0 and 1 and whole n, behind |n - p| + |n|
reflections. Delays that are no whole samples are sincs under a Hann window, in steps of 1 / `STEPS` of a sample. The
high-pass of the paper takes away what images of one sign heap up at 0 Hz.
"""

from dataclasses import dataclass
from math import ceil, cos, exp, pi

import numpy as np
from numpy.typing import NDArray

from angulus.speech.draws import ROOMS, between, uniform

SOUND = 343.0
"""Metres a second."""
STEPS, HALF = 32, 20
"""Steps of a delay within a sample; samples of a sinc to each side."""
EARLY_SECONDS = 0.05
Point = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Room:
    """A box with a source and a microphone in it; metres, and t60 in seconds: until the sound has fallen by 60 dB.

    Raises ValueError for points outside, and for a t60 that no walls give.
    """

    size: Point
    source: Point
    microphone: Point
    t60: float

    def __post_init__(self) -> None:
        for name, point in (("source", self.source), ("microphone", self.microphone)):
            if not all(0 < place < side for place, side in zip(point, self.size, strict=True)):
                raise ValueError(f"{name} must lie in the room of {self.size} m, got {point}")
        if self.source == self.microphone:
            raise ValueError(f"source and microphone must lie apart, got both at {self.source}")
        if not 0.01 <= self.t60 <= 100.0:
            raise ValueError(f"t60 must be from 0.01 to 100 seconds, got {self.t60}")

    @property
    def reflection(self) -> float:
        """What a wall leaves of the pressure, by Eyring's formula."""
        x, y, z = self.size
        return exp(-0.0805 * x * y * z / (2.0 * (x * y + y * z + x * z) * self.t60))


def room_response(room: Room, rate: int, samples: int) -> NDArray[np.float64]:
    """Response [samples] of a room; sample 0 is the instant at which the source sounds."""
    distances, strengths = _images(room, (samples + HALF) * SOUND / rate)
    steps = np.rint(distances * (rate * STEPS / SOUND)).astype(np.int64)
    heaps = np.bincount(steps, strengths, minlength=(samples + HALF + 1) * STEPS)
    heaps = heaps[: (samples + HALF + 1) * STEPS].reshape(-1, STEPS)
    around = np.arange(-HALF, HALF + 1)
    response = np.zeros(samples + 3 * HALF + 1)
    for step in range(STEPS):
        times = around - step / STEPS
        kernel = np.sinc(times) * (0.5 + 0.5 * np.cos(pi * times / (HALF + 1)))
        response += np.convolve(heaps[:, step], kernel)
    return _high_passed(response[HALF : HALF + samples], rate)


def drawn_room(seed: int, number: int, t60: tuple[float, float] = (0.15, 0.7)) -> Room:
    """Room number `number` of those that `seed` gives: 3 to 10 m, 3 to 8 m and 2.5 to 4 m, nobody nearer to a wall
    than 0.4 m, source and microphone mostly some metres apart."""
    values = uniform(seed, ROOMS, number, 0, 16)
    size = (between(values[0], 3.0, 10.0), between(values[1], 3.0, 8.0), between(values[2], 2.5, 4.0))
    return Room(
        size=size,
        source=_within(size, values[3:6]),
        microphone=_within(size, values[6:9]),
        t60=between(values[9], *t60),
    )


def drawn_responses(
    seed: int, rate: int, count: int, *, seconds: float = 0.5, t60: tuple[float, float] = (0.15, 0.7)
) -> NDArray[np.float32]:
    """Responses [count, rate * seconds] of drawn rooms, as `aligned` gives them."""
    samples = max(1, round(rate * seconds))
    reach = samples + ceil(14.0 * rate / SOUND)  # the longest way in a drawn room
    made = [
        aligned(room_response(drawn_room(seed, number, t60), rate, reach), rate, samples) for number in range(count)
    ]
    return np.stack(made) if made else np.zeros((0, samples), np.float32)


def aligned(response: NDArray, rate: int, samples: int) -> NDArray[np.float32]:
    """A response [samples] that begins with its direct sound and whose early energy is 1.

    The loudest sample comes first, so that speech keeps its place; the energy of the first 50 ms is 1, so that it keeps
    about its level. Raises ValueError for one without sound, and for NaN.
    """
    values = np.asarray(response, dtype=np.float64)
    if not values.size or not np.isfinite(values).all() or not values.any():
        raise ValueError("a room response must have finite samples that are not all 0")
    kept = values[int(np.abs(values).argmax()) :][:samples]
    early = np.sqrt(np.sum(kept[: max(1, int(EARLY_SECONDS * rate))] ** 2))
    return np.pad(kept / early, (0, samples - len(kept))).astype(np.float32)


def _within(size: Point, values: NDArray[np.float64]) -> Point:
    x, y, z = (between(value, 0.4, side - 0.4) for value, side in zip(values, size, strict=True))
    return x, y, z


def _images(room: Room, reach: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances of the images within `reach` metres, and their strengths."""
    squares, reflections = [], []
    for side, source, microphone in zip(room.size, room.source, room.microphone, strict=True):
        most = ceil(reach / (2.0 * side)) + 1
        number = np.arange(-most, most + 1)
        places = np.concatenate([source + 2.0 * number * side, -source + 2.0 * number * side]) - microphone
        counts = np.concatenate([2 * np.abs(number), np.abs(number - 1) + np.abs(number)])
        near = np.abs(places) <= reach
        squares.append(places[near] ** 2)
        reflections.append(counts[near])
    flat = squares[1][:, None] + squares[2][None]
    both = reflections[1][:, None] + reflections[2][None]
    distances, counts = [np.zeros(0)], [np.zeros(0, dtype=np.int64)]  # perhaps none is near
    for square, count in zip(squares[0], reflections[0], strict=True):
        near = flat <= reach**2 - square
        distances.append(np.sqrt(flat[near] + square))
        counts.append(both[near] + count)
    lengths = np.concatenate(distances)
    return lengths, room.reflection ** np.concatenate(counts) / (4.0 * pi * lengths)


def _high_passed(response: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """Without what lies below about 100 Hz: the filter of Allen and Berkley's appendix."""
    turn = 2.0 * pi * 100.0 / rate
    decay = exp(-turn)
    first, second = 2.0 * decay * cos(turn), -decay * decay
    before = older = 0.0
    passed = np.empty_like(response)
    for place, value in enumerate(response.tolist()):
        now = first * before + second * older + value
        passed[place] = now - (1.0 + decay) * before + decay * older
        before, older = now, before
    return passed
