"""Published recognisers written out call by call from their layer lists, on weights by name: the oracles of imports.

insightface's IResNet and mbf, MagFace's IResNet, the IR of AdaFace and CVLface, facenet-pytorch's InceptionResnetV1.
Each takes a state (name -> tensor) and prepared images, and knows nothing of the networks of Angulus. `weights_for`
invents a state: names and shapes come from what the oracle asks for, so that the two cannot disagree by being read
from the same place.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

State = dict[str, Tensor]
COUNTS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3), 200: (6, 26, 60, 6)}


class Weights:
    """A state that is read by name and grows by what is asked for and missing: drawn, or a shape without values."""

    def __init__(
        self, state: State, generator: torch.Generator | None = None, dtype: torch.dtype = torch.float64
    ) -> None:
        self.state, self.generator, self.dtype = state, generator, dtype
        self.asked: set[str] = set()

    def get(self, name: str, *shape: int, low: float = 0.0, high: float = 0.0) -> Tensor:
        self.asked.add(name)
        if name not in self.state and self.generator is None:
            self.state[name] = torch.empty(shape, device="meta")
        elif name not in self.state:
            if high:
                drawn = torch.rand(shape, generator=self.generator, dtype=self.dtype) * (high - low) + low
            else:
                inputs = torch.Size(shape[1:]).numel()
                drawn = torch.randn(shape, generator=self.generator, dtype=self.dtype) * inputs**-0.5
            self.state[name] = drawn
        found = self.state[name]
        assert tuple(found.shape) == shape, (name, tuple(found.shape), shape)
        return found

    def norm(self, name: str, x: Tensor, eps: float = 1e-5, affine: bool = True) -> Tensor:
        width = x.shape[1]
        mean = self.get(f"{name}.running_mean", width, low=-0.3, high=0.3)
        variance = self.get(f"{name}.running_var", width, low=0.5, high=2.0)
        if not affine:
            return functional.batch_norm(x, mean, variance, eps=eps)
        scale = self.get(f"{name}.weight", width, low=0.5, high=1.5)
        shift = self.get(f"{name}.bias", width, low=-0.2, high=0.2)
        return functional.batch_norm(x, mean, variance, scale, shift, eps=eps)

    def prelu(self, name: str, x: Tensor) -> Tensor:
        return functional.prelu(x, self.get(f"{name}.weight", x.shape[1], low=0.1, high=0.4))

    def conv(self, name: str, x: Tensor, out: int, kernel: int | tuple[int, int], stride=1, padding=0, groups=1):
        rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
        weight = self.get(f"{name}.weight", out, x.shape[1] // groups, rows, columns)
        return functional.conv2d(x, weight, stride=stride, padding=padding, groups=groups)

    def linear(self, name: str, x: Tensor, out: int, bias: bool) -> Tensor:
        weight = self.get(f"{name}.weight", out, x.shape[1])
        return functional.linear(x, weight, self.get(f"{name}.bias", out, low=-0.2, high=0.2) if bias else None)


def iresnet(weights: Weights, x: Tensor, depth: int, dim: int = 512, eps: float = 1e-5) -> Tensor:
    """insightface: eps 1e-5; MagFace: eps 2e-5."""
    w = weights
    x = w.prelu("prelu", w.norm("bn1", w.conv("conv1", x, 64, 3, padding=1), eps))
    for stage, (width, count) in enumerate(zip((64, 128, 256, 512), COUNTS[depth], strict=True), start=1):
        for index in range(count):
            at, stride = f"layer{stage}.{index}", 2 if index == 0 else 1
            y = w.conv(f"{at}.conv1", w.norm(f"{at}.bn1", x, eps), width, 3, padding=1)
            y = w.conv(f"{at}.conv2", w.prelu(f"{at}.prelu", w.norm(f"{at}.bn2", y, eps)), width, 3, stride, 1)
            y = w.norm(f"{at}.bn3", y, eps)
            if index == 0:
                x = w.norm(f"{at}.downsample.1", w.conv(f"{at}.downsample.0", x, width, 1, stride), eps)
            x = x + y
    x = torch.flatten(w.norm("bn2", x, eps), 1)
    return w.norm("features", w.linear("fc", x, dim, bias=True), eps)


def ir(weights: Weights, x: Tensor, depth: int, dim: int = 512) -> Tensor:
    """AdaFace and CVLface; depth 100 is called ir_101."""
    w = weights
    x = w.prelu("input_layer.2", w.norm("input_layer.1", w.conv("input_layer.0", x, 64, 3, padding=1)))
    number = 0
    for width, count in zip((64, 128, 256, 512), COUNTS[depth], strict=True):
        for index in range(count):
            at, stride = f"body.{number}", 2 if index == 0 else 1
            y = w.conv(f"{at}.res_layer.1", w.norm(f"{at}.res_layer.0", x), width, 3, padding=1)
            y = w.prelu(f"{at}.res_layer.3", w.norm(f"{at}.res_layer.2", y))
            y = w.norm(f"{at}.res_layer.5", w.conv(f"{at}.res_layer.4", y, width, 3, stride, 1))
            if x.shape[1] == width:
                x = x[:, :, ::stride, ::stride]
            else:
                x = w.conv(f"{at}.shortcut_layer.0", x, width, 1, stride)
                x = w.norm(f"{at}.shortcut_layer.1", x)
            x = x + y
            number += 1
    x = torch.flatten(w.norm("output_layer.0", x), 1)
    return w.norm("output_layer.4", w.linear("output_layer.3", x, dim, bias=True), affine=False)


def mbf(weights: Weights, x: Tensor, scale: int = 2, blocks: tuple[int, ...] = (1, 4, 6, 2), dim: int = 512) -> Tensor:
    """insightface: mbf is 2, (1, 4, 6, 2), mbf_large 4, (2, 8, 12, 4)."""
    w = weights

    def unit(at, x, out, kernel, stride=1, groups=1, slope=True):
        y = w.norm(f"{at}.layers.1", w.conv(f"{at}.layers.0", x, out, kernel, stride, kernel // 2, groups))
        return w.prelu(f"{at}.layers.2", y) if slope else y

    def bottleneck(at, x, out, inner, stride):
        y = unit(f"{at}.layers.0", x, inner, 1)
        y = unit(f"{at}.layers.1", y, inner, 3, stride, inner)
        return unit(f"{at}.layers.2", y, out, 1, slope=False)

    def repeated(at, x, count, inner):
        for index in range(count):
            x = x + bottleneck(f"{at}.layers.{index}", x, x.shape[1], inner, 1)
        return x

    narrow, wide = 64 * scale, 128 * scale
    x = unit("layers.0", x, narrow, 3, 2)
    x = unit("layers.1", x, narrow, 3, 1, 64) if blocks[0] == 1 else repeated("layers.1", x, blocks[0], 128)
    x = repeated("layers.3", bottleneck("layers.2", x, narrow, 128, 2), blocks[1], 128)
    x = repeated("layers.5", bottleneck("layers.4", x, wide, 256, 2), blocks[2], 256)
    x = repeated("layers.7", bottleneck("layers.6", x, wide, 512, 2), blocks[3], 256)
    x = unit("conv_sep", x, 512, 1)
    whole = (x.shape[2], x.shape[3])
    x = w.norm("features.layers.0.layers.1", w.conv("features.layers.0.layers.0", x, 512, whole, groups=512))
    return w.norm("features.layers.3", w.linear("features.layers.2", torch.flatten(x, 1), dim, bias=False))


def inception_resnet_v1(weights: Weights, x: Tensor, dim: int = 512) -> Tensor:
    """facenet-pytorch, before its normalisation."""
    w = weights

    def unit(at, x, out, kernel, stride=1, padding=0):
        return torch.relu(w.norm(f"{at}.bn", w.conv(f"{at}.conv", x, out, kernel, stride, padding), 1e-3))

    def across(at, x, width, length):
        x = unit(f"{at}.0", x, width, 1)
        x = unit(f"{at}.1", x, width, (1, length), padding=(0, length // 2))
        return unit(f"{at}.2", x, width, (length, 1), padding=(length // 2, 0))

    def joined(at, x, branches, factor, last=False):
        y = torch.cat(branches, 1)
        bias = w.get(f"{at}.conv2d.bias", x.shape[1], low=-0.2, high=0.2)
        y = w.conv(f"{at}.conv2d", y, x.shape[1], 1) + bias[:, None, None]
        return factor * y + x if last else torch.relu(factor * y + x)

    x = unit("conv2d_2b", unit("conv2d_2a", unit("conv2d_1a", x, 32, 3, 2), 32, 3), 64, 3, padding=1)
    x = functional.max_pool2d(x, 3, 2)
    x = unit("conv2d_4b", unit("conv2d_4a", unit("conv2d_3b", x, 80, 1), 192, 3), 256, 3, 2)
    for index in range(5):
        at = f"repeat_1.{index}"
        one = unit(f"{at}.branch1.1", unit(f"{at}.branch1.0", x, 32, 1), 32, 3, padding=1)
        two = unit(f"{at}.branch2.1", unit(f"{at}.branch2.0", x, 32, 1), 32, 3, padding=1)
        two = unit(f"{at}.branch2.2", two, 32, 3, padding=1)
        x = joined(at, x, [unit(f"{at}.branch0", x, 32, 1), one, two], 0.17)
    one = unit("mixed_6a.branch1.1", unit("mixed_6a.branch1.0", x, 192, 1), 192, 3, padding=1)
    one = unit("mixed_6a.branch1.2", one, 256, 3, 2)
    x = torch.cat([unit("mixed_6a.branch0", x, 384, 3, 2), one, functional.max_pool2d(x, 3, 2)], 1)
    for index in range(10):
        at = f"repeat_2.{index}"
        x = joined(at, x, [unit(f"{at}.branch0", x, 128, 1), across(f"{at}.branch1", x, 128, 7)], 0.1)
    none = unit("mixed_7a.branch0.1", unit("mixed_7a.branch0.0", x, 256, 1), 384, 3, 2)
    one = unit("mixed_7a.branch1.1", unit("mixed_7a.branch1.0", x, 256, 1), 256, 3, 2)
    two = unit("mixed_7a.branch2.1", unit("mixed_7a.branch2.0", x, 256, 1), 256, 3, padding=1)
    two = unit("mixed_7a.branch2.2", two, 256, 3, 2)
    x = torch.cat([none, one, two, functional.max_pool2d(x, 3, 2)], 1)
    for index in range(5):
        at = f"repeat_3.{index}"
        x = joined(at, x, [unit(f"{at}.branch0", x, 192, 1), across(f"{at}.branch1", x, 192, 3)], 0.2)
    x = joined("block8", x, [unit("block8.branch0", x, 192, 1), across("block8.branch1", x, 192, 3)], 1.0, last=True)
    return w.norm("last_bn", w.linear("last_linear", x.mean(dim=(2, 3)), dim, bias=False), 1e-3)


def weights_for(oracle: Callable[[Weights, Tensor], Tensor], images: Tensor, seed: int = 0) -> State:
    """Invented weights in float64 of a network, with statistics of batch norm that are not those of a fresh one."""
    state: State = {}
    oracle(Weights(state, torch.Generator().manual_seed(seed)), images)
    return state


def shapes_for(oracle: Callable[[Weights, Tensor], Tensor], shape: tuple[int, ...]) -> State:
    """Names and shapes of the weights of a network, which take no memory. shape: of an image."""
    state: State = {}
    oracle(Weights(state), torch.empty((1, *shape), device="meta"))
    return state
