"""All pairs counted by several jobs: the sum is the whole in every digit, and what does not add up is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from real_data import SHARED, needs_shared

import angulus.evaluation.protocols.verification as verification
from angulus.embeddings import EmbeddingSet
from angulus.errors import EvaluationError
from angulus.evaluation import verify
from angulus.evaluation.parts import divisions
from angulus.evaluation.parts.divisions import Part
from angulus.evaluation.parts.pair_parts import PairQuestion, add_pairs, count_pairs, verification_of_parts
from angulus.evaluation.parts.part_files import read_part, write_part
from angulus.evaluation.scores.streaming import row_files
from angulus.evaluation.uncertainty.bootstrap import Bootstrap

FARS = (0.1, 1e-2, 1e-3)
QUICK = Bootstrap(replicates=60)


def people(images: int = 520, identities: int = 50, seed: int = 0, twins: int = 3) -> EmbeddingSet:
    """A labelled set with mirror images, shuffled, in which a few photos stand under two names."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, identities, images)
    centres = random.standard_normal((identities, 8))
    views = [(centres[labels] + 0.7 * random.standard_normal((images, 8))).astype(np.float32) for _ in range(2)]
    for view in views:
        view[:twins] = view[-twins:]
    keys = tuple(f"p{label}/{row}.jpg" for row, label in enumerate(labels))
    return EmbeddingSet(embeddings=views[0], flipped=views[1], labels=labels.astype(np.int64), keys=keys)


def counted(found: EmbeddingSet, folder: Path, parts: int, asked: PairQuestion, prefix: str = "part", **how) -> list:
    paths = [folder / f"{prefix}-{number}.counts" for number in range(parts)]
    for number, path in enumerate(paths):
        count_pairs(found, Part(number, parts), path, asked, **how)
    return paths


def text(result) -> str:
    return json.dumps(result.as_dict())


@pytest.mark.parametrize("parts", [1, 2, 5])
@pytest.mark.parametrize("intervals", [True, None])
def test_the_sum_is_the_whole_in_every_digit(tmp_path: Path, parts: int, intervals: bool | None) -> None:
    found = people()
    paths = counted(found, tmp_path, parts, PairQuestion(fars=FARS, intervals=intervals))
    added = verification_of_parts(add_pairs(paths[::-1]), costs=True, bootstrap=QUICK)
    whole = verify(found, fars=FARS, intervals=intervals, costs=True, bootstrap=QUICK)
    assert text(added) == text(whole)
    assert "p" in whole.notes[0]  # the twins are named
    assert added.table() == whole.table()


def test_sets_that_are_counted_in_steps_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many pairs to keep them all: windows, with intervals of a short tail and without any."""
    found = people(900, 70)
    monkeypatch.setattr(verification, "MOST_TAIL", 500)
    monkeypatch.setattr(verification, "MOST_IN_MEMORY", 1000)
    for intervals in (None, False):
        paths = counted(found, tmp_path, 3, PairQuestion(fars=FARS, intervals=intervals))
        added = add_pairs(paths)
        assert added.found.kept.windows.tail > 0
        result = verification_of_parts(added, bootstrap=QUICK)
        assert result.auc_error > 0
        assert text(result) == text(verify(found, fars=FARS, intervals=intervals, bootstrap=QUICK))


def test_a_sample_that_misleads_is_found_out_and_a_second_round_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificate holds for the sum: a round whose windows miss a threshold is never added up silently."""
    from importlib import import_module

    module = import_module("angulus.evaluation.rates.all_pairs")
    monkeypatch.setattr(module, "_SAMPLE", 25)
    monkeypatch.setattr(module, "spread", lambda far, sampled: 1.0)
    monkeypatch.setattr(verification, "MOST_IN_MEMORY", 1000)
    found, asked = people(), PairQuestion(fars=FARS, intervals=False)
    first = counted(found, tmp_path, 3, asked)
    with pytest.raises(EvaluationError, match=r"kept too few scores .* once more with --after and these 3 files"):
        add_pairs(first)
    second = counted(found, tmp_path, 4, asked, "second", after=first)
    assert text(verification_of_parts(add_pairs(second))) == text(verify(found, fars=FARS))
    with pytest.raises(EvaluationError, match="--after takes the files of a first round of the same"):
        count_pairs(people(seed=1), Part(0, 2), tmp_path / "x.counts", asked, after=first)
    with pytest.raises(EvaluationError, match="1 of 3 parts is missing: 1/3"):
        count_pairs(found, Part(0, 2), tmp_path / "x.counts", asked, after=[first[0], first[2]])


def test_what_does_not_add_up_is_refused_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked = people(300), PairQuestion(fars=FARS)
    paths = counted(found, tmp_path, 3, asked)
    other = tmp_path / "other.counts"

    def refused(files: list[Path], sentence: str) -> None:
        with pytest.raises(EvaluationError, match=sentence) as caught:
            add_pairs(files)
        assert "\n" not in str(caught.value)

    refused(paths[:2], "1 of 3 parts is missing: 2/3; count and name them too")
    refused([*paths, paths[1]], r"part 1/3 is there twice, .*part-1.counts and .*part-1.counts")
    refused([], "nothing to add")
    count_pairs(people(300, seed=1), Part(2, 3), other, asked)
    refused([*paths[:2], other], "other.counts was counted from another set than .*part-0.counts")
    count_pairs(found, Part(2, 3), other, replace(asked, fars=(0.1,)))
    refused([*paths[:2], other], r"with another far than .*: \[0.1\], not \[0.1, 0.01, 0.001\]")
    count_pairs(found, Part(2, 3), other, replace(asked, intervals=True))
    refused([*paths[:2], other], "with another intervals than")
    count_pairs(found, Part(1, 2), other, asked)
    refused([paths[0], other], "is one of 2 parts and .* one of 3")
    stored = read_part(paths[2])
    write_part(other, replace(stored.header, version="0.0.1"), stored.arrays)
    refused([*paths[:2], other], "was counted by Angulus 0.0.1, and this is")
    write_part(other, replace(stored.header, question="identify"), stored.arrays)
    refused([*paths[:2], other], "holds a part of identify, not of all pairs")
    monkeypatch.setattr(divisions, "__version__", "9.9")
    refused(paths, "and this is 9.9; count all parts")


def test_a_file_that_lost_a_part_of_its_tail_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = counted(people(300), tmp_path, 2, PairQuestion(fars=FARS))
    stored = read_part(paths[1])
    shorter = {name: stored.arrays[name][5:] for name in ("tail", "tail_left", "tail_right")}
    write_part(paths[1], stored.header, {**stored.arrays, **shorter})
    with pytest.raises(EvaluationError, match="a part of the tail is lost; count this part again"):
        add_pairs(paths)
    write_part(paths[1], stored.header, {**stored.arrays, "tail_left": stored.arrays["tail_left"] + 300})
    with pytest.raises(EvaluationError, match="names images beyond its 300"):
        add_pairs(paths)
    write_part(paths[1], stored.header, {name: found for name, found in stored.arrays.items() if name != "tail"})
    with pytest.raises(EvaluationError, match="its array tail is not there"):
        add_pairs(paths)
    write_part(paths[1], stored.header, {**stored.arrays, "tail_left": stored.arrays["tail_left"][3:]})
    with pytest.raises(EvaluationError, match="holds scores without their images"):
        add_pairs(paths)
    first = read_part(paths[0])
    write_part(paths[0], first.header, {**first.arrays, "labels": first.arrays["labels"][:9]})
    write_part(paths[1], stored.header, stored.arrays)
    with pytest.raises(EvaluationError, match="has 9 labels of 300 images"):
        add_pairs(paths)
    write_part(paths[0], first.header, first.arrays)
    monkeypatch.setattr(divisions, "MOST_PARTS", 1)
    with pytest.raises(EvaluationError, match="at most 1 parts, got 2"):
        add_pairs(paths)
    monkeypatch.undo()
    write_part(paths[1], replace(stored.header, facts={}), stored.arrays)
    with pytest.raises(EvaluationError, match="it does not tell its windows"):
        add_pairs(paths)
    paths[1].write_bytes(paths[0].read_bytes()[:-100])
    with pytest.raises(EvaluationError, match="is no file of counts"):
        add_pairs(paths)


def test_parts_that_leave_pairs_out_are_refused(tmp_path: Path) -> None:
    """Blocks of another size (a device) would count some pairs twice and others never."""
    paths = counted(people(300), tmp_path, 2, PairQuestion(fars=FARS))
    stored = read_part(paths[1])
    fewer = {name: stored.arrays[name][1:] for name in ("genuine", "genuine_left", "genuine_right")}
    write_part(paths[1], stored.header, {**stored.arrays, **fewer})
    with pytest.raises(EvaluationError, match=r"hold 44,849 pairs, and 300 images make 44,850"):
        add_pairs(paths)


def test_sets_that_need_no_division_and_parts_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="held in memory and need no division"):
        count_pairs(people(300), Part(0, 2), tmp_path / "x.counts", PairQuestion(intervals=False))
    with pytest.raises(EvaluationError, match="need labels"):
        count_pairs(
            EmbeddingSet(embeddings=np.eye(4, dtype=np.float32)), Part(0, 2), tmp_path / "x.counts", PairQuestion()
        )
    for words in ("2", "1/", "a/b", "-1/3", "1/2/3", ""):
        with pytest.raises(EvaluationError, match="must be i/n, such as 0/5 to 4/5"):
            Part.parse(words)
    for words in ("3/3", "0/0"):
        with pytest.raises(EvaluationError, match="with i from 0 to n - 1"):
            Part.parse(words)
    assert not list(tmp_path.iterdir())


def test_a_set_that_is_mapped_from_a_file_stays_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its unit vectors go into a file as well, and every figure is that of the set in memory."""
    monkeypatch.setattr(row_files, "_AT_ONCE", 100)
    found = people(520)
    held = EmbeddingSet(embeddings=found.embeddings, labels=found.labels)
    held.save(tmp_path / "e.npy")
    mapped = EmbeddingSet.load(tmp_path / "e.npy")
    assert row_files.is_mapped(mapped.embeddings)
    assert mapped.labels is not None
    rows = row_files.comparable(mapped, "plain", mapped.labels)
    assert isinstance(rows, row_files.OrderedRows)
    np.testing.assert_array_equal(rows[np.arange(520)], held.unit())
    whole = text(verify(held, fars=FARS, intervals=None, bootstrap=QUICK))
    assert text(verify(mapped, fars=FARS, intervals=None, bootstrap=QUICK)) == whole
    paths = counted(mapped, tmp_path, 2, PairQuestion(fars=FARS))
    assert text(verification_of_parts(add_pairs(paths), bootstrap=QUICK)) == whole
    broken = np.lib.format.open_memmap(tmp_path / "zero.npy", mode="w+", dtype=np.float32, shape=(9, 4))
    broken[:8] = 1
    with pytest.raises(EvaluationError, match="got all zeros in row"):
        row_files.comparable(EmbeddingSet(embeddings=broken), "plain", np.arange(9))
    with pytest.raises(EvaluationError, match=r"could not be written: .*TMPDIR"):
        row_files.comparable(mapped, "plain", mapped.labels, tmp_path / "nowhere")


def test_more_parts_than_blocks_add_up_too(tmp_path: Path) -> None:
    found = people(300)
    paths = counted(found, tmp_path, 4, PairQuestion(fars=FARS))
    whole = verify(found, fars=FARS, intervals=None, bootstrap=QUICK)
    assert text(verification_of_parts(add_pairs(paths), bootstrap=QUICK)) == text(whole)


@pytest.mark.slow
@needs_shared
def test_lfw_in_five_parts(tmp_path: Path) -> None:
    found = EmbeddingSet.load(SHARED / "lfw_embeddings" / "lfw_mobilefacenet128.npz")
    fars = (1e-4, 1e-6)
    paths = counted(found, tmp_path, 5, PairQuestion(fars=fars, intervals=False))
    assert text(verification_of_parts(add_pairs(paths))) == text(verify(found, fars=fars))
