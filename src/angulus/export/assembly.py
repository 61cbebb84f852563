"""From a trained network to a bundle: the artefact, its detector, the proof and the threshold, whole or not at all."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from angulus.data import Source, open_source
from angulus.errors import BundleError
from angulus.export.artefacts import (
    Kind,
    MadeFiles,
    Precision,
    check_makes,
    made_files,
    preprocessing_of,
    unit_vectors,
)
from angulus.export.bundle_files import BundleFolder, digest_of, moved, staged
from angulus.export.calibration import Calibration, calibrated
from angulus.export.comparison import Progress
from angulus.export.deployed_network import DeployedNetwork
from angulus.export.detector_files import detector_files
from angulus.export.parity import TOLERANCES, verification_changes
from angulus.export.proof import Judged, proved
from angulus.export.quantization_faces import QuantizationFaces
from angulus.export.torch_network import TorchNetwork
from angulus.faces import DetectorChoice
from angulus.models import EmbeddingModel, ModelConfig
from angulus.runtime.bundles import CURVES, PARITY, THRESHOLD, VECTOR, Artefact, Bundle, Description
from angulus.runtime.embedder import Embedder
from angulus.runtime.preparation import formula_crops
from angulus.runtime.thresholds import FORMAT, Threshold

log = logging.getLogger(__name__)

Images = Source | str | PathLike[str]
AUTO = DetectorChoice()
_TESTED = 2
_UNRUN = "nothing here runs a file of Core ML: neither was it compared with the model nor a threshold calibrated"


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What is made of a network.

    to: onnx, openvino, coreml or torch.  precision: float32, float16 or int8.  preprocessing: inside the file, or
    beside it in bundle.json.  mirror: a vector is of both mirror views.  far: that the threshold is calibrated for;
    None takes the smallest of 1e-4, 1e-3 and 1e-2 that the images resolve.  tolerance: largest 1 - cosine between a
    vector and the original's; None takes 1e-5 for float32, 1e-3 for float16, 0.05 for int8.
    """

    to: Kind = "onnx"
    precision: Precision = "float32"
    preprocessing: Literal["inside", "beside"] = "inside"
    mirror: bool = False
    far: float | None = None
    tolerance: float | None = None

    def __post_init__(self) -> None:
        check_makes(self.to, self.precision)
        if self.preprocessing not in ("inside", "beside"):
            raise BundleError(f"preprocessing must be inside or beside, got {self.preprocessing!r}")
        if self.far is not None and not 0 < self.far < 1:
            raise BundleError(f"far must lie between 0 and 1, got {self.far:g}")
        if self.tolerance is not None and not self.tolerance >= 0:
            raise BundleError(f"tolerance must be at least 0, got {self.tolerance:g}")

    @property
    def allowed(self) -> float:
        """The tolerance that holds."""
        return TOLERANCES[self.precision] if self.tolerance is None else self.tolerance


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A bundle that was written: where, what it holds, what was compared, and its threshold.

    missing: why there is no threshold, in one sentence; empty where there is one.
    """

    path: Path
    description: Description
    parity: Mapping[str, Any]
    threshold: Threshold | None
    missing: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **{"path": str(self.path), "bundle": self.description.to_dict(), "parity": dict(self.parity)},
            "threshold": None if self.threshold is None else self.threshold.to_dict(),
            "missing": self.missing,
        }


def export_model(
    model: EmbeddingModel,
    out: str | Path,
    options: ExportOptions | None = None,
    *,
    images: Images | None = None,
    quantize_on: Images | None = None,
    detector: DetectorChoice | None = AUTO,
    config: ModelConfig | None = None,
    facts: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Write a bundle for deployment: a folder, or a .zip where `out` ends in .zip.

    images: aligned crops at the model's size, a source or the path of one, which the artefact is compared on, and,
        where they are of at least five people, its threshold calibrated on; people that the model was not trained on.
        Without any, made-up pictures are compared and there is no threshold.
    quantize_on: for int8, aligned crops of other people, on whom ranges are measured.
    detector: that the bundle brings for photos; the usual one is the best that is installed, None brings none.
    config: what the model was built from, for torch.  facts: about the model, for people, kept in bundle.json.
    progress: called with the images done and their number.

    Raises BundleError where the file cannot be made, where its vectors are not the original's within the tolerance,
    where something lies at `out` already, and where int8 would be judged on what it was made on; nothing is written.
    """
    settings, place = options or ExportOptions(), Path(out)
    judges, others = (_source(given, model) for given in (images, quantize_on))
    faces = None if others is None else QuantizationFaces.drawn(others)
    if faces is not None and judges is not None:
        faces.check_people(judges)
    with staged(place) as folder:
        network = DeployedNetwork(model, inside=settings.preprocessing == "inside", mirror=settings.mirror)
        log.info("exporting to %s, %s", settings.to, settings.precision)
        crops = None if faces is None else faces.crops
        made = made_files(model, network, settings.to, settings.precision, faces=crops, config=config)
        brought = detector_files(detector)
        artefact = _artefact(made, network, settings)
        told = {**_facts(model, faces), **(facts or {})}
        bundle = BundleFolder(folder=folder, artefact=artefact, detector=brought.described, facts=told)
        bundle.keep({**made.files, **brought.files})
        bundle.keep_values(VECTOR, {"format": FORMAT, "vectors": _test_vectors(made, network, artefact)})
        bundle.describe()
        judged, found = _judged(bundle, made, model, settings, judges, faces, progress)
        bundle.describe()
        whole = bundle.zipped() if place.suffix == ".zip" else folder
        description = _checked(whole, made).description
        moved(whole, place)
    parity, missing = judged.parity, found.missing
    return Exported(path=place, description=description, parity=parity, threshold=found.threshold, missing=missing)


def _source(images: Images | None, model: EmbeddingModel) -> Source | None:
    """Images as a source, opened at the model's size where a path is given."""
    if not isinstance(images, str | PathLike):
        return images
    return open_source(str(images), size=(model.image_input().height, model.image_input().width), fit="proportional")


def _judged(
    bundle: BundleFolder,
    made: MadeFiles,
    model: EmbeddingModel,
    settings: ExportOptions,
    images: Source | None,
    faces: QuantizationFaces | None,
    progress: Progress | None,
) -> tuple[Judged, Calibration]:
    """Compare the artefact and calibrate its threshold, and keep both. Raises BundleError beyond the tolerance."""
    if made.network is None:
        judged = Judged(parity={"format": FORMAT, "artefact": bundle.artefact.name, "not_run": _UNRUN})
        bundle.keep_values(PARITY, judged.parity)
        return judged, Calibration(missing=_UNRUN)
    check = None if faces is None else faces.check_images
    judged = proved(*(Bundle(bundle.folder), model, images), tolerance=settings.allowed, check=check, progress=progress)
    assert judged.both is not None
    if images is None:
        found = Calibration(missing="no images were given to calibrate one with (--images PEOPLE)")
    else:
        found = calibrated(bundle.artefact.name, judged.both.after, judged.both.labels, settings.far)
    if found.threshold is not None and found.curves is not None:
        far = found.threshold.target_far
        judged = Judged(parity={**judged.parity, "verification": verification_changes(judged.both, far)})
        bundle.keep_values(THRESHOLD, found.threshold.to_dict())
        bundle.keep_values(CURVES, found.curves.to_dict())
    bundle.keep_values(PARITY, judged.parity)
    return judged, found


def _artefact(made: MadeFiles, network: DeployedNetwork, settings: ExportOptions) -> Artefact:
    return Artefact(
        **{"kind": settings.to, "precision": settings.precision, "mirror": settings.mirror},
        **{"files": {name: digest_of(content) for name, content in made.files.items()}, "dim": network.embedding_dim},
        preprocessing=preprocessing_of(network.input, inside=network.inside),
    )


def _facts(model: EmbeddingModel, faces: QuantizationFaces | None) -> dict[str, Any]:
    """What people may want to know of the network."""
    facts: dict[str, Any] = {"network": type(model).__name__}
    facts["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    if faces is not None:
        facts["quantised_on"] = {"images": len(faces.crops), "people": len(faces.people)}
    return facts


def _test_vectors(made: MadeFiles, network: DeployedNetwork, artefact: Artefact) -> list[list[float]]:
    """Vectors of crops from a formula, by the artefact, or by torch where nothing here runs it."""
    size = artefact.preprocessing
    run = made.network or TorchNetwork(network=network)
    return unit_vectors(run, size, formula_crops(size.height, size.width, _TESTED)).tolist()


def _checked(whole: Path, made: MadeFiles) -> Bundle:
    """What was written, opened as those will who use it. Raises BundleError."""
    bundle = Bundle(whole)
    for name in bundle.description.files:
        bundle.read(name)
    if made.network is not None:
        Embedder(bundle)
    return bundle
