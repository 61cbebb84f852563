"""Weights and arithmetic in 8 bits, their ranges measured on faces: NNCF's post-training quantisation."""

import logging
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.devices.unreported_imports import import_unreported
from angulus.errors import BundleError
from angulus.export.deployed_network import DeployedNetwork
from angulus.runtime.networks import first_line

Crops = NDArray[np.uint8]
FEWEST_FACES = 32


def quantized_openvino(made: Any, network: DeployedNetwork, faces: Crops) -> Any:
    """An OpenVINO model in int8."""
    return _quantized(made, [{0: images} for images in _inputs(network, faces)])


def quantized_onnx(content: bytes, network: DeployedNetwork, faces: Crops, name: str) -> bytes:
    """An ONNX file in int8. name: of its input."""
    made = import_module("onnx").load_from_string(content)
    found = _quantized(made, [{name: images} for images in _inputs(network, faces)])
    return found.SerializeToString(deterministic=True)


def check_faces(faces: Crops | None, precision: str) -> None:
    """Raise BundleError where int8 has too few faces, and where another precision has some."""
    if precision != "int8":
        if faces is not None:
            raise BundleError(f"faces to quantise on are for int8, got precision {precision}; leave quantize_on out")
        return
    found = 0 if faces is None else len(faces)
    if found < FEWEST_FACES:
        raise BundleError(
            f"int8 must have at least {FEWEST_FACES} faces to measure ranges on, got {found}; name a folder of people"
            " who are not among the images (--quantize-on PEOPLE)"
        )


def installed_nncf() -> Any:
    """The package NNCF. Raises BundleError where it is not installed."""
    try:
        return import_unreported("nncf")
    except ImportError as error:
        raise BundleError('int8 needs NNCF: pip install "angulus[quantize]"') from error


def _quantized(made: Any, inputs: list[dict[Any, NDArray[Any]]]) -> Any:
    nncf = installed_nncf()
    logger = logging.getLogger("nncf")
    level, disabled = logger.level, logger.disabled
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(StringIO()):  # its progress bars
            return nncf.quantize(made, nncf.Dataset(inputs), subset_size=len(inputs))
    except Exception as error:  # NNCF has its own family of errors
        raise BundleError(f"the network cannot be quantised: {first_line(error)}; take float16") from error
    finally:
        logger.setLevel(level)
        logger.disabled = disabled


def _inputs(network: DeployedNetwork, faces: Crops) -> list[NDArray[Any]]:
    """One image a batch, as the network takes them."""
    prepared = faces if network.inside else network.prepared(faces)
    return [prepared[place : place + 1] for place in range(len(prepared))]
