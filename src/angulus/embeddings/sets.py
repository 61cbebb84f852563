"""What a model made of a set of images: one embedding per image, with labels, keys, names and columns.

Embeddings are kept as the model gave them, of any norm: the norm carries information (image quality), and evaluation
protocols differ in where they normalise. `unit()` puts them on the hypersphere. When the mirrored images were embedded
too, `combined()` joins both views.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.embeddings import files
from angulus.embeddings.columns import array_of, checked_columns, numbered_labels, texts
from angulus.embeddings.directions import row_norms, unit_rows
from angulus.errors import EvaluationError
from angulus.storage import arrived, placed

View = Literal["plain", "sum", "concat"]
VIEWS: tuple[View, ...] = get_args(View)


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbeddingSet:
    """Embeddings [n, d] of n images, in the order in which they were read.

    embeddings: float32 [n, d], raw (any norm). labels: int64 [n], the identity of each image as a number; names given
    as labels become numbers, and `identities` their sorted list. keys: n names, one per image, as a protocol file would
    call it. identities: names, where `identities[label]` is a person. flipped: float32 [n, d], the embeddings of the
    mirrored images. columns: whatever else is known of each image (camera, sex, age, group), n numbers or texts each;
    NaN stands for a missing number.

    Raises EvaluationError when shapes or lengths do not match or a value is not finite (the row is named).
    """

    embeddings: NDArray[np.float32]
    labels: NDArray[np.int64] | None = None
    keys: tuple[str, ...] | None = None
    identities: tuple[str, ...] | None = None
    flipped: NDArray[np.float32] | None = None
    columns: Mapping[str, NDArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        set_field = object.__setattr__  # the only place where a frozen set is written: fields take their stated types
        if self.keys is not None:
            set_field(self, "keys", texts(self.keys))
        if self.identities is not None:
            set_field(self, "identities", texts(self.identities))
        set_field(self, "embeddings", self._checked_matrix("embeddings", self.embeddings))
        if self.flipped is not None:
            set_field(self, "flipped", self._checked_matrix("flipped", self.flipped))
        if self.labels is not None:
            labels, identities = numbered_labels(self.labels, self.identities)
            set_field(self, "labels", labels)
            set_field(self, "identities", identities)
        self._check_lengths()
        set_field(self, "columns", checked_columns(self.columns, len(self), files.RESERVED))

    def __len__(self) -> int:
        return len(self.embeddings)

    @property
    def dim(self) -> int:
        """Length d of one embedding."""
        return self.embeddings.shape[1]

    @property
    def noun(self) -> str:
        """What an example is called: those with a column of their seconds are recordings, others images."""
        return "recording" if "seconds" in self.columns else "image"

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
            with np.errstate(over="ignore"):  # `unit` says which row
                return self.embeddings + self.flipped
        return np.concatenate([self.embeddings, self.flipped], axis=1)

    def norms(self, view: View = "plain") -> NDArray[np.float32]:
        """Euclidean norm of each embedding [n]."""
        return row_norms(self.combined(view))

    @property
    def usual_view(self) -> View:
        """The sum with the mirror images where the set has them: recordings have none."""
        return "plain" if self.flipped is None else "sum"

    def unit(self, view: View = "plain") -> NDArray[np.float32]:
        """Embeddings of length 1; a zero embedding has no direction and raises EvaluationError with its row."""
        matrix = self.combined(view)
        unit, norms = unit_rows(matrix)
        zeros = np.flatnonzero(norms == 0)
        if len(zeros):
            raise EvaluationError(
                f"an embedding must have a direction, got all zeros in {self.describe(int(zeros[0]))}"
                f" ({len(zeros)} such rows); remove these images or check the model"
            )
        self._check_directions(unit)
        return unit

    def _check_directions(self, unit: NDArray[np.float32]) -> None:
        lost = np.flatnonzero(~np.isfinite(unit.sum(axis=1)))
        if len(lost):
            raise EvaluationError(
                f"an embedding must be finite, got a sum of both views beyond float32 in {self.describe(int(lost[0]))}"
                f" ({len(lost)} such rows); use view='plain', or check the model"
            )

    def select(self, rows: ArrayLike) -> Self:
        """The set of these rows only (indices or a boolean mask), in the given order."""
        picked = np.arange(len(self))[np.asarray(rows)]
        return replace(
            self,
            embeddings=self.embeddings[picked],
            labels=None if self.labels is None else self.labels[picked],
            keys=None if self.keys is None else tuple(self.keys[row] for row in picked),
            flipped=None if self.flipped is None else self.flipped[picked],
            columns={name: values[picked] for name, values in self.columns.items()},
        )

    def column(self, name: str) -> NDArray:
        """The column of this name [n]; EvaluationError lists the names there are."""
        if name not in self.columns:
            there = ", ".join(self.columns) or "none"
            raise EvaluationError(f"these embeddings have no column {name!r}; columns: {there}")
        return self.columns[name]

    def with_columns(self, columns: Mapping[str, ArrayLike]) -> Self:
        """The same set with these columns added (or replaced, where the name is there already)."""
        added = {name: np.asarray(values) for name, values in columns.items()}
        return replace(self, columns={**self.columns, **added})

    def save(self, path: str | Path, *, stored: files.Stored = "float32") -> Path:
        """Write one file, whole or not at all, as its suffix says (.npz, .safetensors, .npy); returns its path.

        stored: "float16" halves the file and rounds the embeddings to 11 bits. A `.npy` takes embeddings and labels
        only, the labels in a second file; EvaluationError when the set has more.
        """
        names = ("embeddings", "flipped", "labels", "keys", "identities")
        return files.write(placed(path), {name: getattr(self, name) for name in names}, self.columns, stored)

    @classmethod
    def load(cls, path: str | Path, *, labels: str | Path | None = None) -> Self:
        """Read a set that `save` or another tool wrote, as its suffix says (see `angulus.embeddings.files`).

        labels: a `.npy` or text file (one label a line) that holds the labels, in place of those stored with the set.
        """
        return cls(**files.read(arrived(path), None if labels is None else arrived(labels)))

    def _checked_matrix(self, name: str, values: ArrayLike) -> NDArray[np.float32]:
        matrix = _matrix(name, values)
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


def as_set(embeddings: EmbeddingSet | ArrayLike, labels: ArrayLike | None = None) -> EmbeddingSet:
    """A set of what a user has at hand: a set, or an array or tensor [n, d]; with these labels, if any are given.

    Raises EvaluationError for anything else.
    """
    given: Any = labels  # numbers or names: the set makes of them what its fields state
    if not isinstance(embeddings, EmbeddingSet):
        if isinstance(embeddings, str | Path):
            raise EvaluationError(
                f"embeddings must be an EmbeddingSet, an array or a tensor, got the path {str(embeddings)!r};"
                f" read the file with EmbeddingSet.load({str(embeddings)!r})"
            )
        return EmbeddingSet(embeddings=_matrix("embeddings", embeddings), labels=given)
    return embeddings if labels is None else replace(embeddings, labels=given, identities=None)


def _matrix(name: str, values: ArrayLike) -> NDArray:
    """Numbers as an array. Raises EvaluationError for what is none."""
    try:
        matrix = array_of(values)
    except (TypeError, ValueError) as error:  # rows of unlike lengths
        raise EvaluationError(f"{name} must have the shape [images, dimensions], got {error}") from error
    if matrix.dtype.kind not in "fiub":
        raise EvaluationError(
            f"{name} must be numbers of the shape [images, dimensions], got {type(values).__name__} of {matrix.dtype}"
        )
    return matrix
