"""MegaFace's protocol against loops."""

import importlib
import json

import numpy as np
import pytest
from evaluation.unit_sets import random_units, some_labels, unit_vectors
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reference import identification as oracle
from reference import verification

from angulus.errors import EvaluationError
from angulus.evaluation import megaface

distractors_module = importlib.import_module("angulus.evaluation.protocols.distractors")
search_module = importlib.import_module("angulus.evaluation.scores.search")


@st.composite
def problems(draw):
    probes, crowd = draw(unit_vectors(least=2, most=8)), draw(unit_vectors(least=2, most=20))
    return probes, draw(some_labels(len(probes), 3)), crowd


@settings(max_examples=60, deadline=None)
@given(problem=problems(), rank=st.integers(1, 3), far=st.sampled_from([0.0, 0.05, 0.3]), small=st.booleans())
def test_megaface_is_the_loop(problem, rank, far, small):
    probes, labels, crowd = problem
    assume(len(set(labels.tolist())) < len(labels))
    sizes = sorted({1, len(crowd) // 2, len(crowd)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distractors_module, "_ROOM", 2)
        if small:
            patch.setitem(search_module.BLOCKS, "cpu", (2, 3))
        found = megaface(probes, labels, [crowd[:1], crowd[1:]], sizes=sizes, ranks=(rank,), fars=(far,))
    assert [p.hits for p in found.identification] == oracle.megaface(probes, labels, crowd, sizes, rank)
    assert [p.distractors for p in found.identification] == sizes
    pairs = [(i, j) for i in range(len(probes)) for j in range(i) if labels[i] == labels[j]]
    assert found.identification[0].tests == 2 * len(pairs)
    genuine = [oracle.cosine(probes[i], probes[j]) for i, j in pairs]
    impostor = [oracle.cosine(probe, other) for probe in probes for other in crowd]
    (point,) = found.verification
    assert (point.threshold, point.far, point.tar) == verification.tar_at_far(genuine, impostor, far)
    assert (point.genuine, point.impostors) == (len(genuine), len(impostor))


def test_the_tail_of_many_blocks_is_exact(monkeypatch):
    monkeypatch.setitem(search_module.BLOCKS, "cpu", (8, 64))
    monkeypatch.setattr(distractors_module, "_ROOM", 16)
    probes, crowd = random_units(30, 24, 1), random_units(2000, 24, 2)
    found = megaface(probes, np.arange(30) // 3, crowd, sizes=(100, 2000), ranks=(1, 10), fars=(1e-3, 1e-4))
    every = np.sort((probes.astype(np.float64) @ crowd.astype(np.float64).T).astype(np.float32).ravel())[::-1]
    assert [point.threshold for point in found.verification] == [every[60], every[6]]
    assert [point.false_accepts for point in found.verification] == [60, 6]
    json.dumps(found.as_dict(), allow_nan=False)
    assert "100" in found.table()


def test_what_is_refused():
    probes, crowd = random_units(4, 8), random_units(10, 8, 1)
    with pytest.raises(EvaluationError, match="at least 20 rows for the sizes asked for, got 10"):
        megaface(probes, [0, 0, 1, 1], crowd, sizes=(5, 20))
    with pytest.raises(EvaluationError, match="people with two or more images, got none"):
        megaface(probes, [0, 1, 2, 3], crowd, sizes=(5,))
    with pytest.raises(EvaluationError, match="one entry for each of the 4 probes"):
        megaface(probes, [0, 0, 1], crowd, sizes=(5,))
    with pytest.raises(EvaluationError, match="at least 1"):
        megaface(probes, [0, 0, 1, 1], crowd, sizes=(0,))
