"""Retrieval and re-identification against plain loops, with ties, junk, distractors and cameras."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from real_data import SHARED, needs_shared
from reference import retrieval as oracle

from angulus.embeddings import EmbeddingSet
from angulus.errors import EvaluationError
from angulus.evaluation.rates import retrieval
from angulus.evaluation.rates.ranking import average_precision, ranks_of_matches
from angulus.evaluation.rates.retrieval import retrieval_of_scores, retrieve
from angulus.evaluation.scores.reranking import Reranking, reranked_blocks
from angulus.evaluation.scores.search_tasks import MARKET_1501, MSMT17, PLAIN, RETRIEVAL_RULES, SearchTask, search_task

AT = (1, 2, 5)


def corners(random, count):
    """Unit vectors whose products are exact in float32, so that ties are ties."""
    return random.choice([-0.5, 0.5], size=(count, 4)).astype(np.float32)


def expected(scores, task):
    rows = {}
    for row, values in enumerate(scores.tolist()):
        camera = None if task.query_cameras is None else task.query_cameras[row]
        rights = oracle.ranked_list(
            values,
            task.query_labels[row],
            task.gallery_labels,
            camera,
            task.gallery_cameras if task.rule.exclude_same_camera else None,
            row if task.same else None,
            task.rule.distractors,
        )
        rows[row] = oracle.figures(rights, AT)
    return {row: found for row, found in rows.items() if found is not None}


def assert_is_the_loop(result, found):
    assert result.rows.tolist() == list(found)
    assert result.queries == len(found)
    values = list(found.values())
    for index, rank in enumerate(AT):
        assert result.hits(rank) == sum(each["recall"][index] for each in values)
    form = {"plain": "ap", "trapezoid": "trapezoid"}[result.form]
    np.testing.assert_allclose(result.average_precisions, [each[form] for each in values], rtol=1e-12)
    np.testing.assert_allclose(result.average_precisions_at_r, [each["ap_at_r"] for each in values], rtol=1e-12)
    np.testing.assert_allclose(result.r_precisions, [each["r_precision"] for each in values], rtol=1e-12)
    np.testing.assert_allclose(result.inverse_penalties, [each["inp"] for each in values], rtol=1e-12)


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(1, 8),
    st.integers(1, 12),
    st.sampled_from(list(RETRIEVAL_RULES)),
    st.booleans(),
    st.sampled_from(["plain", "trapezoid"]),
)
def test_random_tasks_are_the_loop(seed, queries, images, rule, same, form):
    random = np.random.default_rng(seed)
    queries = images if same else queries
    labels = [random.integers(-1, 4, size) for size in (queries, images)]
    cameras = [random.integers(0, 2, size) for size in (queries, images)]
    if same:
        labels[0], cameras[0] = labels[1], cameras[1]
    task = SearchTask(
        rule=RETRIEVAL_RULES[rule],
        query_labels=labels[0],
        gallery_labels=labels[1],
        query_cameras=cameras[0],
        gallery_cameras=cameras[1],
        same=same,
    )
    scores = random.integers(0, 4, (queries, images)).astype(np.float32)
    found = expected(scores, task)
    blocks = np.array_split(scores, [queries // 2])
    if not found:
        with pytest.raises(EvaluationError, match=r"none of the .* queries has a right image"):
            retrieval_of_scores(blocks, task, at=AT, form=form)
        return
    result = retrieval_of_scores(blocks, task, at=AT, form=form)
    assert_is_the_loop(result, found)
    assert result.without_match == queries - len(found)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 20), st.integers(1, 7))
def test_sets_are_their_scores(seed, images, block):
    random = np.random.default_rng(seed)
    found = EmbeddingSet(embeddings=corners(random, images), labels=np.append(random.integers(0, 4, images - 1), 0))
    found = found.with_columns({"camera": random.integers(0, 2, images).astype(str)})
    for rule in (PLAIN, MSMT17):
        task = search_task(found, None, rule)
        loops = expected(found.embeddings @ found.embeddings.T, task)
        if loops and len(set(found.labels.tolist())) > 1:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(retrieval, "_BLOCK_ROWS", block)
                assert_is_the_loop(retrieve(found, rule=rule, at=AT), loops)


def test_one_list_by_hand():
    ranks = np.array([1, 3, 6])
    assert average_precision(ranks) == pytest.approx((1 + 2 / 3 + 3 / 6) / 3)
    assert average_precision(ranks, "trapezoid") == pytest.approx(((1 + 1) + (2 / 3 + 1 / 2) + (3 / 6 + 2 / 5)) / 6)
    assert ranks_of_matches(np.array([0.9, 0.2, 0.5]), np.array([0.9, 0.5, 0.1])).tolist() == [2, 4, 5]
    assert ranks_of_matches(np.array([0.3]), np.array([])).tolist() == [1]


def test_a_network_that_says_the_same_of_everything_is_last():
    labels = np.repeat(np.arange(5), 2)
    found = retrieve(EmbeddingSet(embeddings=np.ones((10, 4)), labels=labels), at=(1, 8, 9))
    assert [found.recall(k) for k in found.at] == [0, 0, 1]
    assert found.mean_average_precision == pytest.approx(1 / 9)
    assert found.mean_inverse_penalty == pytest.approx(1 / 9)


def market():
    """One person at cameras 1 and 2, a distractor (0) and a junk box (-1); the query is person 7 at camera 1."""
    query = EmbeddingSet(embeddings=np.array([[1.0, 0]]), labels=np.array([7]), columns={"camera": np.array([1])})
    gallery = EmbeddingSet(
        embeddings=np.array([[1, 0.01], [1, 0.1], [1, 0.2], [1, 0.3], [1, 0.4]]),
        labels=np.array([7, -1, 0, 7, 3]),
        columns={"camera": np.array([1, 2, 2, 2, 1])},
    )
    return query, gallery


def test_market_1501_takes_out_its_camera_and_junk_and_keeps_distractors():
    query, gallery = market()
    assert retrieve(query, gallery).first_rank.tolist() == [1]
    assert retrieve(query, gallery).right.tolist() == [2]
    found = retrieve(query, gallery, rule=MARKET_1501)
    assert (found.first_rank.tolist(), found.right.tolist()) == ([2], [1])  # behind the distractor alone
    person_zero = EmbeddingSet(embeddings=query.embeddings, labels=np.array([0]), columns=query.columns)
    assert retrieve(person_zero, gallery, rule=MSMT17).queries == 1
    with pytest.raises(EvaluationError, match="none of the 1 queries has a right image"):
        retrieve(person_zero, gallery, rule=MARKET_1501)


def test_people_are_matched_by_name_where_both_sets_have_names():
    queries = EmbeddingSet(embeddings=np.eye(3), labels=["Cy", "Ada", "Eve"])
    gallery = EmbeddingSet(embeddings=2 * np.eye(3), labels=["Dee", "Ada", "Cy"])
    found = retrieve(queries, gallery, at=(1, 3))
    assert (found.rows.tolist(), found.without_match) == ([0, 1], 1)
    assert [found.hits(1), found.hits(3)] == [1, 2]


def test_result_in_words_and_json():
    query, gallery = market()
    found = retrieve(query, gallery, rule=MARKET_1501, at=(1, 2), reranking=Reranking(k1=2, k2=1))
    stored = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert stored["recall"][1] == {"rank": 2, "hits": 1, "recall": 1.0}
    assert stored["reranking"] == {"k1": 2, "k2": 1, "original": 0.3}
    assert "rule market-1501, k-reciprocal re-ranking (k1=2, k2=1, original=0.3)" in found.table()
    assert "a wrong example stands before a right one" in found.table()
    assert "re-ranking" not in retrieve(query, gallery).table()


def test_faults():
    query, gallery = market()
    task = search_task(query, gallery, PLAIN)
    bare = EmbeddingSet(embeddings=gallery.embeddings, labels=gallery.labels)
    cases = [
        (lambda: retrieve(query, bare, rule=MARKET_1501), "needs the camera of each gallery image"),
        (lambda: retrieve(query, EmbeddingSet(embeddings=np.eye(2))), "needs labels, and the gallery have none"),
        (lambda: retrieve(query, EmbeddingSet(embeddings=np.eye(3), labels=[1, 2, 7])), "2 dimensions .* has 3"),
        (lambda: retrieve(query, EmbeddingSet(embeddings=np.zeros((2, 2)), labels=[7, 8])), "all zeros in row 0"),
        (lambda: retrieve(query, gallery, at=()), r"ranks of at least 1, got \[\]"),
        (lambda: retrieve(query, gallery, at=(0,)), r"ranks of at least 1, got \[0\]"),
        (lambda: retrieve(query, gallery, form="area"), "form must be one of plain, trapezoid, got 'area'"),
        (lambda: retrieval_of_scores([np.full((1, 5), np.nan)], task), "got NaN for query 0"),
        (lambda: retrieval_of_scores([np.ones((1, 4))], task), r"shape \[1, 5\] in blocks of rows, got \[1, 4\]"),
        (lambda: retrieval_of_scores([np.ones((2, 5))], task), r"got \[2, 5\] after 0 rows"),
        (lambda: retrieval_of_scores([], task), "a row for each of the 1 queries, got 0"),
        (lambda: Reranking(k1=0), "k1 must be at least 1, got 0"),
        (lambda: Reranking(original=1.5), r"original must lie in 0\.\.1, got 1\.5"),
        (
            lambda: SearchTask(
                rule=PLAIN, query_labels=np.arange(2), gallery_labels=np.arange(3), query_cameras=np.arange(3)
            ),
            r"query cameras must have 2 entries, got \[3\]",
        ),
        (
            lambda: SearchTask(rule=PLAIN, query_labels=np.arange(2), gallery_labels=np.arange(3), same=True),
            "as many as its 3 images, got 2",
        ),
    ]
    for call, message in cases:
        with pytest.raises(EvaluationError, match=message):
            call()


def reranked(queries, gallery, options):
    return np.concatenate(list(reranked_blocks(queries, gallery, options)))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000), st.integers(1, 6), st.integers(0, 10), st.integers(1, 7), st.integers(1, 5), st.booleans()
)
def test_reranking_is_the_loop(seed, queries, images, k1, k2, tied):
    random = np.random.default_rng(seed)
    vectors = corners(random, queries + images)
    if not tied:
        vectors = random.normal(size=vectors.shape)
        vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    options = Reranking(k1=k1, k2=k2, original=0.25)
    one, other = (vectors, None) if images == 0 else (vectors[:queries], vectors[queries:])
    loops = oracle.reranked(one.tolist(), None if other is None else other.tolist(), k1, k2, 0.25)
    np.testing.assert_allclose(reranked(one, other, options), loops, atol=2e-6)


def test_reranking_helps_where_neighbours_agree():
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(20), 10)
    vectors = random.normal(size=(20, 16))[labels] + random.normal(size=(200, 16)) * 0.9
    found = EmbeddingSet(embeddings=vectors, labels=labels)
    plain, better = retrieve(found), retrieve(found, reranking=Reranking())
    assert better.mean_average_precision > plain.mean_average_precision + 0.03
    same = retrieve(found, reranking=Reranking(original=1))
    assert same.mean_average_precision == pytest.approx(plain.mean_average_precision, abs=1e-6)


@needs_shared
def test_lfw_subset_is_the_loop():
    found = EmbeddingSet.load(SHARED / "lfw_embeddings" / "lfw_mobilefacenet128.npz")
    counts = np.bincount(found.labels)
    part = found.select(np.flatnonzero((counts[found.labels] >= 2) & (found.labels < 400)))
    unit = part.unit("sum")
    assert_is_the_loop(retrieve(part, at=AT), expected(unit @ unit.T, search_task(part, None, PLAIN)))
