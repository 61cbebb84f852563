"""A type checker sees the types of the front door: right uses pass, wrong ones are refused."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import angulus

HERE = Path(__file__).parent
PYREFLY = shutil.which("pyrefly", path=str(Path(sys.executable).parent)) or shutil.which("pyrefly")


def lines_with_errors(file: Path, folder: Path) -> set[int]:
    """Line numbers that pyrefly complains of in a copy of the file that stands alone."""
    copy = folder / file.name
    copy.write_text(file.read_text())
    (folder / "pyrefly.toml").write_text(
        f'python-interpreter-path = "{sys.executable}"\nsearch-path = ["{Path(angulus.__file__).parents[1]}"]\n'
    )
    command = [str(PYREFLY), "check", "--output-format", "min-text", file.name]
    place = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=folder, env=place, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = re.findall(rf"{re.escape(file.name)}:(\d+):", done.stdout)
    assert bool(found) == (done.returncode == 1), done.stdout + done.stderr
    return {int(number) for number in found}


pytestmark = pytest.mark.skipif(PYREFLY is None, reason="pyrefly is not installed: make test installs it")


def test_right_uses_pass(tmp_path: Path) -> None:
    assert lines_with_errors(HERE / "right_use.py", tmp_path) == set()


def test_wrong_uses_are_refused(tmp_path: Path) -> None:
    lines = (HERE / "wrong_use.py").read_text().splitlines()
    wanted = {number for number, line in enumerate(lines, 1) if "# refused" in line}
    assert lines_with_errors(HERE / "wrong_use.py", tmp_path) == wanted
