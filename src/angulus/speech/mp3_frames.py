"""Does an mp3 say how long it is? One of varying bit rate without a header for it does not, and is read in part only.

Decoders take the length of an mp3 from a Xing, Info or VBRI header in its first frame, and else from its size and its
first bit rate, which is right where the rate is constant (ISO/IEC 11172-3, 13818-3: headers of layer III).
"""

from typing import Protocol

_KILOBITS = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_LOOKED_AT = 2**18


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...


def length_is_a_guess(stream: _Readable) -> bool:
    """Whether a file is an mp3 whose frames, as far as they are looked at, differ in bit rate without a header."""
    stream.seek(frames_begin(stream))
    data = stream.read(_LOOKED_AT)
    first = _frame(data, 0)
    if first is None or any(tag in data[: first[0]] for tag in (b"Xing", b"Info", b"VBRI")):
        return False
    place, frame = 0, first
    while frame is not None and frame[1] == first[1]:
        place += frame[0]
        frame = _frame(data, place)
    return frame is not None


def frames_begin(stream: _Readable) -> int:
    """The byte after the ID3 tag with which an mp3 may begin, and which is no part of its length; else 0."""
    stream.seek(0)
    head = stream.read(10)
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    begin = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
    stream.seek(begin)
    return begin if _frame(stream.read(4), 0) else 0


def _frame(data: bytes, place: int) -> tuple[int, int] | None:
    """Bytes and kilobits a second of the frame of layer III at a place; None where none begins."""
    header = data[place : place + 4]
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return None
    version, bits, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or rate == 3 or bits in (0, 15):
        return None
    kilobits = _KILOBITS[version == 3][bits]
    size = (144_000 if version == 3 else 72_000) * kilobits // _RATES[version][rate]
    return size + (header[2] >> 1 & 1), kilobits
