"""What is odd about a pair list is said, and what cannot be had of it takes nothing else along."""

from pathlib import Path

import numpy as np
import pytest
import torch

import angulus
from angulus.embeddings import EmbeddingSet
from angulus.errors import EvaluationError
from angulus.evaluation import Pairs, match, read_pairs, verify
from angulus.evaluation.uncertainty.breakdown_groups import Grouping, break_down
from angulus.heads.softmax import check_shapes

LABELS = np.repeat(np.arange(6), 3)
KEYS = tuple(f"P{label}/P{label}_{number:04d}.jpg" for label in range(6) for number in (1, 2, 3))
GENUINE = [(0, 1), (3, 4), (6, 7), (9, 10)]
IMPOSTOR = [(0, 4), (3, 7), (6, 10), (9, 1)]


def people(**more):
    random = np.random.default_rng(3)
    centers = random.normal(size=(6, 8))[LABELS]
    return EmbeddingSet(embeddings=centers + 0.3 * random.normal(size=(18, 8)), labels=LABELS, keys=KEYS, **more)


def listed(genuine=GENUINE, impostor=IMPOSTOR, fold=None):
    left, right = np.array([*genuine, *impostor]).T
    return Pairs(left=left, right=right, same=np.repeat([True, False], [len(genuine), len(impostor)]), fold=fold)


def figures(result):
    return result.points, result.eer, result.auc


@pytest.mark.parametrize("protocol", ["plain", "insightface"])
def test_one_fold_gives_all_figures_but_the_accuracy(protocol):
    found = people(flipped=people().embeddings)
    result = verify(found, listed(fold=np.zeros(8)), protocol=protocol)
    assert figures(result) == figures(verify(found, listed(), view="sum"))
    assert result.accuracy is None
    assert "note: accuracy over folds is left out: cross-validation needs at least 2 folds, got 1" in result.table()
    assert len(result.as_dict()["notes"]) == 1


def test_folds_without_a_genuine_pair_beside_them():
    result = verify(people(), listed(fold=np.array([0, 0, 0, 0, 0, 0, 1, 1])))
    assert figures(result) == figures(verify(people(), listed()))
    assert "the folds other than 0 must hold genuine and impostor pairs, got one kind: no genuine" in result.table()
    group = people(columns={"age": np.arange(18)})
    assert break_down(group, listed(fold=np.zeros(8)), Grouping.parse("age=0,9,18"), result.points[0]).table()


def test_mean_centred_scores_do_not_need_an_accuracy():
    found = people(flipped=people().embeddings)
    result = verify(found, listed(fold=np.array([0, 0, 0, 0, 0, 0, 1, 1])), protocol="mean-centred")
    assert (result.accuracy, len(result.notes)) == (None, 1)


@pytest.mark.parametrize(
    ("genuine", "impostor", "fold", "message"),
    [
        ([], IMPOSTOR, None, r"there is no genuine pair \(all 4 pairs are of two people\); give pairs of both kinds"),
        (GENUINE, [], None, r"there is no impostor pair \(all 4 pairs are of one person\)"),
        (GENUINE, [], np.array([0, 1, 2, 2]), r"there is no impostor pair .*, in folds 0, 1, 2; give"),
    ],
)
def test_the_kind_that_is_lacking_is_named(genuine, impostor, fold, message):
    with pytest.raises(EvaluationError, match=message):
        verify(people(), listed(genuine, impostor, fold))


def test_all_pairs_of_one_person():
    with pytest.raises(EvaluationError, match="there is no impostor pair"):
        verify(EmbeddingSet(embeddings=people().embeddings[:3], labels=[0, 0, 0]))


def test_pairs_that_prove_nothing_or_contradict_are_counted():
    result = verify(people(), listed([*GENUINE, (2, 2)], IMPOSTOR))
    assert "note: 1 of the 9 pairs compares an image with itself" in result.table()
    result = verify(people(), listed([*GENUINE, (0, 5)], IMPOSTOR))
    assert "1 of the 9 pairs contradicts the set's own labels, first pair 5" in result.table()
    assert "P0/P0_0001.jpg" in result.notes[0]
    assert verify(people(), listed()).notes == ()
    unlabelled = EmbeddingSet(embeddings=people().embeddings, labels=np.where(LABELS == 1, -1, LABELS))
    assert verify(unlabelled, listed([*GENUINE, (0, 5)], IMPOSTOR)).notes == ()


LFW = "P0\t1\t2\nP1\t1\t2\nP0\t1\tP1\t2\nP1\t1\tP2\t2\n"


def written(folder, text, name="list.txt"):
    (folder / name).write_text(text)
    return match(read_pairs(folder / name), people())


@pytest.mark.parametrize("text", [LFW, LFW.replace("\t", " "), "\ufeff" + LFW.replace("\n", "\r\n"), LFW + "\n\n"])
def test_lfw_form_without_a_header(tmp_path, text):
    (tmp_path / "list.txt").write_bytes(text.encode())
    pairs = match(read_pairs(tmp_path / "list.txt"), people())
    assert (pairs.left.tolist(), pairs.right.tolist()) == ([0, 3, 0, 3], [1, 4, 4, 7])
    assert (pairs.same.tolist(), pairs.fold) == ([True, True, False, False], None)


def test_a_header_that_is_wrong_stays_refused_with_its_line(tmp_path):
    with pytest.raises(EvaluationError, match="line 1 announces 10 folds of 300 genuine"):
        written(tmp_path, f"10\t300\n{LFW}")


@pytest.mark.parametrize("between", [" ", "\t", ",", ", "])
@pytest.mark.parametrize("labels", [("1", "0"), ("1", "-1"), ("target", "nontarget")])
@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("name", ["list.txt", "list.csv"])
def test_trials_with_the_label_first_or_last(tmp_path, between, labels, last, name):
    if not last and labels != ("1", "0"):
        pytest.skip("a form that nobody writes")
    names = [(KEYS[0], KEYS[1]), (KEYS[0], KEYS[4])]
    lines = [(*pair, label) if last else (label, *pair) for pair, label in zip(names, labels, strict=True)]
    pairs = written(tmp_path, "".join(f"{between.join(line)}\n" for line in lines), name)
    assert (pairs.left.tolist(), pairs.right.tolist(), pairs.same.tolist()) == ([0, 0], [1, 4], [True, False])


def test_names_that_are_numbers_before_a_label(tmp_path):
    (tmp_path / "list.txt").write_text("0 12 1\n12 7 0\n")
    assert read_pairs(tmp_path / "list.txt").left == ("0", "12")


def test_labels_that_are_no_tensor_are_called_so():
    weight = torch.ones(3, 4)
    with pytest.raises(ValueError, match="labels must be a torch tensor, got ndarray"):
        check_shapes(torch.ones(2, 4), weight, np.zeros(2, dtype=np.int64), None)


def test_a_cell_of_a_list_of_pairs_that_is_too_long_is_one_sentence(tmp_path):
    (tmp_path / "pairs.csv").write_text("a,b,same\n" + "x" * 200_000 + ",y,1\n")
    with pytest.raises(EvaluationError, match=r"pairs.csv, line 2: field larger than field limit") as found:
        read_pairs(tmp_path / "pairs.csv")
    assert len(str(found.value)) < 300


def test_pairs_that_stand_twice_are_told(tmp_path, caplog):
    lines = ["x1,y1,1", "x2,y2,0", "y1,x1,1", "x2,y2,0"]
    (tmp_path / "twice.csv").write_text("\n".join(["a,b,same", *lines]))
    assert len(read_pairs(tmp_path / "twice.csv").left) == 4
    assert "2 of its 4 pairs stand there already" in caplog.text
    caplog.clear()
    (tmp_path / "once.csv").write_text("\n".join(["a,b,same", *lines[:2]]))
    read_pairs(tmp_path / "once.csv")
    assert not caplog.text


def test_tables_are_read_in_one_place():
    source = Path(angulus.__file__).parent
    users = {path.relative_to(source).as_posix() for path in source.rglob("*.py") if "csv.reader(" in path.read_text()}
    assert users == {"tables.py", "text_files.py"}  # the callers of table_rows tell csv.Error in their own words
