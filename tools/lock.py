"""Which exact versions do `make demo` and `make test` install? Writes constraints.txt and says what moved.

The newest that pyproject.toml allows is resolved in a fresh virtual environment: the project with its extra `dev`, and
what builds it. A pin binds only where its package is asked for, so a package of one platform or of one Python needs no
marker here. The oldest Python that the project supports decides, since what it can install the others can.
"""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
HEADER = (
    "# Written by `make lock`: what `make demo` and `make test` install. The ranges for users are in pyproject.toml.\n"
)

# On Linux torch's wheels with CUDA ask for exactly one triton and those for the CPU for none, so that a resolution with
# the latter would find a triton that the former refuse.
TRITON_OF_TORCH = {"2.13.0": "3.7.1"}

# What the build backend asks for beyond pyproject.toml when it builds an editable install.
ASK_BACKEND = (
    "import importlib, json, sys\n"
    "backend = importlib.import_module(sys.argv[1])\n"
    "print(json.dumps(backend.get_requires_for_build_editable()))"
)


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    oldest = project["project"]["requires-python"].removeprefix(">=")
    if f"{sys.version_info.major}.{sys.version_info.minor}" != oldest or sys.platform != "linux":
        raise SystemExit(f"make lock needs Linux and Python {oldest}: make lock PYTHON=python{oldest}")
    old = pins(CONSTRAINTS.read_text()) if CONSTRAINTS.exists() else {}
    new = held_together(newest(project))
    if old != new:
        CONSTRAINTS.write_text(HEADER + "".join(f"{name}=={new[name]}\n" for name in sorted(new)))
    print("\n".join(moved(old, new)) or "nothing moved")


def newest(project: dict[str, Any]) -> dict[str, str]:
    """The version of everything that an editable install with the extra `dev` and its build bring, by name."""
    builders = project["build-system"]["requires"]
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python, report = Path(folder) / "bin" / "python", Path(folder) / "report.json"
        pip_install = [python, "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip_install, *builders], cwd=ROOT, check=True)
        ask = [python, "-c", ASK_BACKEND, project["build-system"]["build-backend"]]
        builders = builders + json.loads(subprocess.run(ask, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
        resolve = ["--dry-run", "--ignore-installed", "--report", report, "--editable", ".[dev]", *builders]
        subprocess.run([*pip_install, *resolve], cwd=ROOT, check=True)
        found = [entry["metadata"] for entry in json.loads(report.read_text())["install"]]
    # Without what follows a plus, 2.13.0+cpu is 2.13.0, which every build of that release satisfies.
    versions = {plain_name(entry["name"]): entry["version"].partition("+")[0] for entry in found}
    del versions[plain_name(project["project"]["name"])]
    return versions


def held_together(versions: dict[str, str]) -> dict[str, str]:
    """The same with the triton that torch asks for where it asks for one."""
    torch = versions["torch"]
    if torch not in TRITON_OF_TORCH:
        raise SystemExit(f"torch {torch} is new: write the triton that its wheels with CUDA ask for into {__file__}")
    return versions | {"triton": TRITON_OF_TORCH[torch]}


def moved(old: dict[str, str], new: dict[str, str]) -> list[str]:
    """A line for each package that was added, removed or has another version."""
    lines = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            lines.append(f"added    {name} {new[name]}")
        elif name not in new:
            lines.append(f"removed  {name} {old[name]}")
        elif old[name] != new[name]:
            lines.append(f"moved    {name} {old[name]} -> {new[name]}")
    return lines


def pins(text: str) -> dict[str, str]:
    """The version of each package by name, of the text of constraints.txt."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {name: version for name, _, version in (line.partition("==") for line in lines)}


def plain_name(name: str) -> str:
    """One spelling for each package: lower case, and a hyphen for every run of -, _ and ."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main()
