"""Small files that claim to be huge: refused in a sentence, quickly, and without the memory that they claim."""

import io
import json
import pickle
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import angulus
from angulus.array_files import read_arrays
from angulus.config.layers import parse_yaml, read_layer
from angulus.data.formats.packed import open_packed
from angulus.data.formats.rec.heads import pack
from angulus.data.formats.rec.reader import open_rec
from angulus.data.formats.rec.recordio import encode_record
from angulus.data.formats.tar import open_tar
from angulus.embeddings import EmbeddingSet
from angulus.errors import AngulusError, ConfigError, DataError, EvaluationError, ModelError
from angulus.evaluation.files.verification_bins import read_bin
from angulus.json_files import MOST_DEEP, parse_json, read_json
from angulus.models.catalogue import MODELS
from angulus.models.files import load_model, read_description, save_model
from angulus.pickles.machine import BROKEN, read_pickle

SOURCE = Path(angulus.__file__).parent
MOST_BYTES, MOST_SECONDS = 2**27, 10


def refused(kind: type[Exception] | tuple[type[Exception], ...], call: Callable[[], Any], match: str = "") -> None:
    tracemalloc.start()
    begin = time.process_time()
    try:
        with pytest.raises(kind, match=match or None):
            call()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MOST_BYTES
    assert time.process_time() - begin < MOST_SECONDS


def test_a_rec_that_claims_a_billion_images(tmp_path):
    image = encode_record(pack([3.0], 1, b"image"))
    head = encode_record(pack([2.0**30, 2.0**30 + 8], 0, b""))
    (tmp_path / "x.rec").write_bytes(head + image)
    tracemalloc.start()
    records = open_rec(tmp_path / "x.rec")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert records.read_bytes(0) == b"image"
    assert peak < MOST_BYTES


@pytest.mark.parametrize(
    "code",
    [
        b"\x80\x05\x8e" + struct.pack("<Q", 6_600_000_000) + b"x.",  # BINBYTES8
        b"\x80\x05\x96" + struct.pack("<Q", 6_600_000_000) + b"x.",  # BYTEARRAY8
        b"\x80\x05\x8d" + struct.pack("<Q", 6_600_000_000) + b"x.",  # BINUNICODE8
        b"\x80\x05\x95" + struct.pack("<Q", 6_600_000_000) + b"x.",  # FRAME
        b"\x80\x02\x8b" + struct.pack("<i", 2_000_000_000) + b"x.",  # LONG4
        b"\x80\x02(" * 5000 + b".",  # marks
        b"\x80\x04" + b"\x8f" * 5000 + b".",  # sets
    ],
)
def test_a_pickle_that_claims_gigabytes(tmp_path, code):
    (tmp_path / "x.bin").write_bytes(code)
    refused(EvaluationError, lambda: read_bin(tmp_path / "x.bin"), "not a readable verification set")
    refused(BROKEN, lambda: read_pickle(tmp_path / "x.bin", lambda module, name: None))


def test_a_key_whose_hash_takes_for_ever(tmp_path):
    twice = b"h\x00h\x00\x86q\x00" * 60  # a tuple that holds the one before it twice
    (tmp_path / "x.bin").write_bytes(b"\x80\x02}K\x01q\x00" + twice + b"K\x01s.")
    refused(EvaluationError, lambda: read_bin(tmp_path / "x.bin"), "keys of a dictionary")


def test_one_image_named_a_thousand_times_is_kept_once(tmp_path):
    image = bytearray(2**20)
    (tmp_path / "x.bin").write_bytes(pickle.dumps(([image] * 2000, [True] * 1000), protocol=5))
    tracemalloc.start()
    assert len(read_bin(tmp_path / "x.bin").images) == 2000
    assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    tracemalloc.stop()


def test_yaml_aliases_that_multiply():
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    refused(ConfigError, lambda: parse_yaml("\n".join(lines), "recipe"), "at most 100,000 values")
    merged = ["a0: &a0 {x: 1}"] + [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12)]
    refused(ConfigError, lambda: parse_yaml("\n".join(merged), "recipe"), "at most 100,000 values")
    refused(ConfigError, lambda: parse_yaml("a: &a [*a]", "recipe"), "alias of")
    assert parse_yaml("a: &a [1]\nb: *a", "recipe") == {"a": [1], "b": [1]}


@pytest.mark.parametrize("text", ["[" * 5000, "- " * 5000, "{a: " * 5000, "? " * 5000, "a: " + "[" * 5000 + "]" * 5000])
def test_deep_yaml(text):
    refused(ConfigError, lambda: parse_yaml(text, "recipe"))


@pytest.mark.parametrize("text", ["!!bool x", "!!int []", "!!float ''", "!!timestamp x", "? [a]\n: b", "!!omap [1]"])
def test_yaml_whose_tags_forbid_its_values(text):
    refused(ConfigError, lambda: parse_yaml(text, "recipe"))


def test_a_long_recipe(tmp_path):
    (tmp_path / "x.yaml").write_text("a: " + "x" * 2**21)
    refused(ConfigError, lambda: read_layer(tmp_path / "x.yaml"), "at most 1,048,576 characters")


def test_deep_json(tmp_path):
    for deep in ("[" * 100_000, "[" * 100 + "]" * 100, '{"a":' * 100_000):
        refused(ValueError, lambda deep=deep: parse_json(deep))
    within = "[" * MOST_DEEP + "]" * MOST_DEEP
    assert parse_json(within) == json.loads(within)
    (tmp_path / "model.json").write_text("[" * 100_000)
    refused(ModelError, lambda: read_description(tmp_path), "at most 64 deep")
    refused(ConfigError, lambda: read_layer(tmp_path / "model.json"))
    with (tmp_path / "long.json").open("wb") as file:
        file.truncate(2**29)
    refused(ValueError, lambda: read_json(tmp_path / "long.json"), "at most 268,435,456 bytes")


def test_json_of_strangers_is_read_in_one_place():
    found = [
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if ("json.loads(" in path.read_text() or "json.load(" in path.read_text()) and path.name != "json_texts.py"
    ]
    assert found == []


def test_pickles_and_arrays_are_read_in_one_place():
    words = ("pickle.load", "pickle.Unpickler(", "pickle._Unpickler)", "np.load(", "numpy.load(")
    found = {path.name for path in SOURCE.rglob("*.py") for word in words if word in path.read_text()}
    assert found <= {"verification_bins.py", "embeddings.py"}  # the first in a sentence that warns of it


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    config = MODELS["tiny"](channels=(4,), units=(1,), embedding_dim=8)
    torch.manual_seed(0)
    save_model(folder, config.build(), config)
    return folder


@pytest.mark.parametrize(
    "change",
    [
        {"embedding_dim": 10**9},
        {"channels": [10**9]},
        {"units": [10**9]},
        {"channels": [4] * 100_000, "units": [0] * 100_000},
        {"input": {"height": 10**6, "width": 10**6, "colour": "rgb", "mean": 0, "std": 1}},
        {"name": ["tiny"]},
        {"input": 5},
        {"name": "vit", "depth": 10**9},
    ],
)
def test_a_model_that_claims_a_billion_dimensions(model, tmp_path, change):
    description = json.loads((model / "model.json").read_text())
    values = description["model"] if change.get("name") != "vit" else {"input": description["model"]["input"]}
    description["model"] = {**values, **change}
    (tmp_path / "model.json").write_text(json.dumps(description))
    (tmp_path / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes())
    assert load_model(model) is not None
    refused(ModelError, lambda: load_model(tmp_path))


def header(shape: str, kind: str = "<f4") -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


@pytest.mark.parametrize(
    "content",
    [
        header("(1000000000, 512)"),
        header("(1000000000000000000000, 512)"),
        header("(2, 2)", "<U1000000000") + bytes(64),
        header("(-4, -4)") + bytes(64),
        header("(" * 3000 + "1"),
        b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b"{",
    ],
)
def test_huge_headers_of_numpy(tmp_path, content):
    (tmp_path / "x.npy").write_bytes(content)
    refused(EvaluationError, lambda: EmbeddingSet.load(tmp_path / "x.npy"), "not a readable")
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("embeddings.npy", content)
    refused(EvaluationError, lambda: EmbeddingSet.load(tmp_path / "x.npz"), "not a readable")


def test_a_zip_bomb(tmp_path):
    content = header("(200000000,)", "|u1")
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as file:
        file.write(content)
        for _ in range(200):
            file.write(bytes(10**6))
    refused(ValueError, lambda: read_arrays(tmp_path / "x.npz"), "at most 67,108,864 bytes")


def tar_header(name: bytes, size: bytes, kind: bytes) -> bytes:
    block = bytearray(512)
    block[: len(name)] = name
    block[100:108], block[108:116], block[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    block[124:136], block[136:148], block[156:157] = size, b"00000000000\0", kind
    block[257:265] = b"ustar  \0"
    block[148:156] = b"%06o\0 " % (sum(block) - sum(block[148:156]) + 8 * 32)
    return bytes(block)


@pytest.mark.parametrize(
    ("size", "kind"),
    [
        (b"77777777777\0", b"0"),
        (b"77777777777\0", b"L"),
        (b"\x80" + b"\x7f" * 11, b"L"),
        (b"77777777777\0", b"x"),
        (b"\xff" * 11 + b"\x00", b"0"),  # a negative size, which leads back
        (b"77777777777\0", b"S"),
    ],
)
def test_heads_of_tar_that_claim_gigabytes(tmp_path, size, kind):
    (tmp_path / "x.tar").write_bytes(tar_header(b"a/1.jpg", size, kind) + bytes(2048))
    refused(DataError, lambda: open_tar(tmp_path / "x.tar"))


def test_long_names_of_tar_within_each_other(tmp_path):
    (tmp_path / "x.tar").write_bytes((tar_header(b"././@LongLink", b"00000000001\0", b"L") + bytes(512)) * 3000)
    refused(DataError, lambda: open_tar(tmp_path / "x.tar"))


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 10_000])
def test_a_deep_index_of_a_packed_set(tmp_path, text):
    (tmp_path / "index.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    (tmp_path / "images.bin").write_bytes(b"")
    refused(DataError, lambda: open_packed(tmp_path))


def test_a_parquet_that_claims_a_billion_rows(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    from angulus.data.formats.parquet.reader import open_parquet

    rows = 20_000_000  # all equal: a few kilobytes
    column = arrow.DictionaryArray.from_arrays(arrow.array(np.zeros(rows, np.int8)), arrow.array([7]))
    image = arrow.DictionaryArray.from_arrays(arrow.array(np.zeros(rows, np.int8)), arrow.array([b"x"]))
    sink = io.BytesIO()
    table = arrow.table({"image": image.cast(arrow.binary()), "label": column.cast(arrow.int64())})
    parquet.write_table(table, sink, store_schema=False)
    (tmp_path / "x.parquet").write_bytes(sink.getvalue())
    assert len(sink.getvalue()) < 2**20
    refused(AngulusError, lambda: open_parquet(tmp_path / "x.parquet"), "at most 1,048,576 rows")


@pytest.mark.parametrize("value", [float("inf"), float("nan"), -1.0, 0.5, "x", None])
def test_a_tolerance_that_proves_nothing(model, value):
    description = json.loads((model / "model.json").read_text())
    description["test_vector"]["tolerance"] = value
    (model / "model.json").write_text(json.dumps(description))
    refused(ModelError, lambda: load_model(model), "no usable test vector")


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 10**400])
def test_a_test_vector_that_is_not_finite(model, value):
    description = json.loads((model / "model.json").read_text())
    description["test_vector"]["embeddings"][0][0] = value
    (model / "model.json").write_text(json.dumps(description))
    refused(ModelError, lambda: load_model(model), "no usable test vector")
