"""Recipes that name stored data of every layout train on the same images as the folder they were made from."""

import numpy as np
import pytest
from small_sets import write_folder

from angulus.config import load
from angulus.data import convert, open_source
from angulus.data.formats.catalogue import FORMATS
from angulus.errors import DataError
from angulus.models import InputSpec
from angulus.training.datasets import DATA, STORED
from angulus.training.recipe.data_sources import first_set, found_sources, image_shape, open_data


@pytest.mark.parametrize("kind", [kind for kind in STORED.values() if kind in FORMATS])
def test_a_recipe_of_stored_data(tmp_path, kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow")
    folder = write_folder(tmp_path / "people", {f"person{number}": 3 for number in range(20)})
    stored = tmp_path / f"set.{'csv' if kind == 'manifest' else kind}"
    convert(open_source(folder), stored, to=kind)
    spec = InputSpec(height=6, width=5)
    rules = "data.identities={min_images: 3, exclude: [person3]}"
    sources = [
        found_sources(load([], [f"data={{name: {name}, path: {path}}}", rules]), spec)
        for name, path in (("folder", folder), (kind, stored))
    ]
    assert sources[0].train.keys == sources[1].train.keys
    assert sources[0].held_out.identities == sources[1].held_out.identities
    assert "person3" not in sources[1].train.identities
    assert np.array_equal(sources[0].train.read(5), sources[1].train.read(5))
    assert sources[1].train.read(5).shape == (6, 5, 3)
    assert image_shape(load([], [f"data={{name: {kind}, path: {stored}}}"]).data) == (12, 10)


def test_damaged_images_are_skipped_where_the_recipe_says_so(tmp_path):
    folder = write_folder(tmp_path / "people", {"Ada": 3, "Bob": 3})
    (folder / "Bob" / "0001.png").write_bytes(b"?")
    convert(open_source(folder), tmp_path / "set.packed")
    recipe = load([], [f"data={{name: packed, path: {tmp_path}/set.packed, on_unreadable: skip}}"])
    assert len(open_data(recipe.data, InputSpec(height=12, width=10))) == 5


@pytest.mark.parametrize("kind", ["tar", "packed", "manifest"])
def test_another_layout_than_a_folder_is_named(tmp_path, kind):
    stored = tmp_path / f"set.{'csv' if kind == 'manifest' else kind}"
    convert(open_source(write_folder(tmp_path / "people", {"Ada": 3, "Bob": 3})), stored, to=kind)
    data = load([], [f"data.path={stored}"]).data
    for opened in (lambda: open_data(data, InputSpec(height=12, width=10)), lambda: first_set(data)):
        with pytest.raises(DataError, match=rf"is stored as {kind}, and data is a folder here; add data={kind}"):
            opened()
    nothing = load([], [f"data.path={tmp_path / 'nothing'}"]).data
    with pytest.raises(DataError, match="nothing"):
        first_set(nothing)


def test_a_network_of_sound_is_told_what_stored_features_take(tmp_path):
    path = tmp_path / "features.npz"
    np.savez(path, features=np.zeros((40, 24), np.float32), lengths=[10] * 4, speakers=["a", "a", "b", "b"])
    recipe = load([], ["data=features", f"data.path={path}", "model=tiny_speech"])
    with pytest.raises(DataError, match=r"set model\.input\.content=features model\.input\.bands=24$"):
        open_data(recipe.data, recipe.model.input)


def test_every_layout_has_a_name():
    others = {"folder", "omniglot", "synthetic", "union", "noisy", "kaldi", "features", "drawn_speech", "drawn_reid"}
    assert set(STORED.values()) | others == set(DATA)
