"""Which recordings does a set of drawn speakers hold? As many as wanted, each made when asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import Account
from angulus.data.synthetic.numbering import check_numbers, numbered_labels, numbered_names, placed
from angulus.errors import DataError
from angulus.speech.synthetic import drawn_utterance

LONGEST = 3600.0


@dataclass(frozen=True, kw_only=True)
class DrawnSpeech:
    """Drawn speech with known speakers, the same in every order of reading.

    It exercises a pipeline from end to end; accuracy on it says nothing about real people.

    num_identities: how many speakers.  recordings_per_identity: of each.
    rate: samples a second.  seconds: the shortest and the longest recording.
    seed: another seed gives other speakers.
    first_identity: number of the first speaker, who depends on the seed and this number alone.
    Raises DataError for values out of range.
    """

    num_identities: int = 100
    recordings_per_identity: int = 10
    rate: int = 16_000
    seconds: tuple[float, float] = (2.0, 4.0)
    seed: int = 0
    first_identity: int = 0

    def __post_init__(self) -> None:
        least = {"num_identities": 1, "recordings_per_identity": 1, "rate": 4000, "seed": 0, "first_identity": 0}
        check_numbers(vars(self), least, 2**31)
        if not 0.1 <= self.seconds[0] <= self.seconds[1] <= LONGEST:
            raise DataError(f"seconds must be a shortest and a longest recording from 0.1 up, got {self.seconds}")

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """[n], positions in `identities`."""
        return numbered_labels(self.num_identities, self.recordings_per_identity)

    @cached_property
    def identities(self) -> list[str]:
        """Names such as drawn-000123, by the number of the speaker."""
        return numbered_names("drawn", self.first_identity, self.num_identities)

    @cached_property
    def keys(self) -> Sequence[str]:
        """[n] names such as drawn-000123/0004, the last number that of the speaker's recording."""
        return [f"{name}/{number:04d}" for name in self.identities for number in range(self.recordings_per_identity)]

    @property
    def account(self) -> Account:
        """What the source holds; nothing is ever dropped."""
        return Account(origin="drawn speech", images=len(self), identities=self.num_identities, noun="recording")

    def __len__(self) -> int:
        return self.num_identities * self.recordings_per_identity

    def read(self, index: int) -> NDArray[np.int16]:
        """Samples int16 [t] of one recording."""
        label, number = placed(index, self.num_identities, self.recordings_per_identity)
        speaker = self.first_identity + label
        share = np.random.default_rng([self.seed, speaker, number, 7]).random()
        seconds = self.seconds[0] + share * (self.seconds[1] - self.seconds[0])
        return drawn_utterance(self.seed, speaker, number, rate=self.rate, seconds=seconds)

    def stamp(self, index: int, *, times: bool) -> str:
        """What the recording is drawn from."""
        return f"{self.seed}:{self.first_identity}:{self.rate}:{self.seconds}:{index}"
