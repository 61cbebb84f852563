"""Makes the mistakes that users make and writes down what Angulus says: docs/errors.md.

python benchmarks/errors.py          (a disk that fills up needs root, to mount a small one; else it is simulated)
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
TINY = "model={name: tiny, channels: [8, 8], units: [0, 0], embedding_dim: 16, input: {height: 24, width: 24}}"
RUN = ["train", TINY, "train.epochs=2", "train.batch_size=16", "data.identities.parts={train: 0.5, test: 0.5}"]


def people(folder: Path, count: int = 12, images: int = 4, size: tuple[int, int] = (24, 24)) -> Path:
    rng = np.random.default_rng(0)
    for person in range(count):
        (folder / f"person{person:02d}").mkdir(parents=True)
        for image in range(images):
            pixels = rng.integers(0, 255, (*size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"person{person:02d}" / f"{image}.jpg")
    return folder


def said(*arguments: str, home: Path) -> str:
    """What one command says on stderr, with the folder of this run taken out."""
    done = subprocess.run(
        [sys.executable, "-m", "angulus", *arguments], capture_output=True, text=True, cwd=home, timeout=300
    )
    errors = done.stderr[max(done.stderr.rfind("error: "), 0) :].strip() or f"(nothing; status {done.returncode})"
    return re.sub(re.escape(str(home)) + "/?", "", errors)


def label_outside_the_head() -> str:
    import torch

    from angulus.heads import MarginHead
    from angulus.margins import ArcFace

    try:
        MarginHead(8, 100, ArcFace())(torch.randn(3, 8), torch.tensor([4, 100, 7]))
    except ValueError as error:
        return str(error)
    return "(nothing)"


def full_disk(home: Path) -> str:
    """A run whose folder lies on a disk of two megabytes."""
    disk = home / "disk"
    disk.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True, check=False
        ).returncode
    )
    if not mounted:
        return "(not run: mounting a small disk needs root)"
    big = TINY.replace("[8, 8]", "[64, 128]").replace("embedding_dim: 16", "embedding_dim: 64")
    try:
        return said(*[big if part == TINY else part for part in RUN], "data.path=people", "out=disk/run", home=home)
    finally:
        subprocess.run(["umount", str(disk)], check=False)


def mistakes(home: Path) -> dict[str, str]:
    people(home / "people")
    (home / "empty").mkdir()
    people(home / "hollow")
    (home / "hollow" / "nobody").mkdir()
    people(home / "damaged")
    victim = home / "damaged" / "person03" / "1.jpg"
    victim.write_bytes(victim.read_bytes()[:300])
    people(home / "narrow", size=(112, 96))
    said(*RUN, "data.path=people", "out=first", home=home)
    (home / "other" / "checkpoints").mkdir(parents=True)
    newest = sorted((home / "first" / "checkpoints").glob("*.pt"))[-1]
    shutil.copy(newest, home / "other" / "checkpoints" / newest.name)
    wider = TINY.replace("[8, 8]", "[8, 12]")
    return {
        "an unknown key": said("train", "data.path=people", "optim.lrr=0.1", "train.epoch=3", home=home),
        "a misspelt margin": said("train", "data.path=people", "margin=arcfase", home=home),
        "m out of range": said("train", "data.path=people", "margin={name: arcface, m: 5}", home=home),
        "a label outside the head": label_outside_the_head(),
        "a class without images": said(*RUN, "data.path=hollow", "out=a", home=home),
        "an empty folder": said(*RUN, "data.path=empty", "out=b", home=home),
        "a truncated JPEG": said(*RUN, "data.path=damaged", "out=c", home=home),
        "a checkpoint of another architecture": said(
            *[wider if part == TINY else part for part in RUN], "data.path=people", "out=other", "--resume", home=home
        ),
        "112x96 images into a 112x112 model": said(
            "train", "data.path=narrow", "model={name: mobilefacenet}", "out=d", home=home
        ),
        "a disk that fills up during a checkpoint": full_disk(home),
        "a run that is there already": said(*RUN, "data.path=people", "out=first", home=home),
        "another recipe on resume": said(
            *RUN, "train.epochs=3", "data.path=people", "out=first", "--resume", home=home
        ),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = mistakes(Path(folder))
    lines = ["# What Angulus says when something is wrong", "", "Made by `python benchmarks/errors.py`.", ""]
    for mistake, sentence in found.items():
        lines += [f"**{mistake}**", "", *(f"    {line}" for line in sentence.splitlines()), ""]
    (ROOT / "docs" / "errors.md").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
