"""The copy that is attacked computes what the network does: embeddings, terms of the objective, gradients of images."""

import copy

import pytest
import torch
from inversion.small_networks import TwoLayers, noise
from torch import nn

from angulus.inversion import Matching, OpenSet, Weights, attacked, listening, objective
from angulus.inversion.attack.watched_copy import _Watched, watched, watched_copy
from angulus.models import IR, MBF, InceptionResNetV1, InputSpec, IResNet, MobileFaceNet, SphereFace20, TinyNet, ViT

SMALL = InputSpec(height=32, width=32)
NETWORKS = {
    "iresnet": lambda: IResNet(depth=18, input=SMALL, embedding_dim=8),
    "mobilefacenet": lambda: MobileFaceNet(input=SMALL, embedding_dim=8),
    "sphereface20": lambda: SphereFace20(input=SMALL, embedding_dim=8),
    "tiny": lambda: TinyNet(input=SMALL, embedding_dim=8),
    "tiny prelu": lambda: TinyNet(input=SMALL, embedding_dim=8, activation="prelu"),
    "vit": lambda: ViT(input=SMALL, embedding_dim=8),
    "ir": lambda: IR(depth=18, input=SMALL, embedding_dim=8),
    "mbf": lambda: MBF(input=SMALL, embedding_dim=8),
    "inception": lambda: InceptionResNetV1(input=InputSpec(height=96, width=96), embedding_dim=8),
}


def trained(model, seed=0):
    """With statistics and slopes as training might have left them, in float64."""
    random = torch.Generator().manual_seed(seed)
    model = model.double()
    for part in model.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.running_mean.normal_(0, 0.2, generator=random)
            part.running_var.uniform_(0.6, 1.6, generator=random)
            if part.weight is not None:
                nn.init.uniform_(part.weight, 0.5, 1.5, generator=random)
                nn.init.normal_(part.bias, 0, 0.3, generator=random)
        if isinstance(part, nn.PReLU):
            nn.init.uniform_(part.weight, -0.1, 0.5, generator=random)
    return model


def judged(network, inputs, images, weights):
    images = images.clone().requires_grad_()
    goal = OpenSet(targets=torch.ones(len(images), network.embedding_dim, dtype=images.dtype))
    terms = objective(network, images, goal, inputs, weights, images)
    terms.loss.backward()
    return terms, images.grad


OTHER = Matching(moment="variance", squared=False, first_layer=10.0)


@pytest.mark.grid
@pytest.mark.parametrize(("name", "matching"), [*((name, Matching()) for name in NETWORKS), ("mobilefacenet", OTHER)])
def test_the_copy_computes_what_the_network_does(name, matching):
    model = trained(NETWORKS[name]().build())
    images = torch.randn(3, *model.input.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    weights = Weights(batch_norm=0.05 if name != "sphereface20" else 0.0, matching=matching)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with attacked(model):
        with listening(model) as inputs:
            expected, slope = judged(model, inputs, images, weights)
        with watched(model) as (network, inputs):
            assert network is not model
            for _ in range(2):
                found, found_slope = judged(network, inputs, images, weights)
    for term in ("loss", "identity", "batch_norm", "variation", "norm", "embeddings"):
        assert torch.allclose(getattr(found, term), getattr(expected, term), rtol=1e-9, atol=1e-12), term
    assert torch.allclose(found_slope, slope, rtol=1e-7, atol=1e-9 * float(slope.abs().max()))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_another_network_is_listened_to_itself():
    model = TwoLayers()
    with attacked(model), watched(model) as (network, inputs):
        network(noise(2))
        assert network is model
        assert len(inputs.seen) == 2
    assert not model.bn._forward_pre_hooks


def test_a_network_in_half_precision_is_listened_to_itself():
    model = TinyNet(input=SMALL, embedding_dim=8).build().to(torch.bfloat16)
    with attacked(model), watched(model) as (network, _):
        assert network is model


def test_a_norm_that_forgets_its_input_is_not_folded():
    model = trained(TinyNet(input=SMALL, embedding_dim=8).build())
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    with torch.no_grad():
        norms[0].weight[1] = 0.0
    network, _ = watched_copy(model.eval())
    folded = [part.is_folded for part in network.modules() if isinstance(part, _Watched)]
    assert folded[0] is False
    assert any(folded)
    images = torch.randn(2, *SMALL.shape, dtype=torch.float64)
    assert torch.allclose(network(images), model(images), rtol=1e-10)


def test_in_float32_it_is_as_near_to_the_truth_as_the_network():
    exact = trained(MobileFaceNet(input=SMALL, embedding_dim=8).build()).eval()
    images = torch.randn(4, *SMALL.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    single = copy.deepcopy(exact).float()
    weights = Weights()
    with attacked(exact), attacked(single):
        with listening(exact) as inputs:
            truth = judged(exact, inputs, images, weights)[1]
        with listening(single) as inputs:
            plain = judged(single, inputs, images.float(), weights)[1].double()
        with watched(single) as (network, inputs):
            fast = judged(network, inputs, images.float(), weights)[1].double()
    distance = (fast - truth).norm() / truth.norm()
    assert float(distance) < max(3 * float((plain - truth).norm() / truth.norm()), 1e-5)
