"""Training with the classes divided over processes: the metrics of one process, whatever the strategy.

Its checkpoints move between numbers of processes to the bit.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import run_python, run_together

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).parent / "sharded_runs.py"
KEPT = ["streamed", "sampled", "adamw"]  # whose checkpoints are looked at
RESUMED = ["streamed", "sampled"]
CASES = ["dense", "accumulated", "streamed", "sampled", "adamw"]
ALIKE = ("loss", "cos_target", "gradient_norm", "held-out/auc", "held-out/eer")


def run(world: int, folder: Path, *words: str) -> None:
    """Run the script with so many processes."""
    if world > 1:
        run_together(world, str(SCRIPT), str(folder), *words)
    else:
        run_python(str(SCRIPT), str(folder), *words)


def cases_of(world: int) -> list[str]:
    """Two processes do the three strategies, which saves time."""
    return CASES if world != 2 else ["dense", "streamed", "sampled"]


def rows(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def stretches(folder: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / "diagnosis.jsonl").read_text().splitlines()]
    return [row for row in found if row["kind"] == "stretch"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """By number of processes: the folder with the runs."""
    folders = {world: tmp_path_factory.mktemp(f"by-{world}") for world in (3, 1, 2)}
    train = {world: [f"train:{case}" for case in cases_of(world)] for world in folders}
    read = [f"read:{case}" for case in KEPT]
    stop, resume = [f"stop:{case}" for case in KEPT], [f"resume:{case}" for case in RESUMED]
    run(3, folders[3], *train[3], *stop, *resume)
    copy_for_others(folders[3], folders[1])
    run(1, folders[1], *train[1], *read, "take:adamw", "stop:adamw")
    copy_for_others(folders[3], folders[2])
    shutil.copytree(folders[1] / "read-adamw-from-1", folders[2] / "read-adamw-from-1")
    shutil.copytree(folders[3] / "read-streamed-from-3", folders[2] / "stopped-streamed")
    run(2, folders[2], *train[2], *read, "resume:streamed", "take:adamw", "poison:dense", "full:dense")
    return folders


def copy_for_others(source: Path, folder: Path) -> None:
    for case in KEPT:
        shutil.copytree(source / f"read-{case}-from-3", folder / f"read-{case}-from-3")


@pytest.mark.parametrize(("world", "case"), [(world, case) for world in (2, 3) for case in cases_of(world)])
def test_a_sharded_head_trains_as_one_process_does(trained, case, world):
    alone, together = (rows(trained[number] / case) for number in (1, world))
    assert [row["step"] for row in together] == [row["step"] for row in alone]
    for one, other in zip(alone, together, strict=True):
        expected = {name: one[name] for name in ALIKE if name in one}
        assert {name: other[name] for name in expected} == pytest.approx(expected, rel=1e-3, abs=1e-4)
    for one, other in zip(*(stretches(trained[number] / case) for number in (1, world)), strict=True):
        for name in ("examples", "loss", "own", "mass", "length"):
            assert other[name] == pytest.approx(one[name], rel=1e-3, abs=1e-4)
        for name, length in other["slopes"].items():
            assert length == pytest.approx(one["slopes"][name], rel=3e-2)
        assert other["classes"]["own"] == pytest.approx(one["classes"]["own"], abs=1e-3)


def test_what_one_process_sees_stops_all_with_one_sentence(trained):
    told = [(trained[2] / "poisoned" / f"told-{rank}.txt").read_text() for rank in (0, 1)]
    assert told[0] == told[1]
    assert told[0].startswith("NonFiniteError: step 4: the gradient of head.weight is not finite")


def test_a_disk_that_is_full_for_one_process_stops_all_and_leaves_the_last_checkpoint(trained):
    folder = trained[2] / "full"
    for rank in (0, 1):
        told = (folder / f"told-{rank}.txt").read_text()
        assert told.startswith("CheckpointError: ")
        assert "could not be written (OSError: [Errno 28] No space left on device)" in told
    assert [path.name for path in (folder / "checkpoints").glob("step-*")] == ["step-00000003"]


# ---- checkpoints


def without_times(folder: Path) -> list[dict[str, float]]:
    timed = ("images_per_second", "waiting_for_data")
    return [{name: value for name, value in row.items() if name not in timed} for row in rows(folder)]


@pytest.mark.parametrize("case", RESUMED)
def test_a_resumed_run_equals_the_uninterrupted_one_to_the_bit(trained, case):
    whole, resumed = trained[3] / case, trained[3] / f"stopped-{case}"
    assert without_times(resumed) == without_times(whole)
    assert (resumed / "diagnosis.jsonl").read_text() == (whole / "diagnosis.jsonl").read_text()
    first, second = ((folder / "model" / "model.safetensors").read_bytes() for folder in (whole, resumed))
    assert first == second


def test_another_number_of_processes_goes_on_with_a_run(trained):
    whole, resumed = rows(trained[3] / "streamed"), rows(trained[2] / "stopped-streamed")
    assert [row["step"] for row in resumed] == [row["step"] for row in whole]
    for one, other in zip(whole, resumed, strict=True):
        expected = {name: one[name] for name in ALIKE if name in one}
        assert {name: other[name] for name in expected} == pytest.approx(expected, rel=1e-3, abs=1e-4)


def joined(folder: Path, name: str, world: int) -> dict[str, torch.Tensor]:
    """What several processes hold, as one: rows of classes one after the other, the rest equal on all."""
    parts = [torch.load(folder / f"{name}-{world}-{rank}.pt", weights_only=True) for rank in range(world)]
    whole = parts[0]
    for key, value in whole.items():
        if is_per_class(key, value):
            whole[key] = torch.cat([part[key] for part in parts])
        else:
            assert all(torch.equal(part[key], value) for part in parts), key
    return whole


def is_per_class(name: str, value: torch.Tensor) -> bool:
    rows = ("head.weight", "head.bias", "head.update_", "optimizer.head.weight.", "optimizer.head.bias.")
    return name.startswith(rows) and value.ndim > 0


@pytest.mark.parametrize(
    ("case", "before", "now"),
    [*((case, 3, now) for case in KEPT for now in (1, 2)), ("adamw", 1, 2)],
)
def test_everything_is_read_to_the_bit_by_another_number_of_processes(trained, case, before, now):
    saved = joined(trained[before] / f"read-{case}-from-{before}", "saved", before)
    found = joined(trained[now] / f"read-{case}-from-{before}", "read", now)
    assert saved.keys() == found.keys()
    moments = [name for name in saved if "momentum" in name or "exp_avg" in name]
    assert any(name.startswith(("optimizer.head", "head.update_")) for name in moments)
    assert any(name.startswith("optimizer.backbone") for name in moments)
    assert all(saved[name].abs().max() > 0 for name in moments)
    for name, value in saved.items():
        assert torch.equal(found[name], value), name


def test_class_weights_of_three_processes_begin_a_run_of_two_by_name(trained):
    source = trained[3] / "read-adamw-from-3"
    saved = joined(source, "saved", 3)
    places = {name: place for place, name in enumerate(json.loads((source / "classes.json").read_text()))}
    alone, *parts = (
        torch.load(trained[world] / "taken-adamw" / f"begun-{rank}.pt", weights_only=True)
        for world, rank in ((1, 0), (2, 0), (2, 1))
    )
    weight, bias = (torch.cat([part[name] for part in parts]) for name in ("weight", "bias"))
    kept = [row for row, name in enumerate(alone["names"]) if name in places]
    assert 0 < len(kept) < len(weight)
    old = [places[alone["names"][row]] for row in kept]
    assert torch.equal(weight[kept], saved["head.weight"][old])
    assert torch.equal(bias[kept], saved["head.bias"][old])
    assert torch.allclose(weight, alone["weight"], atol=1e-6)  # new ones at their means, in either
