"""A runtime takes torch's place only where it is here and gives the same vectors; else one sentence says what to do."""

import numpy as np
import pytest
import torch
from models.test_networks import SMALL_CONFIGS
from test_extract import Average, Photos

from angulus.errors import ModelError
from angulus.extract import embed
from angulus.inference import choice, passes, runtimes
from angulus.inference.agreement import TOLERANCE, largest_distance
from angulus.inference.choice import choose
from angulus.inference.networks import torch_network
from angulus.inference.runtimes import RUNTIMES, Runtime

CPU = torch.device("cpu")


class Twin:
    """A runtime that is torch, or that turns every embedding a little, or waits."""

    parallel = True

    def __init__(self, model, turn=0.0, wait=0.0):
        self.network, self.turn, self.wait = torch_network(model, CPU), turn, wait

    def __call__(self, prepared):
        import time

        time.sleep(self.wait)
        found = self.network(prepared)
        return found + self.turn * found.norm(dim=1, keepdim=True) * torch.roll(found, 1, 1).sign() / 4


@pytest.fixture
def twins(monkeypatch):
    """Installed runtimes: one that is right, one that is wrong, one that cannot open the network."""

    def broken(model, threads):
        raise ModelError("broken cannot open the network")

    usual = torch_network
    monkeypatch.setattr(choice, "torch_network", lambda *given: Slow(usual(*given)))
    found = {
        "right": Runtime(needs=("torch",), extra="none", open=lambda model, threads: Twin(model)),
        "wrong": Runtime(needs=("torch",), extra="none", open=lambda model, threads: Twin(model, 0.1)),
        "broken": Runtime(needs=("torch",), extra="none", open=broken),
        "absent": Runtime(needs=("torch", "no_such_module"), extra="some", open=broken),
    }
    monkeypatch.setattr(runtimes, "RUNTIMES", found)
    return found


class Slow:
    """Torch on a machine where everything else is faster."""

    parallel = True

    def __init__(self, network):
        self.network, self.layout = network, network.layout

    def __call__(self, prepared):
        import time

        time.sleep(0.05)
        return self.network(prepared)


def small(index=5):
    torch.manual_seed(0)
    return SMALL_CONFIGS[index].build().eval()


class Faces(Photos):
    def __init__(self):
        super().__init__(32, 24)


def test_a_runtime_that_agrees_is_used_and_said() -> None:
    seen = []
    wanted = embed(small(), Faces())
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(
            RUNTIMES, "right", Runtime(needs=("torch",), extra="none", open=lambda model, threads: Twin(model))
        )
        found = embed(small(), Faces(), runtime="right", chosen=seen.append)
    np.testing.assert_allclose(found.embeddings, wanted.embeddings, rtol=1e-5, atol=1e-6)
    (how,) = seen
    assert (how.choice.runtime, how.choice.distance <= TOLERANCE) == ("right", True)
    assert "agree with torch" in how.describe()
    assert how.as_dict()["runtime"] == "right"


def test_a_runtime_that_gives_other_vectors_is_refused(twins) -> None:
    with pytest.raises(ModelError, match=r"the runtime wrong gives other embeddings.*take the runtime torch"):
        embed(small(), Faces(), runtime="wrong")


def test_auto_takes_the_fastest_that_agrees_and_says_what_it_refused(twins) -> None:
    first = small().input.prepare(torch.zeros(2, 3, 32, 24, dtype=torch.uint8))
    found = choose(small(), first, runtime="auto")
    assert (found.runtime, set(found.seconds)) == ("right", {"torch", "right"})
    assert "the runtime wrong gives other embeddings" in found.reason
    assert "broken cannot open the network" in found.reason


def test_auto_stays_with_torch_where_nothing_is_faster(twins) -> None:
    del twins["right"]
    first = torch.zeros(2, 3, 32, 24)
    assert choose(small(), first, runtime="auto").runtime == "torch"
    twins.clear()
    assert "no other runtime is installed" in choose(small(), first, runtime="auto").reason


def test_what_is_not_here_is_one_sentence(twins) -> None:
    with pytest.raises(ModelError, match=r'no_such_module, which is not installed: pip install "angulus\['):
        embed(small(), Faces(), runtime="absent")
    with pytest.raises(ModelError, match="runtime must be one of torch, right, wrong, broken, absent, auto, got 'tf'"):
        embed(small(), Faces(), runtime="tf")
    with pytest.raises(ModelError, match="computes on the CPU, got the device 'meta'"):
        choose(Average(), torch.zeros(1, 3, 8, 6), runtime="right", device=torch.device("meta"))


def test_distances() -> None:
    a = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    assert largest_distance(a, 3 * a) == 0
    assert largest_distance(a, a.flip(1)) == 1
    assert largest_distance(a, a[:1]) == float("inf")
    assert largest_distance(a * torch.nan, a) == float("inf")
    assert largest_distance(a * 0, a * 0) == 0
    assert largest_distance(a * 0, a) == float("inf")


def test_a_layout_is_timed_and_named() -> None:
    seen = []
    embed(small(), Faces(), layout="auto", chosen=seen.append)
    assert set(seen[0].choice.seconds) == {"channels_last", "contiguous"}
    assert seen[0].choice.layout in seen[0].choice.seconds


@pytest.mark.grid
@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("config", SMALL_CONFIGS, ids=lambda config: type(config).__name__)
def test_real_runtimes_agree_with_torch_for_every_network(name, config) -> None:
    if RUNTIMES[name].missing:
        pytest.skip(f"{name} is not installed: pip install angulus[{RUNTIMES[name].extra}]")
    torch.manual_seed(0)
    model = config.build().eval()
    size = (5, 3, config.input.height, config.input.width)
    images = torch.randint(0, 256, size, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    first = model.input.prepare(images)
    found = choose(model, first, runtime=name)
    assert found.distance <= TOLERANCE
    with torch.no_grad():
        for count in (1, 3, 5):
            assert largest_distance(found.network(first[:count]), model(first[:count])) < TOLERANCE


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_real_runtimes_compute_batches_beside_each_other(name, monkeypatch) -> None:
    if RUNTIMES[name].missing:
        pytest.skip(f"{name} is not installed: pip install angulus[{RUNTIMES[name].extra}]")
    for module in (choice, passes):
        monkeypatch.setattr(module, "compute_threads", lambda: 3)
    wanted = embed(small(), Faces(), batch_size=1)
    found = embed(small(), Faces(), batch_size=1, runtime=name)
    np.testing.assert_allclose(found.embeddings, wanted.embeddings, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.flipped, wanted.flipped, rtol=1e-4, atol=1e-5)
