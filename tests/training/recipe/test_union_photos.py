"""Photos of two real sets of other sizes in one run, joined by names and kept apart; the twin has made-up pictures."""

import json

import pytest
from real_data import SHARED, needs_shared
from small_run import small
from small_sets import write_folder

from angulus.models import InputSpec
from angulus.training import Evaluation, FolderData, Identities, UnionData, train
from angulus.training.recipe.data_sources import found_sources


def finish(folder, sets, join, **more):
    """A short run; its first row of metrics and the names of its classes."""
    data = UnionData(sets=sets, join=join, identities=Identities(parts={"train": 0.6, "test": 0.4}), **more)
    quick = {"epochs": 1, "batch_size": 32, "evaluation": Evaluation(every=None, fars=(0.1,), max_images=3)}
    result = train(small(folder, data=data, **quick))
    first = json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])
    assert 0.0 <= result.figures["held-out/eer"] <= 0.7
    return first, json.loads((folder / "classes.json").read_text())


def check_both_joins(tmp_path, sets):
    first, names = finish(tmp_path / "joined", sets, "names", weights={"small": 1.0, "large": 3.0})
    shares = 0.25 * first["loss/small"] + 0.75 * first["loss/large"]
    assert first["loss"] == pytest.approx(shares, rel=1e-5)
    first, apart = finish(tmp_path / "separate", sets, "separate", weights={"small": 1.0, "large": 3.0})
    assert {name.partition("/")[0] for name in apart} == {"small", "large"}
    assert {name.partition("/")[2] for name in apart} == set(names)  # the same people are trained on
    assert len(apart) >= len(names)


@pytest.mark.slow
@needs_shared
def test_orl_beside_lfw(tmp_path):
    rules = Identities(min_images=30, max_images=8)
    sets = {
        "small": FolderData(path=SHARED / "orl", fit="resize"),
        "large": FolderData(path=SHARED / "lfw112", identities=rules),
    }
    check_both_joins(tmp_path, sets)


def test_two_folders_of_other_sizes_that_share_people(tmp_path):
    west = write_folder(tmp_path / "west", {f"p{number:02d}": 4 for number in range(20)}, height=24, width=20)
    east = write_folder(tmp_path / "east", {f"p{number:02d}": 3 for number in range(10, 40)}, height=30, width=30)
    check_both_joins(tmp_path, {"small": FolderData(path=west, fit="resize"), "large": FolderData(path=east)})


@needs_shared
def test_eighteen_people_of_glint_are_in_lfw_as_well(tmp_path):
    few = Identities(max_images=3)
    sets = {
        "glint": FolderData(path=SHARED / "glint24", identities=few),
        "lfw": FolderData(path=SHARED / "lfw112", identities=few),
    }
    spec = InputSpec(height=112, width=112)
    counts = {}
    for spelling in ("exact", "folded"):
        sources = found_sources(small(None, data=UnionData(sets=sets, spelling=spelling)), spec)
        counts[spelling] = next(note for note in sources.notes if "people are in several sets" in note).split()[0]
    assert counts == {"exact": "18", "folded": "18"}
