"""A network file in the runtime that is here: arrays in, arrays out, from several threads at once."""

import threading
from collections.abc import Sequence
from importlib import import_module, util
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from angulus.devices.unreported_imports import import_unreported
from angulus.errors import BundleError

RuntimeChoice = Literal["auto", "onnxruntime", "openvino", "torch"]
RUNTIMES: tuple[str, ...] = get_args(RuntimeChoice)
INSTALL = {
    "onnxruntime": 'pip install "angulus[runtime]"',
    "openvino": 'pip install "angulus[openvino]"',
    "torch": 'pip install "angulus[torch]"',
}
# What can open which kind of file, the first that is installed where nothing is said.
OPENS = {"onnx": ("onnxruntime", "openvino"), "openvino": ("openvino",), "torch": ("torch",), "coreml": ()}
Arrays = Sequence[NDArray[Any]]


class Network(Protocol):
    """One input, one or more outputs."""

    def __call__(self, images: NDArray[Any]) -> Arrays:
        """The outputs in the order of the file."""
        ...


def runtime_for(kind: str, wanted: RuntimeChoice = "auto") -> str:
    """The runtime that opens a kind of file here. Raises BundleError that says what to install."""
    able = OPENS[kind]
    if not able:
        raise BundleError(f"a {kind} file is opened on its own system only: here nothing can run it")
    if wanted != "auto":
        if wanted not in able:
            raise BundleError(f"{wanted} cannot open {kind} files; {' or '.join(able)} can")
        able = (wanted,)
    for name in able:
        if util.find_spec(name) is not None:
            return name
    raise BundleError(f"a bundle with a file of the kind {kind} needs {able[0]}: {INSTALL[able[0]]}")


def open_onnx(content: bytes, runtime: str, threads: int) -> Network:
    """A network in an ONNX file."""
    return _Onnx(content, threads) if runtime == "onnxruntime" else _OpenVino(content, None, threads)


def open_openvino(description: bytes, weights: bytes, threads: int) -> Network:
    """A network in OpenVINO's two files."""
    return _OpenVino(description, weights, threads)


def onnx_session(content: bytes, threads: int) -> Any:
    """An onnxruntime session on the CPU. Raises BundleError where it cannot be opened."""
    try:
        onnxruntime = import_module("onnxruntime")
    except ImportError as error:
        raise BundleError(f"ONNX files need onnxruntime: {INSTALL['onnxruntime']}") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has its own family of errors
        raise BundleError(f"onnxruntime cannot open the network: {first_line(error)}") from error


class _Onnx:
    def __init__(self, content: bytes, threads: int) -> None:
        self._session = onnx_session(content, threads)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, images: NDArray[Any]) -> Arrays:
        try:
            return self._session.run(None, {self._input: images})
        except Exception as error:
            raise BundleError(f"onnxruntime cannot run the network: {first_line(error)}") from error


class _OpenVino:
    def __init__(self, description: bytes, weights: bytes | None, threads: int) -> None:
        openvino = import_unreported("openvino")
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 where the processor has it: other scores
            "ENABLE_CPU_PINNING": False,
        }
        try:
            core = openvino.Core()
            blob = None if weights is None else openvino.Tensor(np.frombuffer(weights, np.uint8))
            model = core.read_model(description) if blob is None else core.read_model(description, blob)
            self._compiled = core.compile_model(model, "CPU", settings)
            self._kept = blob  # the weights are used where they lie
        except Exception as error:  # OpenVINO has its own family of errors
            raise BundleError(f"OpenVINO cannot open the network: {first_line(error)}") from error
        self._own = threading.local()

    def __call__(self, images: NDArray[Any]) -> Arrays:
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        try:
            found = self._own.request.infer({0: images})
        except Exception as error:
            raise BundleError(f"OpenVINO cannot run the network: {first_line(error)}") from error
        # a request writes into the same memory the next time
        return [np.array(found[place]) for place in range(len(self._compiled.outputs))]


def first_line(error: BaseException) -> str:
    """The first line of what a library says."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
