"""A run that takes seconds: drawn faces at 24x24 and a network of a few thousand weights."""

import os
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from angulus.margins import ArcFace, Linear
from angulus.models import InputSpec, TinyNet
from angulus.training import SGD, Evaluation, Experiment, Identities, LearningRate, SyntheticData, Training
from angulus.training.loop import Run


def small(out: Path, **changes) -> Experiment:
    """4 epochs of 5 steps on 20 drawn identities; fields of `train` may be changed by name."""
    experiment = Experiment(
        data=SyntheticData(
            num_identities=32,
            images_per_identity=5,
            identities=Identities(parts={"train": 0.65, "test": 0.35}),
        ),
        model=TinyNet(channels=(8, 8), units=(1, 0), embedding_dim=16, input=InputSpec(height=24, width=24)),
        margin=ArcFace(scale=16.0, m=Linear(end=0.2, until=0.5, unit="run")),
        optim=SGD(lr=0.05),
        learning_rate=LearningRate(warmup_epochs=1),
        train=Training(
            epochs=4, batch_size=20, precision="float32", layout="channels_last", log_every=1, checkpoint_every=3
        ),
        evaluation=Evaluation(every=2, fars=(0.1,)),
        out=out,
    )
    train = {name: value for name, value in changes.items() if hasattr(experiment.train, name)}
    other = {name: value for name, value in changes.items() if name not in train}
    return replace(experiment, train=replace(experiment.train, **train), **other)


def stop_at(monkeypatch, step: int) -> None:
    """Make a run die in the way of a crash after so many steps."""
    original = Run.rate

    def dying(self: Run) -> float:
        if self.state.step == step:
            raise KeyboardInterrupt
        return original(self)

    monkeypatch.setattr(Run, "rate", dying)
