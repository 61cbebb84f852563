"""All pairs counted block by block against all pairs held in memory: every figure, with ties, on odd sizes."""

import multiprocessing

import numpy as np
import pytest
import torch
import torch.distributed as dist
from hypothesis import given, settings
from hypothesis import strategies as st
from real_data import SHARED, needs_shared

import angulus.evaluation.rates.all_pairs as all_pairs_module
from angulus.embeddings import EmbeddingSet
from angulus.errors import EvaluationError
from angulus.evaluation import equal_error_rate, verify
from angulus.evaluation.protocols import verification as evaluate
from angulus.evaluation.rates.all_pairs import all_pairs
from angulus.evaluation.rates.roc import area_under_roc, tars_at_fars
from angulus.evaluation.scores.cosines import all_pair_scores
from angulus.evaluation.scores.streaming.passes import stream_pairs
from angulus.evaluation.scores.streaming.screening import largest_error
from angulus.evaluation.scores.streaming.steps import BINS, Windows, bins_of, upper_ends

FARS = (0.3, 0.1, 1e-2, 1e-3, 1e-4, 0.0)


def people(images: int, identities: int, dim: int = 6, seed: int = 0, steps: int | None = None):
    """Unit vectors with labels; with `steps` the coordinates are rounded, so that many scores are equal."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, identities, images)
    vectors = random.standard_normal((identities, dim))[labels] + 0.7 * random.standard_normal((images, dim))
    if steps is not None:
        vectors = np.round(vectors * steps) + 1e-3
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return vectors, labels.astype(np.int64)


def same_figures(vectors, labels, fars=FARS, **options) -> None:
    counted = all_pairs(vectors, labels, fars=fars, **options)
    held = all_pair_scores(vectors, labels)
    assert (counted.impostors, len(counted.genuine)) == (len(held.impostor), len(held.genuine))
    for got, want in zip(counted.tars_at_fars(fars), tars_at_fars(held, fars), strict=True):
        assert (got.false_accepts, got.true_accepts) == (want.false_accepts, want.true_accepts)
        assert got.threshold == pytest.approx(want.threshold, abs=2e-7)
    got, want = counted.equal_error_rate(), equal_error_rate(held)
    assert got.rate == pytest.approx(want.rate, abs=1e-12)
    auc, error = counted.area_under_roc()
    assert abs(auc - area_under_roc(held)) <= error + 1e-12


@pytest.mark.parametrize("images", [300, 257, 512, 900])
def test_every_figure_is_that_of_scores_in_memory(images: int) -> None:
    same_figures(*people(images, 40))


def test_a_sample_that_misleads_costs_a_second_pass_and_nothing_else(monkeypatch) -> None:
    from importlib import import_module

    module = import_module("angulus.evaluation.rates.all_pairs")
    monkeypatch.setattr(module, "_SAMPLE", 25)
    monkeypatch.setattr(module, "spread", lambda far, sampled: 1.0)
    vectors, labels = people(700, 50)
    assert all_pairs(vectors, labels, fars=FARS).passes == 2
    same_figures(vectors, labels)


def test_a_crossing_where_no_impostor_scores_needs_no_window(monkeypatch) -> None:
    """The step where FAR and FRR meet may hold a genuine score alone: nothing there had to be kept."""
    monkeypatch.setattr(all_pairs_module, "_SAMPLE", 25)
    monkeypatch.setattr(all_pairs_module, "spread", lambda far, sampled: 1.0)
    alone = 0
    for seed in range(60):
        vectors, labels = people(90, 8, seed=seed)
        found = all_pairs(vectors, labels, fars=(0.1,))
        alone += not found.kept.counts[found.crossing_step()]
        assert found.equal_error_rate().rate == pytest.approx(
            equal_error_rate(all_pair_scores(vectors, labels)).rate, abs=1e-12
        )
    assert alone > 5


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 60), st.integers(2, 9), st.integers(0, 10_000))
def test_small_sets_with_well_parted_scores(images: int, identities: int, seed: int) -> None:
    vectors, labels = people(images, identities, seed=seed)
    counts = np.bincount(labels)
    if counts.max() < 2 or (counts > 0).sum() < 2:
        with pytest.raises(EvaluationError, match="need at least one pair of"):
            all_pairs(vectors, labels, fars=(0.1,))
        return
    same_figures(vectors, labels)


def test_equal_scores_are_accepted_together() -> None:
    """Coordinates that float32 adds exactly: ties are ties in every order of addition."""
    random = np.random.default_rng(0)
    vectors = np.eye(4, dtype=np.float32)[random.integers(0, 4, 300)]
    labels = random.integers(0, 20, 300)
    counted = all_pairs(vectors, labels, fars=(0.1, 0.3, 0.5))
    held = all_pair_scores(vectors, labels)
    assert set(np.unique(held.impostor)) == {0.0, 1.0}
    assert counted.tars_at_fars((0.1, 0.3, 0.5)) == tars_at_fars(held, (0.1, 0.3, 0.5))
    assert counted.equal_error_rate().rate == pytest.approx(equal_error_rate(held).rate, abs=1e-12)


def test_a_screen_finds_the_same_thresholds() -> None:
    vectors, labels = people(1500, 60, dim=32)
    fars = (1e-3, 1e-4, 0.0)
    screened = all_pairs(vectors, labels, fars=fars, screen=True)
    plain = all_pairs(vectors, labels, fars=fars)
    for got, want in zip(screened.tars_at_fars(fars), plain.tars_at_fars(fars), strict=True):
        assert (got.false_accepts, got.true_accepts) == (want.false_accepts, want.true_accepts)
        assert got.threshold == pytest.approx(want.threshold, abs=2e-7)
    with pytest.raises(EvaluationError, match="a screen finds thresholds for FARs up to"):
        all_pairs(vectors, labels, fars=(0.1,), screen=True)


@pytest.mark.parametrize(("pays", "far", "screened"), [(True, 1e-3, True), (False, 1e-3, False), (True, 0.1, False)])
def test_a_screen_is_taken_by_itself_where_bfloat16_pays(
    monkeypatch: pytest.MonkeyPatch, pays: bool, far: float, screened: bool
) -> None:
    vectors, labels = people(600, 30, dim=32)
    asked = []

    def noted(*args, screen: bool = False, **options):
        asked.append(screen)
        return stream_pairs(*args, screen=screen, **options)

    monkeypatch.setattr(all_pairs_module, "bfloat16_pays", lambda device: pays)
    monkeypatch.setattr(all_pairs_module, "stream_pairs", noted)
    found = all_pairs(vectors, labels, fars=(far,), tail=50, screen=None)
    assert asked[1] is screened  # the first call looks at a sample
    wanted = all_pairs(vectors, labels, fars=(far,), tail=50)
    assert found.tars_at_fars((far,))[0].true_accepts == wanted.tars_at_fars((far,))[0].true_accepts
    np.testing.assert_allclose(found.kept.tail[-50:], wanted.kept.tail[-50:], atol=2e-7)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), st.integers(0, 10_000))
def test_the_error_of_a_bfloat16_product_has_its_bound(dim: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    left = torch.nn.functional.normalize(torch.randn(40, dim, generator=generator))
    right = torch.cat([left + 0.1 * torch.randn(40, dim, generator=generator), left])
    right = torch.nn.functional.normalize(right)
    exact = left.double() @ right.double().T
    coarse = (left.bfloat16() @ right.bfloat16().T).double()
    limit = 1.01 * 2**-7 + 2**-8 * coarse.abs() + 5e-5
    assert ((coarse - exact).abs() <= limit).all()
    assert largest_error(0.5) == pytest.approx(1.01 * 2**-7 + 2**-9 + 5e-5)


def test_the_rows_of_the_tail_are_those_of_its_scores() -> None:
    vectors, labels = people(600, 30)
    kept = stream_pairs(vectors, labels, Windows(tail=int(bins_of(np.array([0.6], np.float32))[0])))
    assert len(kept.tail) > 100
    assert (labels[kept.tail_left] != labels[kept.tail_right]).all()
    exact = (vectors[kept.tail_left] * vectors[kept.tail_right]).sum(axis=1)
    np.testing.assert_allclose(kept.tail, exact, atol=1e-6)
    assert (labels[kept.genuine_left] == labels[kept.genuine_right]).all()
    assert (np.diff(kept.tail) >= 0).all()
    assert kept.counts.sum() + len(kept.genuine) == 600 * 599 // 2


def test_steps_are_monotone_and_their_ends_exact() -> None:
    scores = np.sort(np.random.default_rng(0).uniform(-1.0005, 1.0005, 10_000).astype(np.float32))
    bins = bins_of(scores)
    assert (np.diff(bins) >= 0).all()
    assert (bins.min(), bins.max()) >= (0, 0)
    assert bins.max() < BINS
    ends = upper_ends(bins)
    assert (bins_of(ends) == bins).all()
    assert (bins_of(np.nextafter(ends, np.float32(2))) == bins + 1).all()


def test_roc_and_histogram_hold_every_pair() -> None:
    vectors, labels = people(900, 40)
    counted = all_pairs(vectors, labels, fars=FARS)
    curve, histogram = counted.roc_curve(), counted.score_histogram()
    assert (curve.far[0], curve.far[-1], curve.tar[-1]) == (pytest.approx(0, abs=1e-4), 1.0, 1.0)
    assert (np.diff(curve.far) >= 0).all()
    assert (np.diff(curve.tar) >= 0).all()
    assert (histogram.genuine.sum(), histogram.impostor.sum()) == (len(counted.genuine), counted.impostors)
    held = all_pair_scores(vectors, labels)
    for threshold, far in zip(curve.threshold[::50], curve.far[::50], strict=True):
        assert far == pytest.approx((held.impostor > threshold).mean(), abs=1e-9)


def test_a_threshold_that_was_not_kept_is_refused() -> None:
    counted = all_pairs(*people(900, 40), fars=(1e-3,))
    with pytest.raises(EvaluationError, match="counted but not kept; name the FAR"):
        counted.tar_at_far(0.4)


def test_unlabelled_rows_and_one_kind_of_pairs_are_refused() -> None:
    vectors, labels = people(30, 5)
    with pytest.raises(EvaluationError, match="got -1 in row 3"):
        all_pairs(vectors, np.where(np.arange(30) == 3, -1, labels), fars=(0.1,))
    with pytest.raises(EvaluationError, match="at least one pair of one person"):
        all_pairs(vectors, np.arange(30), fars=(0.1,))
    with pytest.raises(EvaluationError, match="at least one pair of two people"):
        all_pairs(vectors, np.zeros(30, dtype=np.int64), fars=(0.1,))


def one_of_two(rank: int, port: int, results) -> None:
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    torch.set_num_threads(1)
    vectors, labels = people(800, 40)
    found = all_pairs(vectors, labels, fars=(0.01, 1e-3), group=dist.group.WORLD)
    results.put((rank, found.tars_at_fars((0.01, 1e-3)), found.equal_error_rate()))
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_share_the_blocks() -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    workers = [context.Process(target=one_of_two, args=(rank, port, results)) for rank in range(2)]
    for worker in workers:
        worker.start()
    found = [results.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join(timeout=60)
    alone = all_pairs(*people(800, 40), fars=(0.01, 1e-3))
    for _, points, crossing in found:
        assert points == alone.tars_at_fars((0.01, 1e-3))
        assert crossing == alone.equal_error_rate()


def test_verify_counts_large_sets(monkeypatch) -> None:
    vectors, labels = people(500, 40)
    embeddings = EmbeddingSet(embeddings=vectors, labels=labels)
    held = verify(embeddings)
    monkeypatch.setattr(evaluate, "MOST_IN_MEMORY", 1000)
    counted = verify(embeddings)
    assert counted.auc_error > 0
    assert counted.auc == pytest.approx(held.auc, abs=counted.auc_error + 1e-12)
    assert [point.true_accepts for point in counted.points] == [point.true_accepts for point in held.points]
    assert counted.eer.rate == pytest.approx(held.eer.rate, abs=1e-12)
    assert "all pairs" in counted.table()


@needs_shared
def test_all_pairs_of_lfw() -> None:
    """242,257 genuine and 87,307,271 impostor pairs; the counts were made by holding and sorting all scores."""
    stored = EmbeddingSet.load(SHARED / "lfw_embeddings" / "lfw_mobilefacenet128.npz")
    counted = all_pairs(stored.unit("sum"), stored.labels, fars=(1e-3, 1e-4, 1e-5, 1e-6))
    assert (len(counted.genuine), counted.impostors) == (242_257, 87_307_271)
    shown = [f"{point.tar:.4%}" for point in counted.tars_at_fars((1e-3, 1e-4, 1e-5, 1e-6))]
    assert shown == ["98.4830%", "94.9083%", "87.1166%", "67.9943%"]
    assert f"{counted.equal_error_rate().rate:.4%}" == "0.5769%"
