"""Pairs of two people that score as one person does are told, whichever way the scores were made."""

import numpy as np
import pytest

from angulus.embeddings import EmbeddingSet
from angulus.evaluation.protocols import verification
from angulus.evaluation.protocols.one_person_twice import notes_on_alike
from angulus.evaluation.protocols.verification import verify
from angulus.evaluation.scores.pairs import Pairs


def people(twice: int) -> EmbeddingSet:
    """Forty people with three images each; the first image of so many is that of the next person as well."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(40), 3)
    vectors = random.normal(size=(40, 32))[labels] + 0.5 * random.normal(size=(120, 32))
    for number in range(twice):
        vectors[6 * number] = vectors[6 * number + 3]
    keys = tuple(f"p{label}/{row}.jpg" for row, label in enumerate(labels))
    return EmbeddingSet(embeddings=vectors.astype(np.float32), labels=labels, keys=keys)


@pytest.mark.parametrize("intervals", [True, False])
@pytest.mark.parametrize("counted", [True, False])
def test_they_are_counted_and_the_first_are_named(monkeypatch, intervals, counted):
    if counted:
        monkeypatch.setattr(verification, "MOST_IN_MEMORY", 0)
    (note,) = verify(people(2), intervals=intervals, fars=(0.01,)).notes
    assert note.startswith("2 pairs of two people score above 0.99, as photos of one person do")
    if intervals or not counted:
        assert 'row 0 ("p0/0.jpg") and row 3 ("p1/3.jpg"); row 6 ("p2/6.jpg") and row 9 ("p3/9.jpg")' in note
    assert "angulus data report FOLDER" in note
    assert "--edits" in note
    assert verify(people(0), intervals=intervals).notes == ()


def test_listed_pairs_are_looked_at_too():
    pairs = Pairs(left=np.array([0, 1, 0]), right=np.array([3, 2, 60]), same=np.array([False, True, False]))
    (note,) = verify(people(1), pairs).notes
    assert note.startswith("1 pair of two people scores above 0.99")


def test_a_model_that_tells_nobody_apart_is_not_blamed_on_the_names():
    vectors = EmbeddingSet(embeddings=np.ones((4, 2), np.float32))
    (note,) = notes_on_alike(vectors, np.ones(50, np.float32), np.zeros(50, int), np.ones(50, int), 100)
    assert note.startswith("50 of 100 pairs of two people score above 0.99: the model tells hardly anybody apart")
