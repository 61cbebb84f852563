"""How many threads a run takes: as told, as begun, or as timed."""

import json
from pathlib import Path

import pytest
import torch
from small_run import small

from angulus.devices.processors import ThreadChoice
from angulus.errors import ConfigError
from angulus.models import InputSpec, TinyNet
from angulus.training import train
from angulus.training.plan import thread_choice
from angulus.training.plan.thread_choice import choose, recorded

CPU = torch.device("cpu")


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four cores, nobody's word on threads, and a timing that finds two of them best."""
    monkeypatch.setattr(thread_choice, "usable_cores", lambda: 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(thread_choice, "is_said", lambda: False)
    monkeypatch.setattr(thread_choice, "seconds_of", lambda run: 0.0)  # whatever else the machine does
    monkeypatch.setattr(thread_choice, "chosen_threads", lambda run: ThreadChoice(threads=2, reason="timed"))


def network():
    return TinyNet(channels=(8, 8), units=(1, 0), embedding_dim=16, input=InputSpec(height=24, width=24)).build()


@pytest.mark.usefixtures("four_cores")
def test_a_small_network_is_timed(tmp_path: Path) -> None:
    assert choose(small(tmp_path), network(), CPU) == ThreadChoice(threads=2, reason="timed")


@pytest.mark.usefixtures("four_cores")
def test_nothing_is_timed_where_the_answer_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(thread_choice, "chosen_threads", lambda run: pytest.fail("timed"))
    assert choose(small(tmp_path, threads=3), network(), CPU).threads == 3
    assert choose(small(tmp_path), network(), torch.device("cuda")).threads == 4
    assert "launcher" in choose(small(tmp_path), network(), CPU, processes=2).reason
    monkeypatch.setattr(thread_choice, "seconds_of", lambda run: 1.0)
    assert choose(small(tmp_path), network(), CPU).reason == "a step is long enough for all of them"
    monkeypatch.setattr(thread_choice, "is_said", lambda: True)
    assert choose(small(tmp_path), network(), CPU).reason == "as the environment says"


@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize(("kept", "chosen"), [(1, 1), (4, 4), (64, 2), ("x", 2), (0, 2), (True, 2)])
def test_a_resumed_run_keeps_its_number_where_there_are_as_many_cores(
    tmp_path: Path, kept: object, chosen: int
) -> None:
    content = {"choices": {"threads": {"threads": kept}}}
    (tmp_path / "environment.json").write_text(json.dumps(content))
    assert choose(small(tmp_path), network(), CPU, folder=tmp_path).threads == chosen


@pytest.mark.parametrize("text", ["[]", "null", "{", '{"choices": 5}'])
def test_an_environment_that_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "environment.json").write_text(text)
    assert recorded(tmp_path) is None


def test_the_choice_is_recorded_and_threads_are_put_back(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    folder = tmp_path / "run"
    train(small(folder, threads=before + 1, epochs=1))
    assert torch.get_num_threads() == before
    found = json.loads((folder / "environment.json").read_text())
    assert found["choices"]["threads"]["threads"] == found["threads"] == before + 1
    assert recorded(folder) == before + 1


def test_fewer_than_one(tmp_path: Path) -> None:
    with pytest.raises((ValueError, ConfigError), match='threads must be "auto" or at least 1, got 0'):
        small(tmp_path, threads=0)
