"""How a global batch is cut into micro-batches and into the slices of the processes."""

import pytest

from angulus.errors import ConfigError
from angulus.training import Training
from angulus.training.step import check_micro_batches, micro_batches


@pytest.mark.parametrize(("total", "world", "accumulate"), [(22, 3, 2), (20, 1, 1), (7, 2, 3), (24, 4, 6)])
def test_every_process_has_its_part_of_every_micro_batch(total, world, accumulate):
    sizes = micro_batches(total, world, accumulate)
    assert len(sizes) == accumulate
    assert sum(map(sum, sizes)) == total
    assert min(map(min, sizes)) >= 1
    slices = [sum(some[rank] for some in sizes) for rank in range(world)]
    assert slices == [total * (rank + 1) // world - total * rank // world for rank in range(world)]


def test_a_process_with_nothing_to_do_is_refused():
    check_micro_batches(Training(batch_size=24, accumulate=4), 100, 6)
    with pytest.raises(ConfigError, match=r"a batch of 20 examples must be at least .* = 6 x 4"):
        check_micro_batches(Training(batch_size=24, accumulate=4), 20, 6)
