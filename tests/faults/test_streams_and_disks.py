"""Full disks, read-only folders, closed streams and killed loaders are one sentence, and nothing half-written stays."""

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_run import small

import angulus.whole_files as whole_files
from angulus.cli import main
from angulus.data.loading.workers import worker_losses_told
from angulus.embeddings import EmbeddingSet
from angulus.errors import CheckpointError, DataError, EvaluationError
from angulus.evaluation.files.verification_bins import write_bin
from angulus.inversion.attack.files import InversionFolder
from angulus.purification import purify
from angulus.study import read_plan, run_study
from angulus.training import Head

full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")


def command(*words, shell):
    line = f'"{sys.executable}" -m angulus {" ".join(words)} {shell}'
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=100)


@pytest.mark.slow
@full
def test_a_full_disk_behind_stdout_is_a_sentence():
    done = command("config", "--schema", shell="> /dev/full")
    assert done.returncode == 2
    assert done.stderr == "error: what the command prints, or writes, could not be written: the disk is full\n"


@pytest.mark.slow
def test_a_closed_stderr_hurts_nobody(tmp_path):
    assert command("config", "data.path=x", shell="2>&-").returncode == 0
    assert command("config", "data.path=x", "seed=one", shell="2>&-").returncode == 2
    assert command("config", "data.path=x", "seed=one", shell="2>&- >&- <&-").returncode == 2


class FullDisk:
    """Files that take a few bytes and no more."""

    def __init__(self, monkeypatch):
        real = Path.open

        def opened(path, mode="r", *more, **named):
            if "w" in mode and path.name.endswith(".partial"):
                real(path, mode, *more, **named).close()
                raise OSError(28, "No space left on device", str(path))
            return real(path, mode, *more, **named)

        monkeypatch.setattr(Path, "open", opened)


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".safetensors"])
def test_a_full_disk_in_embed_is_a_sentence(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"x{suffix}"
    plain = EmbeddingSet(embeddings=np.ones((3, 2), dtype=np.float32))
    plain.save(path)
    before = path.read_bytes()
    if suffix == ".npz":
        monkeypatch.setattr("zipfile.ZipFile.close", lambda self: None)
        monkeypatch.setattr("zipfile.ZipFile.open", raises_full)
    elif suffix == ".npy":
        FullDisk(monkeypatch)
    else:
        monkeypatch.setattr("angulus.embeddings.tensor_files.save_file", raises_full)
    with pytest.raises(EvaluationError, match=r"could not be written: the disk is full\. Nothing was put in its place"):
        plain.save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def raises_full(*arguments, **named):
    raise OSError(28, "No space left on device")


def test_a_full_disk_in_convert_to_bin_is_a_sentence(tmp_path, monkeypatch):
    FullDisk(monkeypatch)
    with pytest.raises(EvaluationError, match="the disk is full"):
        write_bin(tmp_path / "x.bin", [b"a", b"b"], np.array([True]))
    assert not list(tmp_path.iterdir())


def test_folders_that_cannot_be_written(tmp_path):
    (tmp_path / "base.yaml").write_text("data: {path: faces}\nmargin: arcface\n")
    (tmp_path / "study.yaml").write_text("title: x\nbase: [base.yaml]\nruns: {a: {seed: 0}}\nseeds: [0]\n")
    with pytest.raises(Exception, match="/proc/none/out cannot be written") as told:
        run_study(read_plan(tmp_path / "study.yaml", out=Path("/proc/none/out")))
    assert type(told.value).__module__ == "angulus.errors"
    with pytest.raises(CheckpointError, match="/proc/none/out cannot be written"):
        purify(small(tmp_path / "run", head=Head(subcenters=2)), Path("/proc/none/out"))
    with pytest.raises(DataError, match=r"/proc/none/out/plan\.json could not be written"):
        InversionFolder(Path("/proc/none/out"), {})


def test_a_machine_that_refuses_is_a_sentence_whatever_refuses(monkeypatch, capsys):
    monkeypatch.setattr(importlib.import_module("angulus.cli.application"), "app", raises_full)
    assert main(["config"]) == 2
    assert capsys.readouterr().err == (
        "error: what the command prints, or writes, could not be written: the disk is full\n"
    )


def test_a_killed_loader_is_a_sentence():
    said = r"a process that reads examples was killed.*fewer train\.workers"
    with pytest.raises(DataError, match=said), worker_losses_told():
        raise RuntimeError("DataLoader worker (pid 4711) is killed by signal: Killed. ")
    with pytest.raises(RuntimeError, match="another"), worker_losses_told():
        raise RuntimeError("another")


@pytest.mark.slow
def test_a_loader_that_is_really_killed(tmp_path):
    script = tmp_path / "go.py"
    script.write_text(
        "import os, signal, numpy as np, angulus.data.loading.workers as w\n"
        "from angulus.data import SyntheticFaces\n"
        "real = w.read_batch\n"
        "def killed(source, rows, memory=None):\n"
        "    if rows[0] == 4: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return real(source, rows, memory)\n"
        "w.read_batch = killed\n"
        "source = SyntheticFaces(num_identities=5, images_per_identity=2)\n"
        "try:\n"
        "    for _ in w.read_batches(source, [np.arange(0, 4), np.arange(4, 8)], num_workers=1): pass\n"
        "except w.DataError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=100)
    assert done.stdout.startswith("a process that reads examples was killed"), done.stderr


def test_half_written_files_of_the_dead_are_removed_and_of_the_living_kept(tmp_path):
    path = tmp_path / "x.npz"
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    dead, alive = (tmp_path / f".x.npz.{number}.partial" for number in (child.pid, os.getppid()))
    for left in (dead, alive):
        left.write_bytes(b"half")
    whole_files.write_beside(path, lambda partial: partial.write_bytes(b"all"))
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([alive.name, path.name])


def test_a_child_ends_with_its_parent(tmp_path):
    child = (
        "import sys, time; from angulus.lifelines import follow_parent; follow_parent(); print('up', flush=True);"
        "time.sleep(60)"
    )
    parent = (
        "import os, subprocess, sys, time; from angulus.lifelines import ends_with_me\n"
        f"p = subprocess.Popen([sys.executable, '-c', {child!r}], env={{**os.environ, **ends_with_me()}})\n"
        "time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGKILL)
    assert process.stdout.read() == ""  # comes to its end when the child has let go of it
