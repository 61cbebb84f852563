from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from angulus.models.base import EmbeddingModel
from angulus.models.speech.spec import SpeechInput


@dataclass(frozen=True, kw_only=True)
class TinySpeech:
    dropout: float = 0.0
    embedding_dim: int = 128
    input: SpeechInput = field(default_factory=SpeechInput)

    def build(self) -> EmbeddingModel:
        return TinySpeechModel(self)


class TinySpeechModel(EmbeddingModel):
    def __init__(self, config: TinySpeech) -> None:
        super().__init__(input=config.input, embedding_dim=config.embedding_dim)
        layers, width = [], config.input.bands
        for kernel, dilation in ((5, 1), (3, 2), (3, 3), (1, 1)):
            layers += [
                nn.Conv1d(width, 192, kernel, dilation=dilation, padding="same", bias=False),
                nn.BatchNorm1d(192),
                nn.ReLU(),
            ]
            width = 192
        self.frames = nn.Sequential(*layers)
        self.fc = nn.Linear(384, config.embedding_dim)
        self.features = nn.BatchNorm1d(config.embedding_dim)

    def encode(self, x: Tensor) -> Tensor:
        y = self.frames(x.transpose(1, 2)).float()
        pooled = torch.cat([y.mean(2), (y.var(2, unbiased=False) + 1e-6).sqrt()], 1)
        return self.features(self.fc(pooled))
