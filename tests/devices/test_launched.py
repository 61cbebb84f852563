"""Which process this is: what torchrun says, and what stands in an environment that nobody launched anything in."""

import pytest
from small_sets import write_folder

from angulus.cli import main
from angulus.devices.launched import NUMBERS, launched, processes_launched
from angulus.errors import ConfigError

WHOLE = {"WORLD_SIZE": "3", "RANK": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in WHOLE:
        monkeypatch.delenv(name, raising=False)


def said(monkeypatch, **changes) -> None:
    for name, value in (WHOLE | changes).items():
        if value is not None:
            monkeypatch.setenv(name, value)


def test_what_torchrun_says(monkeypatch) -> None:
    assert launched() is None
    assert processes_launched() == 1
    said(monkeypatch)
    assert launched() == (2, 3)
    assert processes_launched() == 3


def test_one_of_one_without_an_address_is_alone(monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert launched() is None


@pytest.mark.parametrize("name", ["RANK", "MASTER_ADDR", "MASTER_PORT"])
def test_what_is_missing_is_named(monkeypatch, name) -> None:
    said(monkeypatch, **{name: None})
    with pytest.raises(
        ConfigError, match=f"which needs {name} to be set: start them with torchrun, or unset WORLD_SIZE"
    ):
        launched()


@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_no_number_is_named(monkeypatch, name) -> None:
    said(monkeypatch, **{name: "many"})
    with pytest.raises(ConfigError, match=f"needs {name} as a number, got 'many'"):
        launched()


def test_a_process_beyond_the_last_is_refused(monkeypatch) -> None:
    said(monkeypatch, RANK="3")
    with pytest.raises(ConfigError, match="RANK must be below WORLD_SIZE=3, got 3"):
        launched()


@pytest.mark.parametrize(
    "words",
    [
        "evaluate {home}/e.npy --labels {home}/labels.txt",
        "evaluate identify {home}/e.npz",
        "evaluate retrieve {home}/e.npz",
        "data report {home}/people --out {home}/report",
        "train data.path={home}/people out={home}/run train.epochs=1 evaluation.hold_out=nobody",
        "plan data.path={home}/people",
        "purify data.path={home}/people --out {home}/clean",
    ],
    ids=["evaluate", "identify", "retrieve", "report", "train", "plan", "purify"],
)
def test_every_command_that_shares_work_says_it_in_a_sentence(monkeypatch, tmp_path, capsys, words) -> None:
    import numpy as np

    from angulus.embeddings import EmbeddingSet

    write_folder(tmp_path / "people", {"ada": 3, "bea": 3, "cy": 3})
    vectors, labels = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32), np.repeat([0, 1, 2], 3)
    np.save(tmp_path / "e.npy", vectors)
    (tmp_path / "labels.txt").write_text("\n".join(map(str, labels)))
    EmbeddingSet(embeddings=vectors, labels=labels).save(tmp_path / "e.npz")
    said(monkeypatch, MASTER_ADDR=None, RANK="0")
    assert main(words.format(home=tmp_path).split()) == 2
    error = capsys.readouterr().err
    assert "needs MASTER_ADDR to be set: start them with torchrun" in error
    assert "Traceback" not in error
