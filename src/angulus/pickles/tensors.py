"""Files of PyTorch's tensors, looked over before torch reads them: what they claim is held against what they hold.

`torch.load(weights_only=True)` calls nothing that a file names, but takes any time (keys that are tuples within
tuples) and any memory (a tensor of one value, expanded; members of the archive that are compressed). Here the pickle is
first read by `machine`, with tensors that are only counted. Known are the archive of today and the older form, one
pickle behind the other with the values after them.
"""

import io
import pickle
import warnings
import zipfile
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from angulus.files import BoundedReader
from angulus.pickles.machine import BROKEN, Refused, read_pickles

if TYPE_CHECKING:
    import torch

MOST_BYTES = 2**28  # of the pickle, which holds names and sizes only
MOST_DEEP = 64
MOST_TIMES = 4  # what all tensors may take, over what the file holds: some share their values
_ZIP = b"PK\x03\x04"
_OLD_PICKLES = 5  # a mark, a version, about the machine, the tensors, the order of their values
_WIDTHS = {"Double": 8, "Float": 4, "Half": 2, "BFloat16": 2, "Long": 8, "Int": 4, "Short": 2, "Char": 1, "Byte": 1}
_WIDTHS |= {"Bool": 1, "ComplexDouble": 16, "ComplexFloat": 8, "Untyped": 1}
_TYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")


def load_tensors(path: str | Path, *, device: "str | torch.device" = "cpu", mapped: bool = False) -> Any:
    """What a file of `torch.save` holds: tensors, numbers and texts in lists and dictionaries.

    mapped: tensors stay on the disk until they are looked at.
    Raises OSError for a file that cannot be read, pickle.UnpicklingError for one that is damaged or holds anything
    else, ValueError for one that claims more than it holds, and what torch raises.
    """
    import torch

    with BoundedReader(path) as file:
        check_tensors(file, file.size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch remarks on pickle protocols; what matters is an error
        return torch.load(path, map_location=device, weights_only=True, mmap=mapped)


def check_tensors(file: BinaryIO, size: int) -> None:
    """Raise pickle.UnpicklingError or ValueError, as `load_tensors`, for an open file of `size` bytes."""
    claims = _Claims()
    try:
        begin = file.read(len(_ZIP))
        file.seek(0)
        read = _of_archive if begin == _ZIP else _of_old_form
        found = read(file, claims)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise ValueError(f"it is cut short or damaged: {error}") from error
    except (ClaimError, pickle.UnpicklingError):
        raise
    except BROKEN as error:
        raise pickle.UnpicklingError(str(error) or type(error).__name__) from error
    claims.check(size)
    _check_tree(found, size)


class ClaimError(ValueError):
    """A file claims more than it holds."""


def _of_old_form(file: BinaryIO, claims: "_Claims") -> Any:
    return read_pickles(file, claims.find, _OLD_PICKLES, external=claims.storage)[1:]  # the mark is a long number


def _of_archive(file: BinaryIO, claims: "_Claims") -> Any:
    with zipfile.ZipFile(file) as archive:
        members = {info.filename: info for info in archive.infolist()}
        if len(members) < len(archive.infolist()):
            raise ClaimError("two members of its archive have one name")
        packed = next((name for name, info in members.items() if info.compress_type != zipfile.ZIP_STORED), None)
        if packed is not None:
            raise ClaimError(f"{packed[:60]!r} in its archive is compressed, which torch.save never does")
        pickles = [name for name in members if name == "data.pkl" or name.endswith("/data.pkl")]
        if len(pickles) != 1 or members[pickles[0]].file_size > MOST_BYTES:
            raise ClaimError(f"its archive must have one data.pkl of at most {MOST_BYTES:,} bytes")
        content = archive.read(pickles[0])
        found = read_pickles(io.BytesIO(content), claims.find, 1, external=claims.storage)
        folder = pickles[0].removesuffix("data.pkl")
        for key, storage in claims.storages.items():
            info = members.get(f"{folder}data/{key}")
            if info is None or info.file_size < storage.bytes:
                there = 0 if info is None else info.file_size
                raise ClaimError(f"it claims {storage.bytes:,} bytes of values where it holds {there:,}")
    return found


@dataclass(frozen=True)
class _Kind:
    """A kind of values. width: bytes of one."""

    width: int


@dataclass(frozen=True)
class _Storage:
    """Values in the file. count: how many."""

    count: int
    width: int

    @property
    def bytes(self) -> int:
        return self.count * self.width


class _Tensor:
    """Stands for a tensor."""


class _Ordered(dict):
    """Stands for an OrderedDict, which begins empty and may have attributes."""

    def __init__(self, pairs: Any = ()) -> None:
        super().__init__()
        for pair in pairs:
            if len(pair) != 2 or not isinstance(pair[0], str):
                raise pickle.UnpicklingError("the keys of a dictionary must be texts")
            self[pair[0]] = pair[1]


class _Claims:
    """What the pickle says of tensors and their values."""

    def __init__(self) -> None:
        self.storages: dict[str, _Storage] = {}
        self.bytes = 0  # of all tensors

    def find(self, module: str, name: str) -> Any:
        """What a name in the pickle stands for."""
        if module in ("torch", "torch.cuda", "torch.storage") and name.removesuffix("Storage") in _WIDTHS:
            return _Kind(_WIDTHS[name.removesuffix("Storage")])
        if module == "torch" and name in _TYPES:
            return name
        known = {
            "torch._utils._rebuild_tensor": self.tensor,
            "torch._utils._rebuild_tensor_v2": self.tensor,
            "torch._utils._rebuild_parameter": _same,
            "torch._utils._rebuild_parameter_with_state": _same,
            "torch.Size": tuple,
            "torch.device": _device,
            "collections.OrderedDict": _Ordered,
            "_codecs.encode": _encoded,
        }
        if f"{module}.{name}" not in known:
            raise Refused(f"it asks for {module}.{name}"[:120])
        return known[f"{module}.{name}"]

    def storage(self, place: Any) -> _Storage:
        """Values outside the pickle: ("storage", kind, key, device, count)."""
        if not isinstance(place, tuple) or len(place) < 5 or place[0] != "storage":
            raise pickle.UnpicklingError("it asks for something outside that holds no values")
        _, kind, key, _, count = place[:5]
        if len(place) > 5 and place[5] is not None:
            raise pickle.UnpicklingError("its values are parts of others, as no file has them any more")
        if not isinstance(kind, _Kind) or not isinstance(key, str) or not _is_count(count):
            raise pickle.UnpicklingError("it does not say which values it holds, and how many")
        found = _Storage(count, kind.width)
        if self.storages.setdefault(key, found) != found:
            raise pickle.UnpicklingError("it says of the same values two things")
        return found

    def tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *others: Any) -> _Tensor:
        """A tensor whose values are in the file."""
        if (
            not isinstance(storage, _Storage)
            or not _is_count(offset)
            or not (_are_counts(size) and _are_counts(stride))
        ):
            raise pickle.UnpicklingError("a tensor must have values, a size and steps")
        if len(size) != len(stride):
            raise pickle.UnpicklingError("a tensor must have a step for each side")
        if prod(size) > storage.count:
            raise ClaimError(f"it claims a tensor of {list(size)}, which has {storage.count:,} values in the file")
        self.bytes += prod(size) * storage.width
        return _Tensor()

    def check(self, size: int) -> None:
        """Raise ClaimError unless a file of so many bytes can hold all of it."""
        held = sum(storage.bytes for storage in self.storages.values())
        if held > size:
            raise ClaimError(f"it claims {held:,} bytes of values and has {size:,} in all; it is cut short")
        if self.bytes > MOST_TIMES * max(size, 2**20):
            raise ClaimError(f"its tensors take {self.bytes:,} bytes, the file {size:,}")


def _same(value: Any, *others: Any) -> Any:
    return value


def _device(*names: Any) -> str:
    return "a device"


def _encoded(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "utf-8"):
        raise pickle.UnpicklingError("bytes must be given as text")
    return text.encode(encoding)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**62


def _are_counts(values: Any) -> bool:
    return isinstance(values, tuple) and len(values) <= 64 and all(map(_is_count, values))


def _check_tree(value: Any, most: int) -> None:
    """Raise UnpicklingError for a value that nests too deep, in itself, or is larger, written out, than its file."""
    sizes: dict[int, int] = {}

    def size_of(one: Any, depth: int) -> int:
        if type(one) is int and not -(2**63) <= one < 2**64:
            raise pickle.UnpicklingError("it holds a number beyond 64 bits")
        if not isinstance(one, dict | list | tuple):
            return 1
        if sizes.get(id(one), 0) < 0 or depth > MOST_DEEP:
            raise pickle.UnpicklingError(f"it must nest at most {MOST_DEEP} deep, and not in itself")
        if id(one) not in sizes:
            sizes[id(one)] = -1
            inner = one.values() if isinstance(one, dict) else one
            # a part that was counted may stand deeper here, but only what is small nests
            sizes[id(one)] = 1 + sum(size_of(part, depth + 1) for part in inner)
        return sizes[id(one)]

    if size_of(value, 0) > most:
        raise pickle.UnpicklingError("it repeats its parts until they are larger than the file")
