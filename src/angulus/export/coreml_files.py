"""A network as a package of Core ML, for Apple's systems: float32, or float16 in weights and arithmetic.

Core ML has no uint8 input: with preprocessing inside it takes crops as float32 [n, height, width, 3], 0 to 255. Only
there it can be run, so that nothing about it is proved here.
"""

import logging
import tempfile
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from angulus.errors import BundleError
from angulus.export.deployed_network import DeployedNetwork
from angulus.runtime.networks import first_line

NAME = "model.mlpackage"
MOST_IMAGES = 64
"""In one batch: Core ML wants a bound."""


def coreml_files(network: DeployedNetwork, precision: str) -> dict[str, bytes]:
    """The files of model.mlpackage, the manifest first. Raises BundleError where the network cannot be converted."""
    example = network.example().float()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NAME
        try:
            _converted(network, example, precision).save(str(path))
        except BundleError:
            raise
        except Exception as error:  # coremltools raises whatever it meets
            raise BundleError(f"the network cannot be converted to Core ML: {first_line(error)}") from error
        found = sorted(file for file in path.rglob("*") if file.is_file())
        found.sort(key=lambda file: file.name != "Manifest.json")
        return {file.relative_to(folder).as_posix(): file.read_bytes() for file in found}


def _converted(network: DeployedNetwork, example: torch.Tensor, precision: str) -> Any:
    tools = _installed()
    shape = (tools.RangeDim(1, MOST_IMAGES), *example.shape[1:])
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(network, example, check_trace=False)
        return tools.convert(
            traced,
            inputs=[tools.TensorType(name="images", shape=shape, dtype=np.float32)],
            outputs=[tools.TensorType(name=name, dtype=np.float32) for name in ("vectors", "lengths")],
            convert_to="mlprogram",
            minimum_deployment_target=tools.target.iOS16,
            compute_precision=tools.precision.FLOAT16 if precision == "float16" else tools.precision.FLOAT32,
        )


def _installed() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tools = import_module("coremltools")
    except ImportError as error:
        raise BundleError('export to Core ML needs coremltools: pip install "angulus[coreml]"') from error
    logging.getLogger("coremltools").setLevel(logging.ERROR)
    return tools
