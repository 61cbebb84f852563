"""Weights inside what others wrap around a network: a key model, prefixes of wrappers and of larger models."""

import pytest
import torch

from angulus.errors import ModelError
from angulus.models.imports import import_weights, read_foreign
from angulus.models.mobilefacenet import MobileFaceNet


@pytest.fixture(scope="module")
def state():
    return MobileFaceNet().build().state_dict()


@pytest.mark.grid
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "_orig_mod.module.", "backbone.", "features.module."])
@pytest.mark.parametrize("under", [None, "state_dict", "model"])
@pytest.mark.parametrize("config", [None, MobileFaceNet()])
def test_wrapped_weights_are_read(tmp_path, state, prefix, under, config):
    wrapped = {f"{prefix}{name}": tensor for name, tensor in state.items()}
    if prefix in ("backbone.", "features.module."):
        wrapped["head.weight"] = torch.ones(3, 2)
    torch.save(wrapped if under is None else {under: wrapped, "epoch": 3}, tmp_path / "w.pt")
    found = import_weights(tmp_path / "w.pt", config).state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in state.items())


def test_names_of_another_network_are_left_alone(tmp_path):
    torch.save({"backbone.conv.weight": torch.ones(2)}, tmp_path / "w.pt")
    assert list(read_foreign(tmp_path / "w.pt")) == ["backbone.conv.weight"]
    with pytest.raises(ModelError, match=r"its first weights: backbone\.conv\.weight"):
        import_weights(tmp_path / "w.pt")
