"""Crops or recordings to vectors of length 1, by the artefact of a bundle, whose test vector is computed first."""

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.errors import BundleError
from angulus.runtime.bundles import VECTOR, Bundle, parsed
from angulus.runtime.fields import Fields
from angulus.runtime.networks import Network, RuntimeChoice, open_onnx, open_openvino, runtime_for
from angulus.runtime.preparation import Crops
from angulus.runtime.speech_preparation import Examples

Vectors = NDArray[np.float32]
BATCH = 32
MOST_TESTED = 8
TOLERANCE = {"float32": 1e-4, "float16": 1e-3, "int8": 1e-2}
"""Cosine distance to the stored test vector: kernels and vector units differ a little, wrong weights far more."""


class Embedder:
    """The network of a bundle, ready. Calls may come from several threads.

    runtime: auto takes the first that is installed of those that can open the file.  threads: that one call may use.
    Raises BundleError where nothing here opens it, and where it is not the network that was exported.
    """

    def __init__(self, bundle: Bundle, *, runtime: RuntimeChoice = "auto", threads: int = 1) -> None:
        if threads < 1:
            raise BundleError(f"threads must be at least 1, got {threads}")
        self.bundle, self.artefact = bundle, bundle.artefact
        self.runtime = runtime_for(self.artefact.kind, runtime)
        self._network = self._open(threads)
        self._check()

    def vectors(self, crops: Crops | Examples, *, batch: int = BATCH) -> Vectors:
        """Vectors of length 1 [n, d], float32, of crops uint8 [n, height, width, 3], RGB; `batch` of them at once.

        A bundle for speech takes recordings of one length: int16 or float32 [n, samples] on the scale of 16-bit
        integers at the rate of its network, or features [n, frames, bands].
        """
        return self._both(crops, batch)[0]

    def embeddings(self, crops: Crops | Examples, *, batch: int = BATCH) -> Vectors:
        """The same at the lengths that the model gives them; some published protocols depend on these."""
        vectors, lengths = self._both(crops, batch)
        return vectors * lengths

    def _both(self, crops: Crops | Examples, batch: int) -> tuple[Vectors, Vectors]:
        preparation = self.artefact.preprocessing
        preparation.check(crops)
        found = [(np.empty((0, self.artefact.dim), np.float32), np.empty((0, 1), np.float32))]
        for start in range(0, len(crops), batch):
            found.append(self._run(preparation.ready(crops[start : start + batch])))
        vectors, lengths = zip(*found, strict=True)
        return np.concatenate(vectors), np.concatenate(lengths)

    def _run(self, images: NDArray[Any]) -> tuple[Vectors, Vectors]:
        """Vectors of length 1 [n, d] and the lengths [n, 1] that the file gives beside them, or that they had."""
        outputs = self._network(images)
        vectors = np.asarray(outputs[0], dtype=np.float32)
        if vectors.shape != (len(images), self.artefact.dim):
            raise BundleError(
                f"the network gave {list(vectors.shape)} for {len(images)} examples, bundle.json says dim"
                f" {self.artefact.dim}; export the bundle again"
            )
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or (lengths == 0).any():
            raise BundleError("the network gave a vector without a direction (NaN, infinity or zero)")
        said = np.asarray(outputs[1], dtype=np.float32).reshape(len(images), -1) if len(outputs) > 1 else lengths
        return vectors / lengths, said if said.shape == lengths.shape else lengths

    def _open(self, threads: int) -> Network:
        bundle, files = self.bundle, list(self.artefact.files)
        if self.artefact.kind == "torch":
            # by name: nothing that deploys without torch may import it
            return import_module("angulus.export.torch_network").opened(bundle, threads)
        if self.artefact.kind == "onnx":
            return open_onnx(bundle.read(files[0]), self.runtime, threads)
        if len(files) != 2:
            raise BundleError(f"{bundle.path}: an OpenVINO network has two files, got {', '.join(files)}")
        return open_openvino(bundle.read(files[0]), bundle.read(files[1]), threads)

    def _check(self) -> None:
        """Raise BundleError where the test vector comes out otherwise."""
        where = f"{self.bundle.path}: {VECTOR}"
        rows = Fields(parsed(self.bundle.read(VECTOR), where), where).any("vectors")
        if not isinstance(rows, list) or not 1 <= len(rows) <= MOST_TESTED:
            raise BundleError(f"{where} must have 1 to {MOST_TESTED} vectors")
        vectors = [Fields({"vector": row}, where).numbers("vector") for row in rows]
        if len({len(vector) for vector in vectors}) > 1:
            raise BundleError(f"{where} must have vectors of one length, got {[len(vector) for vector in vectors]}")
        wanted = np.array(vectors, dtype=np.float32)
        found = self.vectors(self.artefact.preprocessing.formula(len(rows)))
        if wanted.shape != found.shape:
            raise BundleError(f"{where} must be {list(found.shape)}, got {list(wanted.shape)}")
        distance = float((1 - (found * wanted).sum(1)).max())
        most = TOLERANCE.get(self.artefact.precision, TOLERANCE["int8"])
        if not distance <= most:
            raise BundleError(
                f"{self.bundle.path} gives other vectors here than where it was exported (cosine distance"
                f" {distance:.2g}, at most {most:g} in {self.artefact.precision}): its threshold does not hold for"
                f" them; try --runtime, or export it again on this machine"
            )
