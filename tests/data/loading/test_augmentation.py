import dataclasses
import itertools

import pytest
import torch

from angulus.data import Augment

EVERYTHING = Augment(crop=0.7, low_resolution=0.6, photometric=0.7, grey=0.4, erase=0.5)
CHANGES = ("flip", "crop", "low_resolution", "photometric", "grey", "erase")


def images(count=16, height=20, width=17, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


def only(name, probability=1.0, **settings):
    return dataclasses.replace(Augment.off(), **{name: probability}, **settings)


def test_equal_seeds_and_steps_give_equal_images():
    one = EVERYTHING.apply(images(), seed=3, step=7)
    assert torch.equal(one, EVERYTHING.apply(images(), seed=3, step=7))
    assert not torch.equal(one, EVERYTHING.apply(images(), seed=3, step=8))
    assert not torch.equal(one, EVERYTHING.apply(images(), seed=4, step=7))


@pytest.mark.parametrize("shape", [(16, 20, 17), (16, 112, 112), (3, 250, 250), (5, 1, 1), (9, 64, 3)])
@pytest.mark.parametrize("cuts", [[8], [1, 2, 4], [3]])
def test_slices_equal_the_whole(shape, cuts):
    whole = images(*shape)
    expected = EVERYTHING.apply(whole, seed=1, step=2)
    total = len(whole)
    edges = [0, *(cut for cut in cuts if cut < total), total]
    parts = [EVERYTHING.apply(whole[a:b], seed=1, step=2, start=a, total=total) for a, b in itertools.pairwise(edges)]
    assert torch.equal(torch.cat(parts), expected)


def test_the_layout_of_the_images_changes_nothing():
    whole = images(8, 64, 48)
    rows_of_pixels = whole.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    changed = EVERYTHING.apply(rows_of_pixels, seed=1, step=2)
    assert torch.equal(changed, EVERYTHING.apply(whole, seed=1, step=2))
    assert changed.is_contiguous()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
@pytest.mark.parametrize("name", CHANGES)
def test_result_is_float_in_range_and_the_argument_is_left_alone(name, dtype):
    given = images().to(dtype)
    before = given.clone()
    changed = only(name).apply(given, seed=0, step=0)
    assert changed.dtype == torch.float32
    assert changed.shape == given.shape
    assert changed.min() >= 0.0
    assert changed.max() <= 255.0
    assert torch.isfinite(changed).all()
    assert torch.equal(given, before)
    assert not torch.equal(changed, given.float())


def test_probability_zero_is_the_identity():
    assert torch.equal(Augment.off().apply(images(), seed=0, step=0), images().float())


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 3), (0, 8, 8), (3, 113, 97)])
def test_awkward_shapes(shape):
    assert EVERYTHING.apply(images(*shape), seed=0, step=1).shape == (shape[0], 3, *shape[1:])


def test_flip_mirrors():
    assert torch.equal(only("flip").apply(images(), seed=0, step=0), images().flip(-1).float())
    flipped = only("flip", 0.5).apply(images(400, 4, 4), seed=0, step=0)
    mirrored = (flipped == images(400, 4, 4).flip(-1)).flatten(1).all(1)
    kept = (flipped == images(400, 4, 4)).flatten(1).all(1)
    assert (mirrored | kept).all()
    assert 150 < mirrored.sum() < 250


def test_crop_without_range_is_the_identity():
    still = only("crop", crop_scale=(1.0, 1.0), crop_shift=0.0, crop_rotation=0.0)
    assert torch.allclose(still.apply(images(), seed=0, step=0), images().float(), atol=1e-2)


def test_crop_scale_above_one_enlarges_the_content():
    disc = torch.zeros(1, 3, 41, 41)
    disc[:, :, 10:31, 10:31] = 255.0
    area = disc.mean().item()
    larger = only("crop", crop_scale=(1.5, 1.5), crop_shift=0.0, crop_rotation=0.0).apply(disc, seed=0, step=0)
    assert larger.mean().item() == pytest.approx(2.25 * area, rel=0.05)


def test_rotation_keeps_shapes_when_the_sides_differ():
    square = torch.zeros(1, 3, 60, 40)
    square[:, :, 25:35, 15:25] = 255.0
    turned = only("crop", crop_scale=(1.0, 1.0), crop_shift=0.0, crop_rotation=1.5).apply(square, seed=0, step=3)
    assert turned.mean().item() == pytest.approx(square.mean().item(), rel=0.05)


def test_low_resolution_removes_detail_and_keeps_the_mean():
    low = only("low_resolution", low_resolution_scale=(0.25, 0.25)).apply(images(4, 40, 40), seed=0, step=0)
    assert low.var() < 0.3 * images(4, 40, 40).float().var()
    assert low.mean().item() == pytest.approx(images(4, 40, 40).float().mean().item(), abs=2.0)


def test_photometric_without_range_is_the_identity():
    still = only("photometric", brightness=0.0, contrast=0.0, saturation=0.0, tone=0.0)
    assert torch.allclose(still.apply(images(), seed=0, step=0), images().float(), atol=1e-3)


def test_grey_has_equal_channels_and_keeps_the_luminance():
    grey = only("grey").apply(images(), seed=0, step=0)
    assert torch.equal(grey[:, 0], grey[:, 1])
    assert torch.equal(grey[:, 0], grey[:, 2])
    expected = torch.einsum("nchw,c->nhw", images().float(), torch.tensor([0.299, 0.587, 0.114]))
    assert torch.allclose(grey[:, 0], expected, atol=1e-3)


def test_erase_covers_a_rectangle_of_about_the_area():
    erased = only("erase", erase_area=(0.2, 0.2)).apply(images(8, 50, 50), seed=0, step=0)
    for changed, before in zip(erased, images(8, 50, 50).float(), strict=True):
        touched = (changed != before).any(0)
        rows, columns = touched.any(1).nonzero(), touched.any(0).nonzero()
        area = (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
        assert 350 < area < 550


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"flip": 1.5}, r"flip must be in \[0, 1\], got 1.5"),
        ({"tone": -1.0}, r"tone must be in \[0, 1\]"),
        ({"crop_scale": (1.2, 0.8)}, "crop_scale must be two rising numbers"),
    ],
)
def test_settings_out_of_range(setting, message):
    with pytest.raises(ValueError, match=message):
        Augment(**setting)


def test_arguments_out_of_range():
    with pytest.raises(ValueError, match=r"images must be \[n, 3, height, width\]"):
        Augment().apply(torch.zeros(2, 1, 4, 4), seed=0, step=0)
    with pytest.raises(ValueError, match="rows 3 to 19 are not in a global batch of 16"):
        Augment().apply(images(), seed=0, step=0, start=3, total=16)
