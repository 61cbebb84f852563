"""Run alone or by every process of test_stages: python staged_runs.py FOLDER, runs in stages, one of them resumed."""

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

from small_run import small

from angulus.heads import Sampled, Streamed
from angulus.margins import ArcFace
from angulus.training import Head, train
from angulus.training.experiment import Stage, StageHead, StageOptim, StageTraining
from angulus.training.loop import Run

LARGE = Stage(
    name="large margin",
    epochs=1,
    margin=ArcFace(scale=16.0, m=0.4),
    head=StageHead(strategy=Streamed(chunk=7)),
    optim=StageOptim(lr=0.01),
    train=StageTraining(batch_size=10),
)
DIES_AT = 7


def main(folder: Path) -> None:
    inside = Head(sharded=True, strategy=Streamed(chunk=3, mode="recompute"), update_in_backward=True)
    for name, head in (("whole", Head()), ("sharded", Head(sharded=True)), ("inside", inside)):
        train(run(folder / name, head))
    sampled = Head(sharded=True, strategy=Sampled(rate=0.5))
    train(run(folder / "sampled", sampled))
    resumed(run(folder / "resumed", sampled))


def run(folder: Path, head: Head):
    experiment = small(
        folder, epochs=1, average_last=1, batch_norm="synchronised", checkpoint_every=6, head=head, stages=(LARGE,)
    )
    return replace(experiment, evaluation=replace(experiment.evaluation, every=None))


def resumed(experiment) -> None:
    """Let a run die in its second stage, and go on from a checkpoint in there."""
    rate = Run.rate

    def dying(self: Run) -> float:
        if self.state.step == DIES_AT:
            raise KeyboardInterrupt
        return rate(self)

    Run.rate = dying
    try:
        train(experiment)
    except KeyboardInterrupt:
        Run.rate = rate
    train(experiment, resume=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
