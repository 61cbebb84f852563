"""What the network is shown, where images are looked for, and what they start from."""

import math

import numpy as np
import pytest
import torch
from inversion.small_networks import TwoLayers
from small_sets import array_source
from test_attack_run import NAMES, head, network, open_targets, options

from angulus.errors import ConfigError, DataError
from angulus.inversion import SETTINGS, Views, average_face, eigenfaces, fitted_decoder, help_of_faces, invert
from angulus.inversion.attack.faces.public_faces import embedded
from angulus.inversion.attack.faces.spaces import Pixels
from angulus.inversion.attack.faces.surrogate import unit
from angulus.inversion.attack.files import image_paths
from angulus.inversion.attack.images import as_batch
from angulus.inversion.attack.targets import Targets
from angulus.inversion.attack.views import drawn_moves, seen
from angulus.models import InputSpec

SPEC = InputSpec(height=8, width=6)


def moved(images, **given):
    return seen(images, Views(**given), torch.Generator().manual_seed(0))


def faces(count, seed=0, height=8, width=6):
    """Faces on two lines through grey: two coordinates tell all."""
    random = np.random.default_rng(seed)
    shapes = np.random.default_rng(99).normal(size=(2, height, width, 3))
    where = random.normal(size=(count, 2)) * (20, 8)
    return (127 + np.tensordot(where, shapes, 1)).round().clip(0, 255).astype(np.uint8), where


def test_no_view_is_the_image_itself():
    images = torch.randn(2, 3, 8, 6)
    assert moved(images) is images


def test_moves_by_hand(monkeypatch):
    """A half turn and a flip move pixels onto pixels; a shift continues the edge."""
    images = torch.arange(2 * 3 * 8 * 6, dtype=torch.float32).view(2, 3, 8, 6)
    monkeypatch.setattr("angulus.inversion.attack.views._even", lambda count, random: torch.ones(count))
    assert torch.allclose(moved(images, turn=180.0), images.flip(2, 3), atol=1e-3)
    shifted = moved(images, shift=2.0)
    assert torch.allclose(shifted[..., :-2, :-2], images[..., 2:, 2:], atol=1e-3)
    assert torch.allclose(shifted[..., -1, -1], images[..., -1, -1], atol=1e-3)
    monkeypatch.setattr(torch, "rand", lambda count, generator: torch.zeros(count))
    assert torch.allclose(moved(images, flip=True), images.flip(3), atol=1e-3)
    lit = moved(images, contrast=0.2)
    assert torch.allclose(lit, images * 1.2 + 0.1)


def test_a_turn_keeps_shapes():
    """By 90 degrees pixels of an image that is not square keep their sides."""
    images = torch.zeros(1, 1, 9, 5)
    images[0, 0, 2, 2] = 1.0  # two above the middle
    assert drawn_moves(images.shape, Views(turn=90.0), torch.Generator()).shape == (1, 2, 3)
    found = [seen(images, Views(turn=90.0), torch.Generator().manual_seed(seed)).argmax() for seed in range(20)]
    places = {(int(place) // 5 - 4, int(place) % 5 - 2) for place in found}
    assert all(abs(math.hypot(*place) - 2) <= 1 for place in places)  # as far from the middle as before
    assert len(places) > 2


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"shift": -1.0}, "shift must be at least 0"),
        ({"shift": math.inf}, "shift must be at least 0"),
        ({"turn": 200.0}, "turn must be at least 0 and at most 180"),
        ({"scale": 1.0}, "scale must be at least 0 and at most 0.9"),
        ({"contrast": math.nan}, "contrast must be"),
    ],
)
def test_views_that_make_no_sense(given, sentence):
    with pytest.raises(ValueError, match=sentence):
        Views(**given)


def test_eigenfaces_are_the_principal_components():
    pictures = faces(300)[0]
    found = eigenfaces(pictures, SPEC, components=2)
    values = SPEC.prepare(as_batch(pictures)).flatten(1).double()
    centred = values - values.mean(0)
    variances, vectors = torch.linalg.eigh(centred.T @ centred / len(values))
    assert found.scale.double().square().flip(0) == pytest.approx(variances[-2:], rel=1e-3)
    assert (found.basis.double() @ vectors[:, -2:].flip(1)).abs().diagonal() == pytest.approx(1, abs=1e-3)
    assert found.explained == pytest.approx(float(variances[-2:].sum() / variances.sum()), rel=1e-3)
    images = values.float().view(-1, *SPEC.shape)[:5]
    again = found.images(found.variable(images))
    assert float((again - images).detach().abs().max()) < 0.05  # rounding of the pixels is all that is lost
    assert found.prior(torch.tensor([[3.0, 4.0], [0.0, 0.0]])) == pytest.approx(12.5 / 2)
    assert len(found.variable(images)[0]) == 2
    assert found.digest() == eigenfaces(pictures, SPEC, components=2).digest()
    assert found.digest() != eigenfaces(faces(300, seed=5)[0], SPEC, components=2).digest()
    assert len(eigenfaces(pictures[:120], SPEC).scale) == 60  # one for each two faces
    assert Pixels().prior(images) == 0
    with pytest.raises(DataError, match="at least 100 public faces, got 40"):
        eigenfaces(pictures[:40], SPEC)


def test_the_decoder_tells_a_linear_relation():
    pictures, where = faces(200)
    people = np.repeat(np.arange(100), 2)
    mixed = np.random.default_rng(2).normal(size=(3, 16))
    templates = np.c_[where / 20, np.ones(len(where))] @ mixed  # of different lengths: what counts is the direction
    found = fitted_decoder(templates.astype(np.float32), lambda rows: pictures[rows], people)
    assert found.explained > 0.5
    assert found.facts()["faces"] == 200
    made = found.pictures(7 * templates[:5].astype(np.float32))
    assert np.array_equal(made, found.pictures(templates[:5].astype(np.float32)))
    assert np.abs(made - pictures[:5].astype(int)).mean() < np.abs(found.mean_face - pictures[:5]).mean()
    # the same by one solution over all pixels at once
    units = unit(templates)
    centred = units - units.mean(0)
    flat = pictures.reshape(len(pictures), -1).astype(np.float64)
    weights = np.linalg.solve(
        centred.T @ centred + found.ridge * len(units) / 16 * np.eye(16), centred.T @ (flat - flat.mean(0))
    )
    assert found.matrix == pytest.approx(weights, rel=1e-2, abs=1e-2)
    noise = fitted_decoder(np.random.default_rng(3).normal(size=(200, 16)), lambda rows: pictures[rows], people)
    assert noise.explained < 0.1
    with pytest.raises(DataError, match="at least 20 people, got 5"):
        fitted_decoder(templates[:10], lambda rows: pictures[rows], people[:10])


def test_the_average_of_faces():
    pictures = np.stack([np.full((2, 2, 3), value, np.uint8) for value in (0, 10, 21)])
    assert average_face(pictures).tolist() == np.full((2, 2, 3), 10).tolist()
    with pytest.raises(DataError, match="at least one"):
        average_face(pictures[:0])


@pytest.mark.parametrize("begin", ["average", "decoded"])
@pytest.mark.parametrize("space", ["pixels", "eigenfaces"])
@pytest.mark.parametrize("mode", ["open", "closed"])
def test_every_way_begins_at_its_picture_and_goes_on(tmp_path, begin, space, mode):
    model, public = network(), array_source([3] * 40, height=8, width=6)
    targets = open_targets()
    if mode == "closed":
        targets = Targets(identities=NAMES, keys=NAMES, labels=np.arange(5), head=head())
    settings = options(iterations=8, begin=begin, space=space, start=0.0, lr=0.05)
    helped = help_of_faces(settings, model, targets, public)
    assert helped.begins.shape == (5, 8, 6, 3)
    assert (helped.space is None) == (space == "pixels")
    given = {"begins": helped.begins, "space": helped.space, "save_every": 2}

    def stop(done, total):
        if done == 4 * 3:
            raise KeyboardInterrupt

    whole = invert(model, targets, tmp_path / "whole", settings, **given)
    with pytest.raises(KeyboardInterrupt):
        invert(model, targets, tmp_path / "cut", settings, progress=stop, **given)
    assert invert(model, targets, tmp_path / "cut", settings, **given)["targets"] == whole["targets"]
    (tmp_path / "cut/result.json").unlink()
    others = np.zeros_like(helped.begins)
    with pytest.raises(DataError, match="other begins"):
        invert(model, targets, tmp_path / "cut", settings, begins=others, space=helped.space)


def test_faces_that_are_missing(tmp_path):
    model, targets = TwoLayers(spec=SPEC).float(), open_targets()
    with pytest.raises(ConfigError, match=r"give a folder of people with --public"):
        help_of_faces(SETTINGS["best"], model, targets, None)
    assert help_of_faces(SETTINGS["published"], model, targets, None).begins is None
    with pytest.raises(ValueError, match='begins must be given unless begin is "noise"'):
        invert(model, targets, tmp_path / "a", options(begin="average"))
    with pytest.raises(ValueError, match="must have the shape"):
        invert(model, targets, tmp_path / "a", options(begin="average"), begins=np.zeros((5, 9, 6, 3), np.uint8))
    with pytest.raises(ValueError, match="space must be given"):
        invert(
            *(model, targets, tmp_path / "a", options(begin="average", space="eigenfaces")),
            begins=np.zeros((5, 8, 6, 3), np.uint8),
        )


def test_a_head_is_left_as_it_was(tmp_path):
    found = head().train()
    targets = Targets(identities=NAMES[:2], keys=NAMES[:2], labels=np.array([0, 1]), head=found)
    invert(network(), targets, tmp_path / "out", options(iterations=2))
    assert found.training
    assert found.weight.requires_grad


def test_people_whose_very_photos_are_attacked_are_left_out_whatever_they_are_called(caplog):
    model, public = network(), array_source([3] * 60, height=8, width=6)
    stolen = embedded(model, public, "cpu")[[0, 3]]
    targets = Targets(identities=("row 0", "row 1"), keys=("row 0", "row 1"), templates=stolen)
    helped = help_of_faces(options(begin="decoded", start=0.0), model, targets, public)
    assert helped.facts["decoder"]["people"] < 60
    assert "are attacked by their very photos, and left out (person000, person001" in caplog.text
    everybody = Targets(identities=public.keys, keys=public.keys, templates=embedded(model, public, "cpu"))
    with pytest.raises(DataError, match="everybody in the folder of --public is attacked"):
        help_of_faces(options(begin="average"), model, everybody, public)


def test_faces_that_are_all_alike_and_templates_of_zeros():
    alike = np.repeat(np.random.default_rng(0).integers(0, 255, (1, 8, 6, 3), dtype=np.uint8), 150, axis=0)
    with pytest.raises(DataError, match="need faces that differ, and the 150 public ones are all alike"):
        eigenfaces(alike, SPEC)
    few = np.concatenate([alike, faces(3)[0]])
    assert len(eigenfaces(few, SPEC).scale) <= 4  # and no component of rounding
    with pytest.raises(DataError, match="that of 'b' is all zeros"):
        Targets(identities=("a", "b"), keys=("a", "b"), templates=np.eye(2, dtype=np.float32) * [[1], [0]])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"lr": 1e38}, "lr must be above 0 and at most 1e"),
        ({"lr": math.nan}, "lr must be"),
        ({"start": 1e39}, "start must be at least 0 and at most"),
        ({"seed": 2**63}, "seed must be from 0 to below"),
        ({"seed": -1}, "seed must be from 0"),
    ],
)
def test_numbers_out_of_range(given, sentence):
    with pytest.raises(ValueError, match=sentence):
        options(**given)


def test_long_keys_make_file_names_that_file_systems_take():
    found = image_paths(["x" * 300, "x" * 300, "é" * 300], ["x" * 300 + "/1.png", "x" * 300 + "/2.png", "é" * 300])
    assert len(set(found)) == 3
    assert all(len(part.encode()) <= 255 for path in found for part in path.split("/"))
