"""The pretrained speaker encoder in the package resemblyzer 0.1.4, rebuilt from the names and shapes of its weights.

    pip download --no-deps resemblyzer==0.1.4 && unzip Resemblyzer-0.1.4-py3-none-any.whl resemblyzer/pretrained.pt

Three LSTM layers over 40 Slaney mels (power of frames of 25 ms every 10 ms, no logarithm), a linear layer and a ReLU on
the last state; windows of 160 frames, 77 apart, are averaged. A quiet recording is raised to -30 dBFS. The package also
cuts out long silences by voice activity, which is left out here. Loss: Wan et al., "Generalized end-to-end loss for
speaker verification", ICASSP 2018.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

RATE, SIZE, HOP, MELS, WINDOW, STEP, LEVEL = 16_000, 400, 160, 40, 160, 77, -30.0


def slaney(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mels that are linear below 1 kHz and logarithmic above (Slaney's Auditory Toolbox, 1998)."""
    above = 15 + 27 * np.log(np.maximum(hertz, 1000) / 1000) / np.log(6.4)
    return np.where(hertz < 1000, hertz * 3 / 200, above)


def bank() -> NDArray[np.float32]:
    """Triangles [40, 201] of equal area over the power spectrum."""
    fine = np.linspace(0, RATE / 2, 200_001)
    edges = np.interp(np.linspace(0, slaney(np.array([RATE / 2.0]))[0], MELS + 2), slaney(fine), fine)
    hertz = np.linspace(0, RATE / 2, SIZE // 2 + 1)
    rise = (hertz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - hertz) / (edges[2:] - edges[1:-1])[:, None]
    height = 2 / (edges[2:] - edges[:-2])[:, None]
    return (np.maximum(0, np.minimum(rise, fall)) * height).astype(np.float32)


class Encoder(nn.Module):
    """The encoder with its weights, read without running code from the file."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.lstm = nn.LSTM(MELS, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, 256)
        stored = torch.load(file, map_location="cpu", weights_only=True)["model_state"]
        self.load_state_dict({name: stored[name] for name in self.state_dict()})
        self.bank = torch.from_numpy(bank())

    @torch.inference_mode()
    def embed(self, recordings: Sequence[NDArray[np.int16]]) -> NDArray[np.float32]:
        """Vectors [n, 256] of length 1 of recordings int16 [t] at 16 kHz."""
        return np.stack([self.embedded(samples) for samples in recordings])

    def embedded(self, samples: NDArray[np.int16]) -> NDArray[np.float32]:
        wave = torch.from_numpy(samples.astype(np.float32) / 32767)
        level = 20 * torch.log10(wave.square().mean().sqrt().clamp_min(1e-9))
        wave = wave * 10 ** (max(0.0, LEVEL - float(level)) / 20)
        wave = nn.functional.pad(wave, (0, max(0, WINDOW * HOP - len(wave))))
        window = torch.hann_window(SIZE)
        power = torch.stft(wave, SIZE, HOP, window=window, pad_mode="constant", return_complex=True).abs().square()
        mels = (self.bank @ power).T
        windows = [mels[start : start + WINDOW] for start in range(0, len(mels) - WINDOW + 1, STEP)]
        state = torch.relu(self.linear(self.lstm(torch.stack(windows))[1][0][-1]))
        mean = nn.functional.normalize(state).mean(dim=0)
        return (mean / mean.norm()).numpy()
