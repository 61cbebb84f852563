"""How many cores there are for this process, and how many threads are chosen."""

import os
import time
from pathlib import Path

import pytest
import torch

from angulus.devices import processors
from angulus.devices.processors import chosen_threads, granted_cores, halves_of, threads_of_torch, usable_cores


def second_version(root: Path, *, outer: str, inner: str) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("0::/pod/container\n")
    for path, text in (("pod", outer), ("pod/container", inner)):
        (root / "sys/fs/cgroup" / path).mkdir(parents=True)
        (root / "sys/fs/cgroup" / path / "cpu.max").write_text(text)
    return root


def first_version(root: Path, quota: str, period: str = "100000") -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("9:memory:/other\n4:cpu,cpuacct:/box\n0::/\n")
    folder = root / "sys/fs/cgroup/cpu/box"
    folder.mkdir(parents=True)
    (folder / "cpu.cfs_quota_us").write_text(quota)
    (folder / "cpu.cfs_period_us").write_text(period)
    return root


@pytest.fixture
def eight_cores(monkeypatch):
    monkeypatch.setattr(processors, "bound_cores", lambda: 8)


@pytest.mark.parametrize(
    ("inner", "outer", "cores"),
    [
        ("max 100000\n", "max 100000\n", 8),
        ("200000 100000\n", "max 100000\n", 2),
        ("max 100000\n", "350000 100000\n", 4),
        ("50000 100000\n", "400000 100000\n", 1),
        ("1600000 100000\n", "max 100000\n", 8),
        ("nonsense", "", 8),
    ],
)
def test_the_tightest_group_counts(tmp_path, eight_cores, inner, outer, cores):
    assert usable_cores(second_version(tmp_path, outer=outer, inner=inner)) == cores


@pytest.mark.parametrize(("quota", "granted"), [("-1", None), ("150000", 1.5), ("0", None), ("x", None)])
def test_groups_of_the_first_version(tmp_path, quota, granted):
    assert granted_cores(first_version(tmp_path, quota)) == granted


def test_no_groups_at_all(tmp_path, eight_cores):
    assert usable_cores(tmp_path) == 8


def test_a_process_that_is_bound_has_fewer():
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        pytest.skip("there is one core, or no way to be bound to one")
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_threads_follow_a_group_that_grants_less(monkeypatch):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(processors, "bound_cores", lambda: 64)
    monkeypatch.setattr(processors, "granted_cores", lambda root=None: 3.5)
    monkeypatch.setattr(processors, "_FOR_A_QUOTA", [])
    processors.set_waiting()
    assert os.environ["OMP_NUM_THREADS"] == os.environ["OPENBLAS_NUM_THREADS"] == "4"
    assert not processors.is_said()  # a quota is nobody's word: what is faster within it is still timed
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    processors.set_waiting()
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_halves():
    assert halves_of(12) == [12, 6, 3, 1]
    assert halves_of(1) == [1]


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [({4: 0.01, 2: 0.01, 1: 0.01}, 4), ({4: 0.03, 2: 0.02, 1: 0.004}, 1), ({4: 0.004, 2: 0.03, 1: 0.0}, 4)],
)
def test_fewer_threads_must_be_clearly_faster(seconds, chosen):
    before = torch.get_num_threads()
    try:
        choice = chosen_threads(lambda: time.sleep(seconds[torch.get_num_threads()]), [4, 2, 1])
        assert choice.threads == torch.get_num_threads() == chosen
        assert choice.seconds is not None
        assert " ms with 4" in choice.reason
    finally:
        torch.set_num_threads(before)


def test_the_users_number_stands(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    choice = chosen_threads(lambda: pytest.fail("nothing is to be tried"))
    assert (choice.threads, choice.reason) == (torch.get_num_threads(), "as the environment says")


def test_threads_are_put_back():
    before = torch.get_num_threads()
    with threads_of_torch(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
