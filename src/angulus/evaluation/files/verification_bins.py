"""insightface's verification sets (`lfw.bin`, `agedb_30.bin`, ...): encoded images and which neighbours are one person.

A `.bin` is a pickle of (images, same): 2 p encoded images, pair i being images 2 i and 2 i + 1, and p truth values. A
pickle is a program for a small machine that can call any function of Python, so that a file from the internet must not
be given to `pickle.load`. Here the machine knows lists, tuples, bytes, numbers, and a few names that numpy arrays of
bytes and truth values are written with, none of which leads to numpy or to anything else that acts: they build plain
records of what the file says. Any other name ends the reading with an error, before anything is called.

Files of Python 2 (text strings as bytes) and 3, pickle protocols 0 to 5, are read; one of protocol 4 is written.
"""

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.errors import EvaluationError
from angulus.evaluation.scores.pairs import Pairs
from angulus.pickles.machine import BROKEN, Refused, read_pickle
from angulus.whole_files import reason_of, write_beside


@dataclass(frozen=True, kw_only=True, eq=False)
class EncodedPairs:
    """A verification set: 2 p encoded images (JPEG or PNG bytes) and the p pairs of neighbours among them.

    pairs.fold: consecutive folds of equal size (the first ones one pair larger where they do not divide evenly), as
    insightface cuts them; None where there are fewer pairs than folds.
    """

    images: tuple[bytes, ...]
    pairs: Pairs


def read_bin(path: str | Path, *, folds: int = 10) -> EncodedPairs:
    """Read a `.bin`; nothing in it is executed.

    Raises EvaluationError naming the class or function that a hostile file asks for, and for damaged files, lists that
    do not match and entries that are no images or truth values.
    """
    content = _unpickled(Path(path))
    if not isinstance(content, tuple | list) or len(content) != 2:
        raise EvaluationError(f"{path} must hold two lists, images and same or not, got {_kind(content)}")
    items = _items(path, "images", content[0])
    once: dict[int, bytes] = {}  # an image that the file names a thousand times is kept once
    for number, item in enumerate(items):
        if id(item) not in once:
            once[id(item)] = _image(path, number, item)
    images = [once[id(item)] for item in items]
    same = _truths(path, content[1])
    if len(images) != 2 * len(same) or not same:
        raise EvaluationError(
            f"{path} must hold two images for each of its pairs, got {len(images)} images and {len(same)} pairs"
        )
    return EncodedPairs(images=tuple(images), pairs=_neighbours(same, folds))


def write_bin(path: str | Path, images: Sequence[bytes], same: ArrayLike) -> Path:
    """Write encoded images, two for each pair, and `same` bool [p] as a `.bin` that insightface reads (protocol 4)."""
    path, truths = Path(path), np.asarray(same)
    if truths.ndim != 1 or truths.dtype != np.bool_ or len(images) != 2 * len(truths):
        raise EvaluationError(
            "a .bin needs two images for each pair and a list of truth values,"
            f" got {len(images)} images and {truths.dtype} {list(truths.shape)}"
        )

    def write(partial: Path) -> None:
        with partial.open("wb") as file:
            pickle.dump(([bytes(image) for image in images], truths.tolist()), file, protocol=4)

    try:
        write_beside(path, write)
    except OSError as error:
        raise EvaluationError(
            f"{path} could not be written: {reason_of(error)}. Nothing was put in its place; "
            "make room, or name another file"
        ) from error
    return path


def consecutive_folds(count: int, folds: int) -> NDArray[np.int64]:
    """Fold number of each of `count` pairs [count]: consecutive runs, the first ones larger by one where needed."""
    sizes = np.full(folds, count // folds)
    sizes[: count % folds] += 1
    return np.repeat(np.arange(folds), sizes)


class _Recorded:
    """A call that a pickle asks for and that is answered with a record of its arguments; nothing is executed."""

    __slots__ = ("arguments", "name", "state")

    def __init__(self, name: str, arguments: tuple[Any, ...]) -> None:
        self.name = name
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Allowed:
    """One of the names that a `.bin` may use; made anew for each file, so that no file can leave a trace."""

    __slots__ = ("encode", "name")

    def __init__(self, name: str, encode: Callable[[tuple[Any, ...]], bytes]) -> None:
        self.name = name
        self.encode = encode

    def __call__(self, *arguments: Any) -> Any:
        if self.name == "bytes":
            return self.encode(arguments)
        return _Recorded(self.name, arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError(f"it changes {self.name}")


_NAMES = {
    ("_codecs", "encode"): "bytes",
    **{(module, "bytes"): "bytes" for module in ("builtins", "__builtin__")},
    **{(f"numpy.{core}.multiarray", "_reconstruct"): "array" for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): "scalar" for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): "buffer" for core in ("core", "_core")},
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
}


class _Names:
    """What the names of one file stand for; one text that is asked for a thousand times becomes bytes once."""

    def __init__(self) -> None:
        self._encoded: dict[int, tuple[str, bytes]] = {}

    def find(self, module: str, name: str) -> _Allowed:
        if (module, name) not in _NAMES:
            raise Refused(f"{module}.{name}")
        return _Allowed(_NAMES[module, name], self._bytes)

    def _bytes(self, arguments: tuple[Any, ...]) -> bytes:
        """How protocols 0 to 2 write bytes: nothing at all, or text with one character a byte."""
        match arguments:
            case ():
                return b""
            case (str(text), "latin1" | "latin-1" | b"latin1" | b"latin-1"):
                if id(text) not in self._encoded:
                    self._encoded[id(text)] = text, text.encode("latin1")
                return self._encoded[id(text)][1]
        raise pickle.UnpicklingError("bytes must be written as latin1 text")


def _unpickled(path: Path) -> Any:
    try:
        return read_pickle(path, _Names().find, encoding="bytes")
    except FileNotFoundError:
        raise EvaluationError(f"no verification set at {path}: the file does not exist") from None
    except Refused as refused:
        raise EvaluationError(
            f"{path} is refused: it asks for {refused}, which no list of images needs; nothing of it was executed;"
            " do not open this file with other tools"
        ) from None
    except OSError as problem:
        raise EvaluationError(f"{path} is not a readable verification set: {problem}") from problem
    except BROKEN as problem:
        reason = str(problem).strip() or type(problem).__name__
        raise EvaluationError(
            f"{path} is not a readable verification set (damaged or cut short): {reason}"
        ) from problem


def _items(path: str | Path, name: str, values: Any) -> Sequence[Any]:
    if not isinstance(values, list | tuple):
        raise EvaluationError(f"{path}: {name} must be a list, got {_kind(values)}")
    return values


def _image(path: str | Path, number: int, item: Any) -> bytes:
    if isinstance(item, bytes | bytearray) and item:
        return bytes(item)
    array = _array(item)
    if array is None or array.dtype != np.uint8 or array.size == 0:
        raise EvaluationError(f"{path}: image {number} must be encoded bytes, got {_kind(item)}")
    return array.tobytes()


def _truths(path: str | Path, values: Any) -> list[bool]:
    array = _array(values)
    if array is not None and array.ndim == 1:
        return [bool(value) for value in array]
    return [_truth(path, number, item) for number, item in enumerate(_items(path, "same or not", values))]


def _truth(path: str | Path, number: int, item: Any) -> bool:
    if isinstance(item, bool | int) and item in (0, 1):
        return bool(item)
    array = _array(item)
    if array is None or array.size != 1 or int(array.flat[0]) not in (0, 1):
        raise EvaluationError(f"{path}: same or not of pair {number} must be true or false, got {_kind(item)}")
    return bool(array.flat[0])


def _array(item: Any) -> NDArray | None:
    """The numpy array of bytes, whole numbers or truth values that a record describes; None for anything else."""
    match item:
        case _Recorded(name="array", state=(_, tuple(shape), _Recorded() as dtype, _, bytes(data))):
            pass
        case _Recorded(name="scalar", arguments=(_Recorded() as dtype, bytes(data))):
            shape = ()
        case _Recorded(name="buffer", arguments=(bytes(data) | bytearray(data), _Recorded() as dtype, tuple(shape), _)):
            pass
        case _:
            return None
    code = dtype.arguments[0] if dtype.name == "dtype" and dtype.arguments else None
    text = code.decode("latin1") if isinstance(code, bytes) else code
    if text not in ("u1", "|u1", "b1", "|b1", "i4", "i8", "<i4", "<i8"):
        return None
    plain = np.dtype(text)
    if not all(isinstance(size, int) and size >= 0 for size in shape) or prod(shape) * plain.itemsize != len(data):
        return None
    return np.frombuffer(data, dtype=plain).reshape(shape)


def _kind(item: Any) -> str:
    if isinstance(item, _Recorded):
        return f"a numpy {item.name}"
    if isinstance(item, _Allowed):
        return f"the name {item.name}"
    if isinstance(item, list | tuple):
        return f"{len(item)} entries"
    short = item[:40] if isinstance(item, str | bytes) else item if item.__class__ in (bool, float) else None
    if isinstance(item, int) and abs(item) < 2**63:
        short = item
    return type(item).__name__ if short is None else f"{type(item).__name__} {short}"


def _neighbours(same: Sequence[bool], folds: int) -> Pairs:
    if folds < 2:
        raise EvaluationError(f"folds must be at least 2, got {folds}")
    left = np.arange(0, 2 * len(same), 2)
    fold = consecutive_folds(len(same), folds) if len(same) >= folds else None
    return Pairs(left=left, right=left + 1, same=np.array(same, dtype=bool), fold=fold)
