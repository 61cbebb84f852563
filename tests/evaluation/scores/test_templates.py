"""Pooling, listed pairs and two galleries against loops: one-row and duplicate templates, ties, NaN."""

import importlib
import json

import numpy as np
import pytest
from evaluation.unit_sets import random_units, unit_vectors
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import identification as oracle
from reference import verification

from angulus.errors import EvaluationError
from angulus.evaluation import Templates, identify, pool_templates, search_two_galleries, verify_templates
from angulus.evaluation.scores.listed import listed_scores
from angulus.evaluation.scores.template_pairs import TemplateGallery, TemplatePairs

listed_module = importlib.import_module("angulus.evaluation.scores.listed")
templates_module = importlib.import_module("angulus.evaluation.scores.templates")
quick = settings(max_examples=60, deadline=None)


def templates_of(vectors, ids=None):
    ones = np.ones(len(vectors), dtype=np.int64)
    ids = np.arange(len(vectors)) if ids is None else np.asarray(ids)
    return Templates(ids=ids, vectors=vectors, images=ones, media=ones)


@quick
@given(
    images=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=30),
    keep_norms=st.booleans(),
    weighted=st.booleans(),
    block=st.sampled_from([1, 4, 1000]),
    seed=st.integers(0, 1000),
)
def test_pooling_is_the_loop(images, keep_norms, weighted, block, seed):
    templates, media = np.array(images).T * 7 + 3
    random = np.random.default_rng(seed)
    embeddings = random.normal(size=(len(images), 5)).astype(np.float32) + 1
    weights = random.uniform(0.1, 1, len(images)) if weighted else np.ones(len(images))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(templates_module, "_BLOCK_IMAGES", block)
        found = pool_templates(
            embeddings, templates, media, keep_norms=keep_norms, detector_scores=weights if weighted else None
        )
    expected = oracle.pooled(embeddings, templates.tolist(), media.tolist(), keep_norms, weights)
    assert found.ids.tolist() == list(expected)
    np.testing.assert_allclose(found.vectors, np.array(list(expected.values())), atol=1e-6)
    assert found.images.tolist() == [(templates == t).sum() for t in expected]
    assert found.media.tolist() == [len(set(media[templates == t].tolist())) for t in expected]
    assert found.vectors.dtype == np.float32


def test_a_template_of_one_row_and_a_medium_counted_once():
    video = np.array([[2.0, 0], [2.0, 0], [2.0, 0], [0, 1.0]], dtype=np.float32)
    found = pool_templates(video, [5, 5, 5, 5], [1, 1, 1, 2])
    np.testing.assert_allclose(found.vectors[0], np.array([2, 1]) / 5**0.5, atol=1e-7)
    same = pool_templates(video, [5, 5, 5, 5], [1, 1, 1, 2], keep_norms=False)
    np.testing.assert_allclose(same.vectors[0], np.array([1, 1]) / 2**0.5, atol=1e-7)
    single = pool_templates(video[:1], [9], [0])
    assert (single.ids.tolist(), single.vectors.tolist()) == ([9], [[1, 0]])


def test_what_pooling_refuses():
    good = random_units(4, 3)
    nan, zero = good.copy(), good.copy()
    nan[2, 1] = np.nan
    zero[3] = 0
    ids = np.array([1, 1, 2, 2])
    with pytest.raises(EvaluationError, match="got NaN or infinity in row 2"):
        pool_templates(nan, ids, ids)
    with pytest.raises(EvaluationError, match="got all zeros in row 3"):
        pool_templates(zero, ids, ids, keep_norms=False)
    with pytest.raises(EvaluationError, match="sum of zero for template 2"):
        pool_templates(np.array([[1.0, 0], [1, 0], [1, 0], [-1, 0]]), ids, [0, 1, 2, 3])
    with pytest.raises(EvaluationError, match=r"detector_scores must be at least 0 and finite, got -1.0 in row 1"):
        pool_templates(good, ids, ids, detector_scores=[1, -1, 1, 1])
    with pytest.raises(EvaluationError, match="media must be whole numbers"):
        pool_templates(good, ids, ids[:3])
    with pytest.raises(EvaluationError, match="embeddings must have the shape"):
        pool_templates(good[:0], [], [])


@st.composite
def listed(draw):
    vectors = draw(unit_vectors(least=2, most=15))
    rows = st.integers(0, len(vectors) - 1)
    return vectors, np.array(draw(st.lists(st.tuples(rows, rows), min_size=1, max_size=60)), dtype=np.int32)


@quick
@given(problem=listed(), products=st.sampled_from([1, 8, 2**23]), dense=st.sampled_from([0.0, 1 / 20, 9.0]))
def test_listed_scores_are_the_loop(problem, products, dense):
    vectors, pairs = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listed_module, "_PRODUCTS", products)
        patch.setattr(listed_module, "_DENSE", dense)
        patch.setattr(listed_module, "_SLICE", 7)
        patch.setattr(listed_module, "_PART_PAIRS", 9)
        patch.setattr(listed_module, "_GATHERED", 5)
        found = listed_scores(vectors, pairs[:, 0], pairs[:, 1])
    expected = [oracle.cosine(vectors[i], vectors[j]) for i, j in pairs]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_many_parts_of_a_list(monkeypatch):
    monkeypatch.setattr(listed_module, "_PRODUCTS", 500)
    vectors = random_units(300, 16)
    left, right = np.random.default_rng(0).integers(0, 300, (2, 20_000))
    expected = np.einsum("pd,pd->p", vectors[left], vectors[right])
    np.testing.assert_allclose(listed_scores(vectors, left, right), expected, atol=1e-6)


def test_what_lists_refuse():
    vectors = random_units(4, 3)
    assert listed_scores(vectors, [], []).tolist() == []
    with pytest.raises(EvaluationError, match="right must name rows 0 to 3, got 4 in pair 1"):
        listed_scores(vectors, [0, 1], [1, 4])
    with pytest.raises(EvaluationError, match="one entry for each pair"):
        listed_scores(vectors, [0, 1], [1])
    with pytest.raises(EvaluationError, match="templates must be unit vectors"):
        listed_scores(vectors * 3, [0], [1])


@quick
@given(problem=listed(), data=st.data())
def test_verification_is_the_loop(problem, data):
    vectors, pairs = problem
    pairs = np.concatenate([pairs, [[0, 0], [0, 1]]])
    same = np.array(
        [*data.draw(st.lists(st.booleans(), min_size=len(pairs) - 2, max_size=len(pairs) - 2)), True, False]
    )
    ids = np.arange(len(vectors)) * 3 + 10
    listed_ids = TemplatePairs(left=ids[pairs[:, 0]], right=ids[pairs[:, 1]], same=same)
    found = verify_templates(templates_of(vectors, ids), listed_ids, fars=(0.5, 0.1))
    scores = listed_scores(vectors, pairs[:, 0], pairs[:, 1])
    for point in found.points:
        expected = verification.tar_at_far(scores[same].tolist(), scores[~same].tolist(), point.target)
        assert (point.threshold, point.far, point.tar) == expected
    assert found.auc == pytest.approx(verification.area_under_roc(scores[same].tolist(), scores[~same].tolist()))
    json.dumps(found.as_dict(), allow_nan=False)
    assert "impostor pairs" in found.table()


def test_an_unknown_template_is_named():
    pairs = TemplatePairs(left=np.array([0, 1]), right=np.array([1, 8]), same=np.array([True, False]))
    with pytest.raises(EvaluationError, match="template 8 has no images among the 3 templates"):
        verify_templates(templates_of(random_units(3, 4)), pairs)
    with pytest.raises(EvaluationError, match="template 70 has no images"):
        templates_of(random_units(2, 4), [2**40, 2**41]).rows([70])
    assert templates_of(random_units(3, 4), [3, 2**40, 2**41]).rows([2**41, 3]).tolist() == [2, 0]
    with pytest.raises(EvaluationError, match="one entry for each pair of templates, got 2, 2 and 1"):
        TemplatePairs(left=np.array([0, 1]), right=np.array([1, 8]), same=np.array([True]))


def gallery(templates, subjects):
    return TemplateGallery(templates=np.asarray(templates), subjects=np.asarray(subjects))


def test_two_galleries_are_two_searches_and_their_mean():
    vectors = random_units(60, 6, 3)
    templates = templates_of(vectors)
    first, second = gallery(np.arange(10), np.arange(10)), gallery(np.arange(10, 20), np.arange(10, 20))
    probes = gallery(np.arange(20, 60), np.arange(40) % 20)
    found = search_two_galleries(templates, probes, (first, second), fpirs=(0.1,), ranks=(1, 5))
    for part, result in zip((first, second), found.galleries, strict=True):
        alone = identify(
            vectors[20:],
            vectors[part.templates],
            probe_labels=probes.subjects,
            gallery_labels=part.subjects,
            fpirs=(0.1,),
            ranks=(1, 5),
            name=result.name,
        )
        assert alone == result
    assert found.mean_tpir(0.1, 5) == pytest.approx(sum(r.tpir(0.1, 5) for r in found.galleries) / 2)
    written = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert [row["rank"] for row in written["cmc"]] == [1, 5]
    assert found.table().count("gallery of 10 entries") == 2


def test_templates_listed_twice_count_once():
    templates = templates_of(random_units(8, 6, 3))
    one, other = gallery([0, 1], [0, 1]), gallery([2, 3], [2, 3])
    probes = gallery([4, 5, 6, 7], [0, 1, 2, 3])
    twice = gallery([4, 5, 6, 7, 7], [0, 1, 2, 3, 3])
    assert search_two_galleries(templates, probes, (one, other)) == search_two_galleries(templates, twice, (one, other))
    with pytest.raises(EvaluationError, match="must not share people, got subject 1 in both"):
        search_two_galleries(templates, probes, (one, gallery([2, 3], [1, 2])))
    with pytest.raises(EvaluationError, match="must belong to one subject, got two for template 4"):
        search_two_galleries(templates, gallery([4, 4], [0, 1]), (one, other))
    with pytest.raises(EvaluationError, match="gallery G2 needs known and unknown probes"):
        search_two_galleries(templates, gallery([4, 5], [0, 9]), (one, other))


def test_duplicate_templates_tie_and_ties_count_against_the_probe():
    vectors = random_units(4, 6, 1)
    vectors = np.concatenate([vectors, vectors[:1]])
    found = search_two_galleries(
        templates_of(vectors),
        gallery([4, 3], [0, 2]),
        (gallery([0, 1, 4], [0, 1, 7]), gallery([2], [2])),
    )
    (rank_one, *_) = found.galleries[0].cmc
    assert (rank_one.hits, rank_one.tied) == (0, 1)
