"""Closed-set and open-set rates against loops, on ties, single images and empty groups; and on the real faces."""

import json

import numpy as np
import pytest
from evaluation.unit_sets import random_units, some_labels, unit_vectors
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from real_data import SHARED, needs_shared
from reference import identification as oracle

from angulus.embeddings import EmbeddingSet
from angulus.errors import EvaluationError
from angulus.evaluation import identify
from angulus.evaluation.rates.identification import cmc, first_image_gallery, tpir_at_fpir
from angulus.evaluation.scores.search import search_gallery

quick = settings(max_examples=60, deadline=None)


@st.composite
def problems(draw):
    probes, gallery = draw(unit_vectors()), draw(unit_vectors())
    return probes, gallery, draw(some_labels(len(probes))), draw(some_labels(len(gallery)))


@quick
@given(problem=problems(), fpir=st.sampled_from([0.0, 0.01, 0.1, 1 / 3, 0.5, 0.9]), rank=st.integers(1, 4))
def test_tpir_at_fpir_and_cmc_are_the_loops(problem, fpir, rank):
    probes, gallery, probe_labels, gallery_labels = problem
    found = search_gallery(probes, gallery, probe_labels=probe_labels, gallery_labels=gallery_labels)
    assume(found.mated.any())
    expected = oracle.search(probes, gallery, probe_labels, gallery_labels)
    known = [row for row in expected if row[1] is not None]
    (point,) = cmc(found, [rank])
    assert (point.hits, point.known) == (sum(1 + row[2] + row[3] <= rank for row in known), len(known))
    assert point.hits + point.tied == sum(1 + row[2] <= rank for row in known)
    assume(not found.mated.all())
    point = tpir_at_fpir(found, fpir, rank=rank)
    assert (point.threshold, point.false_positives, point.hits) == oracle.tpir_at_fpir(expected, fpir, rank)
    assert point.fpir <= fpir
    assert point.tpir + point.fnir == pytest.approx(1)


@quick
@given(problem=problems())
def test_rates_grow_with_rank_and_fpir(problem):
    probes, gallery, probe_labels, gallery_labels = problem
    found = search_gallery(probes, gallery, probe_labels=probe_labels, gallery_labels=gallery_labels)
    assume(found.mated.any() and not found.mated.all())
    for rank in (1, 2):
        assert tpir_at_fpir(found, 0.1, rank=rank).hits <= tpir_at_fpir(found, 0.5, rank=rank).hits
        assert tpir_at_fpir(found, 0.5, rank=rank).hits <= tpir_at_fpir(found, 0.5, rank=rank + 1).hits
        assert tpir_at_fpir(found, 0.9, rank=rank).hits <= cmc(found, [rank])[0].hits


def test_identify_reports_everything():
    probes, gallery = random_units(60, 8, 1), random_units(20, 8, 2)
    result = identify(
        probes,
        gallery,
        probe_labels=np.arange(60) % 30,
        gallery_labels=np.arange(20),
        distractors=random_units(100, 8, 3),
        fpirs=(0.01, 0.1),
        ranks=(5, 1),
        name="drawn",
    )
    assert (result.gallery, result.subjects, result.distractors, result.known, result.unknown) == (20, 20, 100, 40, 20)
    assert [(p.target, p.rank, p.resolved) for p in result.points] == [
        (0.1, 1, True),
        (0.1, 5, True),
        (0.01, 1, False),
        (0.01, 5, False),
    ]
    written = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert written["tpir_at_fpir"][0]["dir"] == result.tpir(0.1)
    assert "too few unknown probes" in result.table()
    with pytest.raises(EvaluationError, match=r"got FPIR 0\.5 rank 1"):
        result.tpir(0.5)


def test_groups_that_are_empty():
    unit = random_units(4, 8)
    everybody = identify(unit, unit, probe_labels=np.arange(4), gallery_labels=np.arange(4))
    assert (everybody.points, everybody.cmc[0].rate) == ((), 1.0)
    nobody = identify(unit, unit, probe_labels=np.arange(4), gallery_labels=np.arange(4, 8))
    assert (nobody.points, nobody.cmc, nobody.unknown) == ((), (), 4)
    json.dumps([everybody.as_dict(), nobody.as_dict()], allow_nan=False)
    with pytest.raises(EvaluationError, match="needs probes and a gallery, got 0 and 4"):
        identify(unit[:0], unit, probe_labels=[], gallery_labels=np.arange(4))
    with pytest.raises(EvaluationError, match="needs probes and a gallery, got 4 and 0"):
        identify(unit, unit[:0], probe_labels=np.arange(4), gallery_labels=[])
    found = search_gallery(unit, unit, probe_labels=np.arange(4), gallery_labels=np.arange(4))
    with pytest.raises(EvaluationError, match="got 4 and 0"):
        tpir_at_fpir(found, 0.1)
    with pytest.raises(EvaluationError, match="ranks must be"):
        cmc(found, [0])


@pytest.mark.parametrize("fpir", [-0.1, 1.0, float("nan")])
def test_targets_outside_their_range(fpir):
    unit = random_units(4, 8)
    found = search_gallery(unit, unit[:2], probe_labels=np.arange(4), gallery_labels=np.arange(2))
    with pytest.raises(EvaluationError, match="at least 0 and below 1"):
        tpir_at_fpir(found, fpir)


@given(some_labels(12))
def test_the_first_image_of_people_with_several_is_the_gallery(labels):
    gallery, probes = first_image_gallery(labels)
    assert sorted([*gallery, *probes]) == list(range(12))
    assert [row for row in range(12) if labels[row] not in labels[:row] and (labels == labels[row]).sum() > 1] == [
        *gallery
    ]


@needs_shared
def test_lfw_equals_a_full_matrix_of_scores():
    stored = EmbeddingSet.load(SHARED / "lfw_embeddings" / "lfw_mobilefacenet128.npz")
    unit, labels = stored.unit("sum"), stored.labels
    gallery, probes = first_image_gallery(labels)
    result = identify(
        unit[probes],
        unit[gallery],
        probe_labels=labels[probes],
        gallery_labels=labels[gallery],
        fpirs=(0.1, 0.01, 1e-3),
    )
    scores = (unit[probes].astype(np.float64) @ unit[gallery].astype(np.float64).T).astype(np.float32)
    same = labels[probes][:, None] == labels[gallery]
    known = same.any(1)
    mate = scores[known][same[known]]  # one gallery image a person
    ranks = 1 + ((scores[known] >= mate[:, None]) & ~same[known]).sum(1)
    unknown = np.sort(scores[~known].max(1))[::-1]
    assert (result.known, result.unknown) == (7484, 4069)
    assert [point.hits for point in result.cmc] == [(ranks <= k).sum() for k in (1, 5, 10)]
    for point in result.points:
        threshold = unknown[int(point.target * len(unknown))]
        assert point.threshold == threshold
        assert point.hits == ((mate > threshold) & (ranks <= point.rank)).sum()
