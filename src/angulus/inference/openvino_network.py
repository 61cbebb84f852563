"""A network in OpenVINO on the CPU, converted in memory: float32 throughout, one thread a call."""

import threading
import warnings
from importlib import import_module

import torch
from torch import Tensor

from angulus.errors import ModelError
from angulus.models import EmbeddingModel
from angulus.models.folding import folded


class OpenVinoNetwork:
    """threads: how many may call at once.  Raises ModelError where the network cannot be converted."""

    parallel = True

    def __init__(self, model: EmbeddingModel, threads: int) -> None:
        openvino = import_module("openvino")
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": threads,
            "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 where the processor has it
            "ENABLE_CPU_PINNING": False,
        }
        shape = openvino.PartialShape([-1, *model.input.shape])
        example = torch.zeros(2, *model.input.shape)
        try:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")
                converted = openvino.convert_model(folded(model).cpu(), example_input=example, input=[shape])
            self._compiled = openvino.Core().compile_model(converted, "CPU", settings)
        except Exception as error:  # OpenVINO has its own family of errors
            raise ModelError(f"OpenVINO cannot convert the network: {str(error).splitlines()[0]}") from error
        self._own = threading.local()

    def __call__(self, prepared: Tensor) -> Tensor:
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        found = self._own.request.infer({0: prepared.contiguous().numpy()})
        return torch.from_numpy(found[0].copy())  # the request writes into the same memory the next time
