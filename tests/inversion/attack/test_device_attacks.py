"""Inversions on a GPU: they come nearer to their people, end as on the CPU, go on where they were, and are judged."""

import numpy as np
import pytest
import torch
from devices.gpu import EACH_DEVICE
from test_attack_run import NAMES, head, network, open_targets, options

from angulus.inversion import class_targets, invert
from angulus.inversion.assessment.judges import model_judge


@EACH_DEVICE
@pytest.mark.parametrize("kind", ["open set", "closed set"])
def test_an_inversion_ends_near_that_of_the_cpu(tmp_path, device, kind) -> None:
    targets = open_targets(3) if kind == "open set" else class_targets(head(), NAMES, ["Eve", "Ada", "Ben"])
    found, wanted = (
        invert(network(), targets, tmp_path / name, options(iterations=30), device=place)
        for name, place in (("here", device), ("cpu", "cpu"))
    )
    assert found["mode"] == kind
    first, last = found["curves"][0][0], found["curves"][0][-1]
    assert last["cosine"] > first["cosine"]
    for name in ("loss", "identity", "batch_norm", "variation", "norm"):
        assert first[name] == pytest.approx(wanted["curves"][0][0][name], rel=1e-3, abs=1e-5), name
    assert last["cosine"] == pytest.approx(wanted["curves"][0][-1]["cosine"], abs=0.05)


@EACH_DEVICE
def test_an_interrupted_inversion_goes_on(tmp_path, device) -> None:
    def stop(done: int, total: int | None) -> None:
        if done >= 3 * 8:
            raise KeyboardInterrupt

    settings = {"options": options(), "device": device, "save_every": 4}
    with pytest.raises(KeyboardInterrupt):
        invert(network(), open_targets(3), tmp_path / "cut", progress=stop, **settings)
    cut, whole = (invert(network(), open_targets(3), tmp_path / name, **settings) for name in ("cut", "whole"))
    for one, other in zip(cut["curves"][0], whole["curves"][0], strict=True):
        assert one["iteration"] == other["iteration"]
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-2)


@EACH_DEVICE
def test_a_judge_sees_what_it_sees_on_the_cpu(device) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (5, 8, 6, 3), dtype=np.uint8)
    model = network()
    found, wanted = (model_judge("a", model, device=place).embed(pictures) for place in (device, "cpu"))
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    assert next(model.parameters()).device == torch.device("cpu")
