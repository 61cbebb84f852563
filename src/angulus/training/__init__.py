"""Training: an `Experiment` in, a run folder out."""

from angulus.training.datasets import (
    DrawnReidData,
    DrawnSpeechData,
    FeaturesData,
    FolderData,
    Identities,
    KaldiData,
    ManifestData,
    Market1501Data,
    Msmt17Data,
    NoisyData,
    OmniglotData,
    PackedData,
    ParquetData,
    RecData,
    SyntheticData,
    TarData,
    UnionData,
)
from angulus.training.experiment import SGD, AdamW, Evaluation, Experiment, Head, LearningRate, Stage, Training
from angulus.training.loop import Progress, train
from angulus.training.recipe.serialization import record
from angulus.training.storage.run_folder import RunResult

__all__ = [
    "SGD",
    "AdamW",
    "DrawnReidData",
    "DrawnSpeechData",
    "Evaluation",
    "Experiment",
    "FeaturesData",
    "FolderData",
    "Head",
    "Identities",
    "KaldiData",
    "LearningRate",
    "ManifestData",
    "Market1501Data",
    "Msmt17Data",
    "NoisyData",
    "OmniglotData",
    "PackedData",
    "ParquetData",
    "Progress",
    "RecData",
    "RunResult",
    "Stage",
    "SyntheticData",
    "TarData",
    "Training",
    "UnionData",
    "record",
    "train",
]
