"""Pipes under the names of files are refused, never waited for; nothing is written through a link that leads out."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mutated_readers import READERS, make_checkpoint
from small_run import small

from angulus.checksums import check
from angulus.config import load
from angulus.data.views.edits import read_edits
from angulus.data.views.identity_matching import read_people
from angulus.errors import AngulusError, CheckpointError, DataError, FacesError
from angulus.evaluation.files.blufr_lists import read_blufr_trials
from angulus.evaluation.files.ijb_metadata import read_detected_faces, read_template_csv, read_template_images
from angulus.evaluation.files.megaface_features import read_feature, read_feature_list
from angulus.evaluation.files.pair_lists import read_pairs
from angulus.evaluation.files.verification_bins import read_bin
from angulus.evaluation.report.result_files import read_result
from angulus.evaluation.uncertainty.calibration import read_calibration
from angulus.faces.detectors.landmark_lists import ListedLandmarks
from angulus.faces.journal import JOURNAL, opened_journal
from angulus.folder_locks import LOCK, locked
from angulus.inversion.attack.files import InversionFolder
from angulus.models import import_weights, load_model
from angulus.purification.evidence import read_part
from angulus.purification.rounds import _kept
from angulus.training import train
from angulus.training.storage.checkpoint import load_content
from angulus.training.storage.class_names import read_classes
from angulus.training.storage.run_folder import Metrics, finished_figures, start_folder

MOST_SECONDS = 5.0
CPU = torch.device("cpu")


def waits(path: Path, call: Callable[[], Any]) -> tuple[bool, Exception | None]:
    """Whether a call waited for a pipe, which is given an end after a while; and what was raised."""
    # a process of its own, since a library may hold all threads while it waits
    giver = subprocess.Popen(["sh", "-c", f'sleep {MOST_SECONDS}; : <> "$0"', str(path)])
    raised: Exception | None = None
    try:
        call()
    except Exception as error:
        raised = error
    waited = giver.poll() is not None
    giver.kill()
    giver.wait()
    return waited, raised


def journal(folder: Path) -> None:
    with opened_journal(folder, {}, []):
        pass


def lists(read: Callable[[Path], Any], name: str) -> tuple[str, Callable[[Path], Any]]:
    return name, lambda folder: read(folder / name)


OTHERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "foreign weights": lists(import_weights, "x.pt"),
    "model description": lists(load_model, "model.json"),
    "metrics": lists(lambda path: Metrics(path).rows(), "metrics.jsonl"),
    "metrics to add to": lists(lambda path: Metrics(path).append({"step": 1}), "metrics.jsonl"),
    "figures": ("result.json", finished_figures),
    "recipe to resume": ("recipe.json", lambda folder: start_folder(folder, {}, True)),
    "class names": ("classes.json", read_classes),
    "recipe of a run": ("recipe.json", lambda folder: load([folder])),
    "recipe": lists(lambda path: load([path]), "mine.yaml"),
    "checkpoint": lists(lambda path: load_content(path, CPU), "step-00000001.pt"),
    "checksum": lists(check, "x.distcp"),
    "lock": (LOCK, lambda folder: locked(folder, AngulusError, "working in").__enter__()),
    "plan of an inversion": ("plan.json", lambda folder: InversionFolder(folder, {})),
    "journal of crops": (JOURNAL, journal),
    "landmarks": lists(ListedLandmarks.read, "x.csv"),
    "edits": lists(read_edits, "x.csv"),
    "people": lists(read_people, "x.csv"),
    "pairs": lists(read_pairs, "x.csv"),
    "bin": lists(read_bin, "x.bin"),
    "trials": lists(read_blufr_trials, "x.txt"),
    "templates": lists(read_template_csv, "x.csv"),
    "template images": lists(read_template_images, "x.txt"),
    "detected faces": lists(read_detected_faces, "x.txt"),
    "feature": lists(read_feature, "x.bin"),
    "feature list": lists(read_feature_list, "x.json"),
    "result": lists(read_result, "x.json"),
    "calibration": lists(read_calibration, "x.json"),
    "evidence": lists(read_part, "x.npz"),
    "purification": lists(_kept, "x.json"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_no_reader_waits_for_a_pipe(tmp_path: Path, name: str) -> None:
    file, read = OTHERS[name]
    os.mkfifo(tmp_path / file)
    waited, raised = waits(tmp_path / file, lambda: read(tmp_path))
    assert not waited
    assert isinstance(raised, AngulusError | OSError | None), repr(raised)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_no_reader_of_a_set_waits_for_a_pipe(tmp_path: Path, reader: Any) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    reader.make(folder)
    (folder / reader.file).unlink()
    os.mkfifo(folder / reader.file)
    waited, raised = waits(folder / reader.file, lambda: list(reader.read(folder)))
    assert not waited
    assert isinstance(raised, AngulusError | None), repr(raised)


# Links


@pytest.fixture
def treasure(tmp_path: Path) -> Path:
    """A file of the user's that nothing may touch."""
    (tmp_path / "home").mkdir()
    file = tmp_path / "home" / "step-00000001.pt"
    file.write_text("mine")
    return file


@pytest.mark.parametrize("link", [os.symlink, os.link], ids=["link", "second name"])
def test_a_lock_is_no_link(tmp_path: Path, treasure: Path, link: Callable[..., None]) -> None:
    (tmp_path / "run").mkdir()
    link(treasure, tmp_path / "run" / LOCK)
    with pytest.raises(CheckpointError, match=r"\.lock in it"), locked(tmp_path / "run", CheckpointError, "in"):
        pass
    assert treasure.read_text() == "mine"


@pytest.mark.parametrize("name", ["checkpoints", "model", "best", "tensorboard", "deep/er"])
def test_nothing_is_written_or_removed_through_a_link_in_a_run(tmp_path: Path, treasure: Path, name: str) -> None:
    link = tmp_path / "run" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(treasure.parent)
    with pytest.raises(CheckpointError, match="leads out of"):
        train(small(tmp_path / "run", epochs=1))
    assert [path.name for path in treasure.parent.iterdir()] == [treasure.name]


def test_a_run_folder_may_be_a_link_and_hold_links_to_its_own(tmp_path: Path) -> None:
    (tmp_path / "disk" / "kept").mkdir(parents=True)
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "again").symlink_to("kept")
    with locked(tmp_path / "run", CheckpointError, "in"):
        assert (tmp_path / "disk" / LOCK).exists()


def test_rows_of_metrics_do_not_go_through_a_link(tmp_path: Path, treasure: Path) -> None:
    (tmp_path / "metrics.jsonl").symlink_to(treasure)
    with pytest.raises(CheckpointError, match="is a link"):
        Metrics(tmp_path / "metrics.jsonl").append({"step": 1})
    assert treasure.read_text() == "mine"


def test_a_checkpoint_does_not_go_through_a_link_that_stands_where_it_is_written(
    tmp_path: Path, treasure: Path
) -> None:
    (tmp_path / f".step-00000007.pt.{os.getpid()}.partial").symlink_to(treasure)
    make_checkpoint(tmp_path)
    assert treasure.read_text() == "mine"
    assert load_content(tmp_path / "step-00000007.pt", CPU).step == 7


def test_a_journal_moves_no_crop_of_another_folder(tmp_path: Path, treasure: Path) -> None:
    crop = {"path": "../home/step-00000001.pt", "box": [0], "landmarks": [0]}
    line = {"source": "gone.jpg", "bytes": 1, "status": "found", "crops": [crop]}
    (tmp_path / "crops").mkdir()
    (tmp_path / "crops" / JOURNAL).write_text("\n".join(map(json.dumps, [{"settings": {}}, line])) + "\n")
    with pytest.raises(FacesError, match="damaged"):
        journal(tmp_path / "crops")
    assert treasure.read_text() == "mine"


@pytest.mark.parametrize("name", ["../home/step-00000001.pt", "/etc/hostname"])
def test_a_conversion_moves_nothing_elsewhere(tmp_path: Path, name: str) -> None:
    from angulus.data.formats.staging import Unfinished

    folder = tmp_path / ".x.converting"
    folder.mkdir()
    (folder / "moving").write_text(json.dumps([name]))
    with pytest.raises(DataError, match="names of files"):
        Unfinished(target=tmp_path / "x", folder=folder).finish_moving()


def test_a_conversion_does_not_go_through_links(tmp_path: Path, treasure: Path) -> None:
    from angulus.data import EncodedSource, convert

    source = EncodedSource.of([b"x"], labels=[0], identities=["Ada"], keys=["Ada/1.jpg"])
    folder = tmp_path / ".x.rec.converting"
    (folder / "result").mkdir(parents=True)
    (folder / "result" / "x.rec").symlink_to(treasure)
    with pytest.raises(DataError, match="is a link, or holds one"):
        convert(source, tmp_path / "x.rec")
    assert treasure.read_text() == "mine"


def test_one_process_at_a_time_inverts_into_a_folder(tmp_path: Path) -> None:
    from inversion.small_networks import TwoLayers

    from angulus.inversion import InversionOptions, Targets, invert
    from angulus.models import InputSpec

    model = TwoLayers(spec=InputSpec(height=8, width=6)).float()
    templates = np.random.default_rng(0).normal(size=(1, 5)).astype(np.float32)
    targets = Targets(identities=("Ada",), keys=("Ada/1.jpg",), templates=templates)
    options = InversionOptions(iterations=2, batch_size=1, clamp=True)
    invert(model, targets, tmp_path / "out", options)
    assert not (tmp_path / "out" / LOCK).exists()
    (tmp_path / "run" / "state").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "run" / "images").symlink_to(tmp_path / "other")
    with pytest.raises(DataError, match="leads out of"):
        invert(model, targets, tmp_path / "run", options)
