"""Pictures to start from, made of public faces: their average, or what a linear decoder makes of the templates.

    average    the mean of the public faces, which lie as the network wants them: a face already, and nobody's
    decoded    mean face + W (template - mean template), W by ridge regression of the pixels of public faces on their
               unit templates. It needs templates of public faces alone, no gradients: an attack by itself

The ridge of the decoder is the one of six that tells the pixels of a fifth of the people best, who had no part in it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from angulus.errors import DataError
from angulus.inversion.attack.faces.surrogate import FEWEST_PEOPLE, RIDGES, unit

Begin = Literal["noise", "average", "decoded"]
Pixels = NDArray[np.uint8]
PIECE = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearDecoder:
    """matrix float32 [d, h w 3], from unit templates less their mean [d] to pixels less the mean face.

    ridge: times the number of faces.  explained: share of the pixels' variance that is told right on people who had no
    part in it.  faces, people: it was fitted on.
    """

    matrix: NDArray[np.float32]
    mean_template: NDArray[np.float64]
    mean_face: NDArray[np.float32]
    ridge: float
    explained: float
    faces: int
    people: int

    def pictures(self, templates: NDArray[np.float32]) -> Pixels:
        """Templates [n, d] -> pictures uint8 [n, h, w, 3]."""
        offsets = (unit(templates) - self.mean_template).astype(np.float32)
        found = self.mean_face + (offsets @ self.matrix).reshape(-1, *self.mean_face.shape)
        return found.round().clip(0, 255).astype(np.uint8)

    def facts(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"explained": self.explained, "ridge": self.ridge, "faces": self.faces, "people": self.people}


def average_face(faces: Sequence[Pixels] | Pixels) -> Pixels:
    """The mean of faces uint8 [n, h, w, 3], rounded. Raises DataError for none."""
    if not len(faces):
        raise DataError("the average of faces needs at least one face")
    total = np.zeros(faces[0].shape, dtype=np.int64)
    for face in faces:
        total += face
    return (total / len(faces)).round().astype(np.uint8)


def fitted_decoder(
    templates: NDArray[np.float32],
    faces: Callable[[NDArray[np.int64]], Pixels],
    people: NDArray[np.int64],
    *,
    seed: int = 0,
) -> LinearDecoder:
    """The decoder of templates [n, d].

    faces: gives the faces uint8 [m, h, w, 3] of some rows, some hundred at once.  people: whose they are, int64 [n].
    Raises DataError for fewer than 20 people.
    """
    names = np.unique(people)
    if len(names) < FEWEST_PEOPLE:
        raise DataError(
            f"a decoder needs public faces of at least {FEWEST_PEOPLE} people, got {len(names)}: give more with "
            "--public, or another --begin"
        )
    units = unit(templates)
    aside = np.isin(people, np.random.default_rng(seed).permutation(names)[: max(4, len(names) // 5)])
    own, other = (_Sums(units, faces, np.flatnonzero(rows)) for rows in (~aside, aside))
    scored = [(own.explained_of(other, units, faces, ridge), ridge) for ridge in RIDGES]
    explained, ridge = max(scored)
    return _Sums(units, faces, np.arange(len(units))).decoder(ridge, explained, len(names))


class _Sums:
    """What ridge regression needs of some faces, summed in float64 over a few at once."""

    def __init__(
        self, units: NDArray[np.float64], faces: Callable[[NDArray[np.int64]], Pixels], rows: NDArray[np.int64]
    ) -> None:
        self.rows = rows
        self.shape = faces(rows[:1]).shape[1:]
        self.count, dim = len(rows), units.shape[1]
        self.mean = units[rows].mean(axis=0)
        centred = units[rows] - self.mean
        self.gram = centred.T @ centred
        self.face, self.product = np.zeros(self.shape), np.zeros((dim, int(np.prod(self.shape))))
        for part, pixels in pieces(faces, rows):
            self.face += pixels.sum(axis=0, dtype=np.float64)
            self.product += (units[part] - self.mean).T @ pixels.reshape(len(part), -1).astype(np.float64)
        self.face /= self.count  # its part in the product is 0, since the templates are centred

    def weights(self, ridge: float) -> NDArray[np.float64]:
        dim = len(self.gram)
        return np.linalg.solve(self.gram + ridge * self.count / dim * np.eye(dim), self.product)

    def decoder(self, ridge: float, explained: float, people: int) -> LinearDecoder:
        return LinearDecoder(
            matrix=self.weights(ridge).astype(np.float32),
            mean_template=self.mean,
            mean_face=self.face.astype(np.float32),
            ridge=ridge,
            explained=explained,
            faces=self.count,
            people=people,
        )

    def explained_of(
        self,
        other: "_Sums",
        units: NDArray[np.float64],
        faces: Callable[[NDArray[np.int64]], Pixels],
        ridge: float,
    ) -> float:
        """The share of the variance of others' pixels around this mean face that the weights tell."""
        weights, left, whole = self.weights(ridge), 0.0, 0.0
        for part, pixels in pieces(faces, other.rows):
            offsets = pixels.reshape(len(part), -1) - self.face.reshape(-1)
            whole += float(np.square(offsets).sum())
            left += float(np.square(offsets - (units[part] - self.mean) @ weights).sum())
        return 1 - left / whole if whole else 0.0


def pieces(
    faces: Callable[[NDArray[np.int64]], Pixels], rows: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], Pixels]]:
    """The rows in parts, with the faces of each."""
    for start in range(0, len(rows), PIECE):
        part = rows[start : start + PIECE]
        yield part, faces(part)
