"""Which kinds of file can be made of a network at which precision, and how their vectors are computed before a bundle.

onnx        float32, float16, int8
openvino    float32, float16, int8
coreml      float32, float16         cannot be run here, so that nothing can be proved
torch       float32
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from angulus.errors import BundleError
from angulus.export.coreml_files import coreml_files
from angulus.export.deployed import Deployed, speech_preparation
from angulus.export.deployed_network import DeployedNetwork
from angulus.export.onnx_files import NAME, onnx_files
from angulus.export.openvino_files import openvino_files
from angulus.export.quantization import check_faces
from angulus.export.torch_network import TorchNetwork, torch_files
from angulus.models import EmbeddingModel, InputSpec, ModelConfig
from angulus.runtime.bundles import Preparation
from angulus.runtime.networks import Network, open_onnx, open_openvino, runtime_for
from angulus.runtime.preparation import Crops, Preprocessing
from angulus.runtime.speech_preparation import Examples

Kind = Literal["onnx", "openvino", "coreml", "torch"]
Precision = Literal["float32", "float16", "int8"]
KINDS: tuple[Kind, ...] = get_args(Kind)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
MAKES: Mapping[str, tuple[Precision, ...]] = {
    "onnx": ("float32", "float16", "int8"),
    "openvino": ("float32", "float16", "int8"),
    "coreml": ("float32", "float16"),
    "torch": ("float32",),
}
SPEECH_MAKES: Mapping[str, tuple[Precision, ...]] = {
    "onnx": ("float32",),
    "openvino": ("float32", "float16"),
    "torch": ("float32",),
}
"""Of a network for speech."""


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
        able = " or ".join(name for name, made in MAKES.items() if precision in made)
        known = f"; take {able}" if able else ""
        raise BundleError(f"precision of {kind} files must be {' or '.join(MAKES[kind])}, got {precision!r}{known}")


def made_files(
    model: EmbeddingModel,
    network: Deployed,
    kind: Kind,
    precision: Precision,
    *,
    faces: Crops | None = None,
    config: ModelConfig | None = None,
) -> MadeFiles:
    """The files of a network. faces: for int8.  config: of the model, for torch.  Raises BundleError."""
    check_makes(kind, precision)
    check_faces(faces, precision)
    if kind == "onnx":
        files = onnx_files(network, precision, faces)
        return MadeFiles(files=files, network=open_onnx(files[NAME], runtime_for("onnx"), 1))
    if kind == "openvino":
        files = openvino_files(network, precision, faces)
        return MadeFiles(files=files, network=open_openvino(*files.values(), threads=1))
    if kind == "coreml" and isinstance(network, DeployedNetwork):
        return MadeFiles(files=coreml_files(network, precision), network=None)
    return MadeFiles(files=torch_files(model, config), network=TorchNetwork(network=network))


def check_speech_options(kind: str, precision: str, *, inside: bool, mirror: bool) -> None:
    """Raise BundleError for what a file for speech cannot be."""
    if kind == "coreml":
        raise BundleError("a network for speech is exported to onnx, openvino or torch, got coreml; take one of these")
    if precision not in SPEECH_MAKES[kind]:
        able = " or ".join(name for name, made in SPEECH_MAKES.items() if precision in made)
        known = f"; take float32, or to {able}" if able else "; take float32"
        raise BundleError(
            f"precision of {kind} files for speech must be {' or '.join(SPEECH_MAKES[kind])}, got {precision!r}:"
            f" energies of a filter bank and sums over long recordings need the range of float32{known}"
        )
    if not inside:
        raise BundleError("preprocessing of a network for speech must be inside: its filter bank is part of the file")
    if mirror:
        raise BundleError("recordings have no mirror image; leave --mirror out")


def preparation_of(model: EmbeddingModel, *, inside: bool) -> Preparation:
    """What examples must become, as a bundle says it. Raises BundleError for a shape that no template has."""
    spec = model.input
    return preprocessing_of(spec, inside=inside) if isinstance(spec, InputSpec) else speech_preparation(model)


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


def unit_vectors(network: Network, preparation: Preparation, examples: Crops | Examples) -> NDArray[np.float32]:
    """Vectors [n, d] of length 1 of crops uint8 [n, h, w, 3], or of recordings of one length, all in one batch."""
    vectors = np.asarray(network(preparation.ready(examples))[0], dtype=np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not (lengths > 0).all():
        raise BundleError("the exported network gives a vector without a direction (NaN, infinity or zero)")
    return vectors / lengths
