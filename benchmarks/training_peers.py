"""The loops that `benchmarks/training.py` compares with: a plain one of torch alone, and arcface_torch's step.

Each has `step()`, which trains on one batch and leaves nothing to read, and `images`, how many that were.
"""

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from angulus.data import Source
from angulus.models import ModelConfig

SCALE, MARGIN, MOMENTUM, DECAY, RATE, CLIP = 64.0, 0.5, 0.9, 5e-4, 0.01, 5.0
FLIPS = 0.5


class Peer(Protocol):
    """A loop that can be stopped after every step."""

    images: int

    def step(self) -> None: ...


class Batches:
    """Shuffled batches of a source on a device, images uint8 [n, 3, height, width], as a plain program gets them.

    In memory they are gathered from one tensor; else `DataLoader` decodes them with the decoder of the source.
    """

    def __init__(self, source: Source, batch: int, device: torch.device, workers: int, *, in_memory: bool) -> None:
        self.labels, self.batch, self.device = torch.from_numpy(np.asarray(source.labels)), batch, device
        pin = device.type == "cuda"
        if in_memory:
            pixels = [torch.from_numpy(source.read(index)) for index in range(len(source))]
            self.pixels = torch.stack(pixels).permute(0, 3, 1, 2).contiguous()
            self.stream = self.gathered(pin)
        else:
            loader = DataLoader(
                Decoded(source), batch, shuffle=True, drop_last=True, num_workers=workers, pin_memory=pin,
                persistent_workers=workers > 0,
            )  # fmt: skip
            self.stream = self.loaded(loader)

    def gathered(self, pin: bool) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            for rows in torch.randperm(len(self.labels)).split(self.batch):
                if len(rows) == self.batch:
                    images, labels = self.pixels[rows], self.labels[rows]
                    yield (images.pin_memory(), labels.pin_memory()) if pin else (images, labels)

    def loaded(self, loader: DataLoader) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            for pixels, labels in loader:
                yield pixels.permute(0, 3, 1, 2), labels

    def next(self) -> tuple[Tensor, Tensor]:
        images, labels = next(self.stream)
        return images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)


class Decoded(Dataset):
    """Single examples, pixels [height, width, 3]."""

    def __init__(self, source: Source) -> None:
        self.source, self.labels = source, np.asarray(source.labels)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.from_numpy(self.source.read(index)), int(self.labels[index])


class Plain:
    """What one writes with torch alone: normalised linear layer, ArcFace, cross entropy, SGD in one pass, autocast."""

    def __init__(
        self,
        config: ModelConfig,
        classes: int,
        data: Batches,
        layout: torch.memory_format,
        *,
        half: bool,
        compiled: bool,
    ) -> None:
        self.data, self.half, self.images, self.layout = data, half, data.batch, layout
        device = data.device
        # pyrefly: ignore[no-matching-overload]  (its stub of Module.to does not know memory_format)
        self.model = config.build().to(device, memory_format=layout).train()
        self.spec = config.input
        self.weight = nn.Parameter(0.01 * torch.randn(classes, config.embedding_dim, device=device))
        self.call = torch.compile(self.model) if compiled else self.model
        decaying = [one for one in self.model.parameters() if one.ndim >= 2]
        others = [one for one in self.model.parameters() if one.ndim < 2]
        groups = [{"params": [*decaying, self.weight]}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.SGD(groups, lr=RATE, momentum=MOMENTUM, weight_decay=DECAY, fused=True)

    def step(self) -> None:
        images, labels = self.data.next()
        images = images.float()
        flipped = torch.rand(len(images), 1, 1, 1, device=images.device) < FLIPS
        images = torch.where(flipped, images.flip(-1), images)
        images = self.spec.prepare(images).contiguous(memory_format=self.layout)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.half):
            embeddings = self.call(images)
        cosines = F.linear(F.normalize(embeddings.float()), F.normalize(self.weight)).clamp(-1.0, 1.0)
        own = cosines.gather(1, labels[:, None])
        sine = (1.0 - own.square()).clamp(min=1e-7).sqrt()
        moved = own * math.cos(MARGIN) - sine * math.sin(MARGIN)
        logits = SCALE * cosines.scatter(1, labels[:, None], moved)
        F.cross_entropy(logits, labels).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.optimizer.step()
        self.optimizer.zero_grad()


class ArcFaceTorch:
    """The step of insightface's arcface_torch (a checkout at `path`): float16, all classes, CUDA, IResNet-50."""

    def __init__(self, path: Path, classes: int, data: Batches) -> None:
        sys.path.insert(0, str(path))
        backbones: Any = __import__("backbones")
        losses: Any = __import__("losses")
        heads: Any = __import__("partial_fc_v2")
        if not torch.distributed.is_initialized():
            store = torch.distributed.HashStore()
            torch.distributed.init_process_group("nccl", store=store, rank=0, world_size=1)
        self.data, self.images = data, data.batch
        model = backbones.get_model("r50", dropout=0.0, fp16=True, num_features=512).cuda().train()
        self.model = nn.parallel.DistributedDataParallel(model, broadcast_buffers=False, bucket_cap_mb=16)
        self.head = heads.PartialFC_V2(losses.CombinedMarginLoss(SCALE, 1.0, MARGIN, 0.0), 512, classes, 1.0, False)
        self.head.train().cuda()
        groups = [{"params": self.model.parameters()}, {"params": self.head.parameters()}]
        self.optimizer = torch.optim.SGD(groups, lr=RATE, momentum=MOMENTUM, weight_decay=DECAY)
        self.scaler = torch.amp.GradScaler("cuda", growth_interval=100)

    def step(self) -> None:
        images, labels = self.data.next()
        loss = self.head(self.model(images.float().sub_(127.5).div_(127.5)), labels)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
