"""Recordings through a network: one embedding each, whatever their lengths.

Recordings of one length go through together, those of another in a pass of their own, so that nothing is padded and an
embedding does not depend on what else is embedded. One that is longer than a window is cut into windows of equal length
that cover it, and its embedding is the mean of theirs, each brought to length 1.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from angulus.data.examples import Source
from angulus.errors import DataError
from angulus.models import SpeechInput

Compute = Callable[[Tensor], Tensor]
AT_ONCE, SECONDS_AT_ONCE = 32, 120.0
"""Recordings or windows in one pass, and seconds of them: of 32 windows of 30 seconds, what is between samples and
bands takes a gigabyte, and a third more time than of four."""
READ_AHEAD, READ_BYTES = 256, 2**26
"""Recordings, and bytes of them, that are read before their pieces of one length go through together."""
WINDOW_SECONDS = 30.0


@dataclass(frozen=True)
class Piece:
    """A whole recording, or a window of one: the number of the recording and its samples or frames [t, ...]."""

    recording: int
    values: NDArray[Any]


class GivenRecordings:
    """Recordings without names: arrays [t] int16 or floats on its scale, or features [frames, bands]."""

    def __init__(self, recordings: Sequence[NDArray[Any]]) -> None:
        self.recordings = recordings

    def __len__(self) -> int:
        return len(self.recordings)

    def read(self, index: int) -> NDArray[Any]:
        return np.asarray(self.recordings[index])


def embedded_recordings(
    compute: Compute,
    spec: SpeechInput,
    source: Source | GivenRecordings,
    device: torch.device,
    *,
    batch_size: int | None = None,
    window: float | None = WINDOW_SECONDS,
    progress: Callable[[int, int | None], None] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Embeddings [n, d] and durations in seconds [n].

    compute: recordings of one length, as they come before `spec.prepare`, to their embeddings.
    batch_size: pieces in one pass; None takes at most AT_ONCE and SECONDS_AT_ONCE.
    window: seconds above which a recording is cut; None never cuts.
    Raises DataError naming a recording that is shorter than one frame, or unreadable.
    """
    if not len(source):
        raise DataError("embed needs at least one recording, got none")
    longest = None if window is None else spec.length_of(max(1, round(window * spec.frames_a_second)))
    seconds = np.zeros(len(source))
    embeddings: NDArray[np.float32] | None = None
    most = spec.length_of(max(1, round(SECONDS_AT_ONCE * spec.frames_a_second)))
    for rows, pieces in _groups(_pieces(source, spec, longest, seconds)):
        found = _through(compute, pieces, device, batch_size, most)
        if embeddings is None:
            embeddings = np.zeros((len(source), found.shape[1]), np.float32)
        embeddings[rows.start : rows.stop] = _joined(found, pieces, rows)
        if progress is not None:
            progress(rows.stop, len(source))
    assert embeddings is not None
    return embeddings, seconds


def _groups(recordings: Iterable[list[Piece]]) -> Iterator[tuple[range, list[Piece]]]:
    """Recordings that follow each other and their pieces, as many as may be held at once; a long one is alone."""
    pieces: list[Piece] = []
    begin = end = size = 0
    for recording in recordings:
        own = sum(piece.values.nbytes for piece in recording)
        if pieces and (end - begin == READ_AHEAD or size + own > READ_BYTES):
            yield range(begin, end), pieces
            pieces, begin, size = [], end, 0
        pieces += recording
        end, size = end + 1, size + own
    yield range(begin, end), pieces


def _pieces(
    source: Source | GivenRecordings, spec: SpeechInput, longest: int | None, seconds: NDArray[np.float64]
) -> Iterator[list[Piece]]:
    """The pieces of each recording in turn."""
    least, unit = spec.length_of(1), "samples" if spec.content == "waveform" else "frames"
    for row in range(len(source)):
        values = source.read(row)
        name = getattr(source, "keys", None)
        said = f"recording {row}" if name is None else str(name[row])
        if values.ndim > 2:
            raise DataError(f"{said} is an image, and the model takes {spec.describe()}")
        if len(values) < least:
            held = f"{len(values)} {unit if len(values) != 1 else unit[:-1]}"
            raise DataError(f"{said} has {held} and one frame of the model takes {least}: it is too short to embed")
        seconds[row] = len(values) / (spec.rate if spec.content == "waveform" else spec.frames_a_second)
        yield [Piece(row, part) for part in windows(values, longest)]


def windows(values: NDArray[Any], longest: int | None) -> list[NDArray[Any]]:
    """A recording [t, ...] whole, or as windows of one length, at most `longest`, that cover it with equal steps."""
    if longest is None or len(values) <= longest:
        return [values]
    count = -(-len(values) // longest)
    length = -(-len(values) // count)
    begins = np.linspace(0, len(values) - length, count).round().astype(int)
    return [values[begin : begin + length] for begin in begins]


def _through(
    compute: Compute, pieces: Sequence[Piece], device: torch.device, batch_size: int | None, most: int
) -> NDArray[np.float32]:
    """Raw embeddings [pieces, d]; those of one length together, `batch_size` or as many as hold `most` values."""
    by_length: dict[int, list[int]] = {}
    for place, piece in enumerate(pieces):
        by_length.setdefault(len(piece.values), []).append(place)
    found: NDArray[np.float32] | None = None
    for length, places in by_length.items():
        size = batch_size or max(1, min(AT_ONCE, most // length))
        for begin in range(0, len(places), size):
            some = places[begin : begin + size]
            batch = torch.from_numpy(np.stack([pieces[place].values for place in some]))
            vectors = compute(batch.to(device)).float().cpu().numpy()
            if found is None:
                found = np.zeros((len(pieces), vectors.shape[1]), np.float32)
            found[some] = vectors
    assert found is not None
    return found


def _joined(found: NDArray[np.float32], pieces: Sequence[Piece], rows: range) -> NDArray[np.float32]:
    """One embedding for each recording: its own, or the mean of those of its windows."""
    owners = np.array([piece.recording for piece in pieces]) - rows.start
    counts = np.bincount(owners, minlength=len(rows))
    if (counts == 1).all():
        return found
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    units = np.where(counts[owners, None] > 1, found / np.maximum(lengths, 1e-12), found)
    sums = np.zeros((len(rows), found.shape[1]), np.float64)
    np.add.at(sums, owners, units)
    return (sums / counts[:, None]).astype(np.float32)


def as_recordings(given: Any) -> GivenRecordings:
    """Recordings that are no source: a tensor or array [n, t] or [n, frames, bands], or a list of arrays.

    Raises DataError for anything else.
    """
    if isinstance(given, Tensor):
        given = given.cpu().numpy()
    if isinstance(given, np.ndarray):
        if given.ndim not in (2, 3):
            single = "; one recording is samples[None]" if given.ndim == 1 else ""
            raise DataError(f"recordings must have the shape [n, samples], got {list(given.shape)}{single}")
        given = list(given)
    arrays = [one.cpu().numpy() if isinstance(one, Tensor) else np.asarray(one) for one in given]
    if any(one.ndim not in (1, 2) or one.dtype.kind not in "uif" for one in arrays):
        raise DataError("each recording must be samples [t] or features [frames, bands], as numbers")
    if any(
        one.dtype.kind == "f" and len(one) and 0 < float(np.abs(one).max()) <= 1.0 and one.ndim == 1 for one in arrays
    ):
        raise DataError("samples must lie on the scale of 16-bit integers, got floats of at most 1; multiply by 32768")
    return GivenRecordings(arrays)
