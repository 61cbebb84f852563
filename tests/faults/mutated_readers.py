"""Every reader of a file from elsewhere: how a small sound file comes about, and what is read from it."""

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from angulus.config import load
from angulus.data import Edit, EncodedSource, convert, decode_image, open_source, read_edits, write_edits
from angulus.data.examples import bytes_of
from angulus.embeddings import EmbeddingSet
from angulus.embeddings.shards import InputShard, Manifest
from angulus.embeddings.shards.parts import write_part
from angulus.evaluation import read_bin
from angulus.evaluation.files.pair_lists import read_pairs
from angulus.evaluation.files.verification_bins import write_bin
from angulus.models import load_model, save_model
from angulus.models.catalogue import MODELS
from angulus.models.imports import read_foreign
from angulus.speech import flac_bytes
from angulus.speech.wave_files import wave_file
from angulus.training.recipe.serialization import record
from angulus.training.storage.checkpoint import Checkpoint, load_content
from angulus.training.storage.run_folder import Metrics

PEOPLE, EACH = 4, 3


@dataclass(frozen=True)
class Reader:
    """make: writes the sound files into a folder.  file: the one to mutate.  read: everything there is to read."""

    name: str
    make: Callable[[Path], Any]
    file: str
    read: Callable[[Path], Any]
    silent: str = ""
    """Why something may stay silent."""


def photo(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG")
    return sink.getvalue()


def images() -> EncodedSource:
    labels = [person for person in range(PEOPLE) for _ in range(EACH)]
    keys = [f"person{person}/{row:04d}.png" for row, person in enumerate(labels)]
    names = [f"person{person}" for person in range(PEOPLE)]
    return EncodedSource.of([photo(row) for row in range(len(labels))], labels=labels, identities=names, keys=keys)


def vectors() -> EmbeddingSet:
    draw = np.random.default_rng(0)
    return EmbeddingSet(
        embeddings=draw.standard_normal((12, 8), dtype=np.float32),
        labels=np.arange(12) // 3,
        keys=tuple(f"person{row // 3}/{row}.jpg" for row in range(12)),
        identities=tuple(f"person{person}" for person in range(4)),
        columns={"camera": np.arange(12) % 2, "place": np.array([f"room {row % 3}" for row in range(12)])},
    )


def all_of(folder: Path, name: str) -> Iterator[Any]:
    source = open_source(folder / name)
    yield from (source.labels.tolist(), list(source.keys), list(source.identities))
    for row in range(len(source)):
        yield bytes_of(source, row)
        yield source.read(row)


def embeddings_of(folder: Path, name: str) -> Iterator[Any]:
    found = EmbeddingSet.load(folder / name)
    yield from (found.embeddings, found.labels, found.keys, found.identities)
    yield sorted((name, values.tolist()) for name, values in found.columns.items())


def make_parts(folder: Path) -> None:
    found, place = vectors(), folder / "parts"
    ends = (0, 5, 12)
    shards = tuple(InputShard(number=number, begin=ends[number], end=ends[number + 1]) for number in range(2))
    manifest = Manifest(
        **{"model": "m", "examples": 12, "set_digest": "s", "block": 7, "options": {"flip": False}},
        **{"identities": found.identities, "shards": shards},
    ).publish(place)
    for shard in shards:
        part = found.select(np.arange(shard.begin, shard.end))
        fields = {name: getattr(part, name) for name in ("embeddings", "labels", "keys")}
        write_part(place / shard.name, fields, part.columns, whole=manifest.digest(), number=shard.number)


def embeddings_alone(folder: Path) -> None:
    found = vectors()
    EmbeddingSet(embeddings=found.embeddings, labels=found.labels).save(folder / "set.npy")


def make_model(folder: Path) -> None:
    torch.manual_seed(0)
    config = MODELS["tiny"](channels=(4, 8), units=(1, 0), embedding_dim=8)
    save_model(folder, config.build(), config)


def model_of(folder: Path) -> Iterator[Any]:
    model = load_model(folder)
    yield model.input
    yield from (tensor.numpy() for tensor in model.state_dict().values())


def make_checkpoint(folder: Path) -> None:
    torch.manual_seed(0)
    tensors = {"model": {"weight": torch.randn(64, 8)}, "head": {"weight": torch.randn(8, 8)}, "optimizer": {}}
    Checkpoint(7, {"network": "tiny", "dimensions": 8}, tensors, ("Ada", "Bob")).write(folder / "step-00000007.pt")


def checkpoint_of(folder: Path) -> Iterator[Any]:
    found = load_content(folder / "step-00000007.pt", torch.device("cpu"))
    yield from (found.step, sorted(found.architecture.items()), found.classes)
    for part in sorted(found.tensors):
        yield from (tensor.numpy() for _, tensor in sorted(found.tensors[part].items()))


def make_weights(folder: Path, *, old: bool) -> None:
    torch.manual_seed(0)
    weights = {name: torch.randn(8, 4) for name in ("conv.weight", "norm.weight", "fc.weight")}
    torch.save({"state_dict": weights}, folder / "x.pt", _use_new_zipfile_serialization=not old)


def weights_of(folder: Path) -> Iterator[Any]:
    for name, tensor in sorted(read_foreign(folder / "x.pt").items()):
        yield from (name, tensor.float().numpy())


def make_metrics(folder: Path) -> None:
    metrics = Metrics(folder / "metrics.jsonl")
    for step in range(8):
        metrics.append({"step": step, "loss": 1 / (step + 1), "lr": 0.1})


RECIPE = """# a small run
model: {name: tiny, embedding_dim: 64}
margin: {name: arcface, m: 0.5, scale: 32}
data:
  name: synthetic
  identities: {min_images: 2}
train: {epochs: 3}
seed: 7
"""


def make_recipe(folder: Path) -> None:
    (folder / "recipe.yaml").write_text(RECIPE)


def make_recipe_json(folder: Path) -> None:
    make_recipe(folder)
    (folder / "recipe.json").write_text(json.dumps(record(load([folder / "recipe.yaml"])), indent=1))


def make_edits(folder: Path) -> None:
    rows = [
        Edit(action="drop", key="person0/0000.png", identity="person0", reason="far from the center"),
        Edit(action="relabel", key="person1/0003.png", identity="person1", to="person2", reason="nearest to it"),
        Edit(action="merge", identity="person3", to="person0", reason="one person"),
    ]
    write_edits(folder / "edits.csv", rows, source=images())


def edits_of(folder: Path) -> list[Any]:
    found = read_edits(folder / "edits.csv")
    return [found.made_for, *((row.action, row.key, row.identity, row.to, row.reason) for row in found.rows)]


PAIRS = "2\t2\n" + "".join(
    line
    for fold in range(2)
    for line in (
        f"Ada_{fold}\t1\t2\n",
        f"Bob_{fold}\t3\t4\n",
        f"Ada_{fold}\t1\tBob_{fold}\t2\n",
        f"Cy_{fold}\t1\tBob_{fold}\t3\n",
    )
)


def make_pairs(folder: Path) -> None:
    (folder / "pairs.txt").write_text(PAIRS)


def pairs_of(folder: Path) -> list[Any]:
    found = read_pairs(folder / "pairs.txt")
    return [str(found)]


def make_bin(folder: Path) -> None:
    write_bin(folder / "set.bin", [photo(row) for row in range(8)], np.array([True, False, True, False]))


def bin_of(folder: Path) -> list[Any]:
    found = read_bin(folder / "set.bin")
    return [found.images, found.pairs.same, *(decode_image(image, name=lambda: "an image") for image in found.images)]


def set_as(name: str) -> Callable[[Path], Any]:
    return lambda folder: convert(images(), folder / name)


def saved_as(name: str) -> Callable[[Path], Any]:
    return lambda folder: vectors().save(folder / name)


def make_features(folder: Path) -> None:
    random = np.random.default_rng(0)
    features = random.integers(0, 256, (40, 5), dtype=np.uint8)
    np.savez(folder / "speech.npz", features=features, lengths=np.full(8, 5), speakers=np.repeat(["ada", "bob"], 4))


def make_recordings(folder: Path, ending: str) -> None:
    for number, name in enumerate(("ada", "bob")):
        (folder / "speech" / name).mkdir(parents=True)
        samples = np.random.default_rng(number).integers(-900, 900, 1200).astype(np.int16)
        content = wave_file(samples, rate=16_000) if ending == "wav" else flac_bytes(samples, 16_000)
        (folder / "speech" / name / f"1.{ending}").write_bytes(content)


FOREIGN = "the format has no checksum, and foreign writers none"
TEXT = "a text that people write: another name or number is as good as the first"

READERS = (
    Reader(".rec", set_as("set.rec"), "set.rec", partial(all_of, name="set.rec"), FOREIGN),
    Reader(".idx", set_as("set.rec"), "set.idx", partial(all_of, name="set.rec"), FOREIGN),
    Reader(".lst", set_as("set.rec"), "set.lst", partial(all_of, name="set.rec"), TEXT),
    Reader(".names", set_as("set.rec"), "set.names", partial(all_of, name="set.rec"), TEXT),
    Reader(".bin", make_bin, "set.bin", bin_of, FOREIGN + "; truth values are unguarded"),
    Reader("tar", set_as("set.tar"), "set.tar", partial(all_of, name="set.tar"),
           FOREIGN + "; a cut after a whole member is warned of"),
    Reader("parquet", set_as("set.parquet"), "set.parquet/from-0000000000.parquet", partial(all_of, name="set.parquet"),
           FOREIGN + " of its description; pages have one"),
    Reader("packed images", set_as("set.packed"), "set.packed/images.bin", partial(all_of, name="set.packed")),
    Reader("packed index", set_as("set.packed"), "set.packed/index.safetensors", partial(all_of, name="set.packed")),
    Reader(".npz", saved_as("set.npz"), "set.npz", partial(embeddings_of, name="set.npz")),
    Reader(".npy", embeddings_alone, "set.npy", partial(embeddings_of, name="set.npy"),
           "without its mark after the values a file is a foreign one, which has no checksum"),
    Reader("safetensors", saved_as("set.safetensors"), "set.safetensors",
           partial(embeddings_of, name="set.safetensors"),
           "without its entry checksum a file is a foreign one"),
    Reader("embedding part", make_parts, "parts/000001.safetensors", partial(embeddings_of, name="parts")),
    Reader("embedding manifest", make_parts, "parts/manifest.json", partial(embeddings_of, name="parts")),
    Reader("run checkpoint", make_checkpoint, "step-00000007.pt", checkpoint_of, "torch.load checks no checksum"),
    Reader("foreign .pt", partial(make_weights, old=False), "x.pt", weights_of, FOREIGN),
    Reader("foreign .pt, old", partial(make_weights, old=True), "x.pt", weights_of, FOREIGN),
    Reader("metrics", make_metrics, "metrics.jsonl", lambda folder: Metrics(folder / "metrics.jsonl").rows(), TEXT),
    Reader("model.json", make_model, "model.json", model_of, TEXT + "; the test vector guards what it changes"),
    Reader("model.safetensors", make_model, "model.safetensors", model_of,
           ""),
    Reader("recipe.json", make_recipe_json, "recipe.json", lambda folder: [str(load([folder / "recipe.json"]))], TEXT),
    Reader("recipe.yaml", make_recipe, "recipe.yaml", lambda folder: [str(load([folder / "recipe.yaml"]))], TEXT),
    Reader("edits", make_edits, "edits.csv", edits_of, TEXT),
    Reader("pairs", make_pairs, "pairs.txt", pairs_of, TEXT),
    Reader("features", make_features, "speech.npz", partial(all_of, name="speech.npz")),
    Reader("flac", partial(make_recordings, ending="flac"), "speech/ada/1.flac", partial(all_of, name="speech"),
           "what a header says of other things than the samples"),
    Reader("wav", partial(make_recordings, ending="wav"), "speech/ada/1.wav", partial(all_of, name="speech"), FOREIGN),
    Reader("manifest", set_as("set.csv"), "set.csv", partial(all_of, name="set.csv"), TEXT),
)  # fmt: skip


def digest_of(values: Any) -> str:
    """A digest of everything that a reader gave."""
    digest = hashlib.sha256()
    for value in values:
        if isinstance(value, np.ndarray):
            digest.update(f"{value.dtype} {value.shape}".encode() + np.ascontiguousarray(value).tobytes())
        else:
            digest.update(repr(value).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
