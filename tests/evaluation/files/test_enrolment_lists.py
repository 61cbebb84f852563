"""Enrolment lists as Kaldi writes them, and trials whose left side is a model."""

import numpy as np
import pytest

from angulus.embeddings import EmbeddingSet
from angulus.errors import EvaluationError
from angulus.evaluation.files.enrolment_lists import enrolled_trials, read_enrolment
from angulus.evaluation.scores.pairs import NamedPairs


def test_models_and_their_rows(tmp_path):
    path = tmp_path / "spk2utt"
    path.write_text("a u1 u3\n\nb\tu2\na u4\n")
    models = read_enrolment(path)
    assert models == {"a": ["u1", "u3", "u4"], "b": ["u2"]}
    found = EmbeddingSet(embeddings=np.eye(5), keys=("u0", "u1", "u2", "u3", "u4"))
    trials = enrolled_trials(
        models, NamedPairs(left=("b", "a"), right=("u0", "u2"), same=np.array([True, False])), found
    )
    assert trials.enrolment.names == ("b", "a")
    assert trials.enrolment.rows.tolist() == [2, 1, 3, 4]
    assert (trials.pairs.left.tolist(), trials.pairs.right.tolist()) == ([5, 6], [0, 2])
    np.testing.assert_allclose(trials.unit(np.eye(5, dtype=np.float32))[6], np.array([0, 1, 0, 1, 1]) / np.sqrt(3))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a u1\nb\n", "line 2 must be"),
        ("a u1\nb u2\na u1\n", "line 3 names a recording of model 'a' twice"),
        ("\n", "no models"),
    ],
)
def test_a_list_that_says_nothing(tmp_path, text, said):
    (tmp_path / "x").write_text(text)
    with pytest.raises(EvaluationError, match=said):
        read_enrolment(tmp_path / "x")
