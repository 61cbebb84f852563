"""The whole road from and to a store is that on the disk, to the bit; what a command does not take it says."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from angulus_store import Store
from cyclopts import App
from PIL import Image

from angulus.cli import main
from angulus.cli.application import app
from angulus.cli.inputs.words.remote_words import HERE, HERE_ALONE, READ, WRITTEN
from angulus.inference import choice
from angulus.models import InputSpec, TinyNet, save_model
from angulus.storage import cache, is_address

TINY = "model={name: tiny, input: {height: 16, width: 16}, channels: [4, 4], units: [0, 0], embedding_dim: 8}"
QUICK = ("train.epochs=1", "train.batch_size=8", "train.workers=0", "train.precision=float32", "device=cpu")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("road") / "people", np.random.default_rng(5)
    for person in range(6):
        (folder / f"p{person}").mkdir(parents=True)
        for number in range(4):
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"p{person}" / f"{number}.png")
    return folder


def road(source: str, root: str) -> None:
    layout = ("train.layout=contiguous", "evaluation.hold_out=nobody", TINY, *QUICK)
    for words in (
        ("convert", source, f"{root}/people.packed", "--quiet"),
        ("train", "data=packed", f"data.path={root}/people.packed", f"out={root}/run", *layout, "--quiet"),
        ("embed", f"{root}/run", f"{root}/people.packed", "--out", f"{root}/e.npz", "--quiet", "--workers", "0"),
        ("evaluate", f"{root}/e.npz", "--report", f"{root}/r.html", "--json", f"{root}/r.json", "--no-intervals"),
    ):
        assert main(words) == 0


def test_the_whole_road_is_the_same_to_the_bit(
    store: Store,
    people: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(choice, "WORTH_IT", 1e9)  # the memory layout is measured, and its last bits are its own
    road(str(people), str(tmp_path / "local"))
    capsys.readouterr()
    road(store.put_folder(people, "people"), store.root)
    printed = capsys.readouterr()
    assert str(cache.cache_folder()) not in printed.out + printed.err
    assert f"{store.root}/run/report.html" in printed.out
    shutil.rmtree(cache.cache_folder())
    same = ("people.packed/images.bin", "people.packed/index.safetensors", "run/model/model.safetensors", "e.npz")
    for name in same:
        assert store.files.cat_file(f"{store.root}/{name}") == (tmp_path / "local" / name).read_bytes(), name
    figures = [store.files.cat_file(f"{store.root}/r.json"), (tmp_path / "local/r.json").read_bytes()]
    there, here = (json.loads(text) for text in figures)
    assert there["embeddings"] == f"{store.root}/e.npz"
    other = {"embeddings": None, "seconds": None}
    assert {**there, **other} == {**here, **other}
    recipe = json.loads(store.files.cat_file(f"{store.root}/run/recipe.json"))
    assert (recipe["data"]["path"], recipe["out"]) == (f"{store.root}/people.packed", f"{store.root}/run")
    about = json.loads(store.files.cat_file(f"{store.root}/run/environment.json"))
    assert about["data"] == json.loads((tmp_path / "local/run/environment.json").read_text())["data"]
    for name in store.names():
        if name.endswith((".json", ".html", ".jsonl")):
            assert str(cache.cache_folder()).encode() not in store.files.cat_file(f"{store.root}/{name}"), name


def test_what_cannot_be_written_is_said_before_the_work(
    store: Store, people: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.plant("expired", "PUT", "", 99)
    assert main(["convert", str(people), f"{store.root}/people.packed"]) == 2
    error = capsys.readouterr().err
    assert "renew the credentials" in error
    assert "Traceback" not in error


def test_data_replaced_meanwhile_gives_a_sentence_and_no_result(
    store: Store, people: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_model(f"{store.root}/model", (config := TinyNet(input=InputSpec(height=16, width=16))).build(), config)
    assert not is_address(model)
    assert main(["convert", str(people), f"{store.root}/people.packed"]) == 0
    shutil.rmtree(cache.cache_folder())
    images = store.files.cat_file(f"{store.root}/people.packed/images.bin")
    store.plant("before", "GET", "images.bin", 1, call=lambda: store.put("people.packed/images.bin", images[::-1]))
    assert main(["embed", f"{store.root}/model", f"{store.root}/people.packed", "--out", f"{store.root}/e.npz"]) == 2
    error = capsys.readouterr().err
    assert f"{store.root}/people.packed/images.bin was replaced while it was read" in error
    assert "Traceback" not in error
    assert "e.npz" not in store.names()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            "gallery info s3://bucket/g",
            "angulus gallery info works on folders of this machine and takes no s3://bucket/g",
        ),
        ("serve s3://bucket/b", "works on folders of this machine"),
        ("data get lfw --out s3://bucket/x", "angulus data get: sets are fetched to a disk"),
        ("embed s3://bucket/../x y --out z.npz", "an address must be s3://NAME/NAME"),
    ],
)
def test_what_takes_no_address_says_so(words: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    assert sentence in capsys.readouterr().err


def test_what_is_not_there_is_called_by_its_address(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["embed", f"{store.root}/nothing", f"{store.root}/people", "--out", f"{store.root}/e.npz"]) == 2
    assert f"there is no model {store.root}/nothing" in capsys.readouterr().err


def test_every_path_of_every_command_is_read_written_or_of_this_machine() -> None:
    """Who adds an argument that is a path says in `remote_words` what an address means there."""
    unknown = {f"{command} {name}" for command, name in _paths(app) if name not in READ | WRITTEN | HERE}
    assert unknown == set()


def _paths(group: App, above: str = "") -> Iterator[tuple[str, str]]:
    for name in group:
        if name.startswith("-"):
            continue
        command = f"{above} {name}".strip()
        if command.split()[0] in HERE_ALONE:
            continue
        yield from _paths(group[name], command)
        if group[name].default_command is None:
            continue
        for argument in group[name].assemble_argument_collection():
            if "Path" in str(argument.hint):
                yield (
                    command,
                    re.sub(r"[^a-z_]", "", str(argument.keys[-1] if argument.keys else argument.field_info.name)),
                )


def test_shards_of_embeddings_are_made_by_workers_of_several_machines(
    store: Store, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, folder = tmp_path / "model", f"{store.root}/shards"
    save_model(model, (config := TinyNet(input=InputSpec(height=16, width=16))).build(), config)
    how = ("--block", "5", "--quiet", "--workers", "0")
    assert main(["embed", str(model), str(people), "--out", str(tmp_path / "here"), "--shard", "0/1", *how]) == 0
    assert main(["embed", "--merge", str(tmp_path / "here"), "--out", str(tmp_path / "here.npz")]) == 0
    for machine, worker in (("one", "1/2"), ("two", "0/2"), ("three", "0/1")):
        monkeypatch.setenv("ANGULUS_CACHE", str(tmp_path / machine))
        done = tmp_path / f"{machine}.json"
        assert (
            main(["embed", str(model), str(people), "--out", folder, "--shard", worker, *how, "--json", str(done)]) == 0
        )
    assert json.loads(done.read_text())["made"] == 0  # the third finds all of them in the store
    assert {name for name in store.names() if name.startswith("shards/")} == {
        "shards/manifest.json",
        *(f"shards/{number:06d}.safetensors" for number in range(5)),
    }
    assert main(["embed", "--merge", folder, "--out", f"{store.root}/merged.npz"]) == 0
    assert store.files.cat_file(f"{store.root}/merged.npz") == (tmp_path / "here.npz").read_bytes()
    assert main(["evaluate", folder, "--no-intervals", "--json", str(tmp_path / "r.json")]) == 0
    assert json.loads((tmp_path / "r.json").read_text())["images"] == 24


@pytest.mark.parametrize(
    "words",
    [
        ("convert", "PEOPLE", "OUT"),
        ("train", "data.path=PEOPLE", "out=OUT", TINY, *QUICK, "--quiet"),
        ("embed", "MODEL", "PEOPLE", "--out", "OUT"),
        ("embed", "MODEL", "PEOPLE", "--out", "OUT", "--shard", "0/2"),
    ],
)
@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("s3://no-such-bucket/x", "the store has no s3://no-such-bucket; look for a mistyped name"),
        ("ROOT", "ROOT is a whole bucket, which nothing is written as; name something in it: ROOT/NAME"),
        ("s3a://bucket/x", "s3a://bucket/x is no address that is known here"),
    ],
)
def test_a_target_that_cannot_be_is_refused_in_a_sentence(
    store: Store,
    people: Path,
    tmp_path: Path,
    words: tuple[str, ...],
    out: str,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = TinyNet(channels=(4, 4), units=(0, 0), embedding_dim=8, input=InputSpec(height=16, width=16))
    save_model(tmp_path / "model", config.build(), config)
    out = out.replace("ROOT", store.root)
    given = {"PEOPLE": str(people), "OUT": out, "MODEL": str(tmp_path / "model")}
    assert main([re.sub("PEOPLE|OUT|MODEL", lambda match: given[match[0]], word) for word in words]) == 2
    printed = capsys.readouterr().err
    assert said.replace("ROOT", store.root) in printed
    assert "Traceback" not in printed
    assert printed.count("error: ") == 1
    assert store.names() == []
