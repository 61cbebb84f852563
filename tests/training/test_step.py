"""How a global batch is cut into micro-batches and into the slices of the processes."""

from dataclasses import replace

import pytest
from small_run import small
from torch import nn

from angulus.errors import ConfigError
from angulus.models import InputSpec, MobileFaceNet
from angulus.training import Training, train
from angulus.training.step import check_batch_norm, check_micro_batches, micro_batches


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


@pytest.mark.parametrize("changes", [{"batch_size": 1}, {"batch_size": 4, "accumulate": 4}])
def test_one_image_a_pass_is_refused_before_a_step(tmp_path, changes):
    keys = r"train\.batch_size=\d with train\.accumulate=\d .* needs two: .* train\.batch_norm=frozen"
    experiment = small(tmp_path / "run", **changes)
    network = MobileFaceNet(embedding_dim=16, input=InputSpec(height=32, width=32))
    with pytest.raises(ConfigError, match=keys):
        train(replace(experiment, model=network))


def test_a_last_batch_of_one_is_refused_and_networks_without_the_trouble_are_not():
    model = MobileFaceNet(embedding_dim=16, input=InputSpec(height=32, width=32)).build()
    with pytest.raises(ConfigError, match="batches of 1, 8"):
        check_batch_norm(model, Training(batch_size=8), [8, 1], 1)
    check_batch_norm(model, Training(batch_size=8), [8, 2], 1)
    check_batch_norm(model, Training(batch_size=8, batch_norm="frozen"), [8, 1], 1)
    check_batch_norm(model, Training(batch_size=2, batch_norm="synchronised"), [2], 2)
    wide = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    wide.input = model.input
    check_batch_norm(wide, Training(batch_size=8), [8, 1], 1)
