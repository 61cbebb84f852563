"""How the front door is meant to be used: a type checker finds nothing to say."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

import angulus
from angulus.data import SyntheticFaces
from angulus.evaluation import Pairs
from angulus.heads import Streamed
from angulus.margins import ArcFace, Linear, PerClass
from angulus.models import InputSpec, TinyNet
from angulus.training import Evaluation, FolderData, SyntheticData, Training

vectors = np.zeros((4, 8), dtype=np.float32)
labels = np.array([0, 0, 1, 1])

angulus.verify(vectors, labels).table()
angulus.verify(torch.zeros(4, 8), [0, 0, 1, 1], fars=(1e-2,)).tar(1e-2)
angulus.verify(vectors, ["ada", "ada", "bea", "bea"])
angulus.verify(vectors, labels=torch.tensor([0, 0, 1, 1]))
angulus.verify(angulus.EmbeddingSet(embeddings=vectors, labels=labels), view="plain")
angulus.verify(vectors, Pairs(left=np.array([0]), right=np.array([1]), same=np.array([True])), protocol="plain")

head = angulus.MarginHead(embedding_dim=8, num_classes=4, margin="arcface")
head = angulus.MarginHead(8, 4, ArcFace(m=Linear(start=0.0, end=0.5, until=100)), strategy=Streamed())
head = angulus.MarginHead(8, 4, ArcFace(m=PerClass((0.1, 0.2, 0.3, 0.4))), subcenters=2)
loss: torch.Tensor = head(torch.zeros(4, 8), torch.tensor([0, 1, 2, 3])).loss
each: torch.Tensor = angulus.margin_softmax(torch.zeros(4, 8), torch.zeros(4, 8), torch.zeros(4).long(), "amsoftmax")

network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 8))
spec = InputSpec(height=32, width=32, colour="bgr")
found = angulus.embed(network, np.zeros((2, 32, 32, 3), dtype=np.uint8), input=spec)
found = angulus.embed(network, torch.zeros(2, 3, 32, 32, dtype=torch.uint8), input=spec)
found = angulus.embed(network, [torch.zeros(2, 3, 32, 32)], input=spec, flip=False)
found = angulus.embed(TinyNet().build(), SyntheticFaces(num_identities=2), batch_size=4)
found = angulus.embed(angulus.load_model("runs/x/model"), Path("people"))
rows: int = found.embeddings.shape[0]

experiment = angulus.Experiment(
    data=FolderData(path=Path("people")),
    margin=ArcFace(m=0.3),
    train=Training(epochs=2),
    evaluation=Evaluation(every=None),
    out=Path("runs/x"),
)
eer: float = angulus.train(experiment).figures["held-out/eer"]
angulus.train(angulus.Experiment(data=SyntheticData(num_identities=20)), resume=True)
