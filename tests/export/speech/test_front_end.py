"""The filter bank by matrix products is the filter bank, in torch, onnxruntime and OpenVINO, at any length."""

import io
import warnings

import numpy as np
import pytest
import torch

from angulus.export.speech.front_end import FrontEnd
from angulus.inference.openvino_network import converted
from angulus.speech import FilterBank, drawn_utterance

BANKS = {
    "usual": FilterBank(bands=24),
    "edges": FilterBank(bands=24, window="povey", snip_edges=False),
    "magnitude": FilterBank(rate=8000, bands=13, power=False, remove_dc=False, preemphasis=0.0, window="blackman"),
}
SECONDS = (0.025, 0.0365, 0.4, 1.7)


def waveforms(bank, seconds):
    length = max(round(seconds * bank.rate), bank.samples)
    voices = [drawn_utterance(1, speaker, 0, rate=bank.rate, seconds=2.0)[3000 : 3000 + length] for speaker in (0, 1)]
    return torch.from_numpy(np.stack(voices)).float()


def check(bank, found, given):
    """No farther from float64 than a float32 transform is: quiet bands beside loud ones are rounded alike."""
    exact = bank(given.double()).numpy()
    assert found.shape == exact.shape
    of_transform = np.abs(bank(given).numpy() - exact)
    error = np.abs(found - exact)
    assert error.mean() <= max(3 * of_transform.mean(), 1e-6)
    assert error.max() <= max(8 * of_transform.max(), 1e-4)


@pytest.mark.parametrize("name", BANKS)
def test_it_is_the_filter_bank(name) -> None:
    bank = BANKS[name]
    front = FrontEnd(bank)
    for seconds in SECONDS:
        given = waveforms(bank, seconds)
        check(bank, front(given).numpy(), given)
    silent = torch.zeros(1, 3 * bank.samples)
    np.testing.assert_allclose(front(silent).numpy(), bank(silent).numpy(), atol=1e-6)


@pytest.mark.parametrize("name", BANKS)
def test_in_onnxruntime_at_any_length(name) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    bank, file = BANKS[name], io.BytesIO()
    front, first, axes = FrontEnd(bank), waveforms(bank, 0.4), {"x": {0: "n", 1: "samples"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(front, (first,), file, dynamo=False, input_names=["x"], dynamic_axes=axes)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    for seconds in SECONDS:
        given = waveforms(bank, seconds)
        check(bank, session.run(None, {"x": given.numpy()})[0], given)


@pytest.mark.parametrize("name", BANKS)
def test_in_openvino_at_any_length(name) -> None:
    openvino = pytest.importorskip("openvino")
    bank = BANKS[name]
    made = converted(FrontEnd(bank).eval(), waveforms(bank, 0.4), free=2)
    compiled = openvino.Core().compile_model(made, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for seconds in SECONDS:
        given = waveforms(bank, seconds)
        check(bank, compiled(given.numpy())[0], given)
