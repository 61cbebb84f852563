"""Matrices that lie in several files as one array: mapped one behind the other in memory, where their sizes allow it.

A file is mapped in whole pages of memory. So files follow each other without a gap where each matrix begins with a page
and all but the last end with one, as those of blocks of 4,096 examples do. Otherwise, and on systems other than Linux,
the array is a copy.
"""

import ctypes
import logging
import mmap
import os
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from angulus.embeddings.shards.parts import Mapped
from angulus.files import open_regular

logger = logging.getLogger(__name__)

MOST_FILES = 16_000  # a process of Linux may have 65,530 mappings
_SHARED, _FIXED = 0x01, 0x10


def joined(places: Sequence[Mapped]) -> NDArray[np.float32]:
    """The rows of all matrices [sum of n, d], float32, not to be written to. Raises OSError."""
    if len(places) == 1:
        return places[0].array()
    if is_mappable(places):
        return _mapped(places)
    if sum(place.nbytes for place in places) >= 2**30:
        said = "%s: the parts do not end with pages of memory and are copied; merge them to one file to map them"
        logger.warning(said, places[0].path.parent)
    copied = np.concatenate([place.array() for place in places])
    copied.setflags(write=False)
    return copied


def is_mappable(places: Sequence[Mapped]) -> bool:
    """Whether matrices in files can follow each other in memory."""
    return (
        sys.platform == "linux"
        and len(places) <= MOST_FILES
        and all(place.offset % mmap.PAGESIZE == 0 for place in places)
        and all(place.nbytes % mmap.PAGESIZE == 0 for place in places[:-1])
    )


def _mapped(places: Sequence[Mapped]) -> NDArray[np.float32]:
    total = sum(place.nbytes for place in places)
    # room that nothing else takes, given back as a whole when the last array in it is gone
    room = mmap.mmap(-1, total, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ)
    whole = np.frombuffer(room, dtype=np.float32)
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    begin = whole.ctypes.data
    for place in places:
        _lay(library, begin, place)
        begin += place.nbytes
    return whole.reshape(-1, places[0].shape[1])


def _lay(library: ctypes.CDLL, begin: int, place: Mapped) -> None:
    """Map a matrix over the room at an address."""
    file = open_regular(place.path)
    try:
        if os.fstat(file).st_size < place.offset + place.nbytes:
            raise OSError(f"{place.path} has become shorter")
        found = library.mmap(begin, place.nbytes, mmap.PROT_READ, _SHARED | _FIXED, file, place.offset)
        if found != begin:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(place.path))
    finally:
        os.close(file)
