"""From a trained network to a bundle: the artefact, its detector, the proof and the threshold, whole or not at all."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from angulus.data import Source, open_source
from angulus.data.formats.features import open_features
from angulus.errors import BundleError
from angulus.export.artefacts import (
    Kind,
    MadeFiles,
    Precision,
    check_makes,
    check_speech_options,
    made_files,
    preparation_of,
    unit_vectors,
)
from angulus.export.bundle_files import BundleFolder, digest_of, moved, staged
from angulus.export.calibration import Calibration, calibrated
from angulus.export.comparison import Progress
from angulus.export.deployed import Deployed, deployed
from angulus.export.detector_files import detector_files
from angulus.export.parity import TOLERANCES, verification_changes
from angulus.export.proofs.images import Judged, proved
from angulus.export.proofs.recordings import proved_speech
from angulus.export.quantization_faces import QuantizationFaces
from angulus.export.torch_network import TorchNetwork
from angulus.faces import DetectorChoice
from angulus.inference.given_images import content_for
from angulus.models import EmbeddingModel, InputSpec, ModelConfig
from angulus.runtime.bundles import CURVES, PARITY, THRESHOLD, VECTOR, Artefact, Bundle, Description
from angulus.runtime.embedder import Embedder
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
    note: str = "",
    progress: Progress | None = None,
) -> Exported:
    """Write a bundle for deployment: a folder, or a .zip where `out` ends in .zip.

    images: aligned crops at the model's size, a source or the path of one, which the artefact is compared on, and,
        where they are of at least ten people, its threshold calibrated on; people that the model was not trained on.
        Without any, made-up pictures are compared and there is no threshold.
    quantize_on: for int8, aligned crops of other people, on whom ranges are measured.
    detector: that the bundle brings for photos; the usual one is the best that is installed, None brings none.
    config: what the model was built from, for torch.  facts: about the model, for people, kept in bundle.json.
    note: why to be careful with a threshold of these images; kept with it.
    progress: called with the images done and their number.

    Raises BundleError where the file cannot be made, where its vectors are not the original's within the tolerance,
    where something lies at `out` already, and where int8 would be judged on what it was made on; nothing is written.
    """
    settings, place = options or ExportOptions(), Path(out)
    if not isinstance(model.input, InputSpec):
        _check_speech(settings, detector, is_quantized=quantize_on is not None)
        detector = None
    judges, others = (_source(given, model) for given in (images, quantize_on))
    faces = None if others is None else QuantizationFaces.drawn(others)
    if faces is not None and judges is not None:
        faces.check_people(judges)
    with staged(place) as folder:
        network = deployed(model, inside=settings.preprocessing == "inside", mirror=settings.mirror)
        log.info("exporting to %s, %s", settings.to, settings.precision)
        crops = None if faces is None else faces.crops
        made = made_files(model, network, settings.to, settings.precision, faces=crops, config=config)
        brought = detector_files(detector)
        artefact = _artefact(made, network, model, settings)
        told = {**_facts(model, faces), **(facts or {})}
        bundle = BundleFolder(folder=folder, artefact=artefact, detector=brought.described, facts=told)
        bundle.keep({**made.files, **brought.files})
        bundle.keep_values(VECTOR, {"format": FORMAT, "vectors": _test_vectors(made, network, artefact)})
        bundle.describe()
        judged, found = _judged(bundle, made, model, settings, judges, faces, progress, note)
        bundle.describe()
        whole = bundle.zipped() if place.suffix == ".zip" else folder
        description = _checked(whole, made).description
        moved(whole, place)
    parity, missing = judged.parity, found.missing
    return Exported(path=place, description=description, parity=parity, threshold=found.threshold, missing=missing)


def _check_speech(settings: ExportOptions, detector: DetectorChoice | None, *, is_quantized: bool) -> None:
    """Raise BundleError for what a bundle for speech cannot be or bring."""
    inside = settings.preprocessing == "inside"
    check_speech_options(settings.to, settings.precision, inside=inside, mirror=settings.mirror)
    if is_quantized:
        raise BundleError("quantize_on is for int8, and a network for speech has none; leave it out")
    if detector is not None and detector.name != "auto":
        raise BundleError(f"a bundle for speech brings no detector of faces, got {detector.name}; leave it out")


def _source(images: Images | None, model: EmbeddingModel) -> Source | None:
    """Images as a source, opened at the model's size where a path is given."""
    if not isinstance(images, str | PathLike):
        return images
    if not isinstance(model.input, InputSpec):
        content = content_for(model.input)
        return open_features(str(images)) if content is None else open_source(str(images), content=content)
    return open_source(str(images), size=(model.image_input().height, model.image_input().width), fit="proportional")


def _judged(
    bundle: BundleFolder,
    made: MadeFiles,
    model: EmbeddingModel,
    settings: ExportOptions,
    images: Source | None,
    faces: QuantizationFaces | None,
    progress: Progress | None,
    note: str,
) -> tuple[Judged, Calibration]:
    """Compare the artefact and calibrate its threshold, and keep both. Raises BundleError beyond the tolerance."""
    if made.network is None:
        judged = Judged(parity={"format": FORMAT, "artefact": bundle.artefact.name, "not_run": _UNRUN})
        bundle.keep_values(PARITY, judged.parity)
        return judged, Calibration(missing=_UNRUN)
    check = None if faces is None else faces.check_images
    opened, allowed = Bundle(bundle.folder), settings.allowed
    if isinstance(model.input, InputSpec):
        judged = proved(opened, model, images, tolerance=allowed, check=check, progress=progress)
    else:
        judged = proved_speech(opened, model, images, tolerance=allowed, progress=progress)
    assert judged.both is not None
    if images is None:
        what = "images" if isinstance(model.input, InputSpec) else "recordings"
        found = Calibration(missing=f"no {what} were given to calibrate one with (--images PEOPLE)")
    else:
        found = calibrated(bundle.artefact.name, judged.both.after, judged.both.labels, settings.far)
    if found.threshold is not None and found.curves is not None:
        said = "; ".join(each for each in (note, found.threshold.note) if each)
        kept, curves = replace(found.threshold, note=said), found.curves
        found, far = Calibration(threshold=kept, curves=curves), kept.target_far
        judged = Judged(parity={**judged.parity, "verification": verification_changes(judged.both, far)})
        bundle.keep_values(THRESHOLD, kept.to_dict())
        bundle.keep_values(CURVES, curves.to_dict())
    bundle.keep_values(PARITY, judged.parity)
    return judged, found


def _artefact(made: MadeFiles, network: Deployed, model: EmbeddingModel, settings: ExportOptions) -> Artefact:
    return Artefact(
        **{"kind": settings.to, "precision": settings.precision, "mirror": settings.mirror},
        **{"files": {name: digest_of(content) for name, content in made.files.items()}, "dim": network.embedding_dim},
        preprocessing=preparation_of(model, inside=network.inside),
    )


def _facts(model: EmbeddingModel, faces: QuantizationFaces | None) -> dict[str, Any]:
    """What people may want to know of the network."""
    facts: dict[str, Any] = {"network": type(model).__name__}
    facts["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    if faces is not None:
        facts["quantised_on"] = {"images": len(faces.crops), "people": len(faces.people)}
    return facts


def _test_vectors(made: MadeFiles, network: Deployed, artefact: Artefact) -> list[list[float]]:
    """Vectors of examples from a formula, by the artefact, or by torch where nothing here runs it."""
    preparation = artefact.preprocessing
    run = made.network or TorchNetwork(network=network)
    return unit_vectors(run, preparation, preparation.formula(_TESTED)).tolist()


def _checked(whole: Path, made: MadeFiles) -> Bundle:
    """What was written, opened as those will who use it. Raises BundleError."""
    bundle = Bundle(whole)
    for name in bundle.description.files:
        bundle.read(name)
    if made.network is not None:
        Embedder(bundle)
    return bundle
