"""A network in torch in a bundle: written as `save_model` does it, and opened for `runtime.Embedder`."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from angulus.errors import BundleError, ModelError
from angulus.export.deployed import Deployed, deployed, speech_preparation
from angulus.inference.choice import one_thread
from angulus.models import EmbeddingModel, InputSpec, ModelConfig, load_model, save_model
from angulus.runtime.bundles import Bundle, Preparation
from angulus.runtime.speech_preparation import SpeechPreparation

NAMES = ("model.safetensors", "model.json")


def torch_files(model: EmbeddingModel, config: ModelConfig | None) -> dict[str, bytes]:
    """The files of a network. config: what it was built from. Raises BundleError, or ModelError for a wrong one."""
    if config is None:
        raise BundleError("a bundle with torch files needs what the network was built from, as config=MobileFaceNet()")
    with tempfile.TemporaryDirectory() as folder:
        save_model(folder, model, config)
        return {name: (Path(folder) / name).read_bytes() for name in NAMES}


def opened(bundle: Bundle, threads: int) -> "TorchNetwork":
    """The network of a bundle of the kind torch; nothing in its files is run. Raises BundleError."""
    described = bundle.artefact
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            (Path(folder) / name).write_bytes(bundle.read(name))
        try:
            model = load_model(folder)
        except ModelError as error:
            raise BundleError(f"{bundle.path}: {str(error).replace(folder, str(bundle.path))}") from error
    if not _agree(model, described.preprocessing):
        raise BundleError(f"{bundle.path}: bundle.json and model.json differ in what it takes; export it again")
    network = deployed(model, inside=described.preprocessing.inside, mirror=described.mirror)
    return TorchNetwork(network=network, threads=threads)


def _agree(model: EmbeddingModel, wanted: Preparation) -> bool:
    """Whether a model takes what a bundle says."""
    if isinstance(wanted, SpeechPreparation):
        return not isinstance(model.input, InputSpec) and speech_preparation(model) == wanted
    spec = model.input
    return isinstance(spec, InputSpec) and (spec.height, spec.width, spec.colour) == (
        wanted.height,
        wanted.width,
        wanted.colour,
    )


@dataclass(frozen=True, kw_only=True)
class TorchNetwork:
    """A network as `runtime.networks.Network`; on one thread where one is asked for, else on as many as torch has."""

    network: Deployed
    threads: int = 1

    def __call__(self, images: NDArray[Any]) -> Sequence[NDArray[Any]]:
        with one_thread(self.threads == 1), torch.inference_mode():
            return [part.numpy() for part in self.network(torch.from_numpy(images))]
