"""What a model made of a set of images: one embedding per image, with labels, keys and names (numpy only).

Embeddings are kept as the model gave them, of any norm: the norm carries information (image quality), and evaluation
protocols differ in where they normalise. `unit()` puts them on the hypersphere. When the mirrored images were embedded
too, `combined()` joins both views.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.errors import EvaluationError

View = Literal["plain", "sum", "concat"]
VIEWS: tuple[View, ...] = get_args(View)

# The names under which other tools store the same things, beside our own.
_STORED_NAMES = {
    "embeddings": ("embeddings", "emb"),
    "flipped": ("flipped", "emb_flip"),
    "labels": ("labels", "label"),
    "keys": ("keys", "names"),
    "identities": ("identities", "identity"),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbeddingSet:
    """Embeddings [n, d] of n images, in the order in which they were read.

    embeddings: float32 [n, d], raw (any norm). labels: int64 [n], the identity of each image as a number.
    keys: n names, one per image, as a protocol file would call it. identities: names, where `identities[label]` is a
    person. flipped: float32 [n, d], the embeddings of the mirrored images.

    Raises EvaluationError when shapes or lengths do not match or a value is not finite (the row is named).
    """

    embeddings: NDArray[np.float32]
    labels: NDArray[np.int64] | None = None
    keys: tuple[str, ...] | None = None
    identities: tuple[str, ...] | None = None
    flipped: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        set_field = object.__setattr__  # the only place where a frozen set is written: fields take their stated types
        if self.keys is not None:
            set_field(self, "keys", _texts(self.keys))
        if self.identities is not None:
            set_field(self, "identities", _texts(self.identities))
        set_field(self, "embeddings", self._checked_matrix("embeddings", self.embeddings))
        if self.flipped is not None:
            set_field(self, "flipped", self._checked_matrix("flipped", self.flipped))
        if self.labels is not None:
            set_field(self, "labels", _checked_labels(self.labels))
        self._check_lengths()

    def __len__(self) -> int:
        return len(self.embeddings)

    @property
    def dim(self) -> int:
        """Length d of one embedding."""
        return self.embeddings.shape[1]

    def describe(self, row: int) -> str:
        """A name for a row in messages: `row 3 ("Ada/Ada_0001.jpg")`."""
        return f"row {row}" + (f' ("{self.keys[row]}")' if self.keys is not None and row < len(self.keys) else "")

    def combined(self, view: View = "plain") -> NDArray[np.float32]:
        """The embeddings of one view, not normalised.

        "plain": the image alone [n, d]. "sum": image plus mirrored image, raw values added [n, d].
        "concat": image and mirrored image side by side [n, 2d].
        """
        if view not in VIEWS:
            raise EvaluationError(f"view must be one of {', '.join(VIEWS)}, got {view!r}")
        if view == "plain":
            return self.embeddings
        if self.flipped is None:
            raise EvaluationError(
                f"view {view!r} needs the embeddings of the mirrored images, and this set has none;"
                " embed with flip=True or use view='plain'"
            )
        if view == "sum":
            return self.embeddings + self.flipped
        return np.concatenate([self.embeddings, self.flipped], axis=1)

    def norms(self, view: View = "plain") -> NDArray[np.float32]:
        """Euclidean norm of each embedding [n]."""
        return np.linalg.norm(self.combined(view), axis=1)

    def unit(self, view: View = "plain") -> NDArray[np.float32]:
        """Embeddings of length 1; a zero embedding has no direction and raises EvaluationError with its row."""
        matrix = self.combined(view)
        norms = np.linalg.norm(matrix, axis=1, keepdims=True)
        zeros = np.flatnonzero(norms[:, 0] == 0)
        if len(zeros):
            raise EvaluationError(
                f"an embedding must have a direction, got all zeros in {self.describe(int(zeros[0]))}"
                f" ({len(zeros)} such rows); remove these images or check the model"
            )
        return matrix / norms

    def select(self, rows: ArrayLike) -> Self:
        """The set of these rows only (indices or a boolean mask), in the given order."""
        picked = np.arange(len(self))[np.asarray(rows)]
        return replace(
            self,
            embeddings=self.embeddings[picked],
            labels=None if self.labels is None else self.labels[picked],
            keys=None if self.keys is None else tuple(self.keys[row] for row in picked),
            flipped=None if self.flipped is None else self.flipped[picked],
        )

    def save(self, path: str | Path) -> Path:
        """Write one .npz file, whole or not at all; returns its path."""
        path = Path(path)
        if path.suffix != ".npz":
            raise EvaluationError(f"embeddings are stored as .npz, got the file name {path.name!r}")
        values = {name: getattr(self, name) for name in _STORED_NAMES}
        arrays = {name: np.asarray(value) for name, value in values.items() if value is not None}
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            with partial.open("wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return path

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read an .npz file written by `save`, or one with the arrays emb, emb_flip, label, names, identity."""
        try:
            with np.load(Path(path), allow_pickle=False) as stored:
                found = {
                    field: stored[name] for field, names in _STORED_NAMES.items() for name in names if name in stored
                }
        except FileNotFoundError:
            raise EvaluationError(f"no embeddings at {path}: the file does not exist") from None
        except (OSError, ValueError, EOFError) as problem:
            raise EvaluationError(f"{path} is not a readable .npz file of embeddings: {problem}") from problem
        if "embeddings" not in found:
            raise EvaluationError(f"{path} holds no array named embeddings or emb")
        return cls(**found)

    def _checked_matrix(self, name: str, values: ArrayLike) -> NDArray[np.float32]:
        matrix = np.asarray(values)
        if matrix.ndim != 2 or matrix.shape[1] == 0:
            raise EvaluationError(f"{name} must have the shape [images, dimensions], got {list(matrix.shape)}")
        # Not astype's default copy: a set often wraps an array of gigabytes that is float32 already.
        matrix = matrix.astype(np.float32, copy=False)
        if not np.isfinite(matrix.sum(dtype=np.float64)):
            bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
            raise EvaluationError(
                f"{name} must be finite, got NaN or infinity in {self.describe(int(bad[0]))}, {len(bad)} rows"
            )
        return matrix

    def _check_lengths(self) -> None:
        if self.flipped is not None and self.flipped.shape != self.embeddings.shape:
            raise EvaluationError(
                f"flipped must have the shape of embeddings {list(self.embeddings.shape)},"
                f" got {list(self.flipped.shape)}"
            )
        for name, values in (("labels", self.labels), ("keys", self.keys)):
            if values is not None and len(values) != len(self):
                raise EvaluationError(
                    f"{name} must have one entry for each of the {len(self)} embeddings, got {len(values)}"
                )
        if self.labels is not None and self.identities is not None and len(self.labels):
            top = int(self.labels.max())
            if top >= len(self.identities):
                raise EvaluationError(f"labels must be below the {len(self.identities)} identities named, got {top}")


def _texts(values: Iterable[str | bytes]) -> tuple[str, ...]:
    return tuple(value.decode() if isinstance(value, bytes) else str(value) for value in values)


def _checked_labels(values: ArrayLike) -> NDArray[np.int64]:
    labels = np.asarray(values)
    if labels.ndim != 1 or not (np.issubdtype(labels.dtype, np.integer) or labels.size == 0):
        raise EvaluationError(
            f"labels must be whole numbers of shape [images], got {labels.dtype} {list(labels.shape)}"
        )
    return labels.astype(np.int64, copy=False)
