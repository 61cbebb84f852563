"""Networks of two layers in float64, small enough to be computed by hand."""

import torch
from torch import nn

from angulus.models import EmbeddingModel, InputSpec

SPEC = InputSpec(height=4, width=3, colour="rgb", mean=127.5, std=128.0)


class TwoLayers(EmbeddingModel):
    """Convolution, BatchNorm2d, tanh, flatten, linear, BatchNorm1d."""

    def __init__(self, seed=0, *, spec=SPEC, kernel=3, norm=True, dim=5):
        super().__init__(input=spec, embedding_dim=dim)
        torch.manual_seed(seed)
        self.conv = nn.Conv2d(spec.channels, 4, kernel, padding=kernel // 2)
        self.bn = nn.BatchNorm2d(4) if norm else nn.Identity()
        self.fc = nn.Linear(4 * spec.height * spec.width, dim)
        self.features = nn.BatchNorm1d(dim) if norm else nn.Identity()
        for layer in (self.bn, self.features):
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                layer.running_mean.normal_(0, 0.3)
                layer.running_var.uniform_(0.5, 2.0)
                nn.init.uniform_(layer.weight, 0.5, 1.5)
                nn.init.normal_(layer.bias)
        self.double().train()

    def encode(self, images):
        return self.features(self.fc(torch.tanh(self.bn(self.conv(images))).flatten(1)))

    def inputs_of_norms(self, images):
        """What goes into both layers, computed without hooks."""
        self.eval()
        first = self.conv(images)
        return first, self.fc(torch.tanh(self.bn(first)).flatten(1))


def noise(count, spec=SPEC, seed=1):
    return torch.randn(count, *spec.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
