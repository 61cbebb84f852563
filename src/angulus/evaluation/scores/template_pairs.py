"""Which templates are compared or searched: pairs of template ids, and galleries with the subject of each."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.errors import EvaluationError


@dataclass(frozen=True, kw_only=True, eq=False)
class TemplatePairs:
    """p comparisons between templates by id: left and right whole numbers [p] (int32 saves memory), same bool [p]."""

    left: NDArray[np.integer]
    right: NDArray[np.integer]
    same: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if not (len(self.left) == len(self.right) == len(self.same)):
            raise EvaluationError(
                "left, right and same must have one entry for each pair of templates, got"
                f" {len(self.left)}, {len(self.right)} and {len(self.same)}"
            )

    def __len__(self) -> int:
        return len(self.left)


@dataclass(frozen=True, kw_only=True, eq=False)
class TemplateGallery:
    """Template ids int64 [g] and the subject of each, whole numbers [g]: a gallery, or a set of probes."""

    templates: NDArray[np.int64]
    subjects: NDArray[np.int64]

    def __post_init__(self) -> None:
        if len(self.templates) != len(self.subjects):
            raise EvaluationError(
                f"templates and subjects must be of one length, got {len(self.templates)} and {len(self.subjects)}"
            )


def subject_pairs(left: ArrayLike, right: ArrayLike, subjects: TemplateGallery) -> TemplatePairs:
    """Pairs of template ids whose kind follows from the subject of each template (IJB-A's comparison files)."""
    order = np.argsort(subjects.templates, kind="stable")
    ids = subjects.templates[order]
    sides = []
    for side in (np.asarray(left), np.asarray(right)):
        places = np.minimum(np.searchsorted(ids, side), max(len(ids) - 1, 0))
        missing = np.flatnonzero(ids[places] != side) if len(ids) else np.arange(len(side))
        if len(missing):
            raise EvaluationError(f"template {side[missing[0]]} of pair {missing[0]} has no subject in the metadata")
        sides.append(subjects.subjects[order[places]])
    return TemplatePairs(left=np.asarray(left), right=np.asarray(right), same=sides[0] == sides[1])
