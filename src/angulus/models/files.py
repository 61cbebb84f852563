"""A trained network on disk: `model.safetensors` (weights) beside `model.json` (what they are, and a proof).

The JSON holds the config of the network, its input spec and a test vector: the embeddings of a few examples that are
computed from a formula. `load_model` computes them again, so that a model that loads is the model that was saved.
Reading runs no code from the files.
"""

import json
import logging
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from angulus.errors import ModelError
from angulus.files import BoundedReader
from angulus.json_files import read_json
from angulus.models.base import EmbeddingModel, ModelConfig
from angulus.models.catalogue import MODELS, config_from_dict, config_to_dict
from angulus.models.weights import check_fit, fill
from angulus.storage import arrived, placed, publish
from angulus.version import __version__
from angulus.whole_files import flush_folder, write_flushed

logger = logging.getLogger(__name__)

FORMAT = 1
# Largest distance between an embedding and the one in the file, relative to its length. Other kernels, thread counts
# and vector units change about 1e-6 of it in float32; a wrong weight, size or colour order changes far more.
TOLERANCE = 1e-3
MOST_TOLERANCE = 1e-2  # a file may ask for as much; beyond that the test vector proves nothing
_VECTORS = 2


def save_model(
    path: str | os.PathLike[str],
    model: EmbeddingModel,
    config: ModelConfig,
    *,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Write the weights and their description to the folder `path` (created if absent); return the folder.

    config: what `model` was built from.  extra: anything else that JSON can hold, such as metrics or the recipe.
    Both files are written under temporary names, flushed to the disk and then renamed, so that a crash or a full
    disk leaves the previous model as it was (a crash just between the two renames is found by the test vector).
    Raises ModelError when `config` does not describe `model`, when the network gives NaN or infinity, and when the
    files cannot be written.
    """
    if not isinstance(model, EmbeddingModel):
        raise ModelError(
            f"save_model takes an EmbeddingModel, got {type(model).__name__}: unwrap it first (`.module`, `._orig_mod`)"
        )
    if config.input != model.input or config.embedding_dim != model.embedding_dim:
        raise ModelError("the config does not describe this model: input and embedding_dim must be the same in both")
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    copy = _rebuild(config, state, "the model")
    weights = safetensors.torch.save(state)
    text = _describe(copy, config, extra, crc32(weights))
    folder = placed(os.fspath(path))
    _write_both(folder, weights, text)
    publish(folder)
    return folder


def load_model(
    path: str | os.PathLike[str],
    *,
    device: str | torch.device = "cpu",
    configs: Mapping[str, type] = MODELS,
) -> EmbeddingModel:
    """Read a model that `save_model` wrote, check its test vector on the CPU and move it to `device`, in eval mode.

    path: the folder, or either of the two files.  configs: config class of each name; for a network of your own,
    add its class, `{**MODELS, "mypackage.networks:MyNet": MyNet}`.
    Raises ModelError when a file is missing or damaged, belongs to another architecture, or fails the test vector.
    """
    folder = arrived(_folder(path))
    description = read_description(folder)
    config = config_from_dict(description["model"], configs, where=f"{folder / 'model.json'}")
    weights = folder / "model.safetensors"
    _check_claims(config, _shapes(weights), str(weights))
    _check_checksum(weights, description.get("checksum"))
    model = _rebuild(config, _read_weights(weights), str(weights))
    _check_vector(model, description["test_vector"], folder)
    return model.to(device)


def read_description(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The content of `model.json`: model, test_vector, parameters, angulus (version), extra. Raises ModelError."""
    file = _folder(path) / "model.json"
    try:
        description = read_json(file)
    except FileNotFoundError:
        raise ModelError(f"no model here: {file} is missing") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} cannot be read: {error}") from error
    needed = ("model", "test_vector")
    if not (isinstance(description, dict) and all(isinstance(description.get(name), dict) for name in needed)):
        raise ModelError(f"{file} is not the description of an Angulus model: it needs model and test_vector")
    if description.get("format") != FORMAT:
        raise ModelError(
            f"{file} has format {description.get('format')}, this version reads format {FORMAT}: update Angulus"
        )
    return description


def _rebuild(config: ModelConfig, state: Mapping[str, Tensor], where: str) -> EmbeddingModel:
    """A fresh network of `config` on the CPU with the weights `state`, in eval mode; torch's generator is not moved."""
    with torch.random.fork_rng(devices=[]):
        model = config.build()
    fill(model, state, where)
    return model.eval()


def _check_claims(config: ModelConfig, shapes: Mapping[str, Sequence[int]], where: str) -> None:
    """Raise ModelError unless the network has the weights of these shapes."""
    model = claimed(config, len(shapes), where)
    if model is not None:
        check_fit(model, shapes, where)


def claimed(config: ModelConfig, most: int, where: str) -> EmbeddingModel | None:
    """The network of a config with weights that take no memory; None for one of the user's own that has no such form.

    So a description that claims a billion dimensions takes none, and one that claims a billion layers ends at the
    first beyond `most`, how many weights the file has. Raises ModelError.
    """
    made, thread = 0, threading.get_ident()

    def count(module: object, name: str, parameter: object) -> None:
        nonlocal made
        made += thread == threading.get_ident()
        if made > most:
            raise _TooMany(f"{where} is of another architecture than {type(config).__name__}: it has {most:,} weights")

    handle = register_module_parameter_registration_hook(count)
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"), _NothingDrawn():
            return config.build()
    except _TooMany:
        raise
    except Exception as error:  # whatever torch makes of numbers that are no sizes
        if type(config) not in MODELS.values():
            return None
        raise ModelError(f"{where} does not describe a network: {error!r:.300}") from error
    finally:
        handle.remove()


class _NothingDrawn(TorchFunctionMode):
    """Leaves numbers undrawn where there is no memory for them: torch would import its compiler for it, two seconds."""

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in _DRAWS:
            tensor = args[0] if args else (kwargs or {})["tensor"]
            if tensor.is_meta:
                return tensor
        return func(*args, **(kwargs or {}))


_DRAWS = (
    Tensor.normal_,
    Tensor.uniform_,
    nn.init.normal_,
    nn.init.uniform_,
    nn.init.trunc_normal_,
    nn.init.kaiming_normal_,
    nn.init.kaiming_uniform_,
    nn.init.xavier_normal_,
    nn.init.xavier_uniform_,
    nn.init.orthogonal_,
    nn.init.sparse_,
)


class _TooMany(ModelError):
    """A description asks for more weights than its file has."""


def _vector(model: EmbeddingModel) -> Tensor:
    """Embeddings [n, embedding_dim] of the test examples, by the CPU in float32."""
    examples = model.input.prepare(model.input.vectors(_VECTORS))
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        return model(examples).float()


def _describe(model: EmbeddingModel, config: ModelConfig, extra: Mapping[str, Any] | None, checksum: int) -> str:
    embeddings = _vector(model)
    if not bool(torch.isfinite(embeddings).all()):
        raise ModelError("the model gives NaN or infinite embeddings for the test examples and was not saved")
    description = {
        "format": FORMAT,
        "angulus": __version__,
        "model": config_to_dict(config),
        "embedding_dim": model.embedding_dim,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "checksum": f"{checksum:08x}",
        "test_vector": {"tolerance": TOLERANCE, "embeddings": embeddings.tolist()},
        "extra": dict(extra or {}),
    }
    try:
        return json.dumps(description, indent=1) + "\n"
    except TypeError as error:
        raise ModelError(f"extra must be plain numbers, strings, lists and dicts: {error}") from error


def _check_vector(model: EmbeddingModel, vector: Mapping[str, Any], folder: Path) -> None:
    try:
        stored, tolerance = torch.tensor(vector["embeddings"], dtype=torch.float32), float(vector["tolerance"])
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ModelError(f"{folder / 'model.json'} holds no usable test vector: {error!r}") from error
    computed = _vector(model)
    if stored.shape != computed.shape:
        raise ModelError(f"{folder}: the test vector has shape {list(stored.shape)}, the model {list(computed.shape)}")
    if not (bool(torch.isfinite(stored).all()) and 0 <= tolerance <= MOST_TOLERANCE):
        raise ModelError(
            f"{folder / 'model.json'} holds no usable test vector: its numbers must be finite and its tolerance "
            f"between 0 and {MOST_TOLERANCE}, got {tolerance:.3g}"
        )
    lengths = stored.norm(dim=1).clamp_min(1e-12)
    worst = float(((stored - computed).norm(dim=1) / lengths).max())
    if not worst <= tolerance:
        raise ModelError(
            f"{folder}: the model does not compute what it did when it was saved "
            f"(test vector off by {worst:.2g}, allowed {tolerance:.2g}): "
            "model.safetensors and model.json do not belong together, or one is damaged"
        )


def _folder(path: str | os.PathLike[str]) -> Path:
    given = Path(path)
    return given.parent if given.name in ("model.json", "model.safetensors") else given


def _shapes(file: Path) -> dict[str, list[int]]:
    """The shape of each weight, from the head of the file alone."""
    try:
        with BoundedReader(file), safetensors.safe_open(file, framework="pt") as stored:
            return {name: list(stored.get_slice(name).get_shape()) for name in stored.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise ModelError(f"no weights here: {file} is missing") from None
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelError(f"{file} cannot be read, it may be cut short: {error}") from error


def _check_checksum(file: Path, stored: Any) -> None:
    """Raise ModelError unless the weights have the crc32 that model.json says; older files say none."""
    if stored is None:
        return
    found = 0
    with BoundedReader(file) as stream:
        while block := stream.read(2**20):
            found = crc32(block, found)
    if f"{found:08x}" != stored:
        raise ModelError(
            f"{file} has another checksum ({found:08x}) than model.json says ({stored!r:.20}): they do not belong "
            "together, or one is damaged"
        )


def _read_weights(file: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(file)
    except FileNotFoundError:
        raise ModelError(f"no weights here: {file} is missing") from None
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelError(f"{file} cannot be read, it may be cut short: {error}") from error


def _write_both(folder: Path, weights: bytes, text: str) -> None:
    contents = {"model.safetensors": weights, "model.json": text.encode()}
    temporary = {name: folder / f".{name}.{os.getpid()}.partial" for name in contents}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            temporary[name].unlink(missing_ok=True)  # it may be a link that somebody laid there
            write_flushed(temporary[name], content)
        for name, part in temporary.items():
            os.replace(part, folder / name)
        flush_folder(folder)
    except OSError as error:
        raise ModelError(f"could not write the model to {folder}: {error.strerror or error}") from error
    finally:
        for part in temporary.values():
            part.unlink(missing_ok=True)
    logger.debug("wrote %s (%.1f MB)", folder, len(weights) / 1e6)
