"""Feature files and lists in the layout of MegaFace's kit, written here byte by byte."""

import json
import struct

import numpy as np
import pytest

from angulus.errors import EvaluationError
from angulus.evaluation.files.megaface_features import (
    FeatureList,
    read_feature,
    read_feature_list,
    read_features,
    write_feature,
)

SUFFIX = "_insightface.bin"


def layout(values, rows, columns, stride, kind=5):
    return struct.pack("<4i", rows, columns, stride, kind) + struct.pack(f"<{len(values)}f", *values)


@pytest.mark.parametrize(("rows", "columns", "stride"), [(3, 1, 4), (1, 3, 12), (1, 3, 4)])
def test_the_layouts_in_use(tmp_path, rows, columns, stride):
    (tmp_path / "a.bin").write_bytes(layout([0.5, -1, 2], rows, columns, stride))
    np.testing.assert_array_equal(read_feature(tmp_path / "a.bin"), np.float32([0.5, -1, 2]))


def test_what_is_written_is_the_layout_of_insightface(tmp_path):
    path = write_feature(tmp_path / "deep" / "a.bin", [0.5, -1, 2])
    assert path.read_bytes() == layout([0.5, -1, 2], 3, 1, 4)
    with pytest.raises(EvaluationError, match=r"one embedding of shape \[dimensions\], got \[1, 2\]"):
        write_feature(path, [[1, 2]])


def make_set(folder, ids=("Ada", "Bea", "Ada")):
    paths = [f"{name}/{name}_{row}.png" for row, name in enumerate(map(str, ids))]
    for row, path in enumerate(paths):
        write_feature(folder / f"{path}{SUFFIX}", [row, 1])
    (folder / "list.json").write_text(json.dumps({"path": paths, "id": list(ids)}))
    return folder / "list.json"


def test_a_list_of_features(tmp_path):
    found = read_features(read_feature_list(make_set(tmp_path)), tmp_path, suffix=SUFFIX)
    assert (found.identities, found.labels.tolist()) == (("Ada", "Bea"), [0, 1, 0])
    assert found.keys[1] == "Bea/Bea_1.png"
    np.testing.assert_array_equal(found.embeddings, [[0, 1], [1, 1], [2, 1]])
    numbered = read_features(read_feature_list(make_set(tmp_path / "m", (5, 6))), tmp_path / "m", suffix=SUFFIX)
    assert numbered.identities == ("5", "6")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cut short: a feature file begins with 16 bytes, got 0"),
        (layout([1, 2, 3], 3, 1, 4)[:-1], "must hold 28 bytes for 3 x 1 numbers, got 27"),
        (layout([1, 2, 3], 3, 1, 4) + b"x", "must hold 28 bytes"),
        (layout([1, 2, 3], 3, 1, 4, kind=6), "must hold a matrix of float32 .* got 3, 1, 4, 6"),
        (layout([1, 2, 3], -3, -1, 4), "must hold a matrix of float32"),
        (layout([1, 2, 3], 3, 1, 8), "must hold a matrix of float32"),
        (layout([], 2**31 - 1, 2**31 - 1, 4), "must hold .* bytes"),
    ],
)
def test_damaged_features(tmp_path, content, message):
    (tmp_path / "a.bin").write_bytes(content)
    with pytest.raises(EvaluationError, match=message):
        read_feature(tmp_path / "a.bin")


def test_faults_of_lists(tmp_path):
    listed = read_feature_list(make_set(tmp_path))
    with pytest.raises(EvaluationError, match=r"no feature file at .*Ada_0\.png_other"):
        read_features(listed, tmp_path, suffix="_other.bin")
    write_feature(tmp_path / f"Bea/Bea_1.png{SUFFIX}", [1, 2, 3])
    with pytest.raises(EvaluationError, match=r"the 2 numbers of the first, got 3 in Bea/Bea_1\.png"):
        read_features(listed, tmp_path, suffix=SUFFIX)
    write_feature(tmp_path / f"Bea/Bea_1.png{SUFFIX}", [np.nan, 2])
    with pytest.raises(EvaluationError, match=r"NaN or infinity in row 1 \(\"Bea/Bea_1.png\"\)"):
        read_features(FeatureList(paths=listed.paths, ids=listed.ids), tmp_path, suffix=SUFFIX)
    for text, message in [
        ("{", "not a readable feature list"),
        ("[]", "must be a JSON object with the list 'path'"),
        ('{"path": ["a"]}', "with the list 'id'"),
        ('{"path": ["a"], "id": [1, 2]}', "one id for each path, got 1 paths and 2 ids"),
        ('{"path": [], "id": []}', "got 0 paths"),
    ]:
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(EvaluationError, match=message):
            read_feature_list(tmp_path / "bad.json")
    with pytest.raises(EvaluationError, match="does not exist"):
        read_feature_list(tmp_path / "none.json")
