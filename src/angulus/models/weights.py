"""How weights by name get into a network, the sentence when they do not fit, and by what they are known again."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from torch import Tensor, nn, strided

from angulus.errors import ModelError

STAMP = "model"  # the column of an embedding file that holds the fingerprint of the model that made it
_SHOWN = 4


def fill(model: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Copy `state` into `model`; every name and shape must agree. `where` names the origin in the error.

    Counters of batch norm (`num_batches_tracked`), absent from old files, may be missing.
    Raises ModelError that names the first missing, unexpected or misshapen weights.
    """
    check_fit(model, {name: tensor.shape for name, tensor in state.items()}, where)
    odd = next((name for name, tensor in state.items() if tensor.is_complex() or tensor.layout != strided), None)
    if odd is not None:
        raise ModelError(f"{where}: {odd} must hold plain numbers, got {state[odd].dtype}, {state[odd].layout}")
    model.load_state_dict({**model.state_dict(), **state})


def check_fit(model: nn.Module, shapes: Mapping[str, Sequence[int]], where: str) -> None:
    """Raise ModelError unless weights of these names and shapes are those of `model`, as `fill` does."""
    own = model.state_dict()
    missing = [name for name in own if name not in shapes and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in shapes if name not in own]
    if missing or unexpected:
        problems = [_listed("missing", missing)] if missing else []
        problems += [_listed("unexpected", unexpected)] if unexpected else []
        raise ModelError(f"{where} is of another architecture than {type(model).__name__}: {'; '.join(problems)}")
    misshapen = [
        f"{name} is {list(shapes[name])} instead of {list(own[name].shape)}"
        for name in own
        if name in shapes and list(shapes[name]) != list(own[name].shape)
    ]
    if misshapen:
        raise ModelError(f"{where} does not fit {type(model).__name__}: {_first(misshapen)}")


def shape_of(state: Mapping[str, Tensor], name: str, sides: int, where: str) -> list[int]:
    """The shape of a weight, which must have so many sides and be no empty one. Raises ModelError."""
    if name not in state:
        raise ModelError(f"{where}: {name} is missing")
    shape = list(state[name].shape)
    if len(shape) != sides or 0 in shape:
        raise ModelError(f"{where}: {name} must have {sides} sides, none of them empty, got {shape}")
    return shape


def _listed(kind: str, names: list[str]) -> str:
    return f"{len(names)} {kind} ({_first(names)})"


def _first(items: Iterable[str]) -> str:
    everything = list(items)
    rest = len(everything) - _SHOWN
    return ", ".join(everything[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def fingerprint_of_model(model: nn.Module) -> str:
    """SHA-256 of the weights by name: the same for two files with the same network in it."""
    found = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        found.update(name.encode())
        found.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).tobytes())
    return found.hexdigest()
