"""The filter bank inside a file for deployment: the same energies as `angulus.speech.FilterBank`, by matrix products.

    frames     gathered by their places, which are counted from the length of the waveform
    spectrum   frame @ (window * cos) and frame @ (window * sin): the real Fourier transform, without an operation that
               only some exporters and runtimes know

The matrices are made in float64 and rounded once, so that the products are as exact as a float32 transform is.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from angulus.speech.filter_bank import FLOOR, FilterBank, triangles, window_function


class FrontEnd(nn.Module):
    """Waveforms float32 [n, samples] -> log-mel energies [n, frames, bands], for any number of samples."""

    cosines: Tensor
    sines: Tensor
    triangles: Tensor
    places: Tensor
    before: Tensor

    def __init__(self, bank: FilterBank) -> None:
        super().__init__()
        self.bank = bank
        time = torch.arange(bank.samples, dtype=torch.float64)[:, None]
        turns = time * torch.arange(bank.padded // 2, dtype=torch.float64) % bank.padded
        angles, window = turns * (2 * math.pi / bank.padded), window_function(bank)[:, None]
        self.register_buffer("cosines", (window * angles.cos()).float())
        self.register_buffer("sines", (window * angles.sin()).float())
        self.register_buffer("triangles", triangles(bank).T.contiguous().float())
        self.register_buffer("places", torch.arange(bank.samples))
        self.register_buffer("before", (self.places - 1).clamp(min=0))

    def forward(self, waveforms: Tensor) -> Tensor:
        """Log-mel energies."""
        frames = waveforms[:, self._gathered(torch._shape_as_tensor(waveforms)[1])]
        if self.bank.remove_dc:
            frames = frames - frames.mean(dim=-1, keepdim=True)
        if self.bank.preemphasis:
            frames = frames - self.bank.preemphasis * frames.index_select(-1, self.before)
        energies = (frames @ self.cosines).square() + (frames @ self.sines).square()
        energies = energies if self.bank.power else energies.sqrt()
        return (energies @ self.triangles).clamp(min=FLOOR).log()

    def _gathered(self, samples: Any) -> Tensor:
        """Places in the waveform of every frame [frames, samples of a frame]; `samples` is a tensor and stays free."""
        bank = self.bank
        if bank.snip_edges:
            begins = torch.arange((samples - bank.samples) // bank.hop + 1) * bank.hop
            return begins[:, None] + self.places
        begins = torch.arange((samples + bank.hop // 2) // bank.hop) * bank.hop + (bank.hop // 2 - bank.samples // 2)
        around = (begins[:, None] + self.places) % (2 * samples)
        return torch.where(around < samples, around, 2 * samples - 1 - around)
