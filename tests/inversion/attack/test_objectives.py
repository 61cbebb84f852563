"""Each term of the inversion objective is what the paper writes, values and gradients, by naive loops in float64."""

import numpy as np
import pytest
import torch
from inversion.small_networks import TwoLayers, noise
from reference import inversion as naive

from angulus.errors import ModelError
from angulus.heads import MarginHead
from angulus.inversion import (
    ClosedSet,
    Matching,
    OpenSet,
    Weights,
    attacked,
    image_norm,
    listening,
    objective,
    total_variation,
)
from angulus.inversion.attack.objectives import check_batch_norm
from angulus.margins import ArcFace
from angulus.models import InputSpec

MATCHINGS = [
    Matching(),
    Matching(moment="variance"),
    Matching(squared=False),
    Matching(moment="variance", squared=False, first_layer=10.0),
]


def targets(count, dim=5, seed=3):
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def norm_term(model, images, matching):
    with attacked(model), listening(model) as inputs:
        model(images)
        return inputs.term(matching)


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("matching", MATCHINGS, ids=str)
def test_batch_norm_term(count, matching):
    model, images = TwoLayers(), noise(count)
    found = norm_term(model, images, matching)
    layers = (model.bn, model.features)
    expected = naive.batch_norm_distance(
        [values.detach().numpy() for values in model.inputs_of_norms(images)],
        [layer.running_mean.numpy() for layer in layers],
        [layer.running_var.numpy() for layer in layers],
        moment=matching.moment,
        squared=matching.squared,
        first=matching.first_layer,
    )
    assert float(found.detach()) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("count", [2, 5])
@pytest.mark.parametrize("matching", MATCHINGS, ids=str)
def test_batch_norm_gradient(count, matching):
    model = TwoLayers()
    images = noise(count).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: norm_term(model, x, matching), (images,), atol=1e-6)


@pytest.mark.parametrize("matching", MATCHINGS, ids=str)
def test_one_image_on_maps_of_one_pixel(matching):
    """std is 0 in both layers: defined, with a finite gradient that moves the means alone."""
    spec = InputSpec(height=1, width=1)
    model = TwoLayers(spec=spec, kernel=1)
    images = noise(1, spec).requires_grad_()
    found = norm_term(model, images, matching)
    inputs = [values.detach().numpy() for values in model.inputs_of_norms(images)]
    layers = (model.bn, model.features)
    statistics = [[x.running_mean.numpy() for x in layers], [x.running_var.numpy() for x in layers]]
    options = {"moment": matching.moment, "squared": matching.squared, "first": matching.first_layer}
    assert float(found.detach()) == pytest.approx(naive.batch_norm_distance(inputs, *statistics, **options), rel=1e-12)
    found.backward()
    assert torch.isfinite(images.grad).all()
    assert images.grad.abs().sum() > 0


@pytest.mark.parametrize("form", ["norm", "squared", "anisotropic"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_total_variation(form, count):
    images = noise(count).requires_grad_()
    assert float(total_variation(images, form).detach()) == pytest.approx(
        naive.total_variation(images.detach().numpy(), form), rel=1e-12
    )
    assert torch.autograd.gradcheck(lambda x: total_variation(x, form), (images,), atol=1e-6)


def test_image_norm():
    images = noise(5).requires_grad_()
    assert float(image_norm(images).detach()) == pytest.approx(naive.image_norm(images.detach().numpy()), rel=1e-12)
    assert torch.autograd.gradcheck(image_norm, (images,))


def test_flat_images_have_finite_gradients():
    images = torch.zeros(2, 3, 4, 3, dtype=torch.float64, requires_grad=True)
    (total_variation(images) + image_norm(images)).backward()
    assert torch.equal(images.grad, torch.zeros_like(images))


@pytest.mark.parametrize("distance", ["l2", "squared", "cosine"])
@pytest.mark.parametrize("normalise", ["none", "unit"])
def test_open_set(distance, normalise):
    embeddings, wanted = targets(5, seed=4).requires_grad_(), targets(5)
    term = OpenSet(targets=wanted, distance=distance, normalise=normalise)
    expected = naive.open_set(embeddings.detach().numpy(), wanted.numpy(), distance, normalise)
    assert float(term(embeddings).detach()) == pytest.approx(expected, rel=1e-12)
    assert torch.autograd.gradcheck(term, (embeddings,))


def test_open_set_at_the_target():
    embeddings = targets(2).requires_grad_()
    OpenSet(targets=targets(2))(embeddings).backward()
    assert torch.equal(embeddings.grad, torch.zeros_like(embeddings))


def test_closed_set_keeps_the_margin():
    head = MarginHead(5, 7, ArcFace(scale=8.0, m=0.3)).double().eval()
    torch.nn.init.normal_(head.weight)
    labels = torch.tensor([0, 3, 6])
    embeddings = targets(3).requires_grad_()
    term = ClosedSet(head=head, labels=labels)
    weight = head.weight.detach().numpy()
    expected = naive.arcface(embeddings.detach().numpy(), weight, labels.tolist(), scale=8.0, margin=0.3)
    assert float(term(embeddings).detach()) == pytest.approx(expected, rel=1e-10)
    assert torch.autograd.gradcheck(term, (embeddings,))
    unit = torch.nn.functional.normalize
    assert torch.allclose(term.cosines(embeddings), (unit(embeddings) * unit(head.weight[labels])).sum(1))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_whole_objective(count):
    model, images, wanted = TwoLayers(), noise(count).requires_grad_(), targets(count)
    weights = Weights(batch_norm=0.05, variation=1e-3, norm=1e-4)
    with attacked(model), listening(model) as inputs:
        terms = objective(model, images, OpenSet(targets=wanted), inputs, weights, images)
        pixels = images.detach().numpy()
        expected = (
            naive.open_set(model(images).detach().numpy(), wanted.numpy())
            + 0.05 * float(terms.batch_norm.detach())
            + 1e-3 * naive.total_variation(pixels)
            + 1e-4 * naive.image_norm(pixels)
        )
        assert float(terms.loss.detach()) == pytest.approx(expected, rel=1e-12)
        if count > 1:
            assert torch.autograd.gradcheck(
                lambda x: objective(model, x, OpenSet(targets=wanted), inputs, weights, x).loss, (images,), atol=1e-6
            )


def test_the_model_is_left_as_it_was():
    model = TwoLayers()
    model.fc.weight.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    wanted = [parameter.requires_grad for parameter in model.parameters()]
    images = noise(2).requires_grad_()
    with attacked(model), listening(model) as inputs:
        objective(model, images, OpenSet(targets=targets(2)), inputs, Weights(), images).loss.backward()
        assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert [parameter.requires_grad for parameter in model.parameters()] == wanted
    assert model.training
    assert not model.bn._forward_pre_hooks


def test_a_network_without_batch_norm_is_told_what_is_missing():
    model = TwoLayers(norm=False)
    with pytest.raises(ModelError, match=r"no batch-norm layer.*--bn 0"):
        check_batch_norm(model, Weights())
    check_batch_norm(model, Weights(batch_norm=0.0))
    check_batch_norm(TwoLayers(), Weights())


def test_moments_in_float32_agree_with_torch():
    from angulus.inversion.attack.statistics import moments

    values = (noise(5).float() * 3 + 1000).requires_grad_()
    mean, variance = moments(values)
    expected_variance, expected_mean = torch.var_mean(values.double(), dim=[0, 2, 3], correction=0)
    assert np.allclose(mean.detach(), expected_mean.detach(), rtol=1e-6)
    assert np.allclose(variance.detach(), expected_variance.detach(), rtol=1e-3)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Weights(batch_norm=-1), "batch_norm must be at least 0, got -1"),
        (lambda: Matching(moment="mean"), "moment must be std or variance"),
        (lambda: OpenSet(targets=targets(1), distance="l1"), "distance must be one of l2"),
        (lambda: total_variation(noise(1), "other"), "variation must be one of norm"),
    ],
)
def test_options_that_make_no_sense(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
