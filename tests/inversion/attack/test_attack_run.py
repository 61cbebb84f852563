"""From targets to a folder of pictures: both modes, going on after an interruption, and what is refused."""

import json
import logging

import numpy as np
import pytest
import torch
from inversion.small_networks import TwoLayers
from real_data import SHARED, needs_shared

from angulus.embeddings import EmbeddingSet
from angulus.errors import DataError, ModelError, NonFiniteError
from angulus.heads import MarginHead
from angulus.inversion import (
    InversionOptions,
    Targets,
    Views,
    Weights,
    check_stamp,
    class_targets,
    fingerprint_of_model,
    invert,
    template_targets,
)
from angulus.inversion import invert as invert_model
from angulus.inversion.attack.attack_run import embed_pixels
from angulus.inversion.attack.files import image_paths, sheet
from angulus.inversion.attack.images import as_batch, start_images, to_pixels, valid_range
from angulus.margins import ArcFace
from angulus.models import InputSpec

NAMES = ("Ada", "Ben", "Cyd", "Dan", "Eve")


def network():
    return TwoLayers(spec=InputSpec(height=8, width=6)).float()


def options(**changes):
    return InversionOptions(**{"iterations": 12, "batch_size": 3, "lr": 0.1, "clamp": True, **changes})


def templates(count=5, dim=5, seed=0):
    return np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)


def open_targets(count=5):
    return Targets(
        identities=NAMES[:count], keys=tuple(f"{n}/1.jpg" for n in NAMES[:count]), templates=templates(count)
    )


def head():
    found = MarginHead(5, 5, ArcFace(scale=8.0, m=0.2))
    torch.nn.init.normal_(found.weight, generator=torch.Generator().manual_seed(1))
    return found


def test_open_set_comes_nearer_to_the_templates(tmp_path):
    model = network()
    result = invert(model, open_targets(), tmp_path / "out", options(iterations=150), picture_every=100)
    assert result["mode"] == "open set"
    assert [row["identity"] for row in result["targets"]] == list(NAMES)
    assert len(result["curves"]) == 2  # batches of 3 and 2
    for curve in result["curves"]:
        assert curve[-1]["loss"] < curve[0]["loss"]
        assert curve[-1]["cosine"] > curve[0]["cosine"]
    assert (tmp_path / "out/progress/batch-001/000100.png").is_file()
    assert (tmp_path / "out/montage.png").is_file()
    assert json.loads((tmp_path / "out/result.json").read_text()) == result


def test_cosines_are_those_of_the_stored_pictures(tmp_path):
    from angulus.data import decode_image

    model = network()
    result = invert(model, open_targets(), tmp_path / "out", options())
    pictures = np.stack([decode_image(tmp_path / "out" / row["file"]) for row in result["targets"]])
    embeddings = embed_pixels(model.eval(), pictures, 2, torch.device("cpu"))
    wanted = torch.nn.functional.cosine_similarity(embeddings, torch.from_numpy(templates()))
    assert [row["cosine"] for row in result["targets"]] == pytest.approx(wanted.tolist(), abs=1e-5)


def test_closed_set_is_answered_with_the_class(tmp_path):
    targets = class_targets(head(), NAMES, ["Eve", "Ada"])
    assert targets.labels is not None
    assert targets.labels.tolist() == [4, 0]
    model = network()
    with torch.no_grad():
        model.fc.weight.mul_(20)  # so that every direction can be reached with pixels from 0 to 255
    result = invert(model, targets, tmp_path / "out", options(iterations=200, weights=Weights(batch_norm=0.0)))
    assert result["mode"] == "closed set"
    assert all(row["answered_first"] for row in result["targets"])
    assert (tmp_path / "out/images/Eve/Eve.png").is_file()


def test_an_interrupted_inversion_ends_like_one_that_was_left_alone(tmp_path):
    settings = options(iterations=20, views=Views(shift=1, turn=5, contrast=0.1, flip=True), schedule="cosine")
    whole = invert(network(), open_targets(), tmp_path / "whole", settings, save_every=5)

    def stop(done, total):
        if done == 47:  # within the first batch, between two states
            raise KeyboardInterrupt
        if done == 3 * 20 + 2 * 13:
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            invert(
                network(),
                open_targets(),
                tmp_path / "cut",
                settings,
                save_every=5,
                progress=lambda d, t: stop(d + 2, t),
            )
        assert not (tmp_path / "cut/result.json").exists()
    resumed = invert(network(), open_targets(), tmp_path / "cut", settings, save_every=5)
    assert resumed["targets"] == whole["targets"]
    assert resumed["curves"] == whole["curves"]
    for row in whole["targets"]:
        assert (tmp_path / "cut" / row["file"]).read_bytes() == (tmp_path / "whole" / row["file"]).read_bytes()


def test_a_finished_folder_is_not_done_again(tmp_path):
    first = invert(network(), open_targets(), tmp_path / "out", options())
    (tmp_path / "out/state/batch-000.pt").unlink()
    assert invert(network(), open_targets(), tmp_path / "out", options()) == first


def test_a_folder_of_another_inversion_is_refused(tmp_path):
    invert(network(), open_targets(), tmp_path / "out", options())
    with pytest.raises(DataError, match="other options"):
        invert(network(), open_targets(), tmp_path / "out", options(lr=0.2))
    with pytest.raises(DataError, match="other targets"):
        invert(network(), open_targets(4), tmp_path / "out", options())
    (tmp_path / "else").mkdir()
    (tmp_path / "else/letter.txt").write_text("dear")
    with pytest.raises(DataError, match="holds other files"):
        invert(network(), open_targets(), tmp_path / "else", options())


def test_a_damaged_state_is_named(tmp_path):
    invert(network(), open_targets(), tmp_path / "out", options())
    (tmp_path / "out/result.json").unlink()
    (tmp_path / "out/state/batch-001.pt").write_bytes(b"half")
    with pytest.raises(DataError, match=r"batch-001\.pt is not a readable state"):
        invert(network(), open_targets(), tmp_path / "out", options())


def test_embeddings_of_another_dimension_or_model(tmp_path, caplog):
    model = network()
    other = Targets(identities=("Ada",), keys=("1",), templates=templates(1, dim=7))
    with pytest.raises(ModelError, match="embeddings of 7 dimensions and the model makes 5"):
        invert(model, other, tmp_path / "out", options())
    stamped = EmbeddingSet(embeddings=templates(2), columns={"model": [fingerprint_of_model(model)] * 2})
    check_stamp(stamped, model, "file.npz")
    with pytest.raises(ModelError, match=r"file\.npz was made by another model"):
        check_stamp(stamped, TwoLayers(1, spec=InputSpec(height=8, width=6)).float(), "file.npz")
    assert not caplog.text
    check_stamp(EmbeddingSet(embeddings=templates(2)), model, "file.npz")
    assert "file.npz does not say which model made it" in caplog.text


def test_unknown_names_and_keys():
    with pytest.raises(DataError, match=r"'Evv' is no class of this run; did you mean 'Eve'\?"):
        class_targets(head(), NAMES, ["Evv"])
    stored = EmbeddingSet(embeddings=templates(2), keys=("Ada/1.jpg", "Ben/1.jpg"))
    assert template_targets(stored, ["Ben/1.jpg"]).identities == ("Ben",)
    with pytest.raises(DataError, match=r"did you mean 'Ada/1\.jpg'\?"):
        template_targets(stored, ["Ada/2.jpg"])


def test_a_network_without_batch_norm(tmp_path):
    model = TwoLayers(spec=InputSpec(height=8, width=6), norm=False).float()
    with pytest.raises(ModelError, match="no batch-norm layer"):
        invert(model, open_targets(), tmp_path / "out", options())
    assert not (tmp_path / "out").exists()
    result = invert(model, open_targets(), tmp_path / "out", options(weights=Weights(batch_norm=0.0)))
    assert result["curves"][0][-1]["batch_norm"] == 0.0


def test_an_infinite_objective_is_named(tmp_path):
    model = network()
    with torch.no_grad():
        model.fc.weight.fill_(float("nan"))
    with pytest.raises(NonFiniteError, match="the objective must be finite"):
        invert(model, open_targets(), tmp_path / "out", options())


def test_the_model_and_the_log_stay_clean(tmp_path, caplog):
    model = network().train()
    before = fingerprint_of_model(model)
    with caplog.at_level(logging.INFO, logger="angulus"):
        invert_model(model, open_targets(), tmp_path / "out", options(), save_every=6)
    assert fingerprint_of_model(model) == before
    assert model.training
    assert "iteration 12" in caplog.text


@pytest.mark.parametrize("spec", [InputSpec(height=3, width=2), InputSpec(height=3, width=2, colour="bgr", std=128.0)])
def test_pixels_are_the_inverse_of_prepare(spec):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 2, 3), dtype=np.uint8)
    assert np.array_equal(to_pixels(spec.prepare(as_batch(pixels)), spec), pixels)
    low, high = valid_range(spec, torch.zeros(()))
    ends = torch.stack([low.expand(spec.shape), high.expand(spec.shape)])
    assert np.array_equal(np.unique(to_pixels(ends, spec)), [0, 255])


def test_grey_pixels_are_repeated():
    spec = InputSpec(height=3, width=2, colour="grey")
    pixels = to_pixels(torch.zeros(1, 1, 3, 2), spec)
    assert pixels.shape == (1, 3, 2, 3)
    assert set(pixels.ravel().tolist()) == {128}


def test_start_is_seeded_noise():
    spec = InputSpec(height=20, width=20)
    first, second = (start_images(spec, 4, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, second)
    assert abs(float(first.mean())) < 0.05
    assert abs(float(first.std()) - 1) < 0.05


def test_image_paths_stay_in_the_folder_and_apart():
    keys = ("Ada/Ada_0001.jpg", "../../etc/passwd", "row 3", "Ada/1.5 m", "a/b.png", "A_b.jpg")
    assert image_paths(("Ada",) * 6, keys) == [
        "images/Ada/Ada_0001.png",
        "images/Ada/_.._etc_passwd.png",
        "images/Ada/row 3.png",
        "images/Ada/1.5 m.png",
        "images/Ada/a_b.png",
        "images/Ada/A_b 5.png",
    ]


def test_sheet_puts_originals_above():
    black, white = np.zeros((4, 3, 3), np.uint8), np.full((4, 3, 3), 200, np.uint8)
    page = sheet([white] * 10, [black] * 10)
    assert page.shape == (4 * 6 + 2, 8 * 5 + 2, 3)
    assert page[4, 3].tolist() == [0, 0, 0]
    assert page[10, 3].tolist() == [200, 200, 200]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"iterations": 0}, "iterations must be at least 1"),
        ({"lr": 0.0}, "lr must be above 0"),
        ({"betas": (0.9, 1.0)}, "betas must be two numbers"),
        ({"schedule": "step"}, "schedule must be constant or cosine"),
        ({"begin": "nothing"}, "begin must be one of noise, average, decoded"),
        ({"space": "words"}, "space must be one of pixels, eigenfaces"),
        ({"space": "eigenfaces"}, "begin must be average or decoded among eigenfaces"),
        ({"start": -1.0}, "start must be at least 0"),
        ({"normalise": "both"}, "normalise must be one of none, unit"),
    ],
)
def test_settings_that_make_no_sense(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        options(**changes)


def test_templates_of_length_one_are_remarked_upon(tmp_path, caplog):
    unit = templates() / np.linalg.norm(templates(), axis=1, keepdims=True)
    targets = Targets(identities=NAMES, keys=NAMES, templates=unit)
    invert(network(), targets, tmp_path / "unit", options(iterations=1, normalise="unit"))
    assert not caplog.text
    invert(network(), targets, tmp_path / "none", options(iterations=1))
    assert "set --normalise unit" in caplog.text


@needs_shared
def test_a_real_recogniser_gives_way(tmp_path):
    from angulus.data import FolderSource, select
    from angulus.extract import embed
    from angulus.models import import_weights

    model = import_weights(SHARED / "mobilefacenet/068.ckpt")
    source = select(FolderSource.open(SHARED / "lfw112", size=(112, 96), fit="crop"), np.array([0, 5]))
    targets = template_targets(embed(model, source, flip=False))
    settings = InversionOptions(iterations=12, clamp=True, schedule="cosine")
    result = invert(model, targets, tmp_path / "out", settings, originals=[source.read(0), source.read(1)])
    curve = result["curves"][0]
    assert curve[-1]["batch_norm"] < 0.5 * curve[0]["batch_norm"]
    assert curve[-1]["loss"] < curve[0]["loss"]
