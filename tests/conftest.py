"""Without a GPU Triton kernels run in Triton's interpreter, which must be chosen before triton is first imported."""

import os
import zlib
from pathlib import Path

import pytest
import torch
import triton_interpreter

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")
    triton_interpreter.mend()

try:
    from hypothesis import settings
except ModuleNotFoundError:  # a machine that is there for its GPU may have little else; see CONTRIBUTING.md
    pass
else:
    # The same examples in every run: what fails fails everywhere. HYPOTHESIS_RANDOM=1 looks for new ones.
    settings.register_profile("fixed", derandomize=True)
    if not os.environ.get("HYPOTHESIS_RANDOM"):
        settings.load_profile("fixed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `-m "not slow"` a test marked `grid` runs a quarter of its cases, among them one with each parameter.

    Which ones depends on their names alone, so that they are the same everywhere.
    """
    if "not slow" not in config.option.markexpr:
        return
    seen: set[tuple[str, str, int]] = set()
    kept, left = [], []
    for item in items:
        call = getattr(item, "callspec", None)
        if call is None or item.get_closest_marker("grid") is None:
            kept.append(item)
            continue
        parameters = {(item.nodeid.partition("[")[0], name, id(value)) for name, value in call.params.items()}
        wanted = not (parameters <= seen or len(parameters) == 1) or zlib.crc32(item.nodeid.encode()) % 4 == 0
        seen |= parameters if wanted else set()
        (kept if wanted else left).append(item)
    items[:] = kept
    if left:
        config.hook.pytest_deselected(items=left)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `-m gpu` no other module is imported: what they import may be missing on a machine with a GPU."""
    if config.option.markexpr != "gpu" or collection_path.suffix != ".py":
        return None
    return None if "devices.gpu" in collection_path.read_text() else True
