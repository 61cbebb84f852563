"""A run that was stopped in the middle of an epoch goes on in two processes with the examples it would have seen."""

import json
from pathlib import Path

import numpy as np
import pytest
from processes import run_python, run_together

pytestmark = pytest.mark.slow

SCRIPT = """
import os, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from small_run import small
from angulus.config import resolve
from angulus.training import train
from angulus.training.loop import Run

rate, stop = Run.rate, int(sys.argv[2])

def dying(self):
    if self.state.step == stop:
        raise KeyboardInterrupt
    return rate(self)

if __name__ == "__main__":
    Run.rate = dying
    sampling = resolve({{"data": {{"path": "x"}}, "train": {{"batch_size": 20, "sampling": {way!r}}}}}).train.sampling
    try:
        train(small(Path(sys.argv[1]), epochs=2, batch_norm="frozen", sampling=sampling), resume=True)
    except KeyboardInterrupt:
        pass
"""
WAYS = {"pk": {"name": "pk", "images": 2}}


def losses(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {row["step"]: (row["loss"], row["gradient_norm"]) for row in rows if "loss" in row}


@pytest.mark.parametrize("way", WAYS)
def test_one_process_stops_and_two_go_on(tmp_path, way):
    script = tmp_path / "go.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parents[1] / "training"), way=WAYS[way]))
    run_python(str(script), "whole", "-1", folder=tmp_path)
    run_python(str(script), "stopped", "4", folder=tmp_path)
    before = losses(tmp_path / "stopped")
    assert not (tmp_path / "stopped" / "result.json").exists()
    run_together(2, str(script), "stopped", "-1", folder=tmp_path)
    whole, resumed = losses(tmp_path / "whole"), losses(tmp_path / "stopped")
    assert max(before) == 4
    assert list(whole) == list(resumed)
    assert np.allclose(list(whole.values()), list(resumed.values()), rtol=1e-4)
    others = np.array(list(whole.values()))
    assert not np.allclose(others[3:-1], others[4:], rtol=1e-2)  # each batch has a loss of its own
