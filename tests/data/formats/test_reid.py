"""Market-1501 and MSMT17 as their authors lay them out: who is shown by which camera, and what is refused."""

import numpy as np
import pytest
from data.formats.reid_sets import market, msmt

from angulus.data import format_of, open_source, subset
from angulus.data.examples import columns_of
from angulus.data.formats.label_names import column_values
from angulus.data.formats.reid.searches import search_in
from angulus.errors import DataError


def test_market_says_person_and_camera_in_its_names(tmp_path):
    folder = market(tmp_path / "Market-1501-v15.09.15")
    train = open_source(folder)
    assert (list(train.identities), len(train), train.read(0).shape) == (["0003", "0004"], 8, (32, 16, 3))
    assert train.keys[0] == "bounding_box_train/0003_c1s1_000000_00.jpg"
    assert columns_of(train)["camera"].tolist() == [1, 1, 2, 2] * 2
    gallery = open_source(folder / "bounding_box_test")
    assert list(gallery.identities) == ["-1", "0000", "0001", "0002"]
    assert columns_of(gallery)["camera"].tolist() == [3, 3, 1, 2, 1, 2]


def test_msmt_lists_person_and_camera_and_tells_its_halves_apart(tmp_path):
    folder = msmt(tmp_path)
    train, val = open_source(folder), open_source(folder / "list_val.txt")
    assert list(train.identities) == list(val.identities) == ["0000", "0001"]
    assert not set(train.keys) & set(val.keys)
    gallery = open_source(folder / "list_gallery.txt")
    assert list(gallery.identities) == ["test-0000", "test-0001"]
    columns = columns_of(gallery)
    assert (columns["camera"].tolist(), set(columns["time"])) == ([1, 2, 1, 2], {"morning"})
    (folder / "train").rename(folder / "mask_train_v2")
    assert open_source(folder).read(0).shape == (32, 16, 3)


def test_a_known_set_says_what_is_searched_where(tmp_path):
    market(tmp_path / "market")
    msmt(tmp_path / "msmt")
    assert [search_in(tmp_path / name).rule for name in ("market", "msmt")] == ["market-1501", "msmt17"]
    assert search_in(tmp_path / "market" / "query") is None
    assert search_in(tmp_path / "msmt" / "list_query.txt") is None
    assert format_of(tmp_path / "market" / "query") == "market1501"
    assert format_of(tmp_path / "msmt" / "list_query.txt") == "msmt17"


def test_columns_go_with_the_examples_of_a_view(tmp_path):
    train = open_source(market(tmp_path))
    assert columns_of(subset(train, identities=["0004"]))["camera"].tolist() == [1, 1, 2, 2]


def test_what_is_not_as_it_must_be_is_named(tmp_path):
    with pytest.raises(DataError, match="must be Market-1501's folder"):
        open_source(tmp_path, kind="market1501")
    folder = market(tmp_path / "market")
    (folder / "query" / "me.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"me\.jpg must have a name such as 0002_c1s1_000451_03\.jpg"):
        open_source(folder / "query")
    lists = msmt(tmp_path / "msmt")
    for line, said in (
        ("0000/face.jpg 0", "line 1 must be an image and the number of its person"),
        ("../0000_000_01_0303morning_0015_0.jpg 0", "must name images below"),
        ("0/0000_000_01_0303noon_0_0.jpg 0\n" * 2, "is there twice"),
        ("\n", "lists no image"),
    ):
        (lists / "list_train.txt").write_text(line)
        with pytest.raises(DataError, match=said):
            open_source(lists)


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        (["3", "10"], np.array([3, 10])),
        (["3.5", "-1"], np.array([3.5, -1.0])),
        (["03", "10"], np.array(["03", "10"])),
        (["", "1"], np.array(["", "1"])),
        ([], np.array([], dtype=str)),
    ],
)
def test_columns_of_numbers_become_numbers(texts, wanted):
    found = column_values(texts)
    assert (found.dtype.kind, found.tolist()) == (wanted.dtype.kind, wanted.tolist())
