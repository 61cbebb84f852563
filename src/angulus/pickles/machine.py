"""A pickle from a stranger, read by a machine that calls nothing but what it is given and takes no more than the file.

A pickle is a program. This machine is the one of the standard library that is written in Python: the one written in C
reserves tables as long as the file says. Lengths are held against the bytes that are left, and sets, which no format
here needs, deep marks and keys of dictionaries that are slow to hash are refused.
"""

import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from angulus.files import BoundedReader

BROKEN = (
    *(pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, IndexError, KeyError),
    *(MemoryError, OverflowError, RecursionError, ImportError, AssertionError, struct.error),
)
"""What a damaged pickle raises."""

Finder = Callable[[str, str], Any]
External = Callable[[Any], Any]
_MOST_MARKS = 1000
_PLAIN = (str, bytes, int, float, type(None))


class Refused(pickle.UnpicklingError):
    """A pickle asks for a name that its format does not need."""


def read_pickle(
    path: str | Path, find: Finder, *, encoding: str = "ASCII", is_key: Callable[[Any], bool] | None = None
) -> Any:
    """What a pickle describes.

    find: the object that a module and a name stand for; raises `Refused` for those that are not needed.
    encoding: of the text that Python 2 wrote.  is_key: whether an object that is no text or number may be a key.
    Raises OSError, `Refused`, or one of BROKEN.
    """
    with BoundedReader(path) as file:
        return _Machine(file, find, encoding, is_key or _no_key).load()


def read_pickles(file: Any, find: Finder, count: int, *, external: External | None = None) -> list[Any]:
    """So many pickles that lie one behind the other, in an open file that gives out no more than it holds.

    external: what an object outside the pickle stands for.  Raises as `read_pickle`.
    """
    return [_Machine(file, find, "ASCII", _no_key, external).load() for _ in range(count)]


def _no_key(key: Any) -> bool:
    return False


_Library: Any = vars(pickle)["_Unpickler"]  # which type checkers are not told of


class _Machine(_Library):
    """The opcodes that take memory or time by what the file claims are done anew; all others are the library's."""

    dispatch: dict[int, Any] = dict(_Library.dispatch)  # noqa: RUF012

    def __init__(
        self,
        file: Any,
        find: Finder,
        encoding: str,
        is_key: Callable[[Any], bool],
        external: External | None = None,
    ) -> None:
        super().__init__(file, encoding=encoding)
        self._find, self._is_key, self._external = find, is_key, external

    def find_class(self, module: str, name: str) -> Any:
        if not module or not name:
            raise pickle.UnpicklingError("it ends within a name")
        return self._find(module, name)

    def persistent_load(self, pid: Any) -> Any:
        if self._external is not None:
            return self._external(pid)
        shown = pid[:60] if isinstance(pid, str) else type(pid).__name__
        raise Refused(f"the external object {shown!r}")

    def load_mark(self) -> None:
        if len(self.metastack) >= _MOST_MARKS:
            raise pickle.UnpicklingError(f"it nests deeper than {_MOST_MARKS}")
        super().load_mark()

    def load_bytearray8(self) -> None:
        (length,) = struct.unpack("<Q", self.read(8))
        content = bytearray(self.read(length))
        if len(content) < length:
            raise EOFError
        self.append(content)

    def load_setitem(self) -> None:
        self._check_keys([self.stack[-2]])
        super().load_setitem()

    def load_setitems(self) -> None:
        self._check_keys(self.stack[::2])
        super().load_setitems()

    def load_dict(self) -> None:
        self._check_keys(self.stack[::2])
        super().load_dict()

    def load_build(self) -> None:
        if callable(self.stack[-2]):
            raise pickle.UnpicklingError("it changes a class")
        super().load_build()

    def load_set(self) -> None:
        raise pickle.UnpicklingError("it holds a set")

    def load_extension(self) -> None:
        raise Refused("an entry of a registry")

    def _check_keys(self, keys: list[Any]) -> None:
        # the hash of a tuple that holds one tuple twice, and so on, takes for ever
        if not all(type(key) in _PLAIN or self._is_key(key) for key in keys):
            raise pickle.UnpicklingError("the keys of a dictionary must be texts or numbers")

    for _code, _method in {
        pickle.MARK: load_mark,
        pickle.BYTEARRAY8: load_bytearray8,
        pickle.SETITEM: load_setitem,
        pickle.SETITEMS: load_setitems,
        pickle.DICT: load_dict,
        pickle.BUILD: load_build,
        pickle.EMPTY_SET: load_set,
        pickle.ADDITEMS: load_set,
        pickle.FROZENSET: load_set,
        pickle.EXT1: load_extension,
        pickle.EXT2: load_extension,
        pickle.EXT4: load_extension,
    }.items():
        dispatch[_code[0]] = _method
