"""Templates without a face: counted as failures to enrol, never accepted and never found, and an error unless asked."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from angulus.cli import main
from angulus.embeddings import EmbeddingSet
from angulus.errors import EvaluationError
from angulus.evaluation import pool_templates, search_two_galleries, verify_templates
from angulus.evaluation.scores.template_pairs import TemplateGallery, TemplatePairs

PEOPLE = np.repeat(np.arange(8), 3)
IDS = np.arange(24)


def images(zero=()):
    random = np.random.default_rng(0)
    found = random.normal(size=(8, 8))[PEOPLE] + 0.1 * random.normal(size=(24, 8))
    found[list(zero)] = 0
    return found.astype(np.float32)


def pairs():
    left, right = np.array([(a, b) for a in range(24) for b in range(a + 1, 24)]).T
    return TemplatePairs(left=left, right=right, same=PEOPLE[left] == PEOPLE[right])


def gallery(ids):
    return TemplateGallery(templates=np.array(ids), subjects=PEOPLE[ids])


@pytest.mark.parametrize("keep_norms", [True, False])
def test_templates_without_a_face_are_rejected_when_asked(keep_norms):
    with pytest.raises(EvaluationError, match="without_face=reject"):
        pool_templates(images([0, 4]), IDS, IDS, keep_norms=keep_norms)
    found = pool_templates(images([0, 4]), IDS, IDS, keep_norms=keep_norms, without_face="reject")
    assert (found.failed.tolist(), len(found)) == ([0, 4], 22)
    result = verify_templates(found, pairs(), fars=(0.1,))
    whole = verify_templates(pool_templates(images(), IDS, IDS), pairs(), fars=(0.1,))
    assert (result.genuine, result.impostors) == (whole.genuine, whole.impostors)
    assert result.rejected == (4, 41)
    assert result.points[0].true_accepts == whole.points[0].true_accepts - 4
    assert "2 templates without a face (failures to enrol): 4 genuine and 41 impostor pairs" in result.table()


def test_good_templates_are_as_before():
    assert verify_templates(pool_templates(images(), IDS, IDS), pairs()).as_dict()["failures_to_enrol"] == 0
    one = pool_templates(images(), IDS, IDS, without_face="reject")
    assert np.array_equal(one.vectors, pool_templates(images(), IDS, IDS).vectors)


def test_nobody_finds_a_template_without_a_face():
    first, second = gallery([0, 3, 6, 9]), gallery([12, 15, 18, 21])
    probes = gallery([1, 4, 7, 10, 13, 16, 19, 22])
    whole = search_two_galleries(pool_templates(images(), IDS, IDS), probes, (first, second), ranks=(1, 4))
    assert whole.mean_cmc()[1] == 1.0
    # the gallery's template of person 0 and the probe of person 1 and of person 4 have no face
    lacking = pool_templates(images([0, 4, 13]), IDS, IDS, without_face="reject")
    found = search_two_galleries(lacking, probes, (first, second), ranks=(1, 4))
    assert found.failed == (2, 1)
    assert [(each.known, each.unknown) for each in found.galleries] == [(4, 4), (4, 4)]
    assert [[point.hits for point in each.cmc] for each in found.galleries] == [[2, 2], [3, 3]]
    assert "2 probes and 1 of the galleries; they are never found" in found.table()


def test_an_image_that_was_not_embedded(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = [f"{row}.jpg" for row in range(24)]
    kept = EmbeddingSet(embeddings=images(), keys=tuple(names)).select(np.arange(1, 24))
    replace(kept, labels=None).save("e.npz")
    Path("tid_mid.txt").write_text("".join(f"{name} {row} {row}\n" for row, name in enumerate(names)))
    every = pairs()
    lines = zip(every.left, every.right, every.same, strict=True)
    Path("pairs.txt").write_text("".join(f"{a} {b} {int(same)}\n" for a, b, same in lines))
    words = ["evaluate", "templates", "e.npz", "--images", "tid_mid.txt", "--pairs", "pairs.txt", "--json", "r.json"]
    assert main(words) == 2
    assert "first '0.jpg'; where these have no face, count them as failures" in capsys.readouterr().err
    assert main([*words, "--without-face", "reject"]) == 0
    assert json.loads(Path("r.json").read_text())["verification"]["rejected_pairs"] == [2, 21]
