"""The folded copy is the same map: every network, any statistics, edges of the image included."""

import copy

import pytest
import torch
from models.test_networks import SMALL_CONFIGS, images_for
from real_data import SHARED, needs_shared
from torch import nn

from angulus.models import import_weights
from angulus.models.folding import folded, is_foldable
from angulus.models.mobilefacenet import MobileFaceNetModel


def with_statistics(model, seed: int):
    """Random batch norms, and affine maps in front of them that are not harmless."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(like, low, high):
        return low + (high - low) * torch.rand(like.shape, generator=generator)

    for part in model.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.running_mean.copy_(drawn(part.running_mean, -1, 1))
            part.running_var.copy_(drawn(part.running_var, 0.3, 3))
            with torch.no_grad():
                if part.weight is None:
                    continue
                part.weight.copy_(drawn(part.weight, -1.5, 1.5))
                part.bias.copy_(drawn(part.bias, -1, 1))
    return model.eval()


def distances(found, wanted):
    return 1 - torch.nn.functional.cosine_similarity(found.double(), wanted.double())


@pytest.mark.grid
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("config", SMALL_CONFIGS, ids=lambda config: type(config).__name__)
def test_embeddings_are_those_of_the_network_in_double_precision(config, seed) -> None:
    torch.manual_seed(seed)
    model = with_statistics(config.build(), seed)
    images = images_for(config)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        exact = copy.deepcopy(model).double()(images.double())
        found = folded(model)(images)
        rounded = folded(copy.deepcopy(model).double())(images.double())
    assert float(distances(found, exact).max()) < 1e-6
    torch.testing.assert_close(rounded, exact, rtol=1e-9, atol=1e-9 * float(exact.abs().max()))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("config", SMALL_CONFIGS, ids=lambda config: type(config).__name__)
def test_no_norm_is_left_that_could_go(config) -> None:
    left = [part for part in folded(config.build()).modules() if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d)]
    blocks = (
        8 if type(config).__name__ in ("IResNet", "IR") else 0
    )  # each block begins with one, before a padded convolution
    assert len(left) == blocks


def test_a_network_that_is_not_known_or_is_watched_is_only_copied() -> None:
    class Own(MobileFaceNetModel):
        def encode(self, images):
            return self.linear7.bn(super().encode(images)[:, :, None, None].expand(-1, 512, 1, 1)).flatten(1)

    own = Own(SMALL_CONFIGS[0])
    watched = SMALL_CONFIGS[0].build()
    watched.conv1.bn.register_forward_hook(lambda *_: None)
    for model in (own, watched):
        assert not is_foldable(model)
        copied = folded(model.train())
        assert (copied is not model, copied.training, model.training) == (True, False, True)
        assert any(isinstance(part, nn.BatchNorm2d) for part in copied.modules())


def test_norms_without_statistics_stay() -> None:
    model = SMALL_CONFIGS[5].build()
    model.features = nn.BatchNorm1d(16, track_running_stats=False)
    assert isinstance(folded(model).features, nn.BatchNorm1d)


@needs_shared
def test_real_weights() -> None:
    model = import_weights(SHARED / "mobilefacenet" / "068.ckpt")
    images = torch.randn(4, *model.input.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert float(distances(folded(model)(images), copy.deepcopy(model).double()(images.double())).max()) < 1e-6
