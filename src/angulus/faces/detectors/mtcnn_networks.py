"""The three small networks of MTCNN, and their published weights as the installed package `mtcnn` carries them.

Zhang, Zhang, Li, Qiao 2016, "Joint Face Detection and Alignment using Multitask Cascaded Convolutional Networks".
P-Net slides over the photo, R-Net and O-Net look at 24x24 and 48x48 crops; O-Net gives the landmarks as well.

The package is never imported (it would want TensorFlow): its weight files are lists of arrays in Keras layouts.
Convolutions are [height, width, in, out] there and [out, in, height, width] here; its networks put a map [h, w, c] into
the order (w, h, c) before the first dense layer, so the same is done here and dense weights are merely transposed.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from angulus.errors import FacesError
from angulus.faces.detectors.mtcnn import Network
from angulus.faces.detectors.packages import INSTALL


class _WidthFirst(nn.Module):
    """Maps [n, c, h, w] to rows [n, w * h * c]."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.permute(0, 3, 2, 1).flatten(1)


class _Network(nn.Module):
    """A body and several outputs; every layer with weights stands in the order of the weight file."""

    def __init__(self, body: nn.Sequential, outputs: Sequence[nn.Module]) -> None:
        super().__init__()
        self.body = body
        self.outputs = nn.ModuleList(outputs)

    def forward(self, images: Tensor) -> list[Tensor]:
        seen = self.body(images)
        return [output(seen) for output in self.outputs]


def proposal_network() -> _Network:
    """P-Net: images [n, 3, h, w] to corner shifts [n, 4, h', w'] and logits [n, 2, h', w'], one cell every 2 pixels."""
    body = nn.Sequential(*_block(3, 10, 3), nn.MaxPool2d(2, 2, ceil_mode=True), *_block(10, 16, 3), *_block(16, 32, 3))
    return _Network(body, [nn.Conv2d(32, 4, 1), nn.Conv2d(32, 2, 1)])


def refinement_network() -> _Network:
    """R-Net: crops [n, 3, 24, 24] to corner shifts [n, 4] and logits [n, 2]."""
    body = nn.Sequential(
        *_block(3, 28, 3),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        *_block(28, 48, 3),
        nn.MaxPool2d(3, 2),
        *_block(48, 64, 2),
        *_dense(576, 128),
    )
    return _Network(body, [nn.Linear(128, 4), nn.Linear(128, 2)])


def output_network() -> _Network:
    """O-Net: crops [n, 3, 48, 48] to corner shifts [n, 4], landmarks [n, 10] (five x, five y) and logits [n, 2]."""
    body = nn.Sequential(
        *_block(3, 32, 3),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        *_block(32, 64, 3),
        nn.MaxPool2d(3, 2),
        *_block(64, 64, 3),
        nn.MaxPool2d(2, 2),
        *_block(64, 128, 2),
        *_dense(1152, 256),
    )
    return _Network(body, [nn.Linear(256, 4), nn.Linear(256, 10), nn.Linear(256, 2)])


def _block(inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, kernel), nn.PReLU(outputs)]


def _dense(inputs: int, outputs: int) -> list[nn.Module]:
    return [_WidthFirst(), nn.Linear(inputs, outputs), nn.PReLU(outputs)]


_MAKE = {"pnet": proposal_network, "rnet": refinement_network, "onet": output_network}


def load_networks() -> dict[str, nn.Module]:
    """pnet, rnet and onet with their published weights, in evaluation mode. Raises FacesError without them."""
    networks: dict[str, nn.Module] = {}
    for name, make in _MAKE.items():
        network = make()
        fill(network, read_arrays(name), name)
        networks[name] = network.eval().requires_grad_(False)
    return networks


def published(device: str | torch.device = "cpu") -> dict[str, Network]:
    """The three networks in torch on a device, as `Mtcnn` takes them. Raises FacesError without the weights."""
    return in_torch(load_networks(), device)


def in_torch(networks: Mapping[str, nn.Module], device: str | torch.device = "cpu") -> dict[str, Network]:
    """Torch modules as `Mtcnn` takes them: arrays in, arrays out."""
    place = torch.device(device)
    return {name: _ArraysThrough(network.to(place), place) for name, network in networks.items()}


class _ArraysThrough:
    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self._network, self._device = network, device

    @torch.inference_mode()
    def __call__(self, images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        found = self._network(torch.from_numpy(images).to(self._device))
        return [part.cpu().numpy() for part in found]


def read_arrays(name: str) -> list[NDArray[np.float32]]:
    """The arrays of one network from the installed package, in the order of its layers."""
    try:
        import_module("lz4.frame")  # joblib needs it for these files
        joblib = import_module("joblib")
    except ImportError as error:
        raise FacesError(f"the MTCNN weights need {error.name} to be read; install it with: {INSTALL}") from error
    return joblib.load(weight_file(name))


def weight_file(name: str) -> Path:
    """Where the installed package keeps the weights of pnet, rnet or onet. Raises FacesError when there is none."""
    try:
        files = metadata.files("mtcnn") or []
    except metadata.PackageNotFoundError as error:
        raise FacesError(
            f"the MTCNN detector takes its weights from the package mtcnn, which is not installed: {INSTALL}"
        ) from error
    wanted = f"mtcnn/assets/weights/{name}.lz4"
    for file in files:
        path = Path(str(file.locate()))
        if file.as_posix() == wanted and path.is_file():
            return path
    version = metadata.version("mtcnn")
    raise FacesError(f"mtcnn {version} holds no {wanted}; install a version that does: pip install mtcnn==1.0.0")


def fill(network: nn.Module, arrays: Sequence[NDArray[np.float32]], name: str) -> None:
    """Put arrays in Keras layouts into a network, in order. Raises FacesError where a shape is another."""
    parameters = list(network.named_parameters())
    if len(parameters) != len(arrays):
        raise FacesError(f"{name} has {len(parameters)} arrays of weights, the file holds {len(arrays)}")
    for (key, parameter), array in zip(parameters, arrays, strict=True):
        value = _as_torch(np.asarray(array, dtype=np.float32), parameter.ndim)
        if value.shape != parameter.shape:
            raise FacesError(f"{name}.{key} must be {list(parameter.shape)}, the file holds {list(np.shape(array))}")
        with torch.no_grad():
            parameter.copy_(value)


def _as_torch(array: NDArray[Any], dimensions: int) -> Tensor:
    if dimensions == 4:
        return torch.from_numpy(np.ascontiguousarray(array.transpose(3, 2, 0, 1)))
    if dimensions == 2:
        return torch.from_numpy(np.ascontiguousarray(array.T))
    return torch.from_numpy(array.reshape(-1).copy())
