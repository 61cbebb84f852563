"""Training: an `Experiment` in, a run folder out."""

from angulus.training.datasets import (
    FolderData,
    Identities,
    ManifestData,
    NoisyData,
    OmniglotData,
    PackedData,
    ParquetData,
    RecData,
    SyntheticData,
    TarData,
    UnionData,
)
from angulus.training.experiment import SGD, AdamW, Evaluation, Experiment, Head, LearningRate, Training
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
    "ManifestData",
    "NoisyData",
    "OmniglotData",
    "PackedData",
    "ParquetData",
    "Progress",
    "RecData",
    "RunResult",
    "SyntheticData",
    "TarData",
    "Training",
    "UnionData",
    "record",
    "train",
]
