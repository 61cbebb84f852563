"""From a trained network to a bundle: the artefact, its detector, the proof and the threshold, whole or not at all."""

import logging
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from angulus.data.examples import Source
from angulus.errors import BundleError
from angulus.export.artefacts import (
    Kind,
    MadeFiles,
    Precision,
    check_makes,
    made_files,
    preprocessing_of,
    test_vectors,
)
from angulus.export.bundle_files import describe, moved, staged, write, zipped
from angulus.export.calibration import Calibration, calibrated
from angulus.export.comparison import (
    BothVectors,
    Compute,
    Progress,
    both_vectors,
    crops_of,
    made_up_crops,
    original,
)
from angulus.export.deployed_network import DeployedNetwork
from angulus.export.parity import (
    TOLERANCES,
    check_tolerance,
    distance,
    distances_at,
    score_changes,
    seconds_of,
    verification_changes,
)
from angulus.inference.choice import one_thread
from angulus.inference.processors import compute_threads
from angulus.models import EmbeddingModel
from angulus.runtime.bundles import CURVES, PARITY, THRESHOLD, VECTOR, Artefact, Bundle, Description
from angulus.runtime.embedder import Embedder
from angulus.runtime.thresholds import FORMAT, Threshold, as_text
from angulus.version import __version__

log = logging.getLogger(__name__)

_AT_BATCHES = 128
"""Images that are compared at each of the batches."""


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
    images: Source | None = None,
    facts: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Write a bundle for deployment: a folder, or a .zip where `out` ends in .zip.

    images: aligned crops at the model's size, which the artefact is compared on, and, where they are of at least five
        people, its threshold calibrated on; people that the model was not trained on. Without any, made-up pictures are
        compared and there is no threshold.
    facts: about the model, for people, kept in bundle.json.  progress: called with the images done and their number.

    Raises BundleError where the file cannot be made, where its vectors are not the original's within the tolerance,
    and where something lies at `out` already; nothing is written then.
    """
    settings, place = options or ExportOptions(), Path(out)
    with staged(place) as folder:
        work = _Work.begun(model, settings, folder, facts or {})
        both = work.compared(images, progress)
        found = calibrated(work.artefact.name, both.after, both.labels, settings.far)
        work.keep(found, both)
        whole = zipped(folder, work.files) if place.suffix == ".zip" else folder
        Embedder(Bundle(whole))  # opens, and gives its test vectors
        moved(whole, place)
    return Exported(
        **{"path": place, "description": work.description, "parity": work.parity},
        **{"threshold": found.threshold, "missing": found.missing},
    )


@dataclass(kw_only=True)
class _Work:
    """A bundle that is being made in a folder. files: SHA-256 by name of what lies there."""

    model: EmbeddingModel
    options: ExportOptions
    folder: Path
    artefact: Artefact
    made: MadeFiles
    facts: Mapping[str, Any]
    files: dict[str, str] = field(default_factory=dict)
    parity: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def begun(cls, model: EmbeddingModel, options: ExportOptions, folder: Path, facts: Mapping[str, Any]) -> "_Work":
        """Make the artefact and write it with its test vectors, so that it opens."""
        network = DeployedNetwork(model, inside=options.preprocessing == "inside", mirror=options.mirror)
        preprocessing = preprocessing_of(model.input, inside=network.inside)
        log.info("exporting to %s, %s", options.to, options.precision)
        made = made_files(network, options.to, options.precision)
        digests = {name: write(folder, name, content) for name, content in made.files.items()}
        artefact = Artefact(
            **{"kind": options.to, "precision": options.precision, "files": digests, "preprocessing": preprocessing},
            **{"dim": model.embedding_dim, "mirror": options.mirror},
        )
        work = cls(model=model, options=options, folder=folder, artefact=artefact, made=made, facts=facts)
        work.files |= digests
        assert made.network is not None
        work.write(VECTOR, {"format": FORMAT, "vectors": test_vectors(made.network, preprocessing).tolist()})
        describe(folder, work.description)
        return work

    @property
    def description(self) -> Description:
        """What bundle.json says of what lies here."""
        facts = {
            **{"network": type(self.model).__name__, "embedding_dim": self.model.embedding_dim},
            **{"parameters": sum(parameter.numel() for parameter in self.model.parameters()), **self.facts},
        }
        made = datetime.now(UTC).strftime("%Y-%m-%d")
        return Description(
            **{"artefact": self.artefact, "detector": None, "model": facts, "angulus": __version__, "made": made},
            files=dict(sorted(self.files.items())),
        )

    def write(self, name: str, values: Mapping[str, Any]) -> None:
        """Write a JSON file of the bundle."""
        self.files[name] = write(self.folder, name, as_text(values))

    def compared(self, images: Source | None, progress: Progress | None) -> BothVectors:
        """Compare with the original and note it; raises BundleError beyond the tolerance."""
        before = original(self.model, mirror=self.options.mirror)
        bundle = Bundle(self.folder)
        embedder = Embedder(bundle, threads=compute_threads())
        spec = self.model.input
        if images is None:
            crops = made_up_crops(spec.height, spec.width)
            both = BothVectors(before=before(crops), after=embedder.vectors(crops), labels=None)
        else:
            crops = crops_of(images, 0, _AT_BATCHES)
            both = both_vectors(images, before, embedder.vectors, progress)
        at_batches = distances_at(
            crops, both.before[: len(crops)], lambda part: embedder.vectors(part, batch=len(part))
        )
        whole = distance(both.before, both.after)
        largest = max([whole.largest, *(each.largest for each in at_batches.values())])
        check_tolerance(largest, self.options.allowed, self.options.precision)
        self.parity |= {
            **{"format": FORMAT, "artefact": self.artefact.name, "tolerance": self.options.allowed},
            **{"images": "given" if images is not None else "made up", "people": both.people},
            **{"largest_distance": largest, "distance": whole.to_dict()},
            "at_batches": {str(size): each.to_dict() for size, each in at_batches.items()},
            **{"scores": score_changes(both), **self._costs(before, Embedder(bundle), crops)},
        }
        return both

    def keep(self, found: Calibration, both: BothVectors) -> None:
        """Write the threshold, the curves and the comparison, and bundle.json anew."""
        if found.threshold is not None and found.curves is not None:
            self.parity["verification"] = verification_changes(both, found.threshold.target_far)
            self.write(THRESHOLD, found.threshold.to_dict())
            self.write(CURVES, found.curves.to_dict())
        self.write(PARITY, self.parity)
        describe(self.folder, self.description)

    def _costs(self, before: Compute, after: Embedder, crops: np.ndarray) -> dict[str, Any]:
        """Seconds an image and bytes; one thread on both sides."""
        with one_thread():
            seconds = {"before": seconds_of(before, crops), "after": seconds_of(after.vectors, crops)}
        own = sum(value.numel() * value.element_size() for value in self.model.state_dict().values())
        size = sum(len(content) for content in self.made.files.values())
        return {
            **{"seconds_an_image": seconds, "threads": 1, "runtime": after.runtime},
            **{"bytes": {"before": own, "after": size}, "machine": platform.machine()},
        }
