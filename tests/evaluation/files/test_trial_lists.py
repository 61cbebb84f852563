"""Trial lists in the forms of VoxCeleb and Kaldi."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from angulus.embeddings import EmbeddingSet
from angulus.errors import EvaluationError
from angulus.evaluation.files.pair_lists import match, read_pairs, read_trials
from angulus.evaluation.files.trial_lists import parse_trials

VOXCELEB = """1 id10270/x6uYqmx31kE/00001.wav id10270/8jEAjG6SegY/00008.wav
0 id10270/x6uYqmx31kE/00001.wav id10300/ize_eiCFEg0/00003.wav
"""
KALDI = "id10270-x6 id10270-8j target\nid10270-x6\tid10300-iz nontarget\n\n"


def write(folder, text, name="trials.txt"):
    (folder / name).write_text(text)
    return folder / name


def test_both_forms(tmp_path):
    voxceleb = read_pairs(write(tmp_path, VOXCELEB, "veri_test.txt"))
    assert voxceleb.left == ("id10270/x6uYqmx31kE/00001.wav",) * 2
    assert voxceleb.right[1] == "id10300/ize_eiCFEg0/00003.wav"
    assert (voxceleb.same.tolist(), voxceleb.fold) == ([True, False], None)
    kaldi = read_pairs(write(tmp_path, KALDI))
    assert (kaldi.left[0], kaldi.right, kaldi.same.tolist()) == (
        "id10270-x6",
        ("id10270-8j", "id10300-iz"),
        [True, False],
    )


def test_trials_find_their_embeddings(tmp_path):
    keys = ("id10300/ize_eiCFEg0/00003.wav", "id10270/8jEAjG6SegY/00008.wav", "id10270/x6uYqmx31kE/00001.wav")
    pairs = match(read_trials(write(tmp_path, VOXCELEB)), EmbeddingSet(embeddings=np.eye(3), keys=keys))
    assert (pairs.left.tolist(), pairs.right.tolist()) == ([2, 2], [1, 0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists no trials"),
        ("1 a b\n1 a\n", "line 2 must be '1 left right'.*one form in the whole file, got '1 a'"),
        ("1 a b\n\n2 a b\n", "line 3 must be"),
        ("1 a b\na b target\n", "line 2 must be .* got 'a b target'"),
        ("a b target\na b maybe\n", "line 2 must be"),
        ("a b\n", "line 1 must be"),
    ],
)
def test_malformed_lists(tmp_path, text, message):
    with pytest.raises(EvaluationError, match=message):
        read_trials(write(tmp_path, text))
    with pytest.raises(EvaluationError, match="does not exist"):
        read_trials(tmp_path / "none.txt")


names = st.text(alphabet="ab0/.", min_size=1, max_size=6)


@given(st.lists(st.tuples(st.booleans(), names, names), min_size=1, max_size=8), st.booleans())
def test_random_lists(trials, kaldi):
    if kaldi:
        text = "\n".join(f"{left} {right} {'target' if same else 'nontarget'}" for same, left, right in trials)
    else:
        text = "\n".join(f"{int(same)} {left} {right}" for same, left, right in trials)
    found = parse_trials(text, "list")
    assert list(zip(found.same.tolist(), found.left, found.right, strict=True)) == trials
