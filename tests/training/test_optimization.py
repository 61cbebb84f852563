import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from angulus.heads import MarginHead
from angulus.margins import L2Softmax, Learned
from angulus.models import InputSpec, TinyNet
from angulus.training.datasets import SyntheticData
from angulus.training.experiment import SGD, AdamW, Experiment, LearningRate
from angulus.training.optimization import build_optimizer, learning_rate, set_state_of, state_of


def rates(config, peak=1.0, epoch=10, total=100):
    return [learning_rate(config, peak, step, epoch, total) for step in range(total)]


@pytest.mark.parametrize("decay", ["polynomial", "cosine", "step", "constant"])
def test_warm_up_starts_low_and_reaches_the_peak_once(decay):
    values = rates(LearningRate(decay=decay, warmup_epochs=2))
    assert values[0] == pytest.approx(1 / 20)
    assert values[19] == pytest.approx(1.0)
    assert values[:20] == sorted(values[:20])
    assert all(late <= early + 1e-12 for early, late in pairwise(values[20:]))


def test_decay_ends_where_its_formula_says():
    assert rates(LearningRate(decay="cosine", warmup_epochs=0))[-1] < 1e-3
    assert rates(LearningRate(decay="polynomial", power=1.0, warmup_epochs=0))[50] == pytest.approx(0.5)
    steps = rates(LearningRate(decay="step", milestones=(0.5, 0.75), factor=0.1, warmup_epochs=0))
    assert [steps[0], steps[50], steps[75]] == pytest.approx([1.0, 0.1, 0.01])
    assert set(rates(LearningRate(decay="constant", warmup_epochs=0))) == {1.0}


def naive_exponential(peak, final, warmup, total):
    """Published for speakers: the logarithm of the rate moves in a line over the whole run; the warm-up is a factor."""
    line = [math.log(peak) + (math.log(final) - math.log(peak)) * step / total for step in range(total)]
    return [math.exp(value) * (min(step + 1, warmup) / warmup if warmup else 1) for step, value in enumerate(line)]


@pytest.mark.parametrize("epochs", [0, 0.5, 6])
@pytest.mark.parametrize(("peak", "final"), [(0.1, 5e-5), (1e-4, 2.5e-5), (0.1, 0.1)])
def test_the_exponential_rate_of_speaker_recipes(epochs, peak, final):
    config = LearningRate(decay="exponential", final=final, warmup_epochs=epochs)
    expected = naive_exponential(peak, final, round(10 * epochs), 150)
    assert rates(config, peak=peak, total=150) == pytest.approx(expected, rel=1e-12)


def test_a_rate_that_would_grow_to_its_end_is_refused():
    config = LearningRate(decay="exponential", final=0.2)
    with pytest.raises(ValueError, match="final must be at most"):
        Experiment(data=SyntheticData(), optim=SGD(lr=0.1), learning_rate=config)


def test_norms_biases_slopes_and_learned_scalars_do_not_decay():
    backbone = TinyNet(channels=(8, 8), units=(1, 0), embedding_dim=16, input=InputSpec(height=16, width=16)).build()
    head = MarginHead(16, 5, L2Softmax(scale=Learned(8.0)))
    optimizer = build_optimizer(SGD(weight_decay=0.1), backbone, head)
    decaying, free = optimizer.param_groups
    assert decaying["weight_decay"] == 0.1
    assert free["weight_decay"] == 0.0
    assert all(parameter.ndim >= 2 for parameter in decaying["params"])
    assert any(parameter is head.weight for parameter in decaying["params"])
    assert any(parameter is head.bias for parameter in free["params"])
    assert len(decaying["params"]) + len(free["params"]) == sum(
        parameter.requires_grad for parameter in [*backbone.parameters(), *head.parameters()]
    )


def test_decay_all_puts_everything_into_one_group():
    optimizer = build_optimizer(AdamW(decay_all=True), nn.Linear(3, 3), nn.Linear(3, 3))
    assert len(optimizer.param_groups) == 1


def network_and_head():
    torch.manual_seed(3)
    spec = InputSpec(height=16, width=16)
    network = TinyNet(channels=(8, 8), units=(1, 0), embedding_dim=16, input=spec).build()
    return network.to(memory_format=torch.channels_last), MarginHead(16, 5, L2Softmax(scale=Learned(8.0)))


def one_by_one(config, *modules):
    """The optimizer of a recipe without the one pass over all parameters."""
    optimizer = build_optimizer(config, *modules)
    for group in optimizer.param_groups:
        group["fused"] = None
    optimizer._step_supports_amp_scaling = False
    return optimizer


def moved(optimizer, modules, steps, first=0):
    parameters = [parameter for module in modules for parameter in module.parameters()]
    for step in range(first, first + steps):
        generator = torch.Generator().manual_seed(step)
        for parameter in parameters:
            drawn = torch.randn(parameter.shape, generator=generator)
            parameter.grad = torch.empty_like(parameter).copy_(drawn)  # laid out as the parameter, as torch lays it
        optimizer.step()
    return [parameter.detach().clone() for parameter in parameters]


CONFIGS = [SGD(lr=0.1), SGD(lr=0.1, nesterov=True, decay_all=True), SGD(lr=0.1, momentum=0.0), AdamW(lr=0.01)]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_one_pass_moves_as_one_by_one(config):
    together, alone = network_and_head(), network_and_head()
    optimizer = build_optimizer(config, *together)
    assert all(group["fused"] for group in optimizer.param_groups)
    for one, other in zip(moved(optimizer, together, 5), moved(one_by_one(config, *alone), alone, 5), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("kinds", [(build_optimizer, one_by_one), (one_by_one, build_optimizer)], ids=["on", "back"])
@pytest.mark.parametrize("by_name", [False, True])
def test_a_checkpoint_of_either_form_goes_on_in_the_other(config, kinds, by_name):
    begun, other, whole = network_and_head(), network_and_head(), network_and_head()
    expected = moved(build_optimizer(config, *whole), whole, 6)
    first = kinds[0](config, *begun)
    moved(first, begun, 3)
    second = kinds[1](config, *other)
    for one, two in zip(begun, other, strict=True):
        two.load_state_dict(one.state_dict())
        if by_name:
            set_state_of(second, two, state_of(first, one))
    if not by_name:
        second.load_state_dict(first.state_dict())
    assert [group["fused"] for group in second.param_groups] == [True if kinds[1] is build_optimizer else None] * len(
        second.param_groups
    )
    for one, two in zip(moved(second, other, 3, first=3), expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)
