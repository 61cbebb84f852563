"""`angulus invert` and `angulus audit inversion` on a run that takes seconds: both modes, faults, and kill -9."""

import json
import re
import time

import numpy as np
import pytest
from PIL import Image
from processes import run_python, started
from small_run import small

from angulus.cli import main
from angulus.embeddings import EmbeddingSet
from angulus.models import InputSpec, SphereFace20, save_model
from angulus.training import train

FEW = ["--iterations", "6", "--batch-size", "4", "--clamp", "--schedule", "cosine", "--device", "cpu", "--quiet"]
FEW += ["--settings", "published"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "small"
    train(small(folder, epochs=2))
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory, run):
    """Three pictures of each of the run's identities, and of twenty others."""
    root = tmp_path_factory.mktemp("photos")
    names = json.loads((run / "classes.json").read_text())
    for number, name in enumerate([*names[:5], *(f"other{k:02d}" for k in range(20))]):
        (root / name).mkdir()
        base = np.random.default_rng(number).integers(0, 256, (24, 24, 3))
        for image in range(3):
            noise = np.random.default_rng((number, image)).integers(-30, 30, base.shape)
            Image.fromarray((base + noise).clip(0, 255).astype(np.uint8)).save(root / name / f"{image}.png")
    return root


def failing(capsys, words):
    assert main(words) == 2
    return capsys.readouterr().err


def test_closed_set(run, tmp_path, capsys):
    names = json.loads((run / "classes.json").read_text())
    out = tmp_path / "out"
    assert main(["invert", str(run), "--first", "5", "--out", str(out), *FEW, "--json", str(tmp_path / "x.json")]) == 0
    assert "5 images of 5 people" in capsys.readouterr().out
    result = json.loads((tmp_path / "x.json").read_text())
    assert result["mode"] == "closed set"
    assert [row["identity"] for row in result["targets"]] == names[:5]
    assert all((out / row["file"]).is_file() for row in result["targets"])
    assert result["options"]["weights"]["batch_norm"] == 0.05


def test_open_set_from_images_and_from_a_file(run, images, tmp_path):
    shown, file, stored = tmp_path / "shown", tmp_path / "set.npz", tmp_path / "stored"
    keys = ["other00/0.png", "other01/2.png"]
    assert main(["invert", str(run), "--images", str(images), "--keys", *keys, "--out", str(shown), *FEW]) == 0
    assert main(["embed", str(run), str(images), "--out", str(file), "--stamp", "--quiet"]) == 0
    assert main(["invert", str(run), "--embeddings", str(file), "--keys", *keys, "--out", str(stored), *FEW]) == 0
    one, other = (json.loads((path / "result.json").read_text()) for path in (shown, stored))
    assert [row["cosine"] for row in one["targets"]] == pytest.approx(
        [row["cosine"] for row in other["targets"]], abs=0.1
    )
    with Image.open(shown / "montage.png") as montage, Image.open(stored / "montage.png") as alone:
        assert montage.height > alone.height  # the originals above


def test_what_cannot_be_inverted_is_said(run, images, tmp_path, capsys):
    out = ["--out", str(tmp_path / "out"), *FEW]
    assert "exactly one of these" in failing(capsys, ["invert", str(run), *out])
    both = ["--first", "2", "--images", str(images)]
    assert "exactly one of these" in failing(capsys, ["invert", str(run), *both, *out])
    names = json.loads((run / "classes.json").read_text())
    wrong = failing(capsys, ["invert", str(run), "--identities", names[0] + "x", *out])
    assert re.search(f"is no class of this run; did you mean '{names[0]}", wrong)
    no_head = failing(capsys, ["invert", str(run / "model"), "--first", "2", *out])
    assert "a network without the head of its training" in no_head
    other = tmp_path / "other.npz"
    EmbeddingSet(embeddings=np.ones((2, 7))).save(other)
    sizes = failing(capsys, ["invert", str(run), "--embeddings", str(other), *out])
    assert "holds embeddings of 7 dimensions and the model makes 16" in sizes
    stamped = tmp_path / "stamped.npz"
    EmbeddingSet(embeddings=np.ones((2, 16)), columns={"model": ["abc", "abc"]}).save(stamped)
    assert "was made by another model" in failing(capsys, ["invert", str(run), "--embeddings", str(stamped), *out])
    assert "iterations must be at least 1" in failing(
        capsys, ["invert", str(run), "--first", "2", "--out", str(tmp_path / "out"), "--iterations", "0"]
    )
    assert not (tmp_path / "out").exists()


def test_a_run_without_checkpoints_has_no_head(run, tmp_path, capsys):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    shutil.rmtree(copy / "checkpoints")
    assert "holds no checkpoint" in failing(capsys, ["invert", str(copy), "--first", "2", "--out", str(tmp_path / "o")])


@pytest.mark.slow
def test_a_network_without_batch_norm(images, tmp_path, capsys):
    config = SphereFace20(embedding_dim=8, input=InputSpec(height=24, width=24))
    save_model(tmp_path / "plain", config.build(), config)
    words = ["invert", str(tmp_path / "plain"), "--images", str(images), "--keys", "other00/0.png"]
    assert "set --bn 0" in failing(capsys, [*words, "--out", str(tmp_path / "a"), *FEW])
    assert main([*words, "--out", str(tmp_path / "b"), "--bn", "0", *FEW]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("closed", [False, True])
def test_audit(run, images, tmp_path, capsys, closed):
    page, figures = tmp_path / "page.html", tmp_path / "figures.json"
    defences = "none,label-only" if closed else "none,4bit"
    words = ["audit", "inversion", str(run), str(images), "--out", str(tmp_path / "out"), "--people", "3"]
    words += ["--defences", defences, "--fars", "0.1,0.05", "--judge", str(run / "model"), *FEW]
    words += ["--report", str(page), "--json", str(figures), *(["--closed"] if closed else [])]
    assert main(words) == 0
    assert "judge model (no part in the attack)" in capsys.readouterr().out
    found = json.loads(figures.read_text())
    assert found["mode"] == ("closed set" if closed else "open set")
    assert len(found["judges"]) == 2
    assert "What was found" in page.read_text()
    assert "data:image/png" in page.read_text()
    assert main([*words, "--no-pictures"]) == 0
    assert "data:image/png" not in page.read_text()


def test_the_best_settings_ask_for_public_faces(run, images, tmp_path, capsys):
    words = ["invert", str(run), "--first", "2", *FEW[:-2], "--settings", "best"]
    said = failing(capsys, [*words, "--out", str(tmp_path / "a")])
    assert "give a folder of people with --public, or take --begin noise --space pixels" in said
    said = failing(capsys, [*words, "--out", str(tmp_path / "b"), "--public", str(images)])
    assert re.search(r"eigenfaces need at least 100 public faces, got 69", said)  # without the two who are attacked
    words += ["--public", str(images), "--space", "pixels", "--begin", "average", "--out", str(tmp_path / "c")]
    assert main([*words, "--json", str(tmp_path / "c.json")]) == 0
    assert json.loads((tmp_path / "c.json").read_text())["public_faces"] == 69


def test_audit_through_another_model(run, images, tmp_path, capsys):
    words = ["audit", "inversion", str(run), str(images), "--out", str(tmp_path / "out"), "--people", "3", *FEW]
    assert "--closed attacks classes" in failing(
        capsys, [*words, "--closed", "--through", str(run / "model"), "--public", str(images)]
    )
    figures = tmp_path / "figures.json"
    words += ["--through", str(run / "model"), "--public", str(images), "--template-photos", "2"]
    assert main([*words, "--fars", "0.1", "--json", str(figures)]) == 0
    (attack,) = json.loads(figures.read_text())["attacks"]
    assert attack["through"] == "model"
    assert attack["map"]["people"] == 22  # of 25, without the three who are attacked


def test_an_audit_says_what_cannot_be_before_it_attacks(run, images, tmp_path, capsys):
    words = ["audit", "inversion", str(run), str(images), "--out", str(tmp_path / "out"), "--people", "3", *FEW]
    for more, sentence in (
        (["--fars", "0.1,0.0000001"], "FAR 1e-07 needs at least 10,000,000 pairs of strangers"),
        (["--defences", "none,label-only"], "label-only is an attack on a classifier's answers"),
        (["--defences", "none,8bit", "--closed"], "8bit is about templates, and --closed attacks classes"),
        (["--defences", ""], "--defences must name at least one"),
        (["--public", str(images)], "--public is not used with --begin noise --space pixels"),
    ):
        assert sentence in failing(capsys, [*words, *(more if "--fars" in more else ["--fars", "0.1", *more])])
        assert not (tmp_path / "out").exists()


def test_a_judge_that_is_not_there(run, images, tmp_path, capsys):
    words = ["audit", "inversion", str(run), str(images), "--out", str(tmp_path / "out"), "--people", "3", *FEW]
    assert "cannot be imported" in failing(capsys, [*words, "--judge", "nowhere:embed"])


@pytest.mark.slow
def test_kill_9_changes_nothing(run, tmp_path):
    words = ["invert", str(run), "--first", "6", "--iterations", "120", "--batch-size", "4", "--save-every", "7"]
    words += ["--shift", "1", "--flip", "--device", "cpu", "--quiet"]
    command = ["-m", "angulus.cli", *words]
    run_python(*command, "--out", str(tmp_path / "whole"))
    killed = tmp_path / "killed"
    for place in ("batch-000.pt", "batch-001.pt"):
        process = started([*command, "--out", str(killed)], tmp_path / "told")
        deadline = time.monotonic() + 100
        while not (killed / "state" / place).exists() and process.exitcode is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
        process.join()
    assert not (killed / "result.json").exists()
    run_python(*command, "--out", str(killed))
    one, other = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("whole", "killed"))
    assert one["targets"] == other["targets"]
    assert one["curves"] == other["curves"]
    for row in one["targets"]:
        assert (tmp_path / "whole" / row["file"]).read_bytes() == (killed / row["file"]).read_bytes()
