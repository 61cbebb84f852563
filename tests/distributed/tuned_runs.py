"""Run alone or by every process of test_tuned_training: python tuned_runs.py FOLDER INIT, three small fine-tunings."""

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

from small_run import small

from angulus.heads import Streamed
from angulus.training import SGD, Head, train

FROZEN = {"batch_norm": "frozen", "epochs": 2, "batch_size": 20, "optim": SGD(lr=0.02)}


def main(folder: Path, init: Path) -> None:
    inside = Head(sharded=True, strategy=Streamed(chunk=3, mode="recompute"), update_in_backward=True)
    for name, head in (("whole", Head()), ("sharded", Head(sharded=True)), ("inside", inside)):
        run = small(folder / name, **FROZEN, init=init, head=head)
        train(replace(run, evaluation=replace(run.evaluation, every=None)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
