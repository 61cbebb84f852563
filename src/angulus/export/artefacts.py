"""Which kinds of file can be made of a network at which precision, and how their vectors are computed before a bundle.

onnx        float32, float16, int8
openvino    float32, float16, int8
coreml      float32, float16         cannot be run here, so that nothing can be proved
torch       float32
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from angulus.errors import BundleError
from angulus.export.deployed_network import DeployedNetwork
from angulus.export.onnx_files import onnx_files
from angulus.models import InputSpec
from angulus.runtime.networks import Network, open_onnx
from angulus.runtime.preparation import Crops, Preprocessing, formula_crops

Kind = Literal["onnx", "openvino", "coreml", "torch"]
Precision = Literal["float32", "float16", "int8"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
MAKES: Mapping[str, tuple[Precision, ...]] = {
    "onnx": ("float32", "float16"),
}
VECTORS = 2


@dataclass(frozen=True, kw_only=True)
class MadeFiles:
    """files: of an artefact by name, the one to open first.  network: runs them; None where nothing here can."""

    files: Mapping[str, bytes]
    network: Network | None


def check_makes(kind: str, precision: str) -> None:
    """Raise BundleError for a precision that a kind of file does not have."""
    if kind not in MAKES:
        raise BundleError(f"to must be one of {', '.join(MAKES)}, got {kind!r}")
    if precision not in MAKES[kind]:
        raise BundleError(
            f"{kind} files are made in {' or '.join(MAKES[kind])}, got {precision!r}; --to openvino has all"
        )


def made_files(network: DeployedNetwork, kind: Kind, precision: Precision) -> MadeFiles:
    """The files of a network. Raises BundleError where they cannot be made."""
    check_makes(kind, precision)
    files = onnx_files(network, precision)
    return MadeFiles(files=files, network=open_onnx(next(iter(files.values())), "onnxruntime", 1))


def preprocessing_of(spec: InputSpec, *, inside: bool) -> Preprocessing:
    """What a crop must become, as a bundle says it. Raises BundleError for a shape that no template has."""
    numbers = {
        name: values if isinstance(values, tuple) else (float(values),) * spec.channels
        for name, values in (("mean", spec.mean), ("std", spec.std))
    }
    return Preprocessing(
        **{"height": spec.height, "width": spec.width, "colour": spec.colour, "inside": inside},
        **{"mean": tuple(map(float, numbers["mean"])), "std": tuple(map(float, numbers["std"]))},
        template=template_of(spec),
    )


def template_of(spec: InputSpec) -> str:
    """The template of crops of this shape: square ones are arcface's, 7 to 6 sphereface's."""
    if spec.height == spec.width:
        return "arcface"
    if spec.height * 6 == spec.width * 7:
        return "sphereface"
    raise BundleError(
        f"a deployed model takes square crops (arcface) or crops of 7 to 6 (sphereface), this one takes"
        f" {spec.height}x{spec.width} (height x width), for which there is no template of five landmarks"
    )


def test_vectors(network: Network, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Vectors [2, d] of crops from a formula."""
    return unit_vectors(network, preprocessing, formula_crops(preprocessing.height, preprocessing.width, VECTORS))


def unit_vectors(network: Network, preprocessing: Preprocessing, crops: Crops) -> NDArray[np.float32]:
    """Vectors [n, d] of length 1 of crops uint8 [n, h, w, 3], all in one batch."""
    images: NDArray[Any] = np.ascontiguousarray(crops) if preprocessing.inside else preprocessing.prepare(crops)
    vectors = np.asarray(network(images)[0], dtype=np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not (lengths > 0).all():
        raise BundleError("the exported network gives a vector without a direction (NaN, infinity or zero)")
    return vectors / lengths
