"""Triton's interpreter, which runs kernels where there is no GPU."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any


def mend() -> None:
    """Let the interpreter of Triton 3.6 count loops beside NumPy 2.4, which makes a number of no array of one entry.

    Nothing is done for other versions. To be called before a kernel is first run.
    """
    try:
        is_old = version("triton").startswith("3.6.")
    except PackageNotFoundError:
        return
    if not is_old:
        return
    from triton.runtime import interpreter

    patch_tensor = interpreter._patch_lang_tensor

    def patched(tensor: Any, scope: Any) -> None:
        patch_tensor(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: int(self.handle.data.item()))

    interpreter._patch_lang_tensor = patched
