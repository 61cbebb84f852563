"""The random changes that a step makes to its examples: to images or waveforms first, to what is prepared of them then.

Everything random is drawn for the global batch from the seed and the step (`Place`), whatever the number of processes.
"""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from angulus.data import Augment
from angulus.speech.augmentation import SpeechAugment
from angulus.speech.background.material import Bank


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where some examples stand: the rows from `start` on of a global batch of `total` rows, in a step of a run."""

    seed: int
    step: int
    start: int
    total: int


class Changes(Protocol):
    """What changes examples; nothing that it is given is changed."""

    def raw(self, examples: Tensor, place: Place) -> Tensor:
        """Examples as they are read, on the device -> float32 on the scale that `prepare` takes."""
        ...

    def prepared(self, examples: Tensor, place: Place) -> Tensor:
        """What the network is about to see -> the same, changed."""
        ...


@dataclass(frozen=True, kw_only=True)
class ImageChanges:
    """Changes of images."""

    augment: Augment

    def raw(self, examples: Tensor, place: Place) -> Tensor:
        return self.augment.apply(examples, seed=place.seed, step=place.step, start=place.start, total=place.total)

    def prepared(self, examples: Tensor, place: Place) -> Tensor:
        return examples


@dataclass(frozen=True, kw_only=True, eq=False)
class SpeechChanges:
    """Changes of waveforms, with noises, voices and rooms of a bank on the device, and masks of features."""

    augment: SpeechAugment
    bank: Bank | None
    rate: int | None = None
    """Samples a second."""

    def raw(self, examples: Tensor, place: Place) -> Tensor:
        where = {"seed": place.seed, "step": place.step, "start": place.start, "total": place.total}
        return self.augment.apply(examples, bank=self.bank, rate=self.rate, **where)

    def prepared(self, examples: Tensor, place: Place) -> Tensor:
        if self.augment.masking == 0:
            return examples
        return self.augment.mask(examples, seed=place.seed, step=place.step, start=place.start, total=place.total)
