"""Weights trained elsewhere: insightface's IResNet (`backbone.pth`) and MobileFaceNet_Pytorch's `068.ckpt`.

The networks here carry the published names, so that an import is a check and a copy. Files are read with
`weights_only=True`: a file that holds more than tensors and plain values is refused, never executed.
"""

import math
import os
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from angulus.errors import ModelError
from angulus.models.base import EmbeddingModel, ModelConfig
from angulus.models.catalogue import MODELS
from angulus.models.files import claimed
from angulus.models.iresnet import BLOCKS, IResNet
from angulus.models.mobilefacenet import MobileFaceNet
from angulus.models.spec import InputSpec
from angulus.models.weights import check_fit, fill
from angulus.pickles.tensors import load_tensors

_MOST_WEIGHTS = 100_000
# Where trainers put the network's weights inside a checkpoint; the first that is there counts.
_NESTED = ("net_state_dict", "state_dict_backbone", "state_dict", "model")
# What wrappers write before every name, and what stands before the names of the network inside a larger model.
_WRAPPERS = ("module.", "_orig_mod.")
_INNER = ("backbone.", "features.module.")
_MOBILEFACENET = frozenset({"linear7.conv.weight", "linear1.conv.weight"})
_IRESNET = frozenset({"layer3.0.conv1.weight", "fc.weight", "features.running_mean"})


def import_weights(path: str | os.PathLike[str], config: ModelConfig | str | None = None) -> EmbeddingModel:
    """Read foreign PyTorch weights into a network of Angulus, in eval mode on the CPU.

    config: what to build, or its name in MODELS; None recognises the network from names and shapes (see `recognise`).
    Raises ModelError when the file is missing, holds more than weights, or does not fit the network.
    """
    file = Path(path)
    state = read_foreign(file)
    chosen = _chosen(config, state, str(file))
    empty = claimed(chosen, _MOST_WEIGHTS, str(file))  # without memory: the shapes of a stranger are not checked yet
    names = set((empty or chosen.build()).state_dict())
    if not names & set(state):
        state = next((inner for inner in _inner_parts(state) if set(inner) & names), state)
    if empty is not None:
        check_fit(empty, {name: tensor.shape for name, tensor in state.items()}, str(file))
    model = chosen.build()
    fill(model, state, str(file))
    return model.eval()


def read_foreign(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The weights in a .pt, .pth or .ckpt file by name, without what wrappers write before them. Raises ModelError."""
    file = Path(path)
    try:
        content = load_tensors(file)
    except FileNotFoundError:
        raise ModelError(f"no weights here: {file} is missing") from None
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{file} is damaged or holds more than tensors and plain values, which could run code, and is refused: "
            "save its state_dict alone with the program that wrote it"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        raise ModelError(f"{file} is not a readable PyTorch file: {error}") from error
    return _weights(content, file)


def recognise(state: Mapping[str, Tensor], where: str = "the file") -> ModelConfig:
    """The config of a network from the names and shapes of its weights.

    MobileFaceNet: the kernel of the last depthwise convolution gives the input size (7x6 is 112x96).
    IResNet: the number of blocks gives the depth, `fc.weight` the size of the image, which must be square.
    Raises ModelError for any other network.
    """
    try:
        if set(state) >= _MOBILEFACENET:
            return _mobilefacenet(state, where)
        if set(state) >= _IRESNET:
            return _iresnet(state, where)
    except ModelError:
        raise
    except ValueError as error:  # sizes that no network has
        raise ModelError(f"{where} holds weights of shapes that no such network has: {error}") from error
    names = ", ".join(name[:60] for name in list(state)[:4])
    raise ModelError(
        f"{where} is neither a MobileFaceNet nor an IResNet that can be imported; its first weights: {names}"
    )


def _chosen(config: ModelConfig | str | None, state: Mapping[str, Tensor], where: str) -> ModelConfig:
    if config is None:
        return recognise(state, where)
    if not isinstance(config, str):
        return config
    if config not in MODELS:
        raise ModelError(f"there is no network {config!r}, known are: {', '.join(MODELS)}")
    return MODELS[config]()


def _weights(content: Any, file: Path) -> dict[str, Tensor]:
    """Find the weights in what the file held and strip the prefix of (Distributed)DataParallel."""
    if isinstance(content, Mapping):
        content = next((content[key] for key in _NESTED if isinstance(content.get(key), Mapping)), content)
    if not isinstance(content, Mapping) or not content or not all(map(torch.is_tensor, content.values())):
        raise ModelError(f"{file} holds no weights by name, neither at its top nor under {', '.join(_NESTED)}")
    state = {_unwrapped(str(name)): tensor for name, tensor in content.items()}
    if is_known(state):
        return state
    return next((inner for inner in _inner_parts(state) if is_known(inner)), state)


def _unwrapped(name: str) -> str:
    while prefix := next((prefix for prefix in _WRAPPERS if name.startswith(prefix)), ""):
        name = name.removeprefix(prefix)
    return name


def _inner_parts(state: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """The weights below each prefix of an inner network, without it; what lies beside (a head) is left out."""
    for prefix in _INNER:
        yield {
            _unwrapped(name.removeprefix(prefix)): tensor for name, tensor in state.items() if name.startswith(prefix)
        }


def is_known(state: Mapping[str, Tensor]) -> bool:
    """Whether these are the names of a network that `recognise` knows."""
    return set(state) >= _MOBILEFACENET or set(state) >= _IRESNET


def _mobilefacenet(state: Mapping[str, Tensor], where: str) -> MobileFaceNet:
    _, _, rows, columns = _shape_of(state, "linear7.conv.weight", 4, where)
    spec = InputSpec(height=16 * rows, width=16 * columns, std=128.0)
    return MobileFaceNet(embedding_dim=_shape_of(state, "linear1.conv.weight", 4, where)[0], input=spec)


def _shape_of(state: Mapping[str, Tensor], name: str, sides: int, where: str) -> list[int]:
    """The shape of a weight, which must have so many sides and be no empty one. Raises ModelError."""
    shape = list(state[name].shape)
    if len(shape) != sides or 0 in shape:
        raise ModelError(f"{where}: {name} must have {sides} sides, none of them empty, got {shape}")
    return shape


def _iresnet(state: Mapping[str, Tensor], where: str) -> IResNet:
    blocks = tuple(
        len({name.split(".")[1] for name in state if name.startswith(f"layer{stage}.")}) for stage in range(1, 5)
    )
    depths = {found: depth for depth, found in BLOCKS.items()}
    if blocks not in depths:
        raise ModelError(f"{where} is an IResNet with {blocks} blocks, known are: {', '.join(map(str, depths))}")
    embedding_dim, flat = _shape_of(state, "fc.weight", 2, where)
    side = 16 * math.isqrt(flat // 512)
    if 2 * side * side != flat:
        raise ModelError(
            f"{where} is an IResNet for images that are not square (fc.weight has {flat} columns): "
            "say which with a config, IResNet(depth=..., input=InputSpec(height=..., width=...))"
        )
    return IResNet(depth=depths[blocks], embedding_dim=embedding_dim, input=InputSpec(height=side, width=side))
