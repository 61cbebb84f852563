"""Pages, lists and layouts that a command reads from a store or writes to it: as on the disk, or one sentence."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from angulus_store import Store

from angulus.cli import main
from angulus.data import open_source
from angulus.embeddings import EmbeddingSet
from angulus.models import InputSpec, TinyNet, save_model
from angulus.storage import cache

TINY = "model={name: tiny, input: {height: 16, width: 16}, channels: [4, 4], units: [0, 0], embedding_dim: 8}"
TIMES = re.compile(
    r"\d+(\.\d+)? (ms|s|min|images/s)\b|\d{4}-\d\d-\d\d[T ]?[0-9:.+Z]*( UTC)?|[0-9.]+(?= (seconds|minutes))"
)


@pytest.fixture
def vectors(store: Store, tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    labels = np.repeat(np.arange(12), 5)
    centres = draw.normal(size=(12, 8))
    given = (centres[labels] + 0.7 * draw.normal(size=(60, 8))).astype(np.float32)
    keys = tuple(f"{label}/{number}.png" for number, label in enumerate(labels))
    EmbeddingSet(embeddings=given, labels=labels, keys=keys).save(tmp_path / "e.npz")
    store.put("e.npz", (tmp_path / "e.npz").read_bytes())
    return tmp_path / "e.npz"


def without_times(page: bytes, root: str) -> str:
    return TIMES.sub("TIME", page.decode().replace(root, "ROOT"))


def test_the_page_of_an_evaluation_is_that_on_the_disk(store: Store, vectors: Path) -> None:
    folder = str(vectors.parent)
    for root in (folder, store.root):
        words = ["evaluate", f"{root}/e.npz", "--report", f"{root}/page.html", "--markdown", f"{root}/page.md"]
        assert main(words) == 0
    for name in ("page.html", "page.md"):
        here, there = (vectors.parent / name).read_bytes(), store.files.cat_file(f"{store.root}/{name}")
        assert without_times(there, store.root) == without_times(here, folder)


def test_pairs_of_a_store_are_those_of_the_disk(
    store: Store, vectors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = EmbeddingSet.load(vectors).keys
    assert keys is not None
    lines = [f"{keys[5 * k]},{keys[5 * k + 1]},1\n{keys[5 * k]},{keys[(5 * k + 7) % 60]},0\n" for k in range(12)]
    (tmp_path / "pairs.csv").write_text("a,b,same\n" + "".join(lines))
    store.put("pairs.csv", (tmp_path / "pairs.csv").read_bytes())
    said = []
    for root in (str(tmp_path), store.root):
        assert main(["evaluate", f"{root}/e.npz", "--pairs", f"{root}/pairs.csv", "--no-intervals"]) == 0
        said.append(without_times(capsys.readouterr().out.encode(), root))
    assert said[0] == said[1]
    assert main(["evaluate", str(vectors), "--pairs", f"{store.root}/none.csv"]) == 2
    assert f"{store.root}/none.csv" in capsys.readouterr().err


@pytest.mark.slow
def test_the_page_of_a_training_is_that_on_the_disk(store: Store, tmp_path: Path) -> None:
    images = write_images(tmp_path / "people", people=6, each=4)
    quick = ("train.epochs=1", "train.batch_size=8", "train.workers=0", "train.precision=float32", "device=cpu")
    layout = ("train.layout=contiguous", TINY, *quick, "--quiet")
    store.put_folder(images, "people")
    for root in (str(tmp_path), store.root):
        assert main(["train", f"data.path={root}/people", f"out={root}/run", *layout]) == 0
    here, there = (tmp_path / "run/report.html").read_bytes(), store.files.cat_file(f"{store.root}/run/report.html")
    assert without_times(there, store.root) == without_times(here, str(tmp_path))


@pytest.mark.slow
def test_more_names_than_a_page_of_a_listing_holds(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = write_images(tmp_path / "people", people=101, each=10)
    address = store.put_folder(images, "people")
    shutil.rmtree(tmp_path / "people" / "p100")
    pages = [one for one in store.server.gate.requests if one[0] == "GET" and one[1].count("/") <= 2]
    source = open_source(address)
    assert len(source) == 1010
    assert len(source.identities) == 101
    assert (
        len([one for one in store.server.gate.requests if one[0] == "GET" and one[1].count("/") <= 2]) > len(pages) + 1
    )
    config = TinyNet(channels=(4,), units=(0,), embedding_dim=8, input=InputSpec(height=16, width=16))
    save_model(tmp_path / "model", config.build(), config)
    assert main(["embed", str(tmp_path / "model"), address, "--out", f"{store.root}/e.npz", "--quiet"]) == 0
    shutil.rmtree(cache.cache_folder())
    assert len(EmbeddingSet.load(f"{store.root}/e.npz")) == 1010


@pytest.mark.parametrize("layout", ["kaldi", "market1501"])
def test_layouts_that_only_a_disk_has_are_a_sentence(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], layout: str
) -> None:
    if layout == "kaldi":
        store.put("set/wav.scp", b"a-1 /nowhere/a.wav\na-2 /nowhere/b.wav\n")
        store.put("set/utt2spk", b"a-1 a\na-2 a\n")
        store.put("set/wav/a/1.wav", b"sound")
    else:
        for name in ("bounding_box_test/0002_c1s1_000451_03.jpg", "query/0003_c1s1_000451_03.jpg"):
            store.put(f"set/{name}", b"image")
    config = TinyNet(channels=(4,), units=(0,), embedding_dim=8, input=InputSpec(height=16, width=16))
    save_model(tmp_path / "model", config.build(), config)
    for words in (
        ["embed", str(tmp_path / "model"), f"{store.root}/set", "--out", str(tmp_path / "e.npz")],
        ["convert", f"{store.root}/set", str(tmp_path / "c.packed")],
    ):
        assert main(words) == 2, words
        said = capsys.readouterr().err
        assert "copy it to a disk" in said, (words, said)
        assert f"{store.root}/set" in said
        assert str(cache.cache_folder()) not in said


@pytest.mark.parametrize("address", ["s3://bucket/x", "https://127.0.0.1:9/x", "http://127.0.0.1:9/x"])
@pytest.mark.parametrize(
    "words",
    [
        "gallery info {}",
        "gallery add {}",
        "gallery create {} --bundle b",
        "serve {}",
        "serve --bundle {}",
        "verify {} {} --bundle {}",
    ],
)
def test_what_works_on_a_disk_says_so(
    words: str, address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], store: Store
) -> None:
    monkeypatch.setattr("angulus.storage.faults.PAUSES", (0.01,))
    assert main(words.replace("{}", address).split()) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert str(cache.cache_folder()) not in said


def write_images(folder: Path, people: int, each: int) -> Path:
    from PIL import Image

    draw = np.random.default_rng(5)
    for person in range(people):
        (folder / f"p{person:03d}").mkdir(parents=True)
        for number in range(each):
            pixels = draw.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"p{person:03d}" / f"{number}.png")
    return folder
