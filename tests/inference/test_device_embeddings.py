"""A GPU gives the embeddings of the CPU; without one the same passes are compared on the CPU."""

import numpy as np
import pytest
import torch
from devices.gpu import EACH_DEVICE
from small_sets import array_source

from angulus.extract import embed
from angulus.inference.agreement import largest_distance
from angulus.models import InputSpec, MobileFaceNet, TinyNet

SPEC = InputSpec(height=32, width=24)
NETWORKS = [TinyNet(input=SPEC, embedding_dim=16), MobileFaceNet(input=SPEC, embedding_dim=16)]


@EACH_DEVICE
@pytest.mark.parametrize("config", NETWORKS, ids=lambda config: type(config).__name__)
@pytest.mark.parametrize("options", [{"batch_size": 8}, {"layout": "auto"}, {"batch_size": 16, "workers": 2}], ids=str)
def test_embeddings_are_those_of_the_cpu(device, config, options) -> None:
    torch.manual_seed(0)
    model, source = config.build(), array_source([35, 35], height=32, width=24)
    wanted, found = embed(model, source), embed(model, source, device=device, **options)
    np.testing.assert_array_equal(found.labels, wanted.labels)
    for name in ("embeddings", "flipped"):
        got, want = (torch.from_numpy(getattr(one, name)) for one in (found, wanted))
        assert largest_distance(got, want) < 1e-4  # convolutions may be made of TF32 products there
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}  # the model is put back
