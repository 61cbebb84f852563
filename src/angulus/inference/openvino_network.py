"""A network in OpenVINO on the CPU, converted in memory: float32 throughout, one thread a call."""

import threading
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from angulus.devices.unreported_imports import import_unreported
from angulus.errors import ModelError
from angulus.models import EmbeddingModel
from angulus.models.folding import folded


class OpenVinoNetwork:
    """threads: how many may call at once.  Raises ModelError where the network cannot be converted."""

    parallel = True

    def __init__(self, model: EmbeddingModel, threads: int) -> None:
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": threads,
            "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 where the processor has it
            "ENABLE_CPU_PINNING": False,
        }
        network = converted(folded(model).cpu(), torch.zeros(2, *model.input.shape))
        try:
            self._compiled = import_unreported("openvino").Core().compile_model(network, "CPU", settings)
        except Exception as error:  # OpenVINO has its own family of errors
            raise ModelError(f"OpenVINO cannot open the network: {str(error).splitlines()[0]}") from error
        self._own = threading.local()

    def __call__(self, prepared: Tensor) -> Tensor:
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        found = self._own.request.infer({0: prepared.contiguous().numpy()})
        return torch.from_numpy(found[0].copy())  # the request writes into the same memory the next time


def converted(network: nn.Module, example: Tensor, *, free: int = 1) -> Any:
    """A module with one input as an OpenVINO model; its first `free` axes may have any length.

    Raises ModelError where the network cannot be converted.
    """
    openvino, frontends = import_unreported("openvino"), import_unreported("openvino.frontend")
    decoders = import_unreported("openvino.frontend.pytorch.ts_decoder")
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            traced = torch.jit.trace(network, example, check_trace=False)
            frontend = frontends.FrontEndManager().load_by_framework("pytorch")
            decoder = decoders.TorchScriptPythonDecoder(traced)  # must live until the conversion has ended
            made = frontend.convert(frontend.load(decoder))
        made.reshape(openvino.PartialShape([-1] * free + [*example.shape[free:]]))
    except Exception as error:  # OpenVINO has its own family of errors
        raise ModelError(f"OpenVINO cannot convert the network: {str(error).splitlines()[0]}") from error
    return made
