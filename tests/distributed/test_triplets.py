"""Triplets and centers over 3 gloo processes: loss, gradients and centers of one process, beside copies and shards."""

from pathlib import Path

import pytest
import torch
from distributed.triplet_steps import gradients
from processes import run_together

SCRIPT = Path(__file__).parent / "triplet_steps.py"


@pytest.mark.slow
def test_processes_have_the_gradients_of_one(tmp_path):
    world = 3
    run_together(world, str(SCRIPT), str(tmp_path))
    wanted = gradients(0, 1, sharded=False, group=None)
    assert float(wanted["pairs"]) > 0.1
    assert float(wanted["center"]) > 0.1
    centers = [torch.load(tmp_path / f"gradients-{world}-{rank}.pt")["sharded"]["centers"] for rank in range(world)]
    assert all(torch.equal(centers[0], other) for other in centers)
    for rank in range(world):
        for kind, found in torch.load(tmp_path / f"gradients-{world}-{rank}.pt").items():
            assert found.keys() == wanted.keys()
            for name, value in wanted.items():
                assert torch.allclose(found[name], value, rtol=1e-10, atol=1e-12), (rank, kind, name)
