"""`embed_shards`: the result is that of one call of `embed`, whatever the workers, and what does not fit is refused."""

import hashlib
import json
import tarfile
import wave

import numpy as np
import pytest
import torch
from small_sets import array_source, write_folder

from angulus.data import FolderSource, apply_edits, open_source, select
from angulus.data.views.edits import Edit, Edits
from angulus.embeddings import EmbeddingSet
from angulus.embeddings.shards import MANIFEST, merge_shards
from angulus.errors import ConfigError, DataError, EvaluationError, ModelError
from angulus.extract import embed
from angulus.models import InputSpec, SpeechInput, TinyNet, TinySpeech
from angulus.models.weights import fingerprint_of_model
from angulus.shards import embed_shards

COUNTS = (3, 4, 1, 5)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(3)
    return TinyNet(channels=(8,), units=(0,), embedding_dim=6, input=InputSpec(height=12, width=10)).build()


def write_wave(path, samples) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())


def content(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def same(found: EmbeddingSet, wanted: EmbeddingSet) -> None:
    np.testing.assert_array_equal(found.embeddings, wanted.embeddings)
    np.testing.assert_array_equal(found.flipped, wanted.flipped)
    np.testing.assert_array_equal(found.labels, wanted.labels)
    assert (found.keys, found.identities) == (wanted.keys, wanted.identities)
    assert sorted(found.columns) == sorted(wanted.columns)
    for name, values in wanted.columns.items():
        np.testing.assert_array_equal(found.columns[name], values)


@pytest.fixture(scope="module")
def alone(network, tmp_path_factory):
    """The folder of one worker alone."""
    folder = tmp_path_factory.mktemp("alone")
    done = embed_shards(network, array_source(COUNTS), folder, block=4, batch_size=2)
    assert (done.made, done.skipped, done.examples, done.lacking) == (4, 0, 13, 0)
    return folder


def test_the_whole_is_what_embed_gives_of_each_block(network, alone) -> None:
    source = array_source(COUNTS)
    found = EmbeddingSet.load(alone)
    assert found.keys == tuple(source.keys)
    assert found.identities == tuple(source.identities)
    np.testing.assert_array_equal(found.labels, source.labels)
    for begin in range(0, 13, 4):
        rows = np.arange(begin, min(begin + 4, 13))
        block = embed(network, select(source, rows), batch_size=2)
        np.testing.assert_array_equal(found.embeddings[rows], block.embeddings)
        np.testing.assert_array_equal(found.flipped[rows], block.flipped)
    np.testing.assert_allclose(found.embeddings, embed(network, source).embeddings, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("threads", [1, 2])
def test_every_byte_is_the_same_whatever_the_workers(network, alone, tmp_path, count, threads) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for index in reversed(range(count)):
            done = embed_shards(network, array_source(COUNTS), tmp_path, worker=(index, count), block=4, batch_size=2)
        assert done.lacking == 0
    finally:
        torch.set_num_threads(before)
    assert content(tmp_path) == content(alone)


def test_what_is_finished_is_left_and_what_is_missing_is_named_with_its_command(network, alone, tmp_path) -> None:
    first = embed_shards(network, array_source(COUNTS), tmp_path, worker=(1, 2), block=4, batch_size=2)
    assert (first.made, first.lacking) == (2, 2)
    stamps = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    wanted = r"lacks 2 of its 4 shards \(0, 2\).*angulus embed MODEL IMAGES --out .* --shard 0/1 --batch-size 2"
    with pytest.raises(EvaluationError, match=wanted):
        EmbeddingSet.load(tmp_path)
    with pytest.raises(EvaluationError, match=wanted):
        merge_shards(tmp_path, tmp_path.with_suffix(".npz"))
    rest = embed_shards(network, array_source(COUNTS), tmp_path, batch_size=2)  # the block is that of the manifest
    assert (rest.made, rest.skipped, rest.lacking) == (2, 2, 0)
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in stamps} == stamps
    assert content(tmp_path) == content(alone)


def test_the_merged_file_is_the_set_saved(alone, tmp_path) -> None:
    assert merge_shards(alone, tmp_path / "a.npz") == (13, 6)
    found = EmbeddingSet.load(alone)
    found.save(tmp_path / "b.npz")
    digests = {hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("a.npz", "b.npz")}
    assert len(digests) == 1
    same(EmbeddingSet.load(tmp_path / "a.npz"), found)
    with pytest.raises(EvaluationError, match=r"written as \.npz"):
        merge_shards(alone, tmp_path / "a.safetensors")


def other_model():
    torch.manual_seed(4)
    return TinyNet(channels=(8,), units=(0,), embedding_dim=6, input=InputSpec(height=12, width=10)).build()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model": other_model()}, "begun with another model"),
        ({"images": array_source((3, 4, 1, 6))}, "begun for another set .13 examples.*this one has 14"),
        ({"block": 8}, "begun with blocks of 4 examples, not 8"),
        ({"batch_size": 4}, "begun with batch_size 2, not 4"),
        ({"flip": False}, "begun with flip True, not False"),
        ({"stamp": True}, "begun with stamp False, not True"),
        ({"columns": {"age": np.arange(13)}}, r"begun with columns \[\], not \['age'\]"),
    ],
    ids=["model", "set", "block", "batch", "flip", "stamp", "columns"],
)
def test_another_whole_is_refused_in_a_sentence(network, alone, changes, sentence) -> None:
    before = content(alone)
    given = {"model": network, "images": array_source(COUNTS), "block": 4, "batch_size": 2, **changes}
    model, images = given.pop("model"), given.pop("images")
    with pytest.raises(EvaluationError, match=sentence):
        embed_shards(model, images, alone, **given)
    assert content(alone) == before


def test_what_cannot_be_asked_for_is_a_sentence(network, tmp_path) -> None:
    source = array_source(COUNTS)
    with pytest.raises(DataError, match="must be named for shards"):
        embed_shards(network, source, tmp_path, runtime="auto")
    with pytest.raises(ConfigError, match="got 3/3"):
        embed_shards(network, source, tmp_path, worker=(3, 3))
    with pytest.raises(DataError, match="block must be between 1"):
        embed_shards(network, source, tmp_path, block=0)
    with pytest.raises(DataError, match="must be a source"):
        embed_shards(network, np.zeros((2, 12, 10, 3), np.uint8), tmp_path)  # pyrefly: ignore
    with pytest.raises(EvaluationError, match="one entry for each of the 13"):
        embed_shards(network, source, tmp_path, columns={"age": [1]})
    with pytest.raises(ModelError, match="does not say how images are prepared"):
        embed_shards(torch.nn.Flatten(), source, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_columns_and_the_stamp_go_with_their_rows(network, tmp_path) -> None:
    source = array_source(COUNTS)
    ages, names = np.arange(13.0), np.array([f"site {number}" * (1 + number % 3) for number in range(13)])
    more = {"age": ages, "site": names}
    embed_shards(network, source, tmp_path, block=4, stamp=True, columns=more)
    found = EmbeddingSet.load(tmp_path)
    np.testing.assert_array_equal(found.column("age"), ages)
    np.testing.assert_array_equal(found.column("site"), names)
    assert set(found.column("model")) == {fingerprint_of_model(network)}
    merge_shards(tmp_path, tmp_path.with_suffix(".npz"))
    same(EmbeddingSet.load(tmp_path.with_suffix(".npz")), found)


def test_a_module_of_ones_own_and_unlabelled_images(tmp_path) -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(360, 5)).train()
    spec = InputSpec(height=12, width=10)
    source = array_source(COUNTS)
    embed_shards(module, source, tmp_path, input=spec, block=6, flip=False, labelled=False)
    found = EmbeddingSet.load(tmp_path)
    assert module.training
    assert (found.labels, found.identities, found.flipped) == (None, None, None)
    np.testing.assert_allclose(found.embeddings, embed(module, source, input=spec).embeddings, atol=1e-5)


def test_unreadable_images_are_left_out_where_they_lie(network, tmp_path) -> None:
    root = write_folder(tmp_path / "people", {"ada": 3, "bea": 2, "cy": 3})
    for name in ("ada/0001", "bea/0000", "bea/0001"):
        (root / f"{name}.png").write_bytes(b"no picture")
    source = FolderSource.open(root, size=(12, 10))
    out = tmp_path / "parts"
    with pytest.raises(DataError, match=r"0001\.png"):
        embed_shards(network, source, out, block=1, worker=(1, 8))
    (out / MANIFEST).unlink()
    done = [embed_shards(network, source, out, block=2, skip_unreadable=True, worker=(i, 2)) for i in range(2)]
    assert sum(each.unreadable for each in done) == 3
    found = EmbeddingSet.load(out)
    clean = FolderSource.open(root, size=(12, 10), on_unreadable="skip")
    assert found.keys == tuple(clean.keys)
    assert found.identities == tuple(source.identities)  # numbers do not depend on what is damaged
    np.testing.assert_allclose(found.embeddings, embed(network, clean).embeddings, atol=1e-5)
    merge_shards(out, tmp_path / "all.npz")
    same(EmbeddingSet.load(tmp_path / "all.npz"), found)


def test_a_shard_without_a_readable_image_is_an_empty_part(network, tmp_path) -> None:
    root = write_folder(tmp_path / "people", {"ada": 2, "bea": 2})
    for number in range(2):
        (root / "ada" / f"{number:04d}.png").write_bytes(b"no picture")
    out = tmp_path / "parts"
    embed_shards(network, FolderSource.open(root, size=(12, 10)), out, block=2, skip_unreadable=True)
    found = EmbeddingSet.load(out)
    assert found.keys == ("bea/0000.png", "bea/0001.png")
    np.testing.assert_array_equal(found.labels, [1, 1])
    merge_shards(out, tmp_path / "all.npz")
    same(EmbeddingSet.load(tmp_path / "all.npz"), found)


def test_edits_are_applied_before_the_set_is_divided(network, tmp_path) -> None:
    source = array_source(COUNTS)
    rows = (Edit(action="drop", key="person001/4"), Edit(action="merge", identity="person003", to="person000"))
    edited = apply_edits(source, [Edits(rows=rows, origin="changes.csv")])
    embed_shards(network, edited, tmp_path, block=5)
    found = EmbeddingSet.load(tmp_path)
    assert (len(found), found.keys, found.identities) == (12, tuple(edited.keys), tuple(edited.identities))
    np.testing.assert_array_equal(found.labels, edited.labels)
    with pytest.raises(EvaluationError, match="another set"):
        embed_shards(network, source, tmp_path)


def test_archives_are_shards_of_their_own(network, tmp_path) -> None:
    folder = tmp_path / "tars"
    folder.mkdir()
    for number, names in enumerate((("ada", "bea"), ("cy",), ("dan", "eve"))):
        root = write_folder(tmp_path / f"part{number}", dict.fromkeys(names, 2 + number))
        with tarfile.open(folder / f"part{number}.tar", "w") as archive:
            for file in sorted(root.rglob("*.png")):
                archive.add(file, str(file.relative_to(root)))
    source = open_source(folder, size=(12, 10))
    embed_shards(network, folder, tmp_path / "parts", block=5)
    shards = json.loads((tmp_path / "parts" / MANIFEST).read_text())["shards"]
    assert shards == [[0, 4, "part0.tar"], [4, 7, "part1.tar"], [7, 12, "part2.tar"], [12, 15, "part2.tar"]]
    found = EmbeddingSet.load(tmp_path / "parts")
    assert (found.keys, found.identities) == (tuple(source.keys), tuple(source.identities))
    np.testing.assert_allclose(found.embeddings, embed(network, source).embeddings, atol=1e-5)


def test_damage_is_one_sentence(network, alone, tmp_path) -> None:
    for name, whole in content(alone).items():
        (tmp_path / name).write_bytes(whole)
    part = tmp_path / "000001.safetensors"
    whole = part.read_bytes()
    part.write_bytes(whole[:-5])
    for call in (
        lambda: EmbeddingSet.load(tmp_path),
        lambda: embed_shards(network, array_source(COUNTS), tmp_path, batch_size=2),
    ):
        with pytest.raises(EvaluationError, match=r"000001\.safetensors is not a readable part.*remove it"):
            call()
    part.write_bytes(whole[:-5] + b"12345")
    with pytest.raises(EvaluationError, match="another checksum"):
        EmbeddingSet.load(tmp_path)
    part.write_bytes((tmp_path / "000002.safetensors").read_bytes())
    with pytest.raises(EvaluationError, match="part of another set"):
        EmbeddingSet.load(tmp_path)
    part.unlink()
    embed_shards(network, array_source(COUNTS), tmp_path, batch_size=2)
    assert content(tmp_path) == content(alone)
    (tmp_path / MANIFEST).write_bytes(b"{")
    with pytest.raises(EvaluationError, match="not a readable manifest"):
        EmbeddingSet.load(tmp_path)


def test_progress_is_that_of_the_worker(network, tmp_path) -> None:
    seen: list[tuple[int, int | None]] = []
    embed_shards(
        network, array_source(COUNTS), tmp_path, block=4, worker=(0, 2), progress=lambda *now: seen.append(now)
    )
    assert seen[-1] == (8, 8)
    assert [now for now, _ in seen] == sorted(now for now, _ in seen)


@pytest.fixture(scope="module")
def listener():
    torch.manual_seed(0)
    spec = SpeechInput(bands=20, frames=30)
    return TinySpeech(input=spec, embedding_dim=16, channels=24, wide=32, dilations=()).build()


def test_recordings_have_seconds_and_no_mirror_image(listener, tmp_path) -> None:
    random = np.random.default_rng(0)
    for name, lengths in (("ada", (8000, 12000, 8000)), ("bea", (9000, 70000))):
        (tmp_path / "said" / name).mkdir(parents=True)
        for number, length in enumerate(lengths):
            write_wave(tmp_path / "said" / name / f"{number}.wav", random.integers(-9000, 9000, length).astype("<i2"))
    wanted = embed(listener, tmp_path / "said", window=2.0)
    for count in (1, 2):
        for index in range(count):
            given = {"worker": (index, count), "block": 2, "window": 2.0}
            embed_shards(listener, tmp_path / "said", tmp_path / f"of{count}", **given)
    assert content(tmp_path / "of1") == content(tmp_path / "of2")
    found = EmbeddingSet.load(tmp_path / "of1")
    assert (found.flipped, found.keys, found.identities) == (None, wanted.keys, wanted.identities)
    np.testing.assert_array_equal(found.column("seconds"), wanted.column("seconds"))
    np.testing.assert_allclose(found.embeddings, wanted.embeddings, atol=1e-5)


def test_stored_features(tmp_path) -> None:
    torch.manual_seed(0)
    spec = SpeechInput(content="features", bands=13, frames=30)
    network = TinySpeech(input=spec, embedding_dim=16, channels=24, wide=32, dilations=()).build()
    values = np.random.default_rng(0).normal(size=(200, 13)).astype(np.float32)
    np.savez(tmp_path / "a.npz", features=values, lengths=[40, 60, 60, 40], speakers=["ada", "ada", "bea", "bea"])
    embed_shards(network, tmp_path / "a.npz", tmp_path / "parts", block=3)
    found, wanted = EmbeddingSet.load(tmp_path / "parts"), embed(network, tmp_path / "a.npz")
    assert (found.identities, len(found)) == (("ada", "bea"), 4)
    np.testing.assert_allclose(found.embeddings, wanted.embeddings, atol=1e-5)
    np.testing.assert_array_equal(found.column("seconds"), wanted.column("seconds"))
