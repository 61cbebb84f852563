"""Classes divided over 2 and 3 gloo processes: values, gradients and statistics of one process, and checkpoints."""

import json
from pathlib import Path

import pytest
import torch
from distributed.sharded_steps import CLASSES, DIM, STRATEGIES, held, margins, trained
from processes import run_together

from angulus.errors import CheckpointError
from angulus.heads import MarginHead
from angulus.heads.sharding.resharding import load_sharded, save_sharded
from angulus.margins import ArcFace, L2Softmax, Learned

SCRIPT = Path(__file__).parent / "sharded_steps.py"
WORLDS = [2, 3]
KINDS = [f"{kind}-{k}" for kind, (_, centers) in STRATEGIES.items() for k in centers]
STATISTICS = {
    "curricularface": ["t"],
    "curricular-fast": ["t"],
    "amm-ema": ["t"],
    "adaface": ["mean", "std"],
    "adacos-lagged": ["scale"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, request):
    """What 4, 3 and then 2 processes have written, after this one had saved a head of its own.

    They try every margin where a test is going to look at it.
    """
    looked_at = {
        str(item.callspec.params["world"])
        for item in request.session.items
        if item.originalname == "test_every_margin_and_strategy_equals_one_process"
    }
    folder = tmp_path_factory.mktemp("sharded")
    head = plain_head()
    optimizer = trained(head)
    save_sharded(head, folder / "by-1", optimizer)
    torch.save(held(head, optimizer), folder / "by-1-saved-0.pt")
    for world in (4, 3, 2):
        run_together(world, str(SCRIPT), str(folder), *sorted(looked_at), timeout=600)
    return folder


@pytest.fixture(scope="module")
def found(folder):
    """By number of processes: what each process found."""
    names = {world: [folder / f"differences-{world}-{rank}.json" for rank in range(world)] for world in WORLDS}
    return {world: [json.loads(name.read_text()) for name in files] for world, files in names.items()}


def plain_head() -> MarginHead:
    torch.manual_seed(9)
    return MarginHead(DIM, CLASSES, L2Softmax(scale=Learned(10.0)))


def joined(folder: Path, name: str, world: int) -> dict[str, torch.Tensor]:
    """What several processes hold, as one: rows one after the other, the rest from the first (equal on all)."""
    parts = [torch.load(folder / f"{name}-{rank}.pt", weights_only=True) for rank in range(world)]
    whole = parts[0]
    for key, value in whole.items():
        if key.endswith(("weight", "bias")):
            whole[key] = torch.cat([part[key] for part in parts])
        else:
            assert all(part[key] == value for part in parts)
    return whole


def assert_bit_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(other[name])), name


# ---- one step is the step of one process


@pytest.mark.parametrize("world", [2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("margin", [*margins()])
def test_every_margin_and_strategy_equals_one_process(found, margin, world):
    expected = {"loss", "losses", "cos_target", "embeddings", "weight", "gradient of weight"}
    expected |= {f"state_{name}" for name in STATISTICS.get(margin, [])}
    if margin.startswith("sphereface2"):
        expected.add("gradient of learned.bias")
    if "learned" in margin or margin == "topk-all":
        expected.add("gradient of learned.scale")
    if "softmax" in margin.split("-")[0] and margin.startswith(("softmax", "l2")):
        expected.add("gradient of bias")
    for process in found[world]:
        for kind in KINDS:
            differences = process[f"{margin}-{kind}"]
            assert expected <= differences.keys()
            assert max(differences.values()) <= 1e-12, (kind, differences)


@pytest.mark.parametrize("world", [*WORLDS, 4])
def test_the_nearest_classes_are_those_of_one_process_at_bytes_that_do_not_grow(folder, world):
    files = [folder / f"differences-{world}-{rank}.json" for rank in range(world)]
    for process in [json.loads(file.read_text()) for file in files]:
        for case in process["ranking"]:
            assert case["same"]
            assert case["bytes"] == case["formula"]
        assert world != 4 or max(process["topk"].values()) <= 1e-12


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("case", ["per-sample", "backbone"])
def test_values_per_sample_and_a_parallel_backbone_equal_one_process(found, case, world):
    for process in found[world]:
        assert max(process[case].values()) <= 1e-12, process[case]


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("margin", ["arc", "sphere", "mv", "l2"])
def test_label_smoothing_equals_one_process(found, margin, world):
    for process in found[world]:
        for kind in ("dense", "stash"):
            differences = process[f"smoothed-{margin}-{kind}"]
            assert {"loss", "embeddings", "gradient of weight"} <= differences.keys()
            assert max(differences.values()) <= 1e-12, (kind, differences)


@pytest.mark.parametrize("world", WORLDS)
def test_evaluation_moves_no_statistics(found, world):
    for process in found[world]:
        assert process["evaluation"]["loss"] <= 1e-12
        assert (process["evaluation"]["t"], process["evaluation"]["step"]) == (0.0, 0.0)


def test_first_weights_do_not_depend_on_the_number_of_processes(folder):
    first, second = (
        torch.cat([torch.load(folder / f"initial-{world}-{rank}.pt", weights_only=True) for rank in range(world)])
        for world in WORLDS
    )
    assert torch.equal(first, second)
    assert len(first.unique(dim=0)) == CLASSES
    assert 0.2 < float(first.std()) * DIM**0.5 < 2.0


@pytest.mark.parametrize("world", WORLDS)
def test_every_process_says_what_is_wrong(found, world):
    for process in found[world]:
        said = process["sentences"]
        assert "got 7 at position 2 of the batch" in said["label"]
        assert f"each of {world} processes" in said["sizes"]
        assert "1 classes in shards of 1 leave none" in said["classes"]
        assert "use save_sharded and load_sharded" in said["shard"]
        assert "per_sample 't' of MVSoftmax" in said["per_sample"]


# ---- checkpoints


@pytest.mark.parametrize(("name", "saved_by"), [("by-1", 1), ("by-3", 3), ("by-4", 4)])
@pytest.mark.parametrize("world", [1, *WORLDS])
def test_weights_and_momentum_are_read_to_the_bit_by_any_number_of_processes(folder, name, saved_by, world):
    saved = joined(folder, f"{name}-saved", saved_by)
    assert saved["momentum of weight"].abs().max() > 0
    assert saved["step"] == 2
    if world > 1:
        assert_bit_equal(joined(folder, f"{name}-read-by-{world}", world), saved)
        return
    head = plain_head()
    optimizer = torch.optim.SGD(head.parameters(), lr=0.01, momentum=0.9)
    load_sharded(head, folder / name, optimizer)
    assert_bit_equal(held(head, optimizer), saved)
    trained(head)


def test_adam_goes_on_as_if_it_had_not_stopped(tmp_path):
    head, copy = plain_head(), plain_head()
    optimizer, other = (torch.optim.AdamW(each.parameters(), lr=0.01) for each in (head, copy))
    for step in range(2):
        one_step(head, optimizer)
        if step == 0:
            save_sharded(head, tmp_path / "saved", optimizer)
    load_sharded(copy, tmp_path / "saved", other)
    one_step(copy, other)
    assert torch.equal(head.weight, copy.weight)


def one_step(head, optimizer):
    optimizer.zero_grad()
    embeddings = torch.randn(4, DIM, generator=torch.Generator().manual_seed(0))
    head(embeddings, torch.arange(4)).loss.backward()
    optimizer.step()


def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path, caplog):
    save_sharded(plain_head(), tmp_path / "saved")
    with pytest.raises(CheckpointError, match=r"holds weight of shape \[7, 5\], the head has \[8, 5\]"):
        load_sharded(MarginHead(DIM, 8, L2Softmax(scale=Learned(10.0))), tmp_path / "saved")
    with pytest.raises(CheckpointError, match="is no whole checkpoint of a head"):
        load_sharded(plain_head(), tmp_path / "absent")
    save_sharded(MarginHead(DIM, CLASSES, ArcFace()), tmp_path / "other")
    with pytest.raises(CheckpointError, match="saved from a head with another margin"):
        load_sharded(plain_head(), tmp_path / "other")
    head = plain_head()
    load_sharded(head, tmp_path / "saved", torch.optim.SGD(head.parameters(), lr=0.1))
    assert "holds no optimizer state" in caplog.text
