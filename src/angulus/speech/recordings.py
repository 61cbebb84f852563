from dataclasses import dataclass
from io import BytesIO

EXTENSIONS = frozenset({".wav", ".flac", ".ogg", ".mp3"})


@dataclass(frozen=True)
class Recording:
    rate: int
    samples: int
    channels: int = 1


def probe(content, *, name="recording"):
    import soundfile

    info = soundfile.info(BytesIO(content) if isinstance(content, bytes) else str(content))
    return Recording(info.samplerate, info.frames, info.channels)


def read_waveform(content, rate, *, name="recording", begin=0, samples=None):
    import soundfile

    data, _ = soundfile.read(BytesIO(content) if isinstance(content, bytes) else str(content), dtype="int16")
    return data[begin:] if samples is None else data[begin : begin + samples]
