"""Sound files of strangers to waveforms: one channel, 16-bit integers, at the rate that is asked for.

    sample = round(32,768 * mean over the channels), resampled by soxr, cut to -32,768 .. 32,767

soundfile reads them (`pip install "angulus[speech]"`): wav, flac, ogg, opus, mp3, aiff, au, caf, sphere and others.
A part of a file is read by seeking, and equals the same part of the whole. What a header claims takes no memory: blocks
are decoded as long as there are any.
"""

import re
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.errors import DataError
from angulus.files import BoundedReader
from angulus.speech.mp3_frames import frames_begin, length_is_a_guess
from angulus.speech.packages import soundfile_package
from angulus.speech.resampling import fitted, length_at, resampled_parts, source_of, whole_numbers

EXTENSIONS = frozenset(
    {".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64", ".sph"}
)
"""How the names of sound files end, in lower case."""

REMEDY = (
    "replace or remove it, or set data.on_unreadable=skip (embed: --skip-unreadable) to leave out and list what is "
    "damaged"
)
LEAST_RATE, MOST_RATE, MOST_CHANNELS = 2_000, 384_000, 64
"""Of what is read; a file that claims one sample a second would take 16,000 times its room."""
MOST_SECONDS = 12 * 3600
"""Of what is read at once; more is read in parts."""

_SCALE = 32768.0
_VALUES_AT_ONCE = 2**18
_LOUDEST = 64.0  # of floats, whose full scale is 1
_NO_LENGTH = 2**40  # more samples than a file has: libsndfile's way to say that it knows no number
_CUT = re.compile(r"^\s*(?:data|SSND)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
_STREAMED = 0x7FFFF000  # what writes into a pipe claims this much, or more, for want of a length
_UNSAID = "does not say how long it is; write it again, for example with ffmpeg -i OLD NEW.flac"
_MP3_SLACK = 4 * 1152  # samples that may be missing at the end: without a header its length comes from its size
_MP3_REACH = 20 * 1152  # frames of an mp3 stand on bits of those before
_LAST_PAGE = 60  # seconds; libvorbis lands beside the place where it is to enter the last page of a file
Name = str | Callable[[], str] | None


@dataclass(frozen=True)
class Recording:
    """What a sound file says about itself.

    rate: samples a second.  samples: of each channel.  format: "FLAC PCM_16", in soundfile's words.
    """

    rate: int
    samples: int
    channels: int
    format: str

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.samples / self.rate

    def samples_at(self, rate: int) -> int:
        """Samples that `read_waveform` gives at a rate."""
        return length_at(self.samples, self.rate, rate)


def probe(content: bytes | Path, *, name: Name = None) -> Recording:
    """What a sound file claims, without decoding it. Raises DataError as `read_waveform`."""
    with _opened(content, name) as file:
        return _described(file)


def read_waveform(
    content: bytes | Path, rate: int, *, name: Name = None, begin: int = 0, samples: int | None = None
) -> NDArray[np.int16]:
    """Waveform [samples], int16: the mean of the channels at `rate` samples a second.

    Args:
        content: the bytes, or the file that holds them.
        name: what to call it in errors, or what gives its name when one is needed.
        begin, samples: the part that is wanted, in samples of `rate`; samples=None reads to the end. Only this part is
            decoded (in formats that can be entered in the middle), and equals that of the whole to within one step.

    Raises DataError with the name and the reason: no sound file, an empty or damaged one, one that is cut short, a part
    that it does not have, NaN among its samples. ValueError for a rate that is none.
    """
    if isinstance(rate, bool) or not isinstance(rate, int | np.integer) or not 1 <= rate <= MOST_RATE:
        raise ValueError(f"rate must be a whole number from 1 to {MOST_RATE:,}, got {rate!r}")
    with _opened(content, name) as file:
        found = _described(file)
        length = found.samples_at(rate)
        end = length if samples is None else begin + samples
        if begin < 0 or end <= begin or end > length:
            raise DataError(f"it has {length:,} samples at {rate:,} Hz, which {begin:,} to {end:,} are not among")
        if end - begin > MOST_SECONDS * rate:
            hours = (end - begin) / rate / 3600
            raise DataError(f"{hours:,.1f} hours are more than the {MOST_SECONDS // 3600} that are read at once")
        first, last, offset = source_of(begin, end, found.rate, rate)
        blocks = _blocks(file, first, min(last, found.samples))
        parts = [whole_numbers(part) for part in resampled_parts(blocks, found.rate, rate)]
    return fitted(np.concatenate(parts)[offset:], end - begin)


def read_channel(content: bytes | Path, rate: int, *, name: Name = None, seconds: float) -> NDArray[np.float32]:
    """The beginning of the first channel [samples], float32 on the scale of int16 and not rounded: for room responses.

    Raises DataError as `read_waveform`.
    """
    with _opened(content, name) as file:
        last = min(file.frames, int(seconds * file.samplerate))
        blocks = _blocks(file, 0, max(1, last), channel=0)
        return np.concatenate(list(resampled_parts(blocks, file.samplerate, rate)))


def flac_bytes(waveform: NDArray[np.int16], rate: int) -> bytes:
    """A FLAC file of int16 [samples] or [samples, channels]."""
    file = BytesIO()
    soundfile_package().write(file, waveform, rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def write_flac(path: str | Path, waveform: NDArray[np.int16], rate: int) -> None:
    """Write a FLAC file of int16 [samples] or [samples, channels]."""
    Path(path).write_bytes(flac_bytes(waveform, rate))


@contextmanager
def _opened(content: bytes | Path, name: Name) -> Generator[Any]:
    """The open file of soundfile; whatever goes wrong with it becomes a DataError of one sentence."""
    soundfile = soundfile_package()
    head = b""
    try:
        with BoundedReader(content) if isinstance(content, Path) else BytesIO(content) as stream:
            head = stream.read(12)
            if not head:
                raise DataError("the file is empty")
            if length_is_a_guess(stream):
                raise DataError(f"it is an mp3 of varying bit rate that {_UNSAID}")
            with soundfile.SoundFile(_Stream(stream, frames_begin(stream))) as file:
                _check(file)
                yield file
    except MemoryError:
        raise
    except Exception as error:  # decoders raise a dozen types on damaged bytes
        raise DataError(f"cannot read {_shown(content, name)}: {_reason(error, head)}; {REMEDY}") from error


class _Stream:
    """What libsndfile calls: a file from byte `begin` on; damaged ones send it before that, where it does not go."""

    def __init__(self, stream: BufferedReader | BytesIO, begin: int) -> None:
        self.stream, self.begin, self.readinto = stream, begin, stream.readinto
        stream.seek(begin)

    def tell(self) -> int:
        return self.stream.tell() - self.begin

    def seek(self, offset: int, whence: int = 0) -> int:
        before = self.stream.tell()
        try:
            self.stream.seek(offset + self.begin if whence == 0 else offset, whence)
        except (ValueError, OSError):
            self.stream.seek(before)
        if self.tell() < 0:
            self.stream.seek(before)
        return self.tell()


def _check(file: Any) -> None:
    if not LEAST_RATE <= file.samplerate <= MOST_RATE:
        raise DataError(f"it claims {file.samplerate:,} samples a second; {LEAST_RATE:,} to {MOST_RATE:,} are read")
    if not 1 <= file.channels <= MOST_CHANNELS:
        raise DataError(f"it claims {file.channels:,} channels, and at most {MOST_CHANNELS} are read")
    for claimed, held in _CUT.findall(file.extra_info):
        if int(held) < int(claimed) < _STREAMED:
            raise DataError(f"it is cut short: it claims {int(claimed):,} bytes of samples and holds {int(held):,}")
    if file.frames < 1:
        raise DataError("it holds no samples")
    if file.frames >= _NO_LENGTH:
        raise DataError(f"it {_UNSAID}")


def _described(file: Any) -> Recording:
    return Recording(file.samplerate, file.frames, file.channels, f"{file.format} {file.subtype}")


def _blocks(file: Any, first: int, last: int, channel: int | None = None) -> Iterator[NDArray[np.float32]]:
    """Samples [first, last) of a channel, or the mean of all, in blocks of float32 on the scale of int16."""
    at_once = max(1, _VALUES_AT_ONCE // file.channels)
    checked = file.subtype in ("FLOAT", "DOUBLE")
    place = _entry(file, first)
    if place:
        file.seek(place)
    while place < last:
        block = file.read(min(at_once, last - place), dtype="float32", always_2d=True)
        if not len(block) and file.format == "MP3" and file.frames - place <= _MP3_SLACK:
            return
        if not len(block):
            raise DataError(f"it is cut short: it claims {file.frames:,} samples and holds {place:,}")
        if checked:
            _check_floats(block)
        place += len(block)
        wanted = block[max(0, len(block) - (place - first)) :] if place > first else block[:0]
        one = 0 if file.channels == 1 else channel
        yield (wanted.mean(axis=1, dtype=np.float32) if one is None else wanted[:, one]) * np.float32(_SCALE)


def _entry(file: Any, first: int) -> int:
    """Where decoding must begin so that sample `first` is that of the whole file."""
    if first == 0 or not file.seekable():
        return 0
    if file.format == "MP3":
        return max(0, first - _MP3_REACH)
    if file.format == "OGG":
        return max(0, min(first, file.frames - _LAST_PAGE * file.samplerate))
    return first


def _check_floats(block: NDArray[np.float32]) -> None:
    loudest = float(np.abs(block).max())
    if not np.isfinite(loudest):
        raise DataError("NaN or infinity is among its samples")
    if loudest > _LOUDEST:
        raise DataError(f"its samples reach {loudest:,.0f} where 1 is full scale; divide them, or store 16 bits")


def _shown(content: bytes | Path, name: Name) -> str:
    if callable(name):
        return name()
    return name or (str(content) if isinstance(content, Path) else "recording")


def _reason(error: Exception, head: bytes) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    text = (str(getattr(error, "error_string", error)).strip() or type(error).__name__).splitlines()[0]
    if isinstance(error, DataError):
        return text
    if "Format not recognised" not in text:
        return f"it is damaged, cut short or of no known kind ({text.rstrip('.')})"
    if head[4:8] == b"ftyp":
        return "it is m4a or mp4, which soundfile does not read; convert it, for example with ffmpeg -i OLD NEW.flac"
    return "its content is not sound of a known format"
