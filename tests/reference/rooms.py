"""The image method of Allen and Berkley (1979) in loops, float64: one image after the other, sincs at exact delays."""

from math import cos, exp, pi, sin, sqrt

import numpy as np


def naive_room_response(room, rate: int, samples: int, *, half: int = 20, steps: int | None = None) -> np.ndarray:
    """[samples]; steps: delays are rounded to such parts of a sample, None leaves them as they are."""
    x, y, z = room.size
    beta = exp(-0.0805 * x * y * z / (2 * (x * y + y * z + x * z) * room.t60))
    reach = (samples + half) * 343.0 / rate
    response = np.zeros(samples)
    most = [int(reach / (2 * side)) + 2 for side in room.size]
    for n0 in range(-most[0], most[0] + 1):
        for n1 in range(-most[1], most[1] + 1):
            for n2 in range(-most[2], most[2] + 1):
                for mirrored in range(8):
                    bits = [mirrored & 1, mirrored >> 1 & 1, mirrored >> 2 & 1]
                    square, reflections = 0.0, 0
                    for n, p, side, s, m in zip(
                        (n0, n1, n2), bits, room.size, room.source, room.microphone, strict=True
                    ):
                        square += ((1 - 2 * p) * s + 2 * n * side - m) ** 2
                        reflections += abs(n - p) + abs(n)
                    distance = sqrt(square)
                    delay = distance * rate / 343.0
                    if steps is not None:
                        delay = round(delay * steps) / steps
                    for place in range(int(delay) - half, int(delay) + half + 1):
                        if distance <= reach and 0 <= place < samples:
                            t = place - delay
                            sinc = 1.0 if t == 0 else sin(pi * t) / (pi * t)
                            window = 0.5 + 0.5 * cos(pi * t / (half + 1))
                            response[place] += beta**reflections / (4 * pi * distance) * sinc * window
    return _high_passed(response, rate)


def _high_passed(values: np.ndarray, rate: int) -> np.ndarray:
    """Y_k = B1 Y_(k-1) + B2 Y_(k-2) + X_k, output Y_k + A1 Y_(k-1) + R1 Y_(k-2)."""
    w = 2 * pi * 100.0 / rate
    r1 = exp(-w)
    b1, b2, a1 = 2 * r1 * cos(w), -r1 * r1, -(1 + r1)
    y = [0.0, 0.0]
    out = []
    for x in values:
        y.append(b1 * y[-1] + b2 * y[-2] + x)
        out.append(y[-1] + a1 * y[-2] + r1 * y[-3])
    return np.array(out)
