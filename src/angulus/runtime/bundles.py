"""What is deployed: one artefact, its preprocessing, its threshold and the proof, in a folder or a .zip file.

Everything in a bundle has its SHA-256 in bundle.json, and is read into memory, within bounds: nothing is unpacked onto
the disk and nothing of it is executed.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from angulus.errors import BundleError
from angulus.json_files import parse_json
from angulus.runtime.contents import Contents, opened
from angulus.runtime.curves import Curves
from angulus.runtime.fields import Fields
from angulus.runtime.preparation import Preprocessing
from angulus.runtime.speech_preparation import KIND as SPEECH
from angulus.runtime.speech_preparation import SpeechPreparation
from angulus.runtime.thresholds import FORMAT, Threshold, check_format
from angulus.storage import arrived

DESCRIPTION, THRESHOLD, CURVES, PARITY, VECTOR = (
    "bundle.json",
    "threshold.json",
    "calibration.json",
    "parity.json",
    "vector.json",
)
KINDS = ("onnx", "openvino", "coreml", "torch")
MOST_DESCRIPTION = 2**24
Preparation = Preprocessing | SpeechPreparation
"""What aligned crops, or recordings, must become."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """The files of a network for one runtime at one precision.

    kind: onnx, openvino, coreml or torch.  files: SHA-256 of each by name, the one to open first.  dim: of a vector.
    mirror: a vector is of both mirror views, added.
    """

    kind: str
    precision: str
    files: Mapping[str, str]
    preprocessing: Preparation
    dim: int
    mirror: bool

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BundleError(f"artefact.kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if not self.files or not all(_SHA256.fullmatch(digest) for digest in self.files.values()):
            raise BundleError("artefact.files must name at least one file, each with its SHA-256 of 64 hex digits")
        if not 1 <= self.dim <= 2**16:
            raise BundleError(f"artefact.dim must be 1 to 65,536, got {self.dim}")

    @cached_property
    def name(self) -> str:
        """The SHA-256 of everything that decides a score."""
        said = {
            **{"kind": self.kind, "precision": self.precision, "files": dict(sorted(self.files.items()))},
            **{"preprocessing": self.preprocessing.to_dict(), "mirror": self.mirror},
        }
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **{"name": self.name, "kind": self.kind, "precision": self.precision, "files": dict(self.files)},
            **{"preprocessing": self.preprocessing.to_dict(), "dim": self.dim, "mirror": self.mirror},
        }

    @classmethod
    def of(cls, given: Fields) -> "Artefact":
        """The inverse of `to_dict`. Raises BundleError, also for a name that is not that of the content."""
        made = cls(
            **{"kind": given.text("kind"), "precision": given.text("precision"), "files": given.texts("files")},
            preprocessing=preparation_from(given.any("preprocessing"), f"{given.where}: artefact.preprocessing"),
            **{"dim": given.whole("dim"), "mirror": given.truth("mirror")},
        )
        if given.text("name") != made.name:
            raise BundleError(f"{given.where} has been changed: the artefact's name is not that of its content")
        return made


@dataclass(frozen=True, kw_only=True)
class BundledDetector:
    """The detector that a bundle was made with: its name and settings, and ONNX files of its networks, if it has any.

    files: of `mtcnn` pnet, rnet and onet; of scrfd, retinaface and yunet `network`; none of yuface.
    """

    name: str
    min_face: float
    score: float | None
    turn: float
    files: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            **{"name": self.name, "min_face": self.min_face, "score": self.score, "turn": self.turn},
            "files": dict(self.files),
        }

    @classmethod
    def of(cls, given: Fields) -> "BundledDetector":
        """The inverse of `to_dict`."""
        return cls(
            **{"name": given.text("name"), "min_face": given.number("min_face"), "turn": given.number("turn")},
            **{"score": given.number("score") if given.has("score") else None, "files": given.texts("files")},
        )


@dataclass(frozen=True, kw_only=True)
class Description:
    """The content of bundle.json.

    model: facts about the network, for people.  detector: None where crops alone are taken.  files: SHA-256 of every
    file but bundle.json itself.
    """

    artefact: Artefact
    detector: BundledDetector | None
    model: Mapping[str, Any]
    angulus: str
    made: str
    files: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        detector = None if self.detector is None else self.detector.to_dict()
        return {
            **{"format": FORMAT, "angulus": self.angulus, "made": self.made, "artefact": self.artefact.to_dict()},
            **{"detector": detector, "model": dict(self.model), "files": dict(self.files)},
        }

    @classmethod
    def of(cls, given: Fields) -> "Description":
        """The inverse of `to_dict`. Raises BundleError."""
        check_format(given)
        artefact, files = Artefact.of(given.inner("artefact")), given.texts("files")
        for name, digest in artefact.files.items():
            if files.get(name) != digest:
                raise BundleError(f"{given.where} has been changed: files and artefact.files differ in {name}")
        detector = BundledDetector.of(given.inner("detector")) if given.has("detector") else None
        for name in () if detector is None else detector.files.values():
            if name not in files:
                raise BundleError(f"{given.where} has been changed: the detector's file {name} is not among its files")
        model = given.inner("model").values
        made, version = given.text("made"), given.text("angulus")
        return cls(artefact=artefact, detector=detector, model=model, angulus=version, made=made, files=files)


class Bundle:
    """A bundle that is there: described, its files read and checked when they are asked for.

    path: a folder or a .zip file. Raises BundleError where it is no bundle, or has been changed.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = arrived(path)
        self._contents: Contents = opened(self.path)
        text = self._contents.read(DESCRIPTION, MOST_DESCRIPTION)
        where = f"{self.path}: {DESCRIPTION}"
        self.description = Description.of(Fields(parsed(text, where), where))
        for name, values in ((THRESHOLD, self.threshold), (CURVES, self.curves)):
            if values is not None and values.artefact != self.artefact.name:
                raise BundleError(
                    f"{self.path}: {name} was measured with another artefact ({values.artefact[:12]}, this is"
                    f" {self.artefact.name[:12]}), whose scores differ; export this one with its own --images"
                )

    @property
    def artefact(self) -> Artefact:
        """What computes the vectors."""
        return self.description.artefact

    def for_photos(self) -> Preprocessing:
        """What aligned crops must become. Raises BundleError for a bundle that takes recordings."""
        found = self.artefact.preprocessing
        if not isinstance(found, Preprocessing):
            raise BundleError(
                f"{self.path} takes recordings of speech, and this works with photos; take angulus"
                " embed and angulus evaluate to compare speakers"
            )
        return found

    @cached_property
    def threshold(self) -> Threshold | None:
        """The deployed threshold; None where it was never calibrated."""
        found = self._json(THRESHOLD)
        return None if found is None else Threshold.from_dict(found, f"{self.path}: {THRESHOLD}")

    @cached_property
    def curves(self) -> Curves | None:
        """Error rates at every threshold; None where it was never calibrated."""
        found = self._json(CURVES)
        return None if found is None else Curves.from_dict(found, f"{self.path}: {CURVES}")

    @cached_property
    def parity(self) -> Mapping[str, Any] | None:
        """What export compared."""
        return self._json(PARITY)

    def calibrated(self) -> Threshold:
        """The deployed threshold. Raises BundleError where there is none."""
        if self.threshold is None:
            raise BundleError(
                f"{self.path} has no threshold: it was exported without labelled images. Export it again with"
                " --images PEOPLE, a folder with one sub-folder for each person"
            )
        return self.threshold

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return name in self.description.files

    def read(self, name: str) -> bytes:
        """The content of a file. Raises BundleError where its digest is not the one in bundle.json."""
        wanted = self.description.files.get(name)
        if wanted is None:
            raise BundleError(f"{self.path} has no {name}")
        content = self._contents.read(name)
        if hashlib.sha256(content).hexdigest() != wanted:
            raise BundleError(f"{self.path}: {name} is damaged or was changed: its SHA-256 is not that of bundle.json")
        return content

    def _json(self, name: str) -> Any:
        return parsed(self.read(name), f"{self.path}: {name}") if self.has(name) else None


def preparation_from(values: object, where: str) -> Preparation:
    """What `to_dict` of either kind of preparation gave. Raises BundleError for anything else."""
    if isinstance(values, dict) and values.get("kind") == SPEECH:
        return SpeechPreparation.from_dict(values, where)
    return Preprocessing.from_dict(cast(Mapping[str, Any], values), where)


def parsed(content: bytes, where: str) -> Any:
    """The value of a JSON text in a bundle. Raises BundleError."""
    try:
        return parse_json(content)
    except ValueError as error:
        raise BundleError(f"{where} is not readable JSON: {error}") from error
