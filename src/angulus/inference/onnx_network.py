"""A network in onnxruntime on the CPU: exported to ONNX in memory, one thread a call, calls from several threads."""

import io
import warnings
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from angulus.errors import ModelError
from angulus.models import EmbeddingModel
from angulus.models.folding import folded

INPUT, OUTPUT = "images", "embeddings"


class OnnxNetwork:
    """Raises ModelError where the network cannot be exported or opened."""

    parallel = True

    def __init__(self, model: EmbeddingModel, threads: int) -> None:
        onnxruntime = import_module("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # images are shared out among threads
        options.log_severity_level = 3
        content = onnx_bytes(model)
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has its own family of errors
            raise ModelError(f"onnxruntime cannot open the network: {str(error).splitlines()[0]}") from error

    def __call__(self, prepared: Tensor) -> Tensor:
        return torch.from_numpy(self._session.run([OUTPUT], {INPUT: prepared.contiguous().numpy()})[0])


def onnx_bytes(model: EmbeddingModel) -> bytes:
    """The network with batch norms folded as an ONNX file: "images" float32 [n, c, h, w] -> "embeddings" [n, d].

    Raises ModelError where it cannot be exported.
    """
    file: Any = io.BytesIO()
    example = torch.zeros(2, *model.input.shape)
    any_number = {INPUT: {0: "n"}, OUTPUT: {0: "n"}}
    exported: Any = folded(model).cpu()
    try:
        # the exporter by tracing: exact, a second instead of ten, and without onnxscript
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                exported,
                (example,),
                file,
                dynamo=False,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_axes=any_number,
            )
    except Exception as error:  # a network can fail to be exported in many ways
        raise ModelError(f"the network cannot be exported to ONNX: {str(error).splitlines()[0]}") from error
    return file.getvalue()
