"""What a group of one process exchanges, over NCCL on a GPU and Gloo on the CPU, stays as it is."""

import copy

import pytest
import torch
import torch.distributed as dist
from devices.gpu import EACH_DEVICE
from torch import nn

from angulus.heads import Dense, MarginHead, ShardedHead, Streamed
from angulus.margins import ArcFace, CurricularFace
from angulus.models import TinyNet
from angulus.models.folding import folded
from angulus.training.distributed import Processes, SynchronisedBatchNorm, batch_norm_synchronised


@pytest.fixture
def group(device, tmp_path):
    """The device of a test, while there is a group of this process alone on it."""
    device = torch.device(device)
    before = torch.cuda.current_device() if device.type == "cuda" else None
    if device.type == "cuda":
        torch.cuda.set_device(device)  # values that are not tensors travel through the current one
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        yield device
    finally:
        dist.destroy_process_group()
        if before is not None:
            torch.cuda.set_device(before)


@EACH_DEVICE
@pytest.mark.parametrize("strategy", [Dense(), Streamed(chunk=6)], ids=["dense", "streamed"])
@pytest.mark.parametrize("margin", [ArcFace(scale=16.0), CurricularFace(scale=16.0)], ids=lambda margin: margin.kind)
def test_a_sharded_head_is_the_head(group, margin, strategy) -> None:
    found = []
    for kind, options, place in ((ShardedHead, {"process_group": dist.group.WORLD}, group), (MarginHead, {}, "cpu")):
        torch.manual_seed(0)
        head = kind(8, 20, margin, strategy=strategy, **options)
        weight = torch.randn(20, 8, generator=torch.Generator().manual_seed(1))
        head.weight = nn.Parameter(weight.reshape(head.weight.shape))
        head = head.to(place).double().train()
        x = torch.randn(9, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
        x = x.to(place).requires_grad_()
        output = head(x, torch.tensor([0, 3, 3, 19, -1, 7, 8, 9, 10], device=place))
        output.loss.backward()
        found.append([output.loss.detach(), x.grad, head.weight.grad, *head.state.values()])
    for got, want in zip(*found, strict=True):
        torch.testing.assert_close(got.cpu(), want, rtol=1e-9, atol=1e-12)


@EACH_DEVICE
def test_synchronised_batch_norm_is_batch_norm(group) -> None:
    images = 3 * torch.randn(6, 4, 5, 5, generator=torch.Generator().manual_seed(0)) + 1
    plain, inner = (nn.BatchNorm2d(4).to(group, torch.float64) for _ in range(2))
    shared, found = SynchronisedBatchNorm(inner, dist.group.WORLD), []
    for norm in (shared, plain):
        x = images.to(group, torch.float64).requires_grad_()
        y = norm(x)
        found.append([y.detach(), *torch.autograd.grad(y.pow(3).sum(), [x, norm.weight, norm.bias]), norm.running_var])
    for got, want in zip(*found, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)


@EACH_DEVICE
def test_a_network_of_a_group_is_copied_and_folded(group) -> None:
    torch.manual_seed(0)
    model = TinyNet(channels=(8, 8), units=(1, 0), embedding_dim=16).build().to(group)
    images = torch.randn(4, *model.input.shape, device=group)
    model.train()(images)  # statistics that are not those of the start
    wanted = model.eval()(images)
    with batch_norm_synchronised(model, dist.group.WORLD):
        found = folded(model)(images)
        copied = copy.deepcopy(model).eval()(images)
    torch.testing.assert_close(copied, wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


@EACH_DEVICE
def test_what_processes_tell_each_other(group) -> None:
    alone = Processes(0, 1, dist.group.WORLD)
    value = torch.tensor([2.5, -1.0], device=group)
    assert torch.equal(alone.sum(value), value)
    assert torch.equal(alone.least(value), value)
    assert alone.every({"rank": 0}) == [{"rank": 0}]
    with pytest.raises(ValueError, match="here"), alone.together():
        raise ValueError("here")
    alone.wait()
