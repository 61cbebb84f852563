"""Searches and lists of pairs give on a GPU what they give on the CPU, to the bit where products are exact."""

import numpy as np
from devices.gpu import EACH_DEVICE

from angulus.evaluation.scores.listed import listed_scores
from angulus.evaluation.scores.search import search_gallery
from angulus.inspection.nearest import near_pairs

FIELDS = ("rows", "scores", "mate_rows", "mate_scores", "above", "tied", "nonmate_scores", "nonmate_rows")


def units(count: int, seed: int, dim: int = 24) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@EACH_DEVICE
def test_a_search_is_that_of_the_cpu(device) -> None:
    probes, gallery, crowd = units(40, 1), units(300, 2), units(500, 3)
    gallery[100:140] = probes  # equal scores
    labels = {"probe_labels": np.arange(40), "gallery_labels": np.arange(300) % 150}
    found, wanted = (
        search_gallery(probes, gallery, distractors=crowd, top=4, device=place, **labels) for place in (device, "cpu")
    )
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name), err_msg=name)


@EACH_DEVICE
def test_listed_pairs_have_the_cosines_of_their_rows(device) -> None:
    vectors = units(200, 4)
    left, right = np.random.default_rng(5).integers(0, 200, (2, 1500))
    wanted = (vectors[left].astype(np.float64) * vectors[right]).sum(1)
    np.testing.assert_allclose(listed_scores(vectors, left, right, device=device), wanted, atol=1e-6)


@EACH_DEVICE
def test_near_pairs_are_those_of_the_products(device) -> None:
    vectors = units(150, 6, dim=4)
    products = np.triu(vectors.astype(np.float64) @ vectors.T.astype(np.float64), 1)
    found = near_pairs(vectors, threshold=0.9, device=device)
    wanted = set(zip(*np.nonzero(products >= 0.9), strict=True))
    assert set(zip(found.left.tolist(), found.right.tolist(), strict=True)) == wanted
