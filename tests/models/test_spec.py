"""The input spec: what it refuses, and what it does to pixels."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from angulus.errors import ModelError
from angulus.models import InputSpec


def random_images(n=3, channels=3, height=5, width=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, channels, height, width), generator=generator, dtype=torch.uint8)


def test_prepare_subtracts_the_mean_and_divides_by_the_deviation():
    images = random_images()
    prepared = InputSpec(height=5, width=7, mean=127.5, std=128.0).prepare(images)
    assert prepared.dtype == torch.float32
    assert torch.equal(prepared, (images.float() - 127.5) / 128.0)


def test_float_images_give_the_same_as_bytes():
    images = random_images()
    spec = InputSpec(height=5, width=7)
    assert torch.equal(spec.prepare(images), spec.prepare(images.float()))


def test_images_are_left_as_they_were():
    images = random_images().float()
    before = images.clone()
    InputSpec(height=5, width=7, mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0)).prepare(images)
    assert torch.equal(images, before)


def test_a_mean_per_channel_follows_the_order_of_the_colours():
    images = random_images()
    spec = InputSpec(height=5, width=7, colour="bgr", mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0))
    prepared = spec.prepare(images)
    blue, red = images[:, 2].float(), images[:, 0].float()
    torch.testing.assert_close(prepared[:, 0], (blue - 1) / 4)
    torch.testing.assert_close(prepared[:, 2], (red - 3) / 6)


def test_grey_of_rgb_is_pillows_grey():
    images = random_images(n=4, height=33, width=31)
    grey = InputSpec(height=33, width=31, colour="grey", mean=0.0, std=1.0).prepare(images)
    for image, found in zip(images, grey, strict=True):
        wanted = np.asarray(Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L"))
        assert np.array_equal(found[0].numpy(), wanted)


def test_grey_of_float_is_not_rounded_but_close():
    images = random_images(n=2)
    spec = InputSpec(height=5, width=7, colour="grey", mean=0.0, std=1.0)
    assert (spec.prepare(images.float()) - spec.prepare(images)).abs().max() <= 0.501


def test_grey_images_enter_colour_networks_repeated():
    images = random_images(channels=1)
    prepared = InputSpec(height=5, width=7).prepare(images)
    assert prepared.shape == (3, 3, 5, 7)
    assert torch.equal(prepared[:, 0], prepared[:, 2])
    assert InputSpec(height=5, width=7, colour="grey").prepare(images).shape == (3, 1, 5, 7)


def test_gradients_reach_the_pixels():
    images = random_images().float().requires_grad_()
    InputSpec(height=5, width=7, colour="grey").prepare(images).sum().backward()
    assert images.grad is not None
    assert bool((images.grad > 0).all())


def test_another_size_is_an_error_that_names_both_and_the_remedy():
    with pytest.raises(ModelError, match=r"112x112 \(height x width\), got 112x96: crop.*data\.fit"):
        InputSpec().prepare(random_images(height=112, width=96))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(3, 5, 7), "shape"),
        (torch.zeros(2, 5, 7, 3), "move the channels"),
        (torch.zeros(2, 3, 5, 7, dtype=torch.int64), "uint8 or float"),
    ],
)
def test_what_is_not_an_image_batch_is_refused(images, message):
    with pytest.raises(ModelError, match=message):
        InputSpec(height=5, width=7).prepare(images)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"height": 0}, "input.height must be a whole number"),
        ({"width": 9.5}, "input.width must be a whole number"),
        ({"colour": "cmyk"}, "input.colour must be one of rgb, bgr, grey"),
        ({"std": 0.0}, "input.std must be above 0"),
        ({"mean": float("nan")}, "input.mean must be finite"),
        ({"mean": (1.0, 2.0)}, r"input.mean must be one number or 3"),
        ({"std": (1.0, 2.0, 3.0), "colour": "grey"}, "one number or 1"),
    ],
)
def test_a_bad_spec_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        InputSpec(**values)


@pytest.mark.parametrize(
    "spec",
    [InputSpec(), InputSpec(height=32, width=24, colour="grey"), InputSpec(mean=(1.0, 2.0, 3.0), colour="bgr")],
)
def test_a_spec_survives_a_dict(spec):
    assert InputSpec.from_dict(spec.to_dict()) == spec


def test_unknown_keys_are_refused():
    with pytest.raises(ValueError, match="no color"):
        InputSpec.from_dict({"color": "rgb"})


def test_a_jpeg_decoded_by_pillow_goes_through():
    buffer = io.BytesIO()
    Image.new("RGB", (96, 112), (200, 100, 50)).save(buffer, "JPEG")
    pixels = torch.from_numpy(np.asarray(Image.open(buffer)).copy()).permute(2, 0, 1).unsqueeze(0)
    assert InputSpec(width=96).prepare(pixels).shape == (1, 3, 112, 96)
