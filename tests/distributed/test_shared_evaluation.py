"""`angulus evaluate` under torchrun: two gloo processes share the blocks, and the first reports what one alone does."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from processes import run_together

from angulus.cli import main
from angulus.embeddings import EmbeddingSet


def people(images: int = 300, identities: int = 40) -> EmbeddingSet:
    random = np.random.default_rng(0)
    labels = random.integers(0, identities, images).astype(np.int64)
    vectors = random.standard_normal((identities, 8))[labels] + 0.7 * random.standard_normal((images, 8))
    keys = tuple(f"p{label}/{row}.jpg" for row, label in enumerate(labels))
    return EmbeddingSet(embeddings=vectors.astype(np.float32), labels=labels, keys=keys)


def torchrun(folder: Path, commands: list[list[str]]) -> str:
    """What two processes print that run these commands one after the other."""
    script = folder / "go.py"
    script.write_text(f"from angulus.cli import main\nfor words in {commands!r}:\n    assert main(words) == 0, words\n")
    return run_together(2, str(script), folder=folder)


def figures(path: Path) -> dict:
    return {key: value for key, value in json.loads(path.read_text()).items() if key != "seconds"}


@pytest.mark.slow
def test_two_processes_report_once_what_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All pairs, a search and a retrieval are shared; what is not divided is done by the first process alone."""
    people().save(tmp_path / "e.npz")
    (tmp_path / "pairs.csv").write_text("a,b,same\np0/1,p0/2,1\n")
    pairs = ["a,b,same", *(f"{row},{other},{same}" for row, other, same in listed(people()))]
    (tmp_path / "pairs.csv").write_text("\n".join(pairs) + "\n")
    monkeypatch.chdir(tmp_path)
    asked = {
        "pairs": ["evaluate", "e.npz", "--far", "0.01"],
        "list": ["evaluate", "e.npz", "--pairs", "pairs.csv", "--no-intervals"],
        "search": ["evaluate", "identify", "e.npz"],
        "retrieval": ["evaluate", "retrieve", "e.npz"],
    }
    draw_photos(tmp_path)
    for name, words in asked.items():
        assert main([*words, "--json", f"one-{name}.json"]) == 0
    alone = capsys.readouterr().out
    leaks = ["data", "leaks", "train", "test", "--quiet", "--out"]
    assert main([*leaks, "one"]) == 0
    commands = [[*words, "--json", f"two-{name}.json"] for name, words in asked.items()]
    said = torchrun(tmp_path, [*commands, [*leaks, "two"]])
    assert said.startswith(alone)
    assert said.count("leaks.html") == 1
    one, two = (json.loads((tmp_path / name / "leaks.json").read_text()) for name in ("one", "two"))
    assert one["copies"] == two["copies"] != []
    for name in asked:
        assert figures(tmp_path / f"two-{name}.json") == figures(tmp_path / f"one-{name}.json")


def draw_photos(folder: Path) -> None:
    """A training and a test set of noise, of which a photo is in both, and another stored anew."""
    random = np.random.default_rng(0)
    for name in ("train", "test"):
        for person in range(3):
            path = folder / name / f"{name}{person}" / "1.png"
            path.parent.mkdir(parents=True)
            Image.fromarray(random.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(path)
    shutil.copy(folder / "train" / "train0" / "1.png", folder / "test" / "test0" / "2.png")
    smooth = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((48, 48))
    smooth.save(folder / "train" / "train1" / "2.jpg", quality=95)
    smooth.save(folder / "test" / "test2" / "2.jpg", quality=60)


def listed(found: EmbeddingSet) -> list[tuple[str, str, int]]:
    """Pairs of neighbours in the set, by name."""
    assert found.keys is not None
    assert found.labels is not None
    first, same = found.keys, found.labels[:-1] == found.labels[1:]
    return [(first[row], first[row + 1], int(same[row])) for row in range(len(found) - 1)]
