"""A plan says what a run takes; `auto` becomes a strategy; a run that will not fit is announced."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_run import small

from angulus.errors import ConfigError, DataError, OutOfMemoryError
from angulus.heads import Auto, Dense, Fused, Panels, Sampled, Streamed
from angulus.margins import CurricularFace
from angulus.models import TinyNet
from angulus.training import AdamW, FolderData, Head, train
from angulus.training.plan import strategy_choice as settling_module
from angulus.training.plan.assumptions import Pretended
from angulus.training.plan.footprint import activation_bytes
from angulus.training.plan.forecast import plan
from angulus.training.plan.machine import Machine, available, bytes_of, in_words
from angulus.training.plan.strategy_choice import Forecast, recorded, with_advice
from angulus.training.plan.strategy_options import RECOMPUTE
from angulus.training.recipe.serialization import record

MILLION = Pretended(classes=1_000_000, images=50_000_000, memory="80GB")


def million(tmp_path, head=None, **train):
    """A run with a million identities; a batch of 128."""
    return small(tmp_path, head=head or Head(), **{"batch_size": 128, **train})


def row(planned, name):
    return next(row for row in planned.rows if row.name == name)


def test_rows_of_a_million_identities(tmp_path):
    planned = plan(million(tmp_path), MILLION)
    weights = 4 * 16 * 1_000_000
    dense, moved = row(planned, "dense"), row(planned, "streamed, update in backward")
    assert (dense.weights, dense.gradient, dense.optimizer_state) == (weights, weights, weights)
    assert dense.is_own
    assert dense.fits
    assert (moved.gradient, moved.logits) == (0, 0)
    assert moved.total < row(planned, "streamed recompute").total < dense.total
    assert moved.settings == [
        "head.strategy=streamed",
        "head.strategy.mode=recompute",
        "head.update_in_backward=true",
    ]
    assert not row(planned, "sampled 0.1, update in backward").is_exact
    assert all(row.seconds is None for row in planned.rows)
    assert planned.parts["decoded images"] == 0  # more than a quarter of any memory
    json.dumps(planned.as_dict())


def test_what_does_not_fit_comes_with_what_does(tmp_path):
    planned = plan(million(tmp_path), replace(MILLION, memory="1.0GB"))
    assert not row(planned, "dense").fits
    assert "does not fit; streamed" in planned.recommendation
    tight = plan(million(tmp_path), replace(MILLION, memory="60MB"))
    assert not any(row.fits for row in tight.rows)
    assert "head.sharded=true on " in tight.recommendation


def test_accumulation_and_processes_divide_the_batch(tmp_path):
    whole = plan(million(tmp_path), MILLION).parts["activations"]
    fixed, each = activation_bytes(million(tmp_path).model.build(), half=False)
    assert whole == fixed + 128 * each
    assert plan(million(tmp_path, accumulate=4), MILLION).parts["activations"] == fixed + 32 * each
    two = plan(million(tmp_path), replace(MILLION, processes=2))
    assert two.parts["activations"] == fixed + 64 * each
    assert row(two, "streamed, update in backward, sharded").weights == 4 * 16 * 500_000
    assert not any(row.name == "streamed, update in backward" for row in two.rows)


def test_rows_that_a_recipe_cannot_take_are_left_out(tmp_path):
    adam = plan(replace(million(tmp_path), optim=AdamW(), margin=CurricularFace(scale=16.0)), MILLION)
    names = [row.name for row in adam.rows]
    assert "streamed stash bfloat16" not in names
    assert not any(name.startswith("sampled") for name in names)
    own = plan(million(tmp_path, Head(strategy=Sampled(rate=0.25))), MILLION)
    assert own.rows[0].name == "sampled rate 0.25"
    assert own.rows[0].is_own


def test_a_plan_of_data_at_hand_decodes_and_writes_nothing(tmp_path):
    planned = plan(small(tmp_path / "out"))
    assert planned.parts["decoded images"] == 32 * 5 * 24 * 24 * 3
    assert all(row.fits and row.seconds > 0 for row in planned.rows)
    assert not (tmp_path / "out").exists()


def test_missing_data_needs_the_number_of_classes(tmp_path):
    missing = replace(small(tmp_path), data=FolderData(path=tmp_path / "none"))
    with pytest.raises(DataError, match="--classes"):
        plan(missing)
    planned = plan(missing, Pretended(classes=1000, memory="1GB"))
    assert "unknown number" in planned.facts["training on"]
    with pytest.raises(ConfigError, match="model=iresnet50"):
        plan(replace(missing, model=None), Pretended(classes=1000, memory="1GB"))


def test_a_device_that_is_not_here_is_planned_with_its_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="--memory 80GB"):
        plan(replace(small(tmp_path), device="cuda"))
    assert plan(replace(small(tmp_path), device="cuda"), MILLION).machine.device == "cuda"


def test_measuring_activations_leaves_the_network_as_it_was():
    torch.manual_seed(1)
    model = TinyNet(channels=(8, 8), units=(1, 0), embedding_dim=16).build().eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    activation_bytes(model, half=True)
    assert torch.equal(torch.get_rng_state(), random)
    assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(("text", "size"), [("80GB", 80 * 10**9), ("1.5 GiB", 3 * 2**29), ("512mib", 2**29)])
def test_sizes_in_words(text, size):
    assert bytes_of(text) == size
    for wrong in ("80", "0GB", "a lot"):
        with pytest.raises(ConfigError, match="80GB"):
            bytes_of(wrong)
    assert [in_words(n) for n in (3 * 2**29, 110 * 2**20, 2000)] == ["1.5 GiB", "110 MiB", "2 KiB"]


@pytest.mark.parametrize(
    ("limit", "use", "folder"),
    [
        ("memory.max", "memory.current", "sys/fs/cgroup/job"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "sys/fs/cgroup/memory/job"),
    ],
)
def test_available_memory_heeds_the_control_group(tmp_path, limit, use, folder):
    group = tmp_path / folder
    group.mkdir(parents=True)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 4000 kB\nMemAvailable: 3000 kB\n")
    (tmp_path / "proc/self/cgroup").write_text("0::/job\n" if "max" in limit else "4:memory:/job\n")
    assert available(tmp_path) == 3000 * 1024
    (group / limit).write_text("2000000\n")
    (group / use).write_text("1500000\n")
    (group / "memory.stat").write_text("inactive_file 100000\ntotal_inactive_file 100000\n")
    assert available(tmp_path) == 600_000


# ------------------------------------------------------------------------------------------------ auto, and train


def strategy_of(folder: Path):
    return json.loads((folder / "recipe.json").read_text())["head"]["strategy"]


def scarce(monkeypatch, free):
    machine = Machine(device="cpu", name="cpu", total=10**9, free=free)
    monkeypatch.setattr(settling_module, "machine_of", lambda *_: machine)


def test_auto_becomes_dense_where_that_is_small(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "angulus"):
        train(small(tmp_path, epochs=1, head=Head(strategy=Auto())))
    assert strategy_of(tmp_path) == {"name": "dense"}
    assert "strategy auto: Dense()" in caplog.text
    assert not [entry for entry in caplog.records if entry.levelno >= logging.WARNING]


def test_auto_resumes_as_it_began_whatever_is_free_now(tmp_path, monkeypatch):
    monkeypatch.setattr("angulus.heads.auto.SMALL", 0)
    monkeypatch.setattr(
        "angulus.training.plan.strategy_options.exact", lambda *_, moved, device: Streamed(mode="stash")
    )
    experiment = small(tmp_path, epochs=1, head=Head(strategy=Auto()))
    train(experiment)
    assert strategy_of(tmp_path)["mode"] == "stash"
    scarce(monkeypatch, free=0)
    train(experiment, resume=True)
    assert strategy_of(tmp_path)["mode"] == "stash"
    train(replace(experiment, out=tmp_path / "other"))
    assert strategy_of(tmp_path / "other") == {"name": "streamed", **vars(RECOMPUTE)}


def test_auto_takes_panels_on_a_pretended_gpu_and_less_where_memory_is_short(tmp_path):
    head = Head(strategy=Auto(), update_in_backward=True)
    on_cuda = replace(million(tmp_path, head, precision="bfloat16"), device="cuda")
    planned = plan(on_cuda, MILLION)
    assert planned.notes[0].startswith("strategy auto comes to panels, update in backward, which is expected to take")
    assert {"panels", "panels, update in backward", "fused, update in backward"} <= {row.name for row in planned.rows}
    needed = row(planned, "panels, update in backward").total
    assert needed < row(planned, "dense").total
    narrow = plan(on_cuda, replace(MILLION, memory=f"{needed * 0.8 / 1e9:.3f}GB")).notes[0]
    assert "since memory is short" in narrow
    assert "mode recompute" in narrow
    wide = plan(replace(on_cuda, head=Head(strategy=Auto(), update_in_backward=False)), MILLION).notes[0]
    assert wide.startswith("strategy auto comes to panels, which")
    full = replace(on_cuda, train=replace(on_cuda.train, precision="float32"))
    assert "products float32" in plan(full, MILLION).notes[0]


def test_narrower_panels_give_way_to_fused_kernels_and_at_last_to_the_least(tmp_path, monkeypatch):
    large = replace(million(tmp_path, Head(strategy=Auto(), update_in_backward=True)), device="cuda")
    taken = []

    def total(task, option):
        taken.append(option.strategy)
        return 10**12

    monkeypatch.setattr("angulus.training.plan.strategy_options.Task.total", total)
    note = plan(large, replace(MILLION, memory="1GB")).notes[0]
    kinds = [type(strategy).__name__ for strategy in taken]
    assert "Fused" in kinds
    assert "chunk 1024" in note


@pytest.mark.parametrize("kind", [Panels(products="tf32", chunk=4096), Fused(fallback=Streamed(chunk=77)), Streamed()])
def test_what_auto_came_to_is_read_back(tmp_path, kind):
    (tmp_path / "recipe.json").write_text(json.dumps({"head": {"strategy": record(kind)}}))
    assert recorded(tmp_path) == kind


def test_auto_with_an_update_in_backward_is_streamed(tmp_path):
    train(small(tmp_path, epochs=1, head=Head(strategy=Auto(), update_in_backward=True)))
    assert strategy_of(tmp_path)["name"] == "streamed"


def test_training_warns_before_it_runs_out_and_goes_on(tmp_path, monkeypatch, caplog):
    scarce(monkeypatch, free=1000)
    with caplog.at_level(logging.WARNING, "angulus"):
        train(small(tmp_path, epochs=1))
    (warning,) = [entry.getMessage() for entry in caplog.records]
    assert "of memory, and" in warning
    assert "angulus plan" in warning
    assert strategy_of(tmp_path) == {"name": "dense"}


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA"), MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_running_out_of_memory_is_a_sentence_with_advice(error):
    forecast = Forecast(needed=2**30, usable=2**29, advice="head.strategy=streamed would take 200 MiB")
    with (
        pytest.raises(OutOfMemoryError, match=r"expected to take 1\.0 GiB.*head\.strategy=streamed"),
        with_advice(forecast),
    ):
        raise error
    with pytest.raises(RuntimeError, match="something else"), with_advice(forecast):
        raise RuntimeError("something else")


def test_own_choice_of_dense_is_dense():
    assert Head().strategy == Dense()
