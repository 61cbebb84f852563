"""Compiling is decided once, told, recorded and kept; names stay, and what fails is a warning or one sentence."""

import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
from small_run import small

from angulus.errors import ConfigError, OutOfMemoryError
from angulus.models import InputSpec, TinyNet, load_model
from angulus.training import train
from angulus.training.loop import Run
from angulus.training.plan import compile_choice
from angulus.training.plan.compile_choice import choose

CPU = torch.device("cpu")
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles for a CPU with g++")
# of torch's own compiler, when it is imported
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def network():
    return TinyNet(channels=(8, 8), units=(1, 0), embedding_dim=16, input=InputSpec(height=24, width=24)).build()


def as_if_on_cuda(monkeypatch: pytest.MonkeyPatch, plain: float, compiled: float) -> None:
    """A device with Triton on which passes take so many seconds."""
    times = iter([plain, compiled])
    monkeypatch.setattr(compile_choice, "reason_against", lambda experiment, device: None)
    monkeypatch.setattr(compile_choice, "seconds_of", lambda action, device: next(times))
    monkeypatch.setattr(compile_choice, "compile_in_place", lambda model: None)


@pytest.mark.parametrize(
    ("plain", "compiled", "chosen", "why"),
    [
        (10.0, 8.0, True, "takes 0.80 times as long"),
        (10.0, 9.9, False, "takes 0.99 times as long"),
        (0.1, 0.05, False, "the run is expected to take 10 s, too short"),
    ],
)
def test_auto_compiles_what_pays(monkeypatch, tmp_path, plain, compiled, chosen, why) -> None:
    as_if_on_cuda(monkeypatch, plain, compiled)
    found = choose(small(tmp_path, epochs=20), network(), CPU, images=100)  # 100 steps
    assert found.chosen is chosen
    assert why in found.reason


def test_auto_never_compiles_on_a_cpu(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(compile_choice, "compile_in_place", lambda model: pytest.fail("compiled"))
    assert choose(small(tmp_path), network(), CPU, images=10**9).chosen is False


@pytest.mark.parametrize("asked", ["off", False])
def test_off_is_off(monkeypatch, tmp_path, asked) -> None:
    monkeypatch.setattr(compile_choice, "compile_in_place", lambda model: pytest.fail("compiled"))
    assert choose(small(tmp_path, compile=asked), network(), CPU, images=100).chosen is False


def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    def compile_in_place(model):
        raise RuntimeError("no compiler\nand much more")

    monkeypatch.setattr(compile_choice, "compile_in_place", compile_in_place)


def test_auto_goes_on_with_one_warning_where_compiling_fails(monkeypatch, tmp_path, caplog) -> None:
    as_if_on_cuda(monkeypatch, 10.0, 1.0)
    failing(monkeypatch)
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with caplog.at_level(logging.WARNING, logger="angulus"):
        assert choose(small(tmp_path, epochs=20), model, CPU, images=100).chosen is False
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "RuntimeError: no compiler" in caplog.text
    assert "much more" not in caplog.text
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("asked", ["on", True])
def test_on_is_one_sentence_where_compiling_fails(monkeypatch, tmp_path, asked) -> None:
    failing(monkeypatch)
    with pytest.raises(ConfigError, match=r"train\.compile: .* \(RuntimeError: no compiler\); set train\.compile=off"):
        train(small(tmp_path / "run", compile=asked))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@needs_compiler
def test_a_compiled_run_keeps_its_names_evaluates_and_resumes(monkeypatch, tmp_path) -> None:
    plain = train(small(tmp_path / "plain", epochs=2))
    folder = tmp_path / "compiled"
    whole = train(small(folder, epochs=2, compile="on"))
    assert whole.figures["loss"] == pytest.approx(plain.figures["loss"], rel=1e-3)
    states = [load_model(run.folder / "model").state_dict() for run in (plain, whole)]
    assert list(states[0]) == list(states[1])
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["choices"]["compile"]["chosen"] is True
    assert json.loads((folder / "recipe.json").read_text())["train"]["compile"] is True

    original = Run.rate
    monkeypatch.setattr(Run, "rate", lambda self: 1 / 0 if self.state.step == 7 else original(self))
    cut = small(tmp_path / "cut", epochs=2, compile="on")
    with pytest.raises(ZeroDivisionError):
        train(cut)
    monkeypatch.setattr(Run, "rate", original)
    resumed = train(small(tmp_path / "cut", epochs=2), resume=True)  # auto: as when the run began
    assert json.loads((cut.out / "environment.json").read_text())["choices"]["compile"]["reason"].startswith("as when")
    assert resumed.figures["loss"] == pytest.approx(whole.figures["loss"], rel=1e-4)


def test_a_choice_of_a_run_before_there_was_one_is_kept(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text(json.dumps({"train": {"precision": "float32"}}))
    found = choose(small(tmp_path), network(), torch.device("cuda"), images=10**9, folder=tmp_path)
    assert (found.chosen, found.reason) == (False, "as when the run began")


def test_memory_that_ends_while_passes_are_tried_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def ended(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("angulus.training.loop.with_compilation", ended)
    with pytest.raises(OutOfMemoryError, match="the memory ran out"):
        train(small(tmp_path / "run"))
