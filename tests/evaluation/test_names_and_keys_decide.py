"""Keys and names decide what is compared: repeated keys, images in both sets, rules of numbers, one person."""

import numpy as np
import pytest

from angulus.embeddings import EmbeddingSet
from angulus.embeddings.shared_images import shared_rows
from angulus.errors import EvaluationError
from angulus.evaluation import identify, match
from angulus.evaluation.files.blufr_lists import BlufrTrial, BlufrTrials
from angulus.evaluation.rates.retrieval import retrieve
from angulus.evaluation.scores.pairs import NamedPairs
from angulus.evaluation.scores.search_tasks import MARKET_1501, MSMT17

PEOPLE = np.repeat(np.arange(4), 4)
CAMERAS = {"camera": np.tile(["c1", "c2"], 8)}


def vectors(rows=16, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, 6)).astype(np.float32)


def named(names):
    return EmbeddingSet(embeddings=vectors(len(names)), labels=names, columns={"camera": CAMERAS["camera"]})


def figures(result):
    return result.queries, result.recall(1), result.mean_average_precision


def test_a_pair_list_that_meets_a_repeated_key_is_refused():
    found = EmbeddingSet(embeddings=vectors(3), keys=("a.jpg", "a.jpg", "b.jpg"))
    asked = NamedPairs(left=("a.jpg",), right=("b.jpg",), same=np.array([True]))
    with pytest.raises(EvaluationError, match=r"the pair list names 'a\.jpg', and 2 rows .* have this key"):
        match(asked, found)
    elsewhere = EmbeddingSet(embeddings=vectors(4), keys=("c.jpg", "c.jpg", "a.jpg", "b.jpg"))
    assert match(asked, elsewhere).left.tolist() == [2]


def test_trials_name_the_file_name_that_repeats():
    trial = BlufrTrial(gallery=np.array([0]), probe=np.array([1]))
    with pytest.raises(EvaluationError, match="got 'x' more than once"):
        BlufrTrials(trials=(trial,), names=("x", "y")).matched(["a/x.jpg", "b/x.jpg", "y.jpg"])


@pytest.mark.parametrize("keys", [tuple(f"{row}.jpg" for row in range(16)), None])
def test_a_set_searched_in_its_own_file_is_searched_in_itself(keys):
    found = EmbeddingSet(embeddings=vectors(), labels=PEOPLE, keys=keys)
    again = EmbeddingSet(embeddings=vectors().copy(), labels=PEOPLE, keys=keys)
    result = retrieve(found, again)
    assert figures(result) == figures(retrieve(found))
    assert "16 queries are in the gallery too" in result.table()


def test_equal_keys_of_other_images_are_other_images():
    keys = tuple(f"Ada/{row:04d}.jpg" for row in range(16))
    one = EmbeddingSet(embeddings=vectors(), labels=PEOPLE, keys=keys)
    other = EmbeddingSet(embeddings=vectors(seed=1), labels=PEOPLE, keys=keys)
    assert (shared_rows(one, other, PEOPLE, PEOPLE) == -1).all()
    assert retrieve(one, other).right.tolist() == [4] * 16


def test_a_network_that_says_the_same_of_everything_shares_nothing():
    flat = EmbeddingSet(embeddings=np.ones((16, 6)), labels=PEOPLE)
    assert (shared_rows(flat, flat, PEOPLE, PEOPLE) == -1).all()


def test_a_repeated_key_in_both_sets_is_refused():
    found = EmbeddingSet(embeddings=np.ones((3, 2)), labels=[0, 0, 1], keys=("a", "a", "b"))
    with pytest.raises(EvaluationError, match="the key 'a' stands for 2 rows"):
        retrieve(found, found)


def test_a_person_that_is_first_by_alphabet_is_no_distractor():
    names = np.repeat(["Ann", "Bob", "Cid", "Dee"], 4)
    assert figures(retrieve(named(names), rule=MARKET_1501)) == figures(retrieve(named(names), rule=MSMT17))


@pytest.mark.parametrize("zero", ["0", "0000"])
def test_market_names_are_market_numbers(zero):
    names = np.repeat(["-1", zero, "0001", "0002"], 4)
    numbers = np.repeat([-1, 0, 1, 2], 4)
    result = retrieve(named(names), rule=MARKET_1501)
    assert figures(result) == figures(retrieve(named(numbers), rule=MARKET_1501))
    assert result.queries == 8
    assert "junk (label -1): 4 gallery images; 4 queries are not searched for" in result.table()
    assert "distractors, which are never right (label 0): 4 gallery images; 4 queries" in result.table()
    assert len(result.as_dict()["notes"]) == 2


def test_a_rule_of_numbers_needs_both_sets_in_one_form():
    with pytest.raises(EvaluationError, match="one of both sets names people while the other numbers them"):
        retrieve(named(np.repeat(["0", "1", "2", "3"], 4)), named(PEOPLE), rule=MARKET_1501)


def test_one_person_cannot_be_told_from_others():
    with pytest.raises(EvaluationError, match="one person cannot be told from others"):
        retrieve(EmbeddingSet(embeddings=vectors(6), labels=np.zeros(6, dtype=int)))


@pytest.mark.parametrize(
    ("queries", "gallery", "cameras", "rule", "why"),
    [
        ([1, 2], [1, 2], "cc", MSMT17, "excluded by the same-camera rule"),
        ([1, 2], [3, 4], "cd", MSMT17, "none of their people is in the gallery"),
        ([0, -1], [0, 1], "cd", MARKET_1501, "all of them are junk or distractors"),
    ],
)
def test_why_there_is_nothing_to_find(queries, gallery, cameras, rule, why):
    sides = [
        EmbeddingSet(embeddings=vectors(2, seed), labels=labels, columns={"camera": [camera] * 2})
        for seed, (labels, camera) in enumerate(zip((queries, gallery), cameras, strict=True))
    ]
    with pytest.raises(EvaluationError, match=why):
        retrieve(*sides, rule=rule)


def test_one_image_a_person_has_nothing_to_find():
    with pytest.raises(EvaluationError, match="has one image alone, the query itself"):
        retrieve(EmbeddingSet(embeddings=vectors(3), labels=[0, 1, 2]))


def test_a_gallery_of_one_person_is_said():
    unit = np.eye(3, dtype=np.float32)
    labels = {"probe_labels": np.array([0, 1]), "gallery_labels": np.array([0])}
    assert "holds one person alone" in identify(unit[:2], unit[2:], **labels).table()
    labels["gallery_labels"] = np.array([0, 1])
    assert "one person" not in identify(unit[:2], unit[1:], **labels).table()
