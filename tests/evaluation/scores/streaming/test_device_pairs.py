"""A device's pass over all pairs gives what the CPU's gives, bit for bit where the scores are the same."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from devices.gpu import GPU_IF_ANY, HAS_GPU, LAST, needs_gpu

from angulus.evaluation.scores.streaming import device_pairs as module
from angulus.evaluation.scores.streaming import passes
from angulus.evaluation.scores.streaming.device_pairs import TileSizes, device_pairs, sizes_for, widest_band
from angulus.evaluation.scores.streaming.kept import join
from angulus.evaluation.scores.streaming.passes import full_float32, stream_pairs
from angulus.evaluation.scores.streaming.steps import BINS, SCALE, Windows, bins_of
from angulus.evaluation.scores.streaming.tallies import KernelTally, TorchTally, tally_for

pytestmark = GPU_IF_ANY
FIELDS = ("genuine", "genuine_left", "genuine_right", "counts", "tail", "tail_left", "tail_right", "middle")


class SmallKernels(KernelTally):
    BLOCK = 512


TALLIES = [
    TorchTally,
    pytest.param(
        SmallKernels,
        marks=pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed"),
    ),
]


def exact_people(images: int, identities: int, seed: int = 0, dim: int = 5):
    """Vectors of sixteenths, at most of unit length: every order of addition gives the same float32 product."""
    random = np.random.default_rng(seed)
    centres = random.integers(-6, 7, (identities, dim))
    labels = random.integers(0, identities, images)
    vectors = np.clip(centres[labels] + random.integers(-2, 3, (images, dim)), -7, 7).astype(np.float32) / 16
    return vectors, labels.astype(np.int64)


def step(score: float) -> int:
    return int(bins_of(np.array([score], np.float32))[0])


WINDOWS = [
    Windows(tail=step(0.5)),
    Windows(tail=step(0.6), middle=((step(-0.2), step(-0.1)), (step(0.1), step(0.3)))),
    Windows(tail=0),
    Windows(tail=BINS),
]


def on_stand_in(vectors, labels, windows, sizes, tally, *, share=(0, 1), screen=False, with_rows=True):
    order = np.argsort(labels, kind="stable")
    rows = torch.from_numpy(vectors[order]).to(LAST if HAS_GPU else "cpu")
    options = {"share": share, "screen": screen, "with_rows": with_rows}
    return device_pairs(rows, labels[order], order, windows, **options, sizes=sizes, tally=tally)


def assert_same(found, wanted, fields=FIELDS) -> None:
    for name in fields:
        got, want = getattr(found, name), getattr(wanted, name)
        assert got.dtype == want.dtype, name
        np.testing.assert_array_equal(got, want, err_msg=name)


@pytest.mark.parametrize("windows", WINDOWS, ids=["tail", "windows", "all", "none"])
@pytest.mark.parametrize("tally", TALLIES)
@pytest.mark.parametrize(("images", "identities"), [(90, 7), (131, 131), (64, 1), (2, 1)])
def test_the_same_to_the_bit(tally, windows, images, identities) -> None:
    vectors, labels = exact_people(images, identities)
    wanted = stream_pairs(vectors, labels, windows)
    sizes = TileSizes(rows=32, columns=48, capacity=20_000)
    assert_same(on_stand_in(vectors, labels, windows, sizes, tally), wanted)


@pytest.mark.slow
@pytest.mark.parametrize("tally", TALLIES)
@pytest.mark.parametrize("capacity", [40, 300, 1500])
def test_a_buffer_that_is_too_small_loses_nothing(tally, capacity) -> None:
    vectors, labels = exact_people(110, 12)
    for windows in WINDOWS[1:3]:
        wanted = stream_pairs(vectors, labels, windows)
        sizes = TileSizes(rows=32, columns=40, capacity=capacity)
        assert_same(on_stand_in(vectors, labels, windows, sizes, tally), wanted)


@pytest.mark.parametrize("tally", TALLIES)
def test_shares_without_rows_and_little_room_on_the_device(tally) -> None:
    vectors, labels = exact_people(150, 9)
    wanted = stream_pairs(vectors, labels, WINDOWS[1])
    sizes = TileSizes(rows=16, columns=64, capacity=900, held=3000)
    parts = [on_stand_in(vectors, labels, WINDOWS[1], sizes, tally, share=(rank, 3)) for rank in range(3)]
    assert_same(join(parts), wanted)
    bare = on_stand_in(vectors, labels, WINDOWS[1], sizes, tally, with_rows=False)
    assert_same(bare, stream_pairs(vectors, labels, WINDOWS[1], with_rows=False))


@pytest.mark.parametrize("tally", TALLIES)
@pytest.mark.parametrize("capacity", [200, 20_000])
def test_a_screen_finds_the_same_tail(tally, capacity) -> None:
    vectors, labels = exact_people(120, 10, dim=8)
    wanted = stream_pairs(vectors, labels, WINDOWS[0], screen=True)
    sizes = TileSizes(rows=32, columns=48, capacity=capacity)
    found = on_stand_in(vectors, labels, WINDOWS[0], sizes, tally, screen=True)
    assert_same(found, wanted, [name for name in FIELDS if name != "counts"])
    tail = WINDOWS[0].tail
    np.testing.assert_array_equal(found.counts[tail:], wanted.counts[tail:])
    assert found.counts.sum() == wanted.counts.sum()  # where tiles end at the diagonal is a matter of their size


def test_another_device_takes_the_device_path(monkeypatch) -> None:
    """With a stand-in for the device's products; nothing asks for another device than the given one."""
    seen = []
    monkeypatch.setattr(passes, "device_pairs", lambda rows, *rest, **options: seen.append(rows.device))
    stream_pairs(*exact_people(10, 3), WINDOWS[0], device="meta")
    assert seen == [torch.device("meta")]


def test_products_are_made_from_all_bits_and_the_setting_is_put_back() -> None:
    torch.set_float32_matmul_precision("high")
    try:
        with full_float32():
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_the_device_is_waited_for_once_for_each_row_of_tiles(monkeypatch) -> None:
    reads = []

    class Counted(TorchTally):
        def __init__(self, *given):
            super().__init__(*given)
            self.fill = self.fill.as_subclass(Watched)

    class Watched(torch.Tensor):
        def __int__(self):
            reads.append(1)
            return super().__int__()

        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **(kwargs or {}))

    vectors, labels = exact_people(100, 20)
    on_stand_in(vectors, labels, WINDOWS[0], TileSizes(rows=25, columns=10, capacity=20_000), Counted)
    assert len(reads) == 4


def test_tiles_follow_free_memory() -> None:
    large = sizes_for(100 * 2**30, 4, 1, 5000)
    assert (large.rows, large.columns, large.capacity) == (4096, 65_536, 2**26)
    small = sizes_for(2**30, 48, 1, 4096)
    assert small.columns == 4096
    assert small.capacity <= 2**30 // 16 // 12
    assert sizes_for(2**30, 4, 2, 10).rows == module.ROWS_SHARED
    assert widest_band(np.array([3, 3, 3, 7, 7, 7, 7]), 3) == 4


def test_steps_of_a_device_are_those_of_numpy() -> None:
    scores = np.random.default_rng(0).uniform(-1.0005, 1.0005, 200_000).astype(np.float32)
    near = ((np.arange(-60_000, 60_000)) / float(SCALE)).astype(np.float32)
    scores = np.concatenate([scores, near[np.abs(near) < 1]])
    tally = TorchTally(torch.device("cpu"), Windows(tail=BINS), 4)
    np.testing.assert_array_equal(tally.bins_of(torch.from_numpy(scores)).numpy(), bins_of(scores))


def test_kernels_are_taken_where_they_run() -> None:
    assert tally_for(torch.device("cpu")) is TorchTally
    assert tally_for(torch.device("cuda:1")) is KernelTally


def test_every_figure_is_that_of_the_cpu(monkeypatch) -> None:
    from angulus.evaluation.rates.all_pairs import all_pairs

    vectors, labels = exact_people(400, 40)
    fars = (0.1, 1e-2, 1e-3, 0.0)
    wanted = all_pairs(vectors, labels, fars=fars, tail=50)
    monkeypatch.setattr(passes, "host_pairs", device_pairs)
    found = all_pairs(vectors, labels, fars=fars, tail=50)
    assert found.tars_at_fars(fars) == wanted.tars_at_fars(fars)
    assert found.equal_error_rate() == wanted.equal_error_rate()
    assert_same(found.kept, wanted.kept)


@needs_gpu
@pytest.mark.parametrize("screen", [False, True])
def test_the_last_gpu_gives_what_the_cpu_gives(screen) -> None:
    vectors, labels = exact_people(5000, 300)
    found, wanted = (stream_pairs(vectors, labels, WINDOWS[0], device=place, screen=screen) for place in (LAST, "cpu"))
    assert_same(found, wanted, [name for name in FIELDS if not (screen and name == "counts")])
