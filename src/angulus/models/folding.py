"""A copy of a network for inference, in which batch norms are part of the layers before or behind them: the same map.

    BN(W x + b) = (s W) x + s (b - mean) + shift      s = weight / sqrt(variance + eps)      behind a layer
    W BN(x) + b = (W s) x + b + W (shift - s mean)                                           before a linear one

New weights are computed in float64 and rounded once. A batch norm *before* a convolution with padding stays: at the
border the convolution sees zeros that the norm never shifted, so that folding it would change the edge (the first norm
of IResNet's blocks). So does one with an activation between it and its layers (CAM++, and the ECAPA networks, which
have ReLU before the norm).
"""

import copy
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn

from angulus.models.base import EmbeddingModel
from angulus.models.iresnet import IResNetModel
from angulus.models.mobilefacenet import MobileFaceNetModel
from angulus.models.published.inception_resnet import InceptionResNetV1Model
from angulus.models.published.ir import IRModel
from angulus.models.published.mbf import MBFModel
from angulus.models.published.resnet import ResNetModel
from angulus.models.speech.campplus import CAMPPlusModel
from angulus.models.speech.ecapa import ECAPAModel
from angulus.models.speech.resnet import SpeakerResNetModel
from angulus.models.speech.speechbrain_ecapa import SpeechBrainECAPAModel
from angulus.models.speech.tiny_speech import TinySpeechModel
from angulus.models.sphereface20 import SphereFace20Model
from angulus.models.tiny import TinyNetModel
from angulus.models.vit import ViTModel

FOLDABLE = (
    IResNetModel,
    MobileFaceNetModel,
    SphereFace20Model,
    TinyNetModel,
    ViTModel,
    IRModel,
    MBFModel,
    InceptionResNetV1Model,
    TinySpeechModel,
    ECAPAModel,
    SpeakerResNetModel,
    CAMPPlusModel,
    SpeechBrainECAPAModel,
    ResNetModel,
)

_Norm = nn.BatchNorm1d | nn.BatchNorm2d
_Layer = nn.Conv1d | nn.Conv2d | nn.Linear


def is_foldable(model: nn.Module) -> bool:
    """Whether the way of examples through a network is known: one of Angulus, not a subclass, and nobody listens in."""
    listeners = ("_forward_hooks", "_forward_pre_hooks")
    return type(model) in FOLDABLE and not any(getattr(part, name) for part in model.modules() for name in listeners)


def folded(model: EmbeddingModel) -> EmbeddingModel:
    """A copy in evaluation mode with its batch norms folded; only a copy where the network is not a known one.

    Embeddings agree to float32 rounding. Parameters stay on their device and in their type; what is not folded is
    copied as it is.
    """
    inference = copy.deepcopy(model).eval()
    if not is_foldable(model):
        return inference
    for owner, layer, norm in list(norms_behind_layers(inference)):
        if _has_statistics(owner.get_submodule(norm)):
            fold_behind(owner, layer, norm)
    for norm, layer in _before_flattening(inference):
        if _has_statistics(inference.get_submodule(norm)):
            _fold_before(inference, norm, layer)
    return inference


def norms_behind_layers(model: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """(owner, layer, norm) of a foldable network: norms that alone see what their layer gives, and nothing else."""
    for part in model.modules():
        if isinstance(part, nn.Sequential):
            names = list(part._modules)
            for layer, norm in pairwise(names):
                if isinstance(part[int(layer)], _Layer) and isinstance(part[int(norm)], _Norm):
                    yield part, layer, norm
        for layer, norm in _pairs(part, "NORMED"):
            yield part, layer, norm


def _pairs(part: nn.Module, name: str) -> tuple[tuple[str, str], ...]:
    return getattr(type(part), name, ())


def _before_flattening(model: nn.Module) -> tuple[tuple[str, str], ...]:
    """(norm, linear layer): norms of the last map, which is flattened and goes to the layer."""
    return _pairs(model, "FLATTENED")


def _has_statistics(norm: nn.Module) -> bool:
    return isinstance(norm, _Norm) and norm.running_mean is not None and norm.running_var is not None


def fold_behind(owner: nn.Module, name: str, norm_name: str) -> None:
    """Make a norm part of the layer before it."""
    layer, norm = owner.get_submodule(name), owner.get_submodule(norm_name)
    assert isinstance(layer, _Layer)
    factor, shift = affine(norm)
    weight = layer.weight.double() * factor.view(-1, *[1] * (layer.weight.ndim - 1))
    bias = shift if layer.bias is None else shift + factor * layer.bias.double()
    _set(layer, weight, bias)
    owner.set_submodule(norm_name, nn.Identity())


def _fold_before(model: nn.Module, norm_name: str, name: str) -> None:
    layer, norm = model.get_submodule(name), model.get_submodule(norm_name)
    assert isinstance(layer, nn.Linear)
    factor, shift = affine(norm)
    places = layer.in_features // len(factor)  # a flattened map is channel by channel
    weight = layer.weight.double()
    pushed = weight @ shift.repeat_interleave(places)
    bias = pushed if layer.bias is None else layer.bias.double() + pushed
    _set(layer, weight * factor.repeat_interleave(places), bias)
    model.set_submodule(norm_name, nn.Identity())


def affine(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Factor and shift of a batch norm in evaluation mode, float64 [channels]."""
    assert isinstance(norm, _Norm)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        factor = factor * norm.weight.double()
    shift = -norm.running_mean.double() * factor
    return factor, shift if norm.bias is None else shift + norm.bias.double()


def _set(layer: _Layer, weight: Tensor, bias: Tensor) -> None:
    kind = layer.weight.dtype
    with torch.no_grad():
        layer.weight = nn.Parameter(weight.to(kind), requires_grad=False)
        layer.bias = nn.Parameter(bias.to(kind), requires_grad=False)
