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


def claim(path: Path) -> None:
    """One value that is said to be a trillion."""
    import torch

    torch.save({"fc.weight": torch.zeros(1).expand(10**12)}, path)


def strangers(home: Path) -> dict[str, str]:
    """Files and folders of strangers, and lists as people save them."""
    run = home / "stranger"
    run.mkdir()
    (run / "recipe.json").write_text('{"data": {"path": "people"}, "margin": {"name": "theirs:Margin"}}')
    eps = people(home / "eps")
    (eps / "person00" / "0.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n")
    (home / "device.csv").write_text("path,identity\n/dev/zero,Ada\n")
    (home / "names.txt").write_text("person00\n", encoding="utf-16")
    (home / "unknown.txt").write_text("Nobody\n")
    damaged = home / "flipped"
    shutil.copytree(home / "first", damaged)
    (damaged / "result.json").unlink()
    newest = sorted((damaged / "checkpoints").glob("*.pt"))[-1]
    newest.write_bytes(newest.read_bytes()[:-500] + bytes(500))
    vectors = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    np.savez(home / "repeated.npz", embeddings=vectors, keys=np.array(["a", "b", "b", "c"]))
    (home / "pairs.csv").write_text("a,b,same\na,b,1\na,c,0\n")
    known, embed = [*RUN, "data.path=people"], ["embed", "claims.pt", "people", "--out", "x.npz"]
    (home / "linked").mkdir()
    (home / "linked" / "checkpoints").symlink_to(home / "people")
    claim(home / "claims.pt")
    return {
        "a class named by the recipe of a stranger's run": said("train", "--resume", "stranger", home=home),
        "the same, named by its file": said("train", "stranger/recipe.json", home=home),
        "a link in a run that leads out of it": said(*known, "out=linked", home=home),
        "the recipe of a run without a place for the new one": said("train", "first", home=home),
        "weights that claim more than the file holds": said(*embed, home=home),
        "EPS under the name of a JPEG": said(*RUN, "data.path=eps", "out=e", home=home),
        "a list that names a device": said("convert", "device.csv", "copy", "--to", "folder", home=home),
        "a list of names in UTF-16": said(*known, "data.identities.exclude_from=names.txt", "out=f", home=home),
        "a name that stands for nobody": said(
            *known, "data.identities.exclude_from=unknown.txt", "out=g", "--quiet", home=home
        ),
        "one image a pass": said(*known, "train.batch_size=1", "out=h", home=home),
        "a damaged newest checkpoint": said(*known, "out=flipped", "--resume", "--quiet", home=home),
        "a pair list that names a repeated key": said("evaluate", "repeated.npz", "--pairs", "pairs.csv", home=home),
    }


def mistypes(home: Path) -> dict[str, str]:
    """Words on the command line that mean something else."""
    shutil.copy(home / "people" / "person00" / "0.jpg", home / "photo.jpg")
    return {
        "a setting as an option": said("train", "--epochs", "3", "--data", "people", home=home),
        "a rate in percent": said("evaluate", "x.npz", "--far", "5", home=home),
        "no image in a batch": said("embed", "first", "people", "--out", "x.npz", "--batch-size", "0", home=home),
        "a photo to evaluate": said("evaluate", "photo.jpg", home=home),
        "a photo for a model": said("embed", "photo.jpg", "people", "--out", "x.npz", home=home),
        "a run that is not there": said("train", "--resume", "runs/nothing", home=home),
        "a recipe that is not there": said("train", "nothing.yaml", home=home),
        "a layout that is not written": said("convert", "people", "five.zip", home=home),
        "results among the photos": said("align", "people", "people/crops", home=home),
        "a run among its images": said("train", "data.path=people", "out=people/run", home=home),
    }


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
        **strangers(home),
        **mistypes(home),
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
