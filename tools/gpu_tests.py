"""Run every test that needs a CUDA GPU, and say at the end which were skipped and why.

    python tools/gpu_tests.py [PYTEST ARGUMENTS]

Needs the dependencies of the project and pytest; tests whose packages are missing are left out or skipped by name.
Without a GPU it says what was not checked and ends with status 0.
"""

import os
import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
NOT_CHECKED = (
    "there is no CUDA device here, so that nothing was checked on one: not the heads, the compiled kernels, training "
    "steps and runs, NCCL, embedding, all pairs and searches, label evidence, or inversion"
)


def main(arguments: list[str]) -> int:
    """The exit status of pytest; 0 where there is no GPU."""
    if not torch.cuda.is_available():
        print(NOT_CHECKED)
        return 0
    for number in range(torch.cuda.device_count()):
        print(f"cuda:{number}  {torch.cuda.get_device_name(number)}")
    path = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]))
    # pytest-benchmark, where it is installed, has nothing to do here and warns
    command = [sys.executable, "-m", "pytest", "-p", "no:benchmark", "-q", "-m", "gpu", *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": path}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
