"""Which runtimes there are, which of them are installed, and how a network is opened in one."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from angulus.errors import ModelError
from angulus.inference.networks import Network
from angulus.inference.onnx_network import OnnxNetwork
from angulus.inference.openvino_network import OpenVinoNetwork
from angulus.models import EmbeddingModel

RuntimeName = Literal["torch", "onnxruntime", "openvino", "auto"]


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """needs: modules that must be there.  extra: of this package, which brings them.  open: (model, threads)."""

    needs: tuple[str, ...]
    extra: str
    open: Callable[[EmbeddingModel, int], Network]

    @property
    def missing(self) -> list[str]:
        return [name for name in self.needs if importlib.util.find_spec(name) is None]


RUNTIMES = {
    "onnxruntime": Runtime(needs=("onnxruntime", "onnx"), extra="onnx", open=OnnxNetwork),
    "openvino": Runtime(needs=("openvino",), extra="openvino", open=OpenVinoNetwork),
}
"""Those beside torch; all compute on the CPU."""


def installed() -> list[str]:
    """The runtimes beside torch that can be used here."""
    return [name for name, runtime in RUNTIMES.items() if not runtime.missing]


def open_runtime(name: str, model: EmbeddingModel, threads: int) -> Network:
    """The network in a runtime. Raises ModelError for an unknown one, and for one that is not installed."""
    if name not in RUNTIMES:
        known = ", ".join(["torch", *RUNTIMES, "auto"])
        raise ModelError(f"runtime must be one of {known}, got {name!r}")
    runtime = RUNTIMES[name]
    if runtime.missing:
        absent = " and ".join(runtime.missing)
        raise ModelError(
            f"the runtime {name} needs {absent}, which is not installed: "
            f'pip install "angulus[{runtime.extra}]", or take the runtime torch'
        )
    return runtime.open(model, threads)
