"""Two processes on recordings of unlike lengths, killed in the middle of an epoch, end as two that were left alone."""

import json
from pathlib import Path

import pytest
import torch
from processes import run_together

from angulus.models import load_model

pytestmark = pytest.mark.slow

SCRIPT = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from dataclasses import replace
from pathlib import Path
from test_speech_runs import experiment_on
from angulus.speech import SpeechAugment
from angulus.training import train
from angulus.training.loop import Run

rate, stop, dies = Run.rate, int(sys.argv[2]), sys.argv[3]

def killed(self):
    if self.state.step == stop and dies in ("all", os.environ["RANK"]):
        os.kill(os.getpid(), signal.SIGKILL)
    return rate(self)

if __name__ == "__main__":
    Run.rate = killed
    augment = replace(SpeechAugment.off(), masking=0.5, time_masks=2)
    train(experiment_on(Path("speech.npz"), Path(sys.argv[1]), augment=augment), resume=True)
"""
TESTS = Path(__file__).parents[1] / "training"


def rows(run: Path) -> list[dict]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [
        {key: line[key] for key in ("step", "loss", "cos_target", "gradient_norm") if key in line} for line in lines
    ]


def test_two_processes_killed_in_the_middle_of_an_epoch_are_the_uninterrupted_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(TESTS)
    from test_speech_runs import write_features

    write_features(tmp_path / "speech.npz")
    script = tmp_path / "go.py"
    script.write_text(SCRIPT.format(tests=str(TESTS)))
    run_together(2, str(script), "whole", "-1", "all", folder=tmp_path)
    for step, dies in ((6, "all"), (13, "1")):
        with pytest.raises(AssertionError, match="ended with -9"):
            run_together(2, str(script), "killed", str(step), dies, folder=tmp_path)
        done = [row["step"] for row in rows(tmp_path / "killed") if "loss" in row]
        assert done
        assert max(done) <= step
        assert not (tmp_path / "killed" / "result.json").exists()
    run_together(2, str(script), "killed", "-1", "all", folder=tmp_path)
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")
    assert len({row["loss"] for row in rows(tmp_path / "whole") if "loss" in row}) > 10
    parts = [load_model(tmp_path / name / "model").state_dict() for name in ("whole", "killed")]
    assert all(torch.equal(parts[0][name], parts[1][name]) for name in parts[0])
