"""From the templates of one network to those of another, so that a thief without its gradients can attack it.

The thief embeds some public faces with both networks (the attacked one may be a service that answers with vectors), and
fits one linear map between the two spaces by ridge regression:

    W = argmin ||B W - A||^2 + ridge ||W||^2       B: unit templates of the attacked network, A: raw ones of the other

The ridge is the one of six whose map gives the highest mean cosine on a fifth of the people, who had no part in it;
then the map is fitted on everybody. That spaces of face recognisers differ by little more than a linear map is shown by
McNeely-White et al., "Canonical Face Embeddings", IEEE T-BIOM 2022.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.errors import DataError

RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
FEWEST_PEOPLE = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class SpaceMap:
    """matrix [d, e], from unit templates of d dimensions to templates of e.  ridge: times the number of faces.

    cosine: mean, of mapped templates and true ones of people who had no part in it.  faces, people: it was fitted on.
    """

    matrix: NDArray[np.float64]
    ridge: float
    cosine: float
    faces: int
    people: int
    length: float

    def facts(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"cosine": self.cosine, "ridge": self.ridge, "faces": self.faces, "people": self.people}

    def apply(self, templates: NDArray[np.float32]) -> NDArray[np.float32]:
        """Templates [n, d] -> [n, e], with the mean length of the other network's."""
        mapped = unit(templates) @ self.matrix
        return (unit(mapped) * self.length).astype(np.float32)


def fitted_map(
    given: NDArray[np.float32], wanted: NDArray[np.float32], people: NDArray[np.int64], *, seed: int = 0
) -> SpaceMap:
    """The map from templates `given` [n, d] to `wanted` [n, e] of the same faces. people: whose they are, int64 [n].

    Raises DataError for fewer than 20 people.
    """
    names = np.unique(people)
    if len(names) < FEWEST_PEOPLE:
        raise DataError(f"a map between networks needs faces of at least {FEWEST_PEOPLE} people, got {len(names)}")
    held_out = np.random.default_rng(seed).permutation(names)[: max(4, len(names) // 5)]
    aside = np.isin(people, held_out)
    units, raw = unit(given), wanted.astype(np.float64)
    scored = []
    for ridge in RIDGES:
        mapped = unit(units[aside] @ ridge_solution(units[~aside], raw[~aside], ridge))
        scored.append((float((mapped * unit(raw[aside])).sum(1).mean()), ridge))
    cosine, ridge = max(scored)
    return SpaceMap(
        matrix=ridge_solution(units, raw, ridge),
        ridge=ridge,
        cosine=cosine,
        faces=len(given),
        people=len(names),
        length=float(np.linalg.norm(raw, axis=1).mean()),
    )


def ridge_solution(given: NDArray[np.float64], wanted: NDArray[np.float64], ridge: float) -> NDArray[np.float64]:
    """W [d, e] that minimises ||given W - wanted||^2 + ridge n / d ||W||^2; float64."""
    dim = given.shape[1]
    gram = given.T @ given + ridge * len(given) / dim * np.eye(dim)
    return np.linalg.solve(gram, given.T @ wanted)


def unit(templates: NDArray) -> NDArray[np.float64]:
    """Rows of length 1, in float64."""
    found = np.asarray(templates, dtype=np.float64)
    return found / np.linalg.norm(found, axis=1, keepdims=True)
