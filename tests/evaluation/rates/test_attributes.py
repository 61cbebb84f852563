"""The linear probe against scikit-learn's, and attributes of people who were not trained on."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from angulus.embeddings import EmbeddingSet
from angulus.errors import EvaluationError
from angulus.evaluation.rates import logistic
from angulus.evaluation.rates.attributes import probe_attributes
from angulus.evaluation.rates.logistic import fit_probe


# its solver gives up where rounding hides further progress; what it found is compared below all the same
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(1, 6), st.sampled_from([1e-3, 1.0, 100.0]))
def test_the_probe_is_that_of_scikit_learn(seed, rows, dim, strength):
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(rows, dim)).astype(np.float32)
    yes = vectors[:, 0] + random.normal(size=rows) * random.choice([0, 0.5]) > random.normal()  # separable ones too
    yes[:2] = [True, False]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logistic, "_BLOCK_ROWS", 7)
        found = fit_probe(vectors, yes, strength=strength)
    other = LogisticRegression(C=strength, tol=1e-10, max_iter=10_000, solver="newton-cholesky")
    other.fit(vectors.astype(np.float64), yes)
    np.testing.assert_allclose(found.weight, other.coef_[0], atol=1e-4)
    assert found.intercept == pytest.approx(other.intercept_[0], abs=1e-4)
    np.testing.assert_allclose(found.decide(vectors), other.decision_function(vectors), atol=1e-3)


def test_at_the_minimum_the_gradient_is_zero_by_differences():
    random = np.random.default_rng(1)
    vectors, yes = random.normal(size=(30, 3)), random.random(30) < 0.4
    probe = fit_probe(vectors, yes, strength=2.0)
    point = np.append(probe.weight, probe.intercept)

    def objective(at):
        logits = vectors @ at[:-1] + at[-1]
        return at[:-1] @ at[:-1] / 2 + 2 * np.log1p(np.exp(np.where(yes, -logits, logits))).sum()

    for axis in np.eye(4) * 1e-4:
        assert objective(point + axis) > objective(point)
        assert objective(point - axis) > objective(point)


def people(count=60, images=5, dim=8, seed=0):
    """People whose attribute "glasses" is a direction of their embedding, and "coin" is nothing of it."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(count), images)
    centres = random.normal(size=(count, dim))
    vectors = centres[labels] + 0.2 * random.normal(size=(len(labels), dim))
    glasses = (vectors[:, 0] > 0.3).astype(np.int64)
    columns = {
        "glasses": glasses,
        "coin": np.where(random.random(len(labels)) < 0.5, 1, -1),
        "some": np.where(np.arange(len(labels)) % 3 == 0, np.nan, glasses),
        "sex": np.where(glasses == 1, "m", "f"),
        "always": np.ones(len(labels)),
    }
    return EmbeddingSet(embeddings=vectors, labels=labels, columns=columns)


def test_what_is_there_is_found_and_what_is_not_is_not():
    found = probe_attributes(people(), ["glasses", "coin", "some", "sex", "always"])
    glasses, coin, some, sex, always = found.attributes
    assert glasses.accuracy > 0.9 > glasses.majority + 0.1
    assert abs(coin.accuracy - 0.5) < 0.15
    assert (sex.correct, sex.yes) == (glasses.correct, glasses.yes)
    assert (found.training_identities, found.test_identities, glasses.images, glasses.training) == (42, 18, 90, 210)
    assert some.images + some.training == 200
    assert (always.problem, always.accuracy) == ("the 210 training images have one answer only", None)
    assert found.mean_accuracy == pytest.approx(np.mean([a.accuracy for a in (glasses, coin, some, sex)]))
    assert found.mean_majority == pytest.approx(np.mean([a.majority for a in (glasses, coin, some, sex)]))
    assert glasses.true_yes + glasses.true_no == glasses.correct
    assert glasses.balanced == pytest.approx((glasses.true_yes / glasses.yes + glasses.true_no / glasses.no) / 2)
    stored = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert (stored["measured"], len(stored["attributes"])) == (4, 5)
    assert "always               not measured: the 210 training images have one answer only" in found.table()


def test_the_whole_way_is_that_of_scikit_learn():
    found, part = people(seed=3), None
    result = probe_attributes(found, ["glasses"], seed=5, test_share=0.4)
    part = np.isin(found.labels, np.random.default_rng(5).permutation(60)[:24])
    unit, truth = found.unit().astype(np.float64), found.column("glasses")
    mean, spread = unit[~part].mean(axis=0), unit[~part].std(axis=0)
    other = LogisticRegression(C=1.0, tol=1e-9).fit((unit[~part] - mean) / spread, truth[~part])
    assert result.attributes[0].correct == (other.predict((unit[part] - mean) / spread) == truth[part]).sum()
    commoner = np.bincount(truth[~part]).argmax()
    assert result.attributes[0].majority_correct == (truth[part] == commoner).sum()


def test_no_person_is_in_training_and_test():
    found = people()
    name_of_person = {"person 3": (found.labels == 3).astype(int)}  # cannot be learnt from others
    tested = next(seed for seed in range(50) if 3 in np.random.default_rng(seed).permutation(60)[:18])
    with pytest.raises(EvaluationError, match="none of the 1 attributes could be measured; person 3"):
        probe_attributes(found, name_of_person, seed=tested)


def test_faults():
    found = people()
    count = len(found)
    cases = [
        (lambda: probe_attributes(found, ["beard"]), "no column 'beard'"),
        (
            lambda: probe_attributes(found, {"a": np.ones(3)}),
            r"'a' must have one value for each of the 300 .* got \[3\]",
        ),
        (
            lambda: probe_attributes(found, {"a": np.arange(count)}),
            "must be 1/0, 1/-1, truth values or two texts, got 0",
        ),
        (lambda: probe_attributes(found, {"a": np.resize([-1, 0, 1], count)}), "got -1, 0, 1"),
        (lambda: probe_attributes(found, {"a": np.resize(["x", "y", "z"], count)}), "got x, y, z"),
        (lambda: probe_attributes(found, {"a": np.full(count, None)}), "got object"),
        (lambda: probe_attributes(found, {"a": np.full(count, np.nan)}), "no test image has a known value"),
        (lambda: probe_attributes(found, []), "none of the 0 attributes"),
        (lambda: probe_attributes(found, ["coin"], test_share=1.0), "between 0 and 1 .* got 1.0 of 60"),
        (lambda: probe_attributes(found, ["coin"], strength=0), "strength must be above 0, got 0"),
        (lambda: probe_attributes(EmbeddingSet(embeddings=np.eye(3)), {"a": [1, 0, 1]}), "the embeddings need labels"),
        (lambda: fit_probe(np.ones((3, 2)), np.array([True] * 3)), "needs both answers, got 3 times yes"),
    ]
    for call, message in cases:
        with pytest.raises(EvaluationError, match=message):
            call()
