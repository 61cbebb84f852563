"""The detector that a bundle brings, so that photos are cut out in use as they were when the threshold was measured.

mtcnn                       its three networks as ONNX files, proved against torch
scrfd, retinaface, yunet    the user's own ONNX file, copied
yuface                      its name: the package brings its weights
"""

import importlib.util
import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from angulus.errors import BundleError, FacesError
from angulus.export.onnx_files import checked, installed_onnx
from angulus.faces.detectors.catalogue import DetectorChoice, installed
from angulus.faces.detectors.mtcnn_networks import load_networks
from angulus.faces.detectors.onnx import OnnxDetector, OnnxOptions
from angulus.files import BoundedReader
from angulus.runtime.bundles import BundledDetector
from angulus.runtime.networks import first_line, onnx_session

MOST_BYTES = 2**29
TOLERANCE = 1e-4
"""Largest difference of an output of a detector's network to torch's."""
# Sides of the pictures on which each of the three is proved; P-Net takes any size.
_SIDES = {"pnet": ((12, 12), (61, 40), (97, 128)), "rnet": ((24, 24),), "onet": ((48, 48),)}


@dataclass(frozen=True, kw_only=True)
class DetectorFiles:
    """described: what bundle.json says, None for a bundle without a detector.  files: contents by name."""

    described: BundledDetector | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)


def detector_files(choice: DetectorChoice | None) -> DetectorFiles:
    """The files of the detector that is meant; none where nothing is asked for and none is installed.

    Raises BundleError or FacesError for one that is named and cannot be brought.
    """
    name = None if choice is None else named(choice)
    if choice is None or name is None:
        return DetectorFiles()
    if name == "landmarks":
        raise BundleError("a list of landmarks knows its own photos alone, no others; name a detector, or none")
    contents: dict[str, bytes] = {}
    if name == "mtcnn":
        contents = {stage: _proved(stage, network) for stage, network in load_networks().items()}
    elif name != "yuface":
        assert choice.file is not None
        contents = {"network": _given(choice.file, OnnxOptions(kind=name))}
    places = {stage: f"detector/{stage}.onnx" for stage in contents}
    described = BundledDetector(
        **{"name": name, "min_face": choice.min_face, "score": choice.score, "turn": choice.turn}, files=places
    )
    return DetectorFiles(described=described, files={places[stage]: content for stage, content in contents.items()})


def named(choice: DetectorChoice) -> Any:
    """The name of the detector; None where it is left open and nothing that can be brought is installed."""
    if choice.name != "auto":
        return choice.name
    try:
        found = installed()
    except FacesError:  # what there is to install need not be said to somebody who did not ask
        return None
    needed = ("onnx", "onnxruntime", "joblib", "lz4") if found == "mtcnn" else ()
    return found if all(importlib.util.find_spec(package) for package in needed) else None


def _given(path: Path, options: OnnxOptions) -> bytes:
    try:
        with BoundedReader(path) as file:
            if file.size > MOST_BYTES:
                raise BundleError(f"{path} must have at most {MOST_BYTES:,} bytes, got {file.size:,}")
            content = file.read()
    except OSError as error:
        reason = error.strerror or error
        raise BundleError(f"{path} cannot be read: {reason}; name the ONNX file of a detector") from error
    session = onnx_session(content, 1)
    OnnxDetector(path, options, session=session).detect(np.zeros((64, 64, 3), np.uint8))
    return content


def _proved(stage: str, network: nn.Module) -> bytes:
    """One of MTCNN's networks as ONNX. Raises BundleError where it gives other numbers than torch."""
    content = _exported(stage, network)
    checked(content)
    session = onnx_session(content, 1)
    random = np.random.default_rng(0)
    for height, width in _SIDES[stage]:
        images = random.normal(size=(3, 3, height, width)).astype(np.float32)
        for part in (images, images[:1]):
            with torch.inference_mode():
                wanted = [output.numpy() for output in network(torch.from_numpy(part))]
            if not _agree(session.run(None, {"images": part}), wanted):
                raise BundleError(f"the detector's {stage} gives other numbers in ONNX than in torch; take another one")
    return content


def _agree(found: Sequence[NDArray[np.float32]], wanted: Sequence[NDArray[np.float32]]) -> bool:
    pairs = list(zip(found, wanted, strict=True))
    return all(ours.shape == theirs.shape and np.abs(ours - theirs).max() <= TOLERANCE for ours, theirs in pairs)


def _exported(stage: str, network: nn.Module) -> bytes:
    installed_onnx()
    file: Any = io.BytesIO()
    height, width = _SIDES[stage][-1]
    example: Tensor = torch.zeros(2, 3, height, width)
    outputs = [f"output{place}" for place in range(len(network(example)))]
    sizes = {0: "n", 2: "height", 3: "width"} if stage == "pnet" else {0: "n"}
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                *(network, (example,), file),
                dynamo=False,
                input_names=["images"],
                output_names=outputs,
                dynamic_axes={name: sizes for name in ("images", *outputs)},
            )
    except Exception as error:
        raise BundleError(f"the detector's {stage} cannot be exported to ONNX: {first_line(error)}") from error
    return file.getvalue()
