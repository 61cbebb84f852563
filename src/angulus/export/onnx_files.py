"""A network as an ONNX file: float32, or with weights and arithmetic in float16."""

import io
import warnings
from importlib import import_module
from typing import Any

import torch

from angulus.errors import BundleError
from angulus.export.deployed import Deployed
from angulus.export.deployed_network import DeployedNetwork
from angulus.export.quantization import Crops, quantized_onnx
from angulus.runtime.networks import first_line

NAME = "model.onnx"
INPUT, OUTPUTS = "images", ("vectors", "lengths")
# What prepares pixels and measures lengths stays in float32: whole numbers up to 2^24, and squares, are beyond float16.
_KEPT = ("Cast", "Sub", "Floor", "ReduceL2", "Transpose", "Slice", "Gather", "Concat")


def onnx_files(network: Deployed, precision: str, faces: Crops | None) -> dict[str, bytes]:
    """model.onnx for any number of examples. faces: to quantise on, for int8. Raises BundleError."""
    content = traced(network, network.example())
    if precision == "float16":
        content = halved(content)
    if faces is not None and isinstance(network, DeployedNetwork):
        content = quantized_onnx(content, network, faces, INPUT)
    checked(content)
    return {NAME: content}


def checked(content: bytes) -> None:
    """Raise BundleError where a file is not valid ONNX."""
    try:
        installed_onnx().checker.check_model(content, full_check=True)
    except Exception as error:  # onnx has its own family of errors
        raise BundleError(f"the exported ONNX file is not valid: {first_line(error)}") from error


def traced(network: Deployed, example: Any) -> bytes:
    """A deployed network as ONNX; the axes that it leaves free may have any length."""
    installed_onnx()
    file: Any = io.BytesIO()
    try:
        # the exporter by tracing: exact, a second instead of ten, and without onnxscript
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                *(network, (example,), file),
                dynamo=False,
                input_names=[INPUT],
                output_names=list(OUTPUTS),
                dynamic_axes={INPUT: dict(enumerate(network.free)), **{name: {0: "n"} for name in OUTPUTS}},
            )
    except Exception as error:  # a network can fail to be exported in many ways
        raise BundleError(f"the network cannot be exported to ONNX: {first_line(error)}") from error
    return file.getvalue()


def halved(content: bytes) -> bytes:
    """The same network in float16; what goes in and comes out stays as it is."""
    onnx = installed_onnx()
    try:
        converter = import_module("onnxruntime.transformers.float16")
    except ImportError as error:
        raise BundleError('float16 in ONNX needs onnxruntime: pip install "angulus[onnx]"') from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # weights that become 0 or the largest number; parity says what they do
        made = converter.convert_float_to_float16(
            onnx.load_from_string(content),
            keep_io_types=True,
            op_block_list=[*converter.DEFAULT_OP_BLOCK_LIST, *_KEPT],
        )
    sorting = import_module("onnxruntime.transformers.onnx_model").OnnxModel(made)
    sorting.topological_sort(is_deterministic=True)  # the converter appends what it adds
    return sorting.model.SerializeToString(deterministic=True)


def installed_onnx() -> Any:
    """The package onnx. Raises BundleError where it is not installed."""
    try:
        return import_module("onnx")
    except ImportError as error:
        raise BundleError('export to ONNX needs the package onnx: pip install "angulus[onnx]"') from error
