"""Parts on the disk: joined in memory without a copy where they fit; and arrays of a `.npz` that stay in it."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from angulus.array_files import Blocks, read_arrays, write_arrays
from angulus.embeddings import EmbeddingSet, files
from angulus.embeddings.shards import InputShard, Manifest, merge_shards
from angulus.embeddings.shards.mapping import is_mappable, joined
from angulus.embeddings.shards.parts import check_part, read_part, write_part
from angulus.errors import EvaluationError
from angulus.evaluation.scores.streaming.row_files import is_mapped


def made(folder, rows, *, dim=8, flipped=True) -> EmbeddingSet:
    """A sharded set of parts of so many rows, and the same as one set."""
    random, total = np.random.default_rng(0), sum(rows)
    ends = np.cumsum(rows).tolist()
    shards = tuple(
        InputShard(number=n, begin=end - row, end=end) for n, (row, end) in enumerate(zip(rows, ends, strict=True))
    )
    manifest = Manifest(
        **{"model": "m", "examples": total, "set_digest": "s", "block": max(rows), "options": {}},
        **{"identities": ("ada", "bea"), "shards": shards},
    ).publish(folder)
    whole = EmbeddingSet(
        embeddings=random.normal(size=(total, dim)).astype(np.float32),
        flipped=random.normal(size=(total, dim)).astype(np.float32) if flipped else None,
        labels=np.arange(total) % 2,
        keys=tuple(f"{row:05d}" for row in range(total)),
        identities=("ada", "bea"),
        columns={"camera": np.arange(total) % 3, "site": np.array([f"s{row}" for row in range(total)])},
    )
    for shard in shards:
        part = whole.select(np.arange(shard.begin, shard.end))
        fields = {name: getattr(part, name) for name in ("embeddings", "flipped", "labels", "keys")}
        write_part(folder / shard.name, fields, part.columns, whole=manifest.digest(), number=shard.number)
    return whole


@pytest.mark.parametrize(("rows", "mapped"), [((2048, 2048, 7), True), ((2048, 9, 7), False), ((5,), True)])
def test_parts_are_one_set(tmp_path, rows, mapped) -> None:
    whole = made(tmp_path, rows)
    found = EmbeddingSet.load(tmp_path)
    for name in ("embeddings", "flipped", "labels"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
    assert (found.keys, found.identities) == (whole.keys, whole.identities)
    for name, values in whole.columns.items():
        np.testing.assert_array_equal(found.columns[name], values)
    assert not found.embeddings.flags.writeable
    merge_shards(tmp_path, tmp_path / "all.npz")
    EmbeddingSet.load(tmp_path).save(tmp_path / "saved.npz")
    assert (tmp_path / "all.npz").read_bytes() == (tmp_path / "saved.npz").read_bytes()
    assert mapped == is_mappable_folder(tmp_path, rows)
    assert mapped == is_mapped(EmbeddingSet.load(tmp_path).embeddings)  # which evaluations then leave on the disk


def is_mappable_folder(folder, rows) -> bool:
    from angulus.embeddings.shards.manifest import read_manifest

    manifest = read_manifest(folder)
    parts = [read_part(folder / s.name, whole=manifest.digest(), number=s.number) for s in manifest.shards]
    return is_mappable([part.matrices["embeddings"] for part in parts])


def test_mapped_parts_live_on_when_the_set_is_gone(tmp_path) -> None:
    whole = made(tmp_path, (2048, 2048, 100))
    found = EmbeddingSet.load(tmp_path).embeddings
    part = found[2000:2100]
    del found
    for path in tmp_path.iterdir():
        path.unlink()
    np.testing.assert_array_equal(part, whole.embeddings[2000:2100])


def test_a_part_is_a_file_for_any_reader(tmp_path) -> None:
    whole = made(tmp_path, (10, 6))
    stored = load_file(tmp_path / "000001.safetensors")
    np.testing.assert_array_equal(stored["embeddings"], whole.embeddings[10:])
    alone = EmbeddingSet.load(tmp_path / "000001.safetensors")
    assert alone.keys == (whole.keys or ())[10:]
    np.testing.assert_array_equal(alone.column("site"), whole.column("site")[10:])
    np.testing.assert_array_equal(alone.labels, np.arange(10, 16) % 2)


def test_a_part_that_is_another_or_gone_is_a_sentence(tmp_path) -> None:
    made(tmp_path, (4, 4))
    with pytest.raises(EvaluationError, match="part of another set"):
        check_part(tmp_path / "000001.safetensors", whole="x", number=1)
    with pytest.raises(EvaluationError, match="removed meanwhile"):
        check_part(tmp_path / "000002.safetensors", whole="x", number=2)
    with pytest.raises(EvaluationError, match="cannot be stored"):
        write_part(tmp_path / "x", {}, {"odd": np.zeros(2, np.complex64)}, whole="x", number=0)


def test_a_shortened_part_is_not_mapped(tmp_path) -> None:
    from angulus.embeddings.shards.manifest import read_manifest

    made(tmp_path, (2048, 2048))
    manifest = read_manifest(tmp_path)
    parts = [read_part(tmp_path / s.name, whole=manifest.digest(), number=s.number) for s in manifest.shards]
    (tmp_path / "000001.safetensors").write_bytes(b"")
    with pytest.raises(OSError, match="become shorter"):
        joined([part.matrices["embeddings"] for part in parts])


def test_blocks_are_written_as_the_array_itself(tmp_path) -> None:
    arrays = {"a": np.arange(60, dtype=np.float32).reshape(20, 3), "name": np.array(["x", "yy", "zzz"])}
    blocks = {
        name: Blocks(dtype=values.dtype, shape=values.shape, rows=lambda values=values: np.array_split(values, 3))
        for name, values in arrays.items()
    }
    for name, given in (("a.npz", arrays), ("b.npz", blocks)):
        with (tmp_path / name).open("wb") as file:
            write_arrays(file, given)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz", allow_pickle=False) as stored:
        np.testing.assert_array_equal(stored["a"], arrays["a"])
    short = Blocks(dtype=np.dtype(np.float32), shape=(21, 3), rows=lambda: [arrays["a"]])
    with (tmp_path / "c.npz").open("wb") as file, pytest.raises(ValueError, match="21 rows were announced"):
        write_arrays(file, {"a": short})


def test_large_arrays_of_an_npz_stay_in_the_file(tmp_path, monkeypatch) -> None:
    whole = made(tmp_path / "parts", (50, 50))
    whole.save(tmp_path / "a.npz")
    monkeypatch.setattr(files, "_MAPPED", 1000)
    found = EmbeddingSet.load(tmp_path / "a.npz")
    for name in ("embeddings", "flipped"):
        assert isinstance(getattr(found, name).base, np.memmap)
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
    np.savez(tmp_path / "b.npz", embeddings=whole.embeddings)
    np.testing.assert_array_equal(EmbeddingSet.load(tmp_path / "b.npz").embeddings, whole.embeddings)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[600] ^= 1
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(EvaluationError, match=r"a\.npz"):
        EmbeddingSet.load(tmp_path / "a.npz")
    assert isinstance(read_arrays(tmp_path / "b.npz")["embeddings"], np.ndarray)
