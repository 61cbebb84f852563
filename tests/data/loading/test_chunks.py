"""Chunks of recordings: the same whatever the processes, workers and interruptions; short ones are repeated."""

import numpy as np
import pytest
import torch

from angulus.data import EpochSampler, batches, subset
from angulus.data.loading.chunks import Chunks, Cuts, read_cuts
from angulus.data.parts import part_of, place_of
from angulus.data.views.sequences import Sequences
from angulus.errors import DataError


def sequences(lengths: list[int], bands: int | None = None) -> Sequences:
    """Recordings whose samples count on through all of them."""
    total = sum(lengths)
    values = np.arange(total, dtype=np.int16)
    return Sequences(
        values=values if bands is None else np.repeat(values[:, None], bands, axis=1),
        ends=np.cumsum(lengths),
        labels=np.arange(len(lengths)) % 3,
        identities=["a", "b", "c"],
        keys=[f"r{row}" for row in range(len(lengths))],
        origin="made",
    )


LENGTHS = [50, 7, 31, 400, 12, 90, 64, 33, 5, 20, 41]
CHUNKS = Chunks(frames=(8, 16), length_of=lambda frames: frames, seed=3)


@pytest.mark.parametrize("bands", [None, 4])
def test_chunks_are_parts_of_their_recordings(bands: int | None) -> None:
    source = sequences(LENGTHS, bands)
    lengths = set()
    for batch in batches(
        source, EpochSampler(num_examples=len(source), batch_size=4, seed=1), end_epoch=6, chunks=CHUNKS
    ):
        lengths.add(batch.examples.shape[1])
        for example, row in zip(batch.examples.numpy(), batch.indices.tolist(), strict=True):
            whole, found = source.read(row), example if bands is None else example[:, 0]
            whole = whole if bands is None else whole[:, 0]
            if len(whole) >= len(found):
                assert found[0] in whole
                np.testing.assert_array_equal(np.diff(found), 1)
                assert found[-1] in whole
            else:
                np.testing.assert_array_equal(found, np.resize(whole, len(found)))
    assert lengths <= set(range(8, 17))
    assert len(lengths) > 3


def test_processes_workers_and_interruptions_change_nothing() -> None:
    source = sequences(LENGTHS)
    sampler = EpochSampler(num_examples=len(source), batch_size=4, seed=1)
    whole = list(batches(source, sampler, end_epoch=2, chunks=CHUNKS))
    helped = list(batches(source, sampler, end_epoch=2, chunks=CHUNKS, num_workers=2))
    for one, other in zip(whole, helped, strict=True):
        assert torch.equal(one.examples, other.examples)
    for rank in (0, 1):
        parts = list(batches(source, sampler, end_epoch=2, chunks=CHUNKS, rank=rank, world_size=2))
        for one, part in zip(whole, parts, strict=True):
            assert torch.equal(one.examples[part.start : part.start + len(part)], part.examples)
    resumed = list(batches(source, sampler, epoch=1, start=1, chunks=CHUNKS))
    for one, other in zip(whole[sampler.batches_per_epoch + 1 :], resumed, strict=True):
        assert torch.equal(one.examples, other.examples)
    other_seed = next(batches(source, sampler, chunks=Chunks(frames=(8, 16), length_of=lambda n: n, seed=4)))
    assert other_seed.examples.shape != whole[0].examples.shape or not torch.equal(
        other_seed.examples, whole[0].examples
    )


def test_every_place_of_a_recording_is_reached() -> None:
    assert {place_of(share, 10, 7) for share in np.linspace(0, 1, 101)[:-1]} == {0, 1, 2, 3}
    assert part_of(np.arange(10), 0.999999, 7).tolist() == list(range(3, 10))
    assert part_of(np.arange(5), 0.5, 7).tolist() == list(range(5))


def test_views_read_the_same_parts() -> None:
    source = sequences(LENGTHS)
    view = subset(source, identities=["a", "c"])
    rows = np.array([0, 2, 3])
    cuts = Cuts(rows=rows, shares=np.array([0.1, 0.5, 0.9]), length=9)
    indices = np.array(view.indices)[rows]
    there = Cuts(rows=indices, shares=cuts.shares, length=9)
    assert torch.equal(read_cuts(view, cuts), read_cuts(source, there))


def test_what_has_no_chunk() -> None:
    with pytest.raises(DataError, match="r1 has no sample"):
        read_cuts(sequences([4, 0, 4]), Cuts(rows=np.array([1]), shares=np.array([0.0]), length=2))
    with pytest.raises(ValueError, match=r"frames must be the shortest and the longest chunk.*\(9, 3\)"):
        Chunks(frames=(9, 3), length_of=lambda frames: frames)
