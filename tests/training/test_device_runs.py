"""Steps and whole runs on a GPU: as on the CPU, in float32 and bfloat16, gone on with, and among processes of NCCL."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from devices.gpu import EACH_DEVICE, HAS_GPU, LAST, needs_gpu
from processes import free_port
from small_run import small

from angulus.data import Augment, Batch
from angulus.heads import MarginHead, RowSGD, Streamed
from angulus.margins import AdaFace, ArcFace, CurricularFace
from angulus.models import InputSpec, TinyNet, load_model
from angulus.training import SGD, Head, Training, train
from angulus.training.changes import ImageChanges
from angulus.training.loop import Run
from angulus.training.optimization import build_optimizer
from angulus.training.step import Recogniser, gradients, update

NETWORK = TinyNet(channels=(8, 8), units=(1, 0), embedding_dim=16, input=InputSpec(height=24, width=24))
PRECISIONS = pytest.mark.parametrize(("precision", "bound"), [("float32", 2e-3), ("bfloat16", 0.1)])


def rows(folder: Path) -> list[dict]:
    return [row for row in map(json.loads, (folder / "metrics.jsonl").read_text().splitlines()) if "loss" in row]


def stepped(device: str, precision: str, margin, rule) -> dict[str, torch.Tensor]:
    """Losses, weights and statistics after two steps on the same images."""
    torch.manual_seed(0)
    place = torch.device(device)
    model = NETWORK.build().to(place).train()
    strategy = None if rule is None else Streamed(chunk=5)
    settings = Training(batch_size=8, precision=precision, layout="channels_last")
    head = MarginHead(16, 12, margin, strategy=strategy, update=rule).to(place).train()
    optimizer = build_optimizer(SGD(lr=0.05), model, head)
    images = torch.randint(0, 256, (8, 3, 24, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    numbers, losses = torch.arange(8), []
    for step in range(2):
        batch = Batch(examples=images, labels=numbers + step, indices=numbers, epoch=0, index=step, start=0, total=8)
        if rule is not None:
            head.learning_rate = 0.05
        options = {
            "augment": ImageChanges(augment=Augment(flip=0.0, crop=0.0)),
            "config": settings,
            "seed": 1,
            "step": step,
            "device": place,
        }
        losses.append(gradients(Recogniser(model, head), model, batch, **options).losses)
        update(optimizer, model, 0.05, settings.clip_norm)
    found = {"losses": torch.cat(losses), "head": head.weight.detach(), "backbone": next(model.parameters()).detach()}
    found |= {f"state {name}": value for name, value in head.state.items()}
    assert {value.device.type for value in found.values()} == {place.type}
    return {name: value.double().cpu() for name, value in found.items()}


@EACH_DEVICE
@PRECISIONS
@pytest.mark.parametrize("rule", [None, RowSGD()], ids=["optimizer", "in backward"])
@pytest.mark.parametrize(
    "margin", [ArcFace(scale=16.0), AdaFace(scale=16.0), CurricularFace(scale=16.0)], ids=lambda margin: margin.kind
)
def test_steps_are_those_of_float32_on_the_cpu(device, precision, bound, rule, margin) -> None:
    found, wanted = stepped(device, precision, margin, rule), stepped("cpu", "float32", margin, rule)
    for name, want in wanted.items():
        assert (found[name] - want).norm() <= bound * want.norm().clamp(min=1e-3), name


@EACH_DEVICE
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_run_learns(tmp_path, device, precision) -> None:
    result = train(small(tmp_path / "run", device=device, precision=precision))
    losses = [row["loss"] for row in rows(result.folder)]
    assert sum(losses[-5:]) < sum(losses[:5])
    assert result.figures["held-out/auc"] > 0.5
    assert {value.device.type for value in load_model(result.folder / "model").state_dict().values()} == {"cpu"}


@EACH_DEVICE
def test_an_interrupted_run_goes_on(tmp_path, device, monkeypatch) -> None:
    changes = {"device": device, "epochs": 2, "margin": CurricularFace(scale=16.0)}
    changes["head"] = Head(from_data=True, update_in_backward=True, strategy=Streamed(chunk=7))
    whole = train(small(tmp_path / "whole", **changes))
    original = Run.rate

    def dying(run: Run) -> float:
        if run.state.step == 5:
            raise KeyboardInterrupt
        return original(run)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "rate", dying)
        with pytest.raises(KeyboardInterrupt):
            train(small(tmp_path / "cut", **changes))
    cut = train(small(tmp_path / "cut", **changes), resume=True)
    for one, other in zip(rows(cut.folder), rows(whole.folder), strict=True):
        assert one["step"] == other["step"]
        assert one["loss"] == pytest.approx(other["loss"], rel=0.0 if device == "cpu" else 0.05)


@needs_gpu
def test_a_run_begun_on_a_gpu_ends_on_the_cpu(tmp_path, monkeypatch) -> None:
    experiment = small(tmp_path / "run", device=LAST, epochs=2)
    original = Run.rate

    def dying(run: Run) -> float:
        if run.state.step == 5:
            raise KeyboardInterrupt
        return original(run)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "rate", dying)
        with pytest.raises(KeyboardInterrupt):
            train(experiment)
    result = train(replace(experiment, device="cpu"), resume=True)
    assert result.figures["held-out/auc"] > 0.5


@EACH_DEVICE
def test_a_run_in_a_group_of_one_process(tmp_path, device, monkeypatch) -> None:
    """As torchrun starts it: the group is made with NCCL on a GPU, and taken down."""
    settings = {"WORLD_SIZE": 1, "RANK": 0, "LOCAL_RANK": 0, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    for name, value in settings.items():
        monkeypatch.setenv(name, str(value))
    before = torch.cuda.current_device() if HAS_GPU else None
    try:
        result = train(small(tmp_path / "run", device=device, epochs=1, head=Head(sharded=True)))
    finally:
        if before is not None:
            torch.cuda.set_device(before)
    assert not torch.distributed.is_initialized()
    assert len(rows(result.folder)) == 5


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there are no two CUDA GPUs")
def test_two_gpus_take_the_steps_of_one(tmp_path) -> None:
    code = (
        "import sys; from small_run import small; from angulus.training import Head, train; from pathlib import Path;"
        "train(small(Path(sys.argv[1]), device='cuda', epochs=1, batch_norm='synchronised', head=Head(sharded=True)))"
    )
    script = tmp_path / "two.py"
    script.write_text(f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); {code}\n")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    subprocess.run([*command, str(script), str(tmp_path / "two")], check=True, timeout=300)
    one = train(small(tmp_path / "one", device=LAST, epochs=1))
    for several, alone in zip(rows(tmp_path / "two"), rows(one.folder), strict=True):
        assert several["loss"] == pytest.approx(alone["loss"], rel=0.02)
