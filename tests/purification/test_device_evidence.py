"""The evidence for labels is the same where images are embedded on a GPU."""

import numpy as np
import torch
from devices.gpu import EACH_DEVICE
from small_sets import array_source

from angulus.models import InputSpec, TinyNet
from angulus.purification import Centers, gather


@EACH_DEVICE
def test_evidence_is_that_of_the_cpu(device) -> None:
    torch.manual_seed(0)
    network = TinyNet(channels=(8, 8), units=(1, 0), embedding_dim=16, input=InputSpec(height=24, width=24)).build()
    source = array_source([9, 7, 8], height=24, width=24)
    directions = torch.nn.functional.normalize(torch.randn(3, 2, 16), dim=-1)
    centers = Centers(names=tuple(source.identities), directions=directions)
    found, wanted = (gather(network, source, centers, device=place) for place in (device, "cpu"))
    for name in ("own", "other_cos", "chance", "agreement"):
        np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), atol=1e-3, err_msg=name)
    np.testing.assert_array_equal(found.by_chance, wanted.by_chance)
