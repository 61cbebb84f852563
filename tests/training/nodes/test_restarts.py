"""Which run torchrun may go on with by itself, and names that processes of one start agree on."""

import json
import threading

import pytest
import torch.distributed as dist

from angulus.devices.meeting import agreed_name
from angulus.training.distributed import Processes
from angulus.training.nodes.restarts import is_of_this_launch, is_restarted, launch


@pytest.mark.parametrize(("count", "expected"), [("0", False), ("2", True), ("", False)])
def test_a_count_above_zero_is_a_restart(monkeypatch, count, expected):
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", count)
    assert is_restarted(Processes()) is expected


def test_only_the_run_of_this_launch_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job-7")
    assert is_of_this_launch(Processes(), tmp_path)  # lost before it said whose it is
    for kept, expected in (("job-7", True), ("job-6", False), (None, False)):
        (tmp_path / "environment.json").write_text(json.dumps({"launch": kept}))
        assert is_of_this_launch(Processes(), tmp_path) is expected


def test_a_launch_without_a_name_is_told_by_where_it_meets(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("MASTER_ADDR", "10.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "29400")
    assert launch() == "10.0.0.1:29400"


def test_words_of_processes_that_are_gone_do_not_mislead(monkeypatch):
    store = dist.HashStore()
    store.set("asks/1", "of a process that was killed")
    store.set("answer/of a process that was killed", "old")
    found: dict[int, str] = {}
    threads = [threading.Thread(target=lambda r=r: found.update({r: agreed_name(store, r, 3)})) for r in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 3
    assert len(set(found.values())) == 1
