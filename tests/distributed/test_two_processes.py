"""Two gloo processes with half a batch each do what one process does with the whole batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from processes import run_python, run_together

HERE = Path(__file__).parent
CASES = ["arcface-frozen", "arcface-synchronised", "adaface-frozen", "curricular-frozen", "elastic-frozen"]


def run(command, folder):
    environment = {name: value for name, value in os.environ.items() if name != "WORLD_SIZE"} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def torchrun(*command):
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *command]


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    run_python(str(HERE / "first_step.py"), str(one))
    run_together(2, str(HERE / "first_step.py"), str(two))
    return one, two


@pytest.mark.parametrize("case", [*CASES, "magface-frozen"])
def test_first_loss_and_gradient_equal_one_process(steps, case):
    alone, together = (torch.load(folder / f"{case}.pt", weights_only=True) for folder in steps)
    assert alone.keys() == together.keys()
    assert torch.allclose(alone["loss"], together["loss"], rtol=1e-6)
    trained = {name: value for name, value in alone.items() if value is not None}
    assert len(trained) >= len(alone) - 1  # the weight of the last batch norm is fixed
    for name, expected in trained.items():
        scale = float(expected.abs().max())
        assert float((together[name] - expected).abs().max()) <= 1e-6 * scale + 1e-12, name


@pytest.mark.slow
def test_a_whole_run_under_torchrun_finishes_and_resumes(tmp_path):
    script = tmp_path / "go.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(HERE.parent / 'training')!r})\n"
        "from pathlib import Path\nfrom small_run import small\nfrom angulus.training import train\n"
        "if __name__ == '__main__':\n    train(small(Path('run'), epochs=2), resume=True)\n"
    )
    run(torchrun(str(script)), tmp_path)
    first = json.loads((tmp_path / "run" / "result.json").read_text())["figures"]
    assert 0.3 < first["held-out/auc"] <= 1.0
    run(torchrun(str(script)), tmp_path)
    again = json.loads((tmp_path / "run" / "result.json").read_text())["figures"]
    assert again["held-out/auc"] == first["held-out/auc"]
