"""Weights trained elsewhere, of the networks that `recognition` knows or of one that the caller names.

The networks here carry the published names, so that an import is a check and a copy. Files are read with
`weights_only=True`: a file that holds more than tensors and plain values is refused, never executed.
"""

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from angulus.errors import ModelError
from angulus.models.base import EmbeddingModel, ModelConfig
from angulus.models.catalogue import MODELS
from angulus.models.files import claimed
from angulus.models.recognition import find, inner_states, recognise, without_wrappers
from angulus.models.weights import check_fit, fill
from angulus.pickles.tensors import load_tensors
from angulus.storage import arrived

_MOST_WEIGHTS = 100_000
# Where trainers put the network's weights inside a checkpoint; the first that is there counts.
_NESTED = (
    *("net_state_dict", "state_dict_backbone", "state_dict", "model_state_dict", "backbone_state_dict"),
    *("model", "backbone", "student", "network"),
)


def import_weights(path: str | os.PathLike[str], config: ModelConfig | str | None = None) -> EmbeddingModel:
    """Read foreign PyTorch weights into a network of Angulus, in eval mode on the CPU.

    config: what to build, or its name in MODELS; None recognises the network from names and shapes (see `recognise`).
    Raises ModelError when the file is missing, holds more than weights, or does not fit the network.
    """
    return import_described(path, config)[0]


def import_described(
    path: str | os.PathLike[str], config: ModelConfig | str | None = None
) -> tuple[EmbeddingModel, ModelConfig]:
    """The same, and what was built. Raises ModelError as `import_weights`."""
    file = Path(path)
    found = find(state := read_foreign(file))
    chosen = _chosen(config, state, str(file))
    empty = claimed(chosen, _MOST_WEIGHTS, str(file))  # without memory: the shapes of a stranger are not checked yet
    names = set((empty or chosen.build()).state_dict())
    if found is not None and names & set(found.state):
        state = dict(found.state)
    if not names & set(state):
        state = next((dict(inner.state) for inner in inner_states(state) if names & set(inner.state)), state)
    if empty is not None:
        check_fit(empty, {name: tensor.shape for name, tensor in with_fresh(empty, state).items()}, str(file))
    model = chosen.build()
    fill(model, with_fresh(model, state), str(file))
    return model.eval(), chosen


def with_fresh(model: EmbeddingModel, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a file, and those of the network that no published file has, as they begin."""
    return {name: own for name, own in model.state_dict().items() if name.startswith(model.FRESH)} | dict(state)


def read_foreign(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The weights in a .pt, .pth or .ckpt file by name, without what wrappers write before them. Raises ModelError."""
    file = arrived(os.fspath(path))
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


def _chosen(config: ModelConfig | str | None, state: Mapping[str, Tensor], where: str) -> ModelConfig:
    if config is None:
        return recognise(state, where)
    if not isinstance(config, str):
        return config
    if config not in MODELS:
        raise ModelError(f"there is no network {config!r}, known are: {', '.join(MODELS)}")
    return MODELS[config]()


def _weights(content: Any, file: Path) -> dict[str, Tensor]:
    """Find the weights in what the file held, without what wrappers write before their names."""
    if isinstance(content, Mapping):
        content = next((content[key] for key in _NESTED if isinstance(content.get(key), Mapping)), content)
    if not isinstance(content, Mapping) or not content or not all(map(torch.is_tensor, content.values())):
        raise ModelError(f"{file} holds no weights by name, neither at its top nor under {', '.join(_NESTED)}")
    return {without_wrappers(str(name)): tensor for name, tensor in content.items()}
