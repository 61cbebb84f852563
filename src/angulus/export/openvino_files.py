"""A network as OpenVINO's two files: float32, with weights in float16, or int8."""

import tempfile
from pathlib import Path
from typing import Any

from angulus.devices.unreported_imports import import_unreported
from angulus.errors import BundleError, ModelError
from angulus.export.deployed import Deployed
from angulus.export.deployed_network import DeployedNetwork
from angulus.export.quantization import Crops, quantized_openvino
from angulus.inference.openvino_network import converted
from angulus.runtime.networks import first_line

NAMES = ("model.xml", "model.bin")


def openvino_files(network: Deployed, precision: str, faces: Crops | None) -> dict[str, bytes]:
    """model.xml and model.bin for any number of examples. faces: to quantise on, for int8. Raises BundleError."""
    try:
        openvino = import_unreported("openvino")
    except ImportError as error:
        raise BundleError('export to OpenVINO needs openvino: pip install "angulus[openvino]"') from error
    try:
        made = converted(network, network.example(), free=len(network.free))
    except ModelError as error:
        raise BundleError(str(error)) from error
    if faces is not None and isinstance(network, DeployedNetwork):
        made = quantized_openvino(made, network, faces)
    _rename(made)
    return _saved(openvino, made, halved=precision == "float16")


def _rename(made: Any) -> None:
    """Names by place in the order, since OpenVINO's own count everything that a process has made."""
    made.set_friendly_name("network")
    for place, operation in enumerate(made.get_ordered_ops()):
        operation.set_friendly_name(f"{operation.get_type_name()}_{place}")


def _saved(openvino: Any, made: Any, *, halved: bool) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NAMES[0]
        try:
            openvino.save_model(made, path, compress_to_fp16=halved)
        except Exception as error:  # OpenVINO has its own family of errors
            raise BundleError(f"OpenVINO cannot write the network: {first_line(error)}") from error
        return {name: (Path(folder) / name).read_bytes() for name in NAMES}
