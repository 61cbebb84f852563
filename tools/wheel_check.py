"""Is the wheel whole? Builds it, installs it in an empty environment, and uses it in an empty folder outside the clone.

    python tools/wheel_check.py [FOLDER]        a few minutes, most of them pip's; FOLDER is kept, else all is temporary

Photos are drawn, with their landmarks, so that `align` needs no detector; then train, embed, evaluate, calibrate,
export, and a type checker that looks at the installed package. A second environment, with `angulus[runtime]` alone and
so without torch, decides with the bundle that was exported.
"""

import os
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
TYPED = ROOT / "tests" / "typed_uses"
CHECKER = "pyrefly>=1,<2"

DRAW = """
import csv
from pathlib import Path
from PIL import Image
from angulus.data import SyntheticFaces

faces = SyntheticFaces(num_identities=20, images_per_identity=4, height=128, width=128)
rows = []
for index, key in enumerate(faces.keys):
    path = Path("photos") / f"{key}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(faces.read(index)).save(path)
    rows.append([f"{key}.png", *(value for point in faces.landmarks(index) for value in point)])
names = ["left_eye", "right_eye", "nose", "left_mouth", "right_mouth"]
with open("landmarks.csv", "w", newline="") as file:
    csv.writer(file).writerows([["source", *(f"{name}_{axis}" for name in names for axis in "xy")], *rows])
"""

SMALL = ["model.name=tiny", "model.input={height: 32, width: 32}", "train.epochs=2", "train.batch_size=32"]
COMMANDS = {
    "version": ["angulus", "--version"],
    "as a module": ["python", "-m", "angulus", "--version"],
    "help": ["angulus", "train", "--help"],
    "demo": ["angulus", "train", "data.name=synthetic", "data.num_identities=20", *SMALL, "out=demo"],
    "drawn photos": ["python", "-c", DRAW],
    "align": [
        "angulus",
        "align",
        "photos",
        "people",
        "--detector",
        "landmarks",
        "--file",
        "landmarks.csv",
        "--jobs",
        "1",
        "--height",
        "32",
    ],
    "train": ["angulus", "train", "data.path=people", *SMALL, "out=runs/first"],
    "embed": ["angulus", "embed", "runs/first", "people", "--out", "people.npz"],
    "evaluate": ["angulus", "evaluate", "people.npz", "--report", "report.html"],
    "calibrate": ["angulus", "evaluate", "calibrate", "people.npz", "--far", "0.01", "--out", "threshold.json"],
    "export": ["angulus", "export", "runs/first", "faces.zip", "--images", "people", "--far", "0.05"],
    "recipe keys": ["angulus", "config", "--schema"],
}
WITHOUT_TORCH = {
    "no torch": ["python", "-c", "import importlib.util as u, sys; sys.exit(u.find_spec('torch') is not None)"],
    "verify": ["angulus", "verify", "ONE", "OTHER", "--bundle", "faces.zip", "--crops", "--threshold", "-1"],
    "verify in Python": ["python", "-c", "import angulus; print(angulus.Bundle('faces.zip').artefact.name)"],
}


def main() -> int:
    if len(sys.argv) > 1:
        folder = Path(sys.argv[1]).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        return check(folder)
    with tempfile.TemporaryDirectory() as folder:
        return check(Path(folder))


def check(folder: Path) -> int:
    """Everything in one folder; the number of commands that failed."""
    wheel = built(folder)
    contents(wheel)
    binaries = installed(folder / "environment", f"{wheel}[torch,onnx]", CHECKER)
    empty = folder / "empty"
    empty.mkdir(exist_ok=True)
    failed = [name for name, command in COMMANDS.items() if not works(name, command, empty, binaries)]
    failed += [] if types_are_seen(empty, binaries) else ["types"]
    failed += decided(folder, wheel, empty)
    print(f"wheel {wheel.name}: " + (f"FAILED: {', '.join(failed)}" if failed else "all of it works outside the clone"))
    return len(failed)


def built(folder: Path) -> Path:
    """The wheel, built as pip builds it."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True)
    return max(folder.glob("angulus-*.whl"), key=lambda path: path.stat().st_mtime)


def contents(wheel: Path) -> None:
    """What must be inside, and what must not."""
    names = zipfile.ZipFile(wheel).namelist()
    assert "angulus/py.typed" in names, "the wheel has no py.typed"
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "docs/"))], (
        "the wheel holds the clone"
    )
    recipes = [name for name in names if name.endswith(".yaml")]
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB, {len(names)} files, {len(recipes)} recipes")


def installed(home: Path, *wanted: str) -> Path:
    """An environment with the wheel and its extras; the folder of its programs."""
    venv.create(home, with_pip=True, clear=True)
    binaries = home / ("Scripts" if os.name == "nt" else "bin")
    empty = size_of(home)
    begin = time.perf_counter()
    subprocess.run([binaries / "python", "-m", "pip", "install", "--quiet", *wanted], check=True)
    size = (size_of(home) - empty) / 1e6
    print(f"{wanted[0].rpartition('.whl')[2]} installed in {time.perf_counter() - begin:.0f} s, {size:.0f} MB")
    return binaries


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


def decided(folder: Path, wheel: Path, empty: Path) -> list[str]:
    """Which of the commands that need no torch failed in an environment without it."""
    binaries = installed(folder / "runtime", f"{wheel}[runtime]")
    crops = sorted(path.relative_to(empty).as_posix() for path in (empty / "people").glob("*/*.jpg"))[:2]
    filled = dict(zip(("ONE", "OTHER"), crops, strict=True))
    commands = {name: [filled.get(word, word) for word in words] for name, words in WITHOUT_TORCH.items()}
    return [name for name, command in commands.items() if not works(name, command, empty, binaries)]


def works(name: str, command: list[str], empty: Path, binaries: Path) -> bool:
    """Run one command as a user of the environment would; its output is shown only where it fails."""
    begin = time.perf_counter()
    program = [str(binaries / command[0]), *command[1:]]
    done = subprocess.run(program, cwd=empty, env=outside(binaries), capture_output=True, text=True, check=False)
    good = done.returncode == 0
    print(f"{'works' if good else 'FAILS'}  {time.perf_counter() - begin:5.1f} s  {name}")
    if not good:
        print(done.stdout[-2000:] + done.stderr[-2000:])
    return good


def types_are_seen(empty: Path, binaries: Path) -> bool:
    """Whether a type checker takes the right uses, and refuses the wrong ones, of the installed package."""
    for name in ("right_use.py", "wrong_use.py"):
        (empty / name).write_text((TYPED / name).read_text())
    (empty / "pyrefly.toml").write_text(f'python-interpreter-path = "{binaries / "python"}"\n')
    wrong = ["pyrefly", "check", "--output-format", "min-text", "wrong_use.py"]
    right = works(
        "types: right uses", ["pyrefly", "check", "--output-format", "min-text", "right_use.py"], empty, binaries
    )
    program = [str(binaries / wrong[0]), *wrong[1:]]
    done = subprocess.run(program, cwd=empty, env=outside(binaries), capture_output=True, text=True, check=False)
    wanted = (TYPED / "wrong_use.py").read_text().count("# refused")
    found = done.stdout.count("ERROR")
    print(f"{'works' if found == wanted else 'FAILS'}           types: {found} of {wanted} wrong uses are refused")
    return right and found == wanted


def outside(binaries: Path) -> dict[str, str]:
    """The variables of a shell in which this environment is active and the clone is unknown."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return {**kept, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": str(binaries.parent)}


if __name__ == "__main__":
    sys.exit(main())
