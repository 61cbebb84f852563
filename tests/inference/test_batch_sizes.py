"""Images per pass and decoding processes follow from what is known of the network, the memory and the cores."""

import numpy as np
import torch
from test_extract import Photos
from torch import nn

from angulus.data import InMemory, select
from angulus.inference.batch_sizes import FEWEST, MOST, images_at_once, largest_map, on_cpu, on_device
from angulus.inference.reading import MOST_WORKERS, is_in_memory, pieces_of, workers_for
from angulus.models import IResNet18, MobileFaceNet, TinyNet


def test_the_largest_map_decides_on_a_cpu() -> None:
    assert on_cpu(1_600_000) == 16
    assert on_cpu(10**12) == FEWEST
    assert on_cpu(1) == MOST
    widens = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 2, 1))
    assert largest_map(widens, torch.zeros(1, 3, 10, 10)) == 8 * 10 * 10 * 4
    assert not widens[0]._forward_hooks


def test_what_the_networks_get() -> None:
    cpu = torch.device("cpu")
    sizes = [
        images_at_once(config.build().eval(), config.input.shape, cpu)
        for config in (TinyNet(), MobileFaceNet(), IResNet18())
    ]
    assert sizes == [64, 16, 8]


def test_free_memory_decides_on_a_device() -> None:
    assert on_device(10_000_000, 80 * 10**9) == 1024
    assert on_device(100_000_000, 80 * 10**9) == 128
    assert on_device(10**9, 10**9) == 32


def test_workers_where_decoding_holds_the_network_up() -> None:
    assert workers_for(1000, reading=0.001, computing=0.1, lanes=4, cores=4) == 0
    assert workers_for(1000, reading=0.1, computing=0.1, lanes=4, cores=4) == 3
    assert workers_for(1000, reading=0.1, computing=0.1, lanes=2, cores=64) == 3
    assert workers_for(1000, reading=1.0, computing=0.0, lanes=1, cores=64) == MOST_WORKERS
    assert workers_for(16, reading=1.0, computing=0.0, lanes=1, cores=64) == 2
    assert workers_for(3, reading=1.0, computing=0.0, lanes=1, cores=64) == 0


def test_what_is_in_memory_needs_no_workers() -> None:
    source = InMemory.load(Photos())
    assert not is_in_memory(select(Photos(), np.array([0, 2])))
    assert is_in_memory(source)
    assert is_in_memory(select(source, np.array([0, 2])))


def test_pieces_hold_every_row_once() -> None:
    assert [len(piece) for piece in pieces_of(10, 4)] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate(pieces_of(10, 4)), np.arange(10))
