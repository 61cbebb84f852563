"""Known faults in a set of images, so that cleaning can be scored: how does a source look with so many wrong labels?

    flips       an image of the set under the label of another identity of the set
    outliers    an image of somebody who is not in the set, under a label of the set
    duplicates  a copy of an image, mirrored, cropped or encoded anew, under its label or that of another identity

Every rate is a share of the noisy set. With n images, outliers o and duplicates d the set has n / (1 - o - d) images,
so that flips alone change no number. Wrong labels are drawn in proportion to the images of the identities, so that
small identities get no larger share of noise than large ones. Same source, rates and seed: the same noise. Images
are read when they are asked for; the true state of each stays known.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from angulus.data.examples import Account, Source, account_of, bytes_of, fit_image, stamp_of
from angulus.data.parts import part_of, read_part
from angulus.data.views.cache import InMemory
from angulus.data.views.label_corrections import Relabelled
from angulus.data.views.split import Subset
from angulus.errors import DataError
from angulus.image_files import open_image

State = Literal["clean", "flipped", "outlier", "duplicate"]
STATES: tuple[State, ...] = get_args(State)
Change = Literal["mirrored", "cropped", "encoded"]
CHANGES: tuple[Change, ...] = get_args(Change)

_CROPPED = 0.06  # of each side
_QUALITY = 40  # of the JPEG that a copy is encoded to


@dataclass(frozen=True, kw_only=True)
class Noise:
    """How much of each fault. relabelled: the share of the duplicates that get the label of another identity."""

    flips: float = 0.0
    outliers: float = 0.0
    duplicates: float = 0.0
    relabelled: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("flips", "outliers", "duplicates", "relabelled"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be a share between 0 and 1, got {getattr(self, name)}")
        if self.flips + self.outliers + self.duplicates >= 1.0:
            total = self.flips + self.outliers + self.duplicates
            raise ValueError(f"flips, outliers and duplicates must leave something clean, got {total:g} together")


@dataclass(frozen=True, kw_only=True, eq=False)
class NoisySource:
    """A source with noise: example i is image rows[i] of `source`, or of `outside` where it is an outlier.

    states: int8 [n], positions in STATES.  changes: int8 [n], positions in CHANGES for duplicates, else -1.
    """

    source: Source
    outside: Source | None
    rows: NDArray[np.int64]
    states: NDArray[np.int8]
    changes: NDArray[np.int8]
    labels: NDArray[np.int64]
    keys: list[str]

    @property
    def identities(self) -> Sequence[str]:
        """Names of the identities, those of the source."""
        return self.source.identities

    @property
    def account(self) -> Account:
        """What the source kept and dropped, with the images as they are now."""
        return account_of(self.source).after(images=len(self), identities=len(self.identities))

    def __len__(self) -> int:
        return len(self.rows)

    def origin(self, index: int) -> tuple[Source, int]:
        """The source of an example and its place there."""
        if STATES[self.states[index]] == "outlier":
            assert self.outside is not None
            return self.outside, int(self.rows[index])
        return self.source, int(self.rows[index])

    def read(self, index: int) -> NDArray[Any]:
        """One example."""
        source, row = self.origin(index)
        image = source.read(row)
        return image if self.changes[index] < 0 else changed(image, CHANGES[self.changes[index]])

    def read_part(self, index: int, share: float, length: int) -> NDArray[Any]:
        """A part of a recording."""
        if self.changes[index] < 0:
            return read_part(*self.origin(index), share, length)
        return part_of(self.read(index), share, length)

    def read_bytes(self, index: int) -> bytes | None:
        """The encoded image where it is stored as it is; None for duplicates."""
        return bytes_of(*self.origin(index)) if self.changes[index] < 0 else None

    def stamp(self, index: int, *, times: bool) -> str | None:
        """What the source says of the image, and how it was changed."""
        stamp = stamp_of(*self.origin(index), times=times)
        return None if stamp is None else f"{stamp}{self.changes[index] if self.changes[index] >= 0 else ''}"

    def shown(self, index: int) -> str:
        """The name of the person whom an example really shows; "" for an outlier."""
        if STATES[self.states[index]] == "outlier":
            return ""
        return self.source.identities[int(self.source.labels[self.rows[index]])]


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """What is known of the n examples of a view: states int8 [n], positions in STATES; is_wrong bool [n]: the label is.

    shown: [n] names of the people really shown, "" for outliers.
    """

    states: NDArray[np.int8]
    is_wrong: NDArray[np.bool_]
    shown: list[str]


def add_noise(
    source: Source, noise: Noise, *, outside: Source | None = None, among: Collection[str] | None = None
) -> NoisySource:
    """The source with noise.

    outside: where outliers come from, people who are not in the set.  among: the identities that get noise, all by
    default; the images of the others stay as they are and do not count for the rates.

    Raises DataError where there are too few identities, or too few images outside.
    """
    wanted = np.array([among is None or name in among for name in source.identities], dtype=bool)
    noisy = np.flatnonzero(wanted[source.labels])
    if wanted.sum() < 2:
        raise DataError(f"noise needs at least 2 identities to confuse, got {int(wanted.sum())}")
    total = round(len(noisy) / (1.0 - noise.outliers - noise.duplicates))
    count = {name: round(getattr(noise, name) * total) for name in ("flips", "outliers", "duplicates")}
    _check_room(count, len(noisy), source, outside)
    own = np.asarray(source.labels, dtype=np.int64)
    flipped = _random(noise, 0).choice(noisy, size=count["flips"], replace=False)
    labels = own.copy()
    labels[flipped] = other_labels(own[flipped], own[noisy], _random(noise, 1))
    strangers = _strangers(outside, count["outliers"], _random(noise, 2))
    stranger_labels = _random(noise, 3).choice(own[noisy], size=len(strangers))
    copies = _random(noise, 4).choice(noisy, size=count["duplicates"], replace=True)
    changes = _random(noise, 5).integers(len(CHANGES), size=len(copies))
    copy_labels = own[copies]
    moved = np.arange(len(copies)) < round(noise.relabelled * len(copies))
    copy_labels[moved] = other_labels(copy_labels[moved], own[noisy], _random(noise, 6))
    states = np.zeros(len(source), dtype=np.int8)
    states[flipped] = STATES.index("flipped")
    return NoisySource(
        source=source,
        outside=outside,
        rows=np.concatenate([np.arange(len(source)), strangers, copies]).astype(np.int64),
        states=np.concatenate([states, np.full(len(strangers), 2), np.full(len(copies), 3)]).astype(np.int8),
        changes=np.concatenate([np.full(len(source) + len(strangers), -1), changes]).astype(np.int8),
        labels=np.concatenate([labels, stranger_labels, copy_labels]).astype(np.int64),
        keys=[
            *source.keys,
            *(f"outlier/{outside.keys[int(row)]}" for row in strangers if outside is not None),
            *(f"duplicate/{number}/{source.keys[int(row)]}" for number, row in enumerate(copies)),
        ],
    )


def other_labels(own: NDArray[np.int64], images: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """For each label another one, drawn in proportion to how often the others occur in `images`."""
    drawn = random.choice(images, size=len(own))
    while (same := drawn == own).any():
        drawn[same] = random.choice(images, size=int(same.sum()))
    return drawn


def changed(image: NDArray[Any], change: Change) -> NDArray[Any]:
    """A near-duplicate of an image [height, width, 3], of the same size; or of a recording or features [t, ...].

    Recordings have no mirror image: "mirrored" is half as loud there, "cropped" loses both ends, "reencoded" has 16
    times coarser steps.
    """
    if image.ndim < 3:
        return _changed_recording(image, change)
    if change == "mirrored":
        return np.ascontiguousarray(image[:, ::-1])
    if change == "cropped":
        height, width = image.shape[:2]
        top, left = max(1, round(_CROPPED * height)), max(1, round(_CROPPED * width))
        return fit_image(image[top : height - top, left : width - left], (height, width), "resize")
    file = BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=_QUALITY)
    return np.asarray(open_image(file.getvalue()).convert("RGB"))


def _changed_recording(recording: NDArray[Any], change: Change) -> NDArray[Any]:
    if change == "cropped":
        lost = max(1, round(_CROPPED * len(recording)))
        return recording[lost:-lost] if len(recording) > 2 * lost else recording
    whole = recording.astype(np.float32)
    if recording.dtype != np.int16:  # features: a louder copy is a shift of all bands
        top = np.iinfo(recording.dtype).max if recording.dtype.kind in "ui" else np.inf
        return np.clip(whole + 1, None, top).astype(recording.dtype)
    changed = whole / 2 if change == "mirrored" else np.round(whole / 16) * 16
    return np.clip(changed, -32768, 32767).astype(np.int16)


def truth_of(source: Source) -> Truth | None:
    """What is known of a view on a noisy source, example by example; None for a source without injected noise."""
    rows, view = np.arange(len(source)), source
    while not isinstance(view, NoisySource):
        if isinstance(view, Subset):
            rows = view.indices[rows]
        elif not isinstance(view, InMemory | Relabelled):
            return None
        view = view.source
    shown = [view.shown(int(row)) for row in rows]
    names = source.identities
    wrong = [names[int(label)] != name for label, name in zip(source.labels, shown, strict=True)]
    return Truth(states=view.states[rows], is_wrong=np.array(wrong, dtype=bool), shown=shown)


def _random(noise: Noise, stage: int) -> np.random.Generator:
    # a generator for each choice, so that more of one fault does not move the others
    return np.random.default_rng([noise.seed, stage])


def _strangers(outside: Source | None, count: int, random: np.random.Generator) -> NDArray[np.int64]:
    if outside is None:
        return np.zeros(0, dtype=np.int64)
    return random.choice(len(outside), size=count, replace=False)


def _check_room(count: dict[str, int], images: int, source: Source, outside: Source | None) -> None:
    if count["flips"] > images:
        raise DataError(
            f"flips must leave room for the other faults: {count['flips']} of {images} images; lower a rate"
        )
    if not count["outliers"]:
        return
    if outside is None:
        raise DataError("outliers need another set of images to come from, got none")
    shared = sorted(set(outside.identities).intersection(source.identities))
    if shared:
        raise DataError(
            f"outliers must show people who are not in the set; {', '.join(shared[:3])} are in both: "
            "leave them out of one with identities.exclude"
        )
    if len(outside) < count["outliers"]:
        raise DataError(f"there must be an image for each of {count['outliers']} outliers, got {len(outside)}")
