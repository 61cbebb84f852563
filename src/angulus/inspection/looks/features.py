"""What is to be seen in the stored features of a recording: frames, their spread, still frames, and two hashes.

frames   how many;  mean, spread: of all values, in the unit of the features
still    share of frames that are equal to the one before (digital silence);  head: frames of such a beginning
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import Source
from angulus.inspection.hashing import signs
from angulus.inspection.looks.look import COMMON, HASH_BYTES, Concern, Extreme, Measure, Same
from angulus.inspection.looks.recordings import WORDS
from angulus.inspection.looks.spectrograms import BOUNDS, agreement_of, levels_of_features, spectra

COLUMNS = np.dtype(
    [
        *COMMON,
        ("frames", "<i4"),
        ("mean", "<f4"),
        ("spread", "<f4"),
        ("still", "<f4"),
        ("head", "<i4"),
        ("hash", "u1", (HASH_BYTES,)),
        ("loudest_hash", "u1", (HASH_BYTES,)),
    ]
)
SHORT_FRAMES = 30
HEAD_FRAMES = 25
STILL_SHARE = 0.98


@dataclass(frozen=True)
class Features:
    """Features [frames, bands] of any number type."""

    words = WORDS
    columns = COLUMNS
    hashes = (("hash", "hash"), ("loudest_hash", "loudest_hash"))
    same: Same = "same frames"
    bounds = BOUNDS
    measures = (
        Measure(column="frames", title="frames"),
        Measure(column="mean", title="mean of the features", digits=1),
        Measure(column="spread", title="spread of the features (deviation)", digits=1),
        Measure(column="still", title="share of frames equal to the one before", digits=2),
        Measure(column="head", title="equal frames at the beginning"),
    )
    extremes = (
        Extreme(title="shortest", column="frames"),
        Extreme(title="longest", column="frames", largest=True),
        Extreme(title="least spread", column="spread"),
        Extreme(title="most still", column="still", largest=True),
    )

    def decode(self, source: Source, index: int, content: bytes | None) -> NDArray[Any]:
        """As they are stored."""
        return source.read(index)

    def spectra(self, example: NDArray[Any]) -> NDArray[np.float32]:
        """[2, 256]"""
        return spectra(levels_of_features(example))

    def measured(self, example: NDArray[Any], content: bytes | None, typical: NDArray[np.float32]) -> Mapping[str, Any]:
        """Its own columns."""
        still = (example[1:] == example[:-1]).all(axis=1)
        changes = np.flatnonzero(~still)
        hashes = signs(self.spectra(example), typical)
        return {
            "frames": len(example),
            "mean": example.mean(dtype=np.float64),
            "spread": example.std(dtype=np.float64),
            "still": float(still.mean()) if len(still) else 0.0,
            "head": int(changes[0]) if len(changes) else len(still),
            "hash": hashes[0],
            "loudest_hash": hashes[1],
        }

    def kind(self, example: NDArray[Any], content: bytes | None) -> str:
        """For example features uint8, 40 bands."""
        return f"features {example.dtype}, {example.shape[1]} bands"

    def agreement(self, one: NDArray[Any], other: NDArray[Any]) -> float:
        """See `angulus.inspection.looks.spectrograms`."""
        return agreement_of(levels_of_features(one), levels_of_features(other))

    def telling(self, rows: NDArray[np.void]) -> NDArray[np.bool_]:
        """Those whose values differ."""
        return rows["readable"] & (rows["spread"] > 0)

    def concerns(self, rows: NDArray[np.void]) -> list[Concern]:
        """Too short, silent, digital silence at the beginning."""
        readable = rows["readable"]
        silent = readable & (~self.telling(rows) | (rows["still"] >= STILL_SHARE))
        listed = (
            ("silent", "hold frames of one kind alone", silent, True),
            ("too short", f"have fewer than {SHORT_FRAMES} frames", readable & (rows["frames"] < SHORT_FRAMES), True),
            (
                "digital silence",
                f"begin with {HEAD_FRAMES} equal frames or more (digital silence), which tells where they come from",
                readable & ~silent & (rows["head"] >= HEAD_FRAMES),
                False,
            ),
        )
        return [
            Concern(what=what, sentence=sentence, rows=np.flatnonzero(chosen), act=act)
            for what, sentence, chosen, act in listed
            if chosen.any()
        ]


FEATURES = Features()
