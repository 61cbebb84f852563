"""Whether a batch pays is measured, by a clock that the test holds."""

import pytest

from angulus.serve.queues.batch_choice import BATCH, paying_batch


@pytest.mark.parametrize(
    ("alone", "together", "chosen"),
    [(0.010, 0.160, 1), (0.010, 0.150, 1), (0.010, 0.100, BATCH), (0.001, 0.002, BATCH), (0.010, 0.400, 1)],
)
def test_a_batch_must_be_faster_than_its_parts(alone, together, chosen):
    now = [0.0]

    def embed(count):
        now[0] += alone if count == 1 else together

    assert paying_batch(embed, clock=lambda: now[0]) == chosen


def test_what_the_first_calls_take_does_not_count():
    now, calls = [0.0], []

    def embed(count):
        calls.append(count)
        now[0] += 5.0 if len(calls) <= 2 else count * 0.001

    assert paying_batch(embed, clock=lambda: now[0]) == 1
