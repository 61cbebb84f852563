"""Training: an `Experiment` in, a run folder out."""

from angulus.training.experiment import (
    SGD,
    AdamW,
    Evaluation,
    Experiment,
    FolderData,
    Head,
    Identities,
    LearningRate,
    OmniglotData,
    SyntheticData,
    Training,
)
from angulus.training.loop import Progress, train
from angulus.training.record import record
from angulus.training.run import RunResult

__all__ = [
    "SGD",
    "AdamW",
    "Evaluation",
    "Experiment",
    "FolderData",
    "Head",
    "Identities",
    "LearningRate",
    "OmniglotData",
    "Progress",
    "RunResult",
    "SyntheticData",
    "Training",
    "record",
    "train",
]
