"""Were the people of an evaluation trained on? A run knows the names of its classes, and embeddings carry the mark."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from angulus.cli.inputs.words.named_places import is_run
from angulus.data import Source
from angulus.data.views.split import folded_name
from angulus.embeddings import EmbeddingSet
from angulus.evaluation.report.recommendation import TRAINED_ON

COLUMN = "trained_on"
_SHOWN = 3


def marked(found: EmbeddingSet, model: Path) -> EmbeddingSet:
    """The same with a column that says whose images are of people that the run was trained on, where there are any.

    Names are equal folded: without regard to case, and with " ", "-" and "_" taken as equal.
    """
    if found.labels is None or found.identities is None:
        return found
    rows = trained_rows(model, found.identities, found.labels)
    return found if rows is None else found.with_columns({COLUMN: rows})


def trained_rows(model: Path, identities: Sequence[str], labels: NDArray[np.int64]) -> NDArray[np.bool_] | None:
    """Which examples [n] are of people that a run was trained on; None where none is, and for what is no run."""
    if not is_run(model):
        return None
    from angulus.training.storage.class_names import read_classes  # with the whole room: nothing else here needs it

    names = read_classes(model)
    if names is None:
        return None
    trained = {folded_name(name) for name in names}
    known = np.array([folded_name(name) in trained for name in identities], dtype=bool)
    there = labels >= 0
    rows = np.zeros(len(labels), dtype=bool)
    rows[there] = known[labels[there]]
    return rows if rows.any() else None


def notes_on_known(*sets: EmbeddingSet) -> tuple[str, ...]:
    """A sentence that says how many people of these sets were trained on, with the first names; nothing where none."""
    names: list[str] = []
    people = 0
    for each in sets:
        if each.labels is None:
            continue
        people += len(np.unique(each.labels[each.labels >= 0]))
        rows = np.asarray(each.columns.get(COLUMN, np.zeros(len(each), bool))).astype(bool)
        names += [_name(each, int(label)) for label in np.unique(each.labels[rows])]
    names = list(dict.fromkeys(names))
    return (_sentence(names, people),) if names else ()


def note_on_source(model: Path, source: Source) -> str:
    """The same sentence of images that a run is judged on; empty where it was trained on nobody of them."""
    labels = np.asarray(source.labels)
    rows = trained_rows(model, source.identities, labels)
    if rows is None:
        return ""
    names = list(dict.fromkeys(source.identities[int(label)] for label in np.unique(labels[rows])))
    return _sentence(names, len(np.unique(labels[labels >= 0])))


def _sentence(names: Sequence[str], people: int) -> str:
    first = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return (
        f"{TRAINED_ON} {len(names):,} of these {people:,} people ({first}): the figures say nothing about "
        "people it has not seen; leave those out, or evaluate others"
    )


def _name(found: EmbeddingSet, label: int) -> str:
    return str(label) if found.identities is None else found.identities[label]
