"""What is deployed is the network with its preparation: to the bit for pixels, to rounding for vectors."""

import numpy as np
import pytest
import torch
from export_sets import SPECS, crops, mobile, network

from angulus.export.deployed_network import DeployedNetwork


def wanted(model, pixels, mirror):
    images = model.input.prepare(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    with torch.inference_mode():
        found = model(images) + (model(images.flip(-1)) if mirror else 0)
    return torch.nn.functional.normalize(found).numpy()


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("make", [network, mobile])
def test_vectors_are_those_of_the_model(make, kind, mirror):
    model, _ = make(kind)
    pixels = crops(5, model.input)
    inside = DeployedNetwork(model, inside=True, mirror=mirror)
    beside = DeployedNetwork(model, inside=False, mirror=mirror)
    with torch.inference_mode():
        found, lengths = (part.numpy() for part in inside(torch.from_numpy(pixels)))
        prepared = model.input.prepare(torch.from_numpy(pixels).permute(0, 3, 1, 2))
        np.testing.assert_allclose(beside(prepared)[0].numpy(), wanted(model, pixels, mirror), atol=2e-6)
        raw = model(prepared) + (model(prepared.flip(-1)) if mirror else 0)
    np.testing.assert_allclose(found * lengths, raw.numpy(), rtol=1e-4, atol=1e-4 * float(lengths.max()))
    np.testing.assert_allclose(found, wanted(model, pixels, mirror), atol=2e-6)


@pytest.mark.parametrize("kind", SPECS)
def test_pixels_are_prepared_to_the_bit(kind):
    model, _ = network(kind)
    pixels = crops(3, model.input)
    found = DeployedNetwork(model).prepared(pixels)
    np.testing.assert_array_equal(found, model.input.prepare(torch.from_numpy(pixels).permute(0, 3, 1, 2)).numpy())


def test_every_luma_is_exact():
    """All 2^24 colours would take a minute; those whose luma lies on the edge of two greys are what may go wrong."""
    model, _ = network("grey")
    random = np.random.default_rng(1)
    pixels = random.integers(0, 256, (64, 32, 32, 3), dtype=np.uint8)
    found = DeployedNetwork(model).prepared(pixels)[:, 0] * 50 + 100
    red, green, blue = (pixels[..., place].astype(np.int64) for place in range(3))
    np.testing.assert_array_equal(np.round(found), (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16)


def test_the_model_is_left_as_it_was():
    model, _ = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trained = [parameter.requires_grad for parameter in model.parameters()]
    DeployedNetwork(model, mirror=True)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [parameter.requires_grad for parameter in model.parameters()] == trained
