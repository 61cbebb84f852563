"""From any number of frames to one vector: the mean and the standard deviation of each channel, plain or weighted.

    plain        m = sum_t x_t / T        s = sqrt(sum_t (x_t - m)^2 / (T - 1) + epsilon), of one frame sqrt(epsilon)
    attentive    m = sum_t a_t x_t        s = sqrt(max(sum_t a_t (x_t - m)^2, floor))
                 a = softmax over t of V tanh(W x_t + b) + k, with context of [x_t, m, s] instead of x_t, these plain

Statistics are computed in float32 whatever autocast says. Snyder et al., "X-vectors: Robust DNN Embeddings for Speaker
Recognition", ICASSP 2018; Okabe et al., "Attentive Statistics Pooling for Deep Speaker Embedding", Interspeech 2018;
with weights for each channel and the context: Desplanques et al., "ECAPA-TDNN", Interspeech 2020. Epsilon and floor are
those of wespeaker (models/pooling_layers.py: TSTP and ASTP).
"""

import torch
from torch import Tensor, nn

EPSILON = 1e-7
"""What is added to a variance, or the least that it counts as."""
_LEAST_VARIANCE = 1e-12  # with an epsilon of 0: the slope of the root stays finite


def statistics(x: Tensor, epsilon: float = EPSILON) -> Tensor:
    """[n, channels, frames] -> means and standard deviations of the frames, float32 or float64 [n, 2 channels].

    So a plane [n, channels, rows, frames] -> [n, 2 channels rows], all means first.
    """
    return torch.cat(mean_and_deviation(x, epsilon), dim=1).flatten(1)


def mean_and_deviation(x: Tensor, epsilon: float = EPSILON) -> tuple[Tensor, Tensor]:
    """[n, channels, frames] -> two of [n, channels, 1]; the deviation is the unbiased one."""
    x = in_full(x)
    mean = x.mean(dim=-1, keepdim=True)
    variance = (x - mean).square().sum(dim=-1, keepdim=True) / _degrees(x)
    raised = variance + epsilon
    return mean, raised.clamp(min=_LEAST_VARIANCE).sqrt() * (raised > 0)  # no spread and no epsilon: 0, as is its slope


def _degrees(x: Tensor) -> int | Tensor:
    """Frames less one, at least 1; a tensor while a network is traced, so that the traced one takes any number."""
    if torch.jit.is_tracing():
        return (torch._shape_as_tensor(x)[-1] - 1).clamp(min=1)
    return max(x.shape[-1] - 1, 1)


def weighted_statistics(x: Tensor, weights: Tensor, floor: float = EPSILON) -> Tensor:
    """Two of [n, channels, frames], weights sum to 1 over the frames -> means and deviations [n, 2 channels]."""
    return torch.cat(weighted_mean_and_deviation(x, weights, floor), dim=1).flatten(1)


def weighted_mean_and_deviation(x: Tensor, weights: Tensor, floor: float = EPSILON) -> tuple[Tensor, Tensor]:
    """The same, two of [n, channels, 1]; weights may also be [n or 1, 1, frames]."""
    x, weights = in_full(x), in_full(weights)
    mean = (weights * x).sum(dim=-1, keepdim=True)
    variance = (weights * (x - mean).square()).sum(dim=-1, keepdim=True)
    return mean, variance.clamp(min=floor).sqrt()


def in_full(x: Tensor) -> Tensor:
    """At least float32."""
    return x if x.dtype == torch.float64 else x.float()


class AttentiveStatistics(nn.Module):
    """Attentive statistics pooling, [n, channels, frames] -> [n, 2 channels].

    has_context: whether the attention sees mean and deviation of the whole example beside each frame.
    Its modules carry the names of wespeaker's ASTP.
    """

    def __init__(self, channels: int, *, has_context: bool, inner: int = 128) -> None:
        super().__init__()
        self.has_context = has_context
        self.linear1 = nn.Conv1d(3 * channels if has_context else channels, inner, 1)
        self.linear2 = nn.Conv1d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        if self.has_context:
            mean, deviation = mean_and_deviation(x)
            seen = torch.cat([x, mean.to(x).expand_as(x), deviation.to(x).expand_as(x)], dim=1)
        scores = self.linear2(torch.tanh(self.linear1(seen)))
        return weighted_statistics(x, in_full(scores).softmax(dim=-1))
