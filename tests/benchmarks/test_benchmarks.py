"""The scripts in benchmarks/ run."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from small_sets import picture

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "heads.py"
INTERVALS = SCRIPT.with_name("intervals.py")


def heads(file: Path, *options: str, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--repeats", "1", "--no-memory", "--json", str(file), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | settings)


@pytest.mark.slow
def test_heads_are_compared_timed_and_written(tmp_path):
    file = tmp_path / "heads.json"
    done = heads(file, "--classes", "200", "--examples", "8", "--only", "floor", "dense", "streamed-recompute")
    assert done.returncode == 0, done.stderr
    runs = json.loads(file.read_text())["runs"]
    assert [(run["classes"], run["examples"], run["subcenters"]) for run in runs] == [(200, 8, 1), (200, 8, 3)]
    for run in runs:
        assert list(run["heads"]) == ["floor", "dense", "streamed-recompute"]
        assert run["heads"]["floor"]["ratio"] == 1.0
        assert run["heads"]["streamed-recompute"]["ratio"] > 0.0
        differences = run["heads"]["streamed-recompute"]["difference"]
        assert set(differences) == {"loss", "embeddings", "own", "others"}
        assert max(differences.values()) < 1e-4
    assert done.stdout.count("| streamed-recompute |") == 2


@pytest.mark.slow
def test_heads_are_kept_and_what_the_budget_leaves_out_is_named(tmp_path):
    file = tmp_path / "heads.json"
    options = ("--classes", "200", "--examples", "8", "--subcenters", "1", "--only", "dense", "streamed-stash")
    assert "left out for --budget: floor, dense" in heads(file, *options, "--budget", "0").stdout
    (run,) = json.loads(file.read_text())["runs"]
    assert (run["heads"], run["left_out"]) == ({}, ["floor", "dense", "streamed-stash"])
    assert heads(file, *options[:-1]).returncode == 0
    first = json.loads(file.read_text())["runs"][0]["heads"]
    assert heads(file, *options).returncode == 0
    (run,) = json.loads(file.read_text())["runs"]
    assert list(run["heads"]) == ["floor", "dense", "streamed-stash"]
    assert {name: run["heads"][name] for name in first} == first
    assert run["left_out"] == []
    heads(file, *options, "--again")
    assert json.loads(file.read_text())["runs"][0]["heads"]["dense"] != first["dense"]


def test_a_processor_that_emulates_bfloat16_measures_none_of_it(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    script = importlib.import_module("heads")
    problem = script.Problem(200, 8, 1, "cpu")
    for factor, told in ((31.0, "not measured: bfloat16 products take 31 times as long here"), (0.4, None)):
        monkeypatch.setattr(script, "bfloat16_factor", lambda factor=factor: factor)
        assert script.obstacle(script.CANDIDATES["streamed-stash-bf16"], problem, 2**30) == told
        assert script.obstacle(script.CANDIDATES["streamed-stash"], problem, 2**30) is None


def test_machines_are_named_by_what_they_compute_with(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    machines = importlib.import_module("machines")
    cpuinfo = tmp_path / "cpuinfo"
    monkeypatch.setattr(machines, "CPUINFO", cpuinfo)
    monkeypatch.setattr(machines, "bound_cores", lambda: 2)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    cpuinfo.write_text("model name\t: AMD EPYC\nflags\t\t: fpu avx2\n")
    assert (machines.slug(), machines.words()) == ("cpu_avx2", "two AMD EPYC cores, AVX2, no native bf16")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    cpuinfo.write_text("model name\t: AMD EPYC\nflags\t\t: fpu avx2 avx512_bf16\n")
    assert machines.slug() == "cpu_avx512_bf16"
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100 80GB HBM3")
    assert machines.slug("cuda") == "nvidia_h100_80gb_hbm3"


@pytest.mark.slow
def test_a_head_that_does_not_fit_is_left_out_and_says_so(tmp_path):
    file = tmp_path / "heads.json"
    options = ("--classes", "10000000000", "--examples", "8", "--subcenters", "1", "--only", "dense")
    done = heads(file, *options)
    assert done.returncode == 0, done.stderr
    assert "| dense | does not fit: needs about" in done.stdout


@pytest.mark.slow
def test_fused_heads_take_part_where_their_kernels_run(tmp_path):
    pytest.importorskip("triton")
    names = ("fused-tf32", "fused-tf32-moved")
    options = ("--classes", "200", "--examples", "8", "--subcenters", "1", "--only", *names)
    done = heads(tmp_path / "here.json", *options, TRITON_INTERPRET="1")
    assert done.returncode == 0, done.stderr
    (run,) = json.loads((tmp_path / "here.json").read_text())["runs"]
    assert all(run["heads"][name]["ratio"] > 0.0 for name in names)
    assert all(max(run["heads"][name]["difference"].values()) < 1e-4 for name in names)
    if not torch.cuda.is_available():
        done = heads(tmp_path / "elsewhere.json", *options, TRITON_INTERPRET="0")
        assert done.stdout.count("not here: the kernels run on CUDA devices, not on cpu") == 2


def test_speed_is_that_of_four_products_beside_the_peak():
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        import heads as script
    finally:
        sys.path.remove(str(SCRIPT.parent))
    problem = script.Problem(1_000_000, 1024, 1, "cuda")
    row = script.Row(seconds=[0.02, 0.01, 0.01], floor=[0.01, 0.01, 0.01])
    known = script.figures(problem, row, peak=790e12)
    assert known["operations_per_second"] == pytest.approx(8 * 1024 * 512 * 1e6 / 0.01)
    assert known["time_over_peak"] == pytest.approx(790 / 419.43, rel=1e-4)
    assert "| 419 | 1.88 |" in script.table({"fused": known}, "dense")


@pytest.mark.slow
def test_intervals_are_simulated_and_written(tmp_path):
    file = tmp_path / "intervals.json"
    options = ("--draws", "2", "--replicates", "20", "--only", "0", "--truth-people", "100", "--json", str(file))
    done = subprocess.run([sys.executable, str(INTERVALS), *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(file.read_text())["results"].values()
    assert found["TAR at FAR 0.01 | logit-t"]["draws"] == 2
    assert file.with_suffix(".md").read_text().count("| 4 images each |") == 10


@pytest.mark.slow
def test_an_index_is_made_up_and_measured(tmp_path):
    file = tmp_path / "index.json"
    command = [sys.executable, str(SCRIPT.with_name("loading_index.py")), "--images", "150000", "--identities", "5000"]
    done = subprocess.run([*command, "--json", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(file.read_text())
    assert len(result["workers"]) == 2
    assert list(result["ways"]) == ["uniform", "balanced", "pk", "weighted", "blocks"]
    assert 100_000 < result["train"][0] < 150_000


@pytest.mark.slow
def test_loading_is_measured_and_written(tmp_path):
    people = tmp_path / "people"
    for name in ("Ada", "Bob"):
        (people / name).mkdir(parents=True)
        for number in range(8):
            Image.fromarray(picture(number, 16, 16)).save(people / name / f"{number}.jpg")
    file = tmp_path / "loading.json"
    options = ("--data", str(people), "--repeats", "1", "--moment", "0.001", "--no-webdataset", "--json", str(file))
    command = [sys.executable, "-W", "ignore", str(SCRIPT.with_name("loading.py")), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    record = json.loads(file.read_text())
    assert record["images"] == 16
    rows = {(row["what"], row["decoder"], row["workers"]): row for row in record["rows"]}
    assert rows["packed", "pillow", 2]["share"] > 0.0
    assert rows["torch DataLoader, folder", "pillow", 0]["cpu_share_kept"] > 0.0
    assert done.stdout.count("| packed | pillow |") == 2
    assert file.with_name("loading_reads.md").read_text().count("| parquet |") == 1
    assert file.with_name("loading_parts.md").read_text().count("checksum") == 1
