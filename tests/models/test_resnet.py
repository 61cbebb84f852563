"""ResNet with a norm behind it: published sizes, weights by torchvision's names, what stands before the neck."""

import pytest
import torch

from angulus.errors import ModelError
from angulus.models import InputSpec, ResNet, ResNet50, TinyNet, import_weights, recognise

SMALL = InputSpec(height=64, width=32)
# torchvision's counts less fc, with 1000 classes: 11,689,512, 21,797,672, 25,557,032, 44,549,160, 60,192,808
PUBLISHED = {18: 11_176_512, 34: 21_284_672, 50: 23_508_032, 101: 42_500_160, 152: 58_143_808}


@pytest.mark.parametrize("depth", PUBLISHED)
def test_weights_are_as_many_as_published(depth):
    with torch.device("meta"):
        model = ResNet(depth=depth).build()
    counted = sum(weight.numel() for name, weight in model.named_parameters() if not name.startswith("neck."))
    assert counted == PUBLISHED[depth]


def test_last_stride_one_doubles_the_last_map_for_the_same_weights():
    sizes = {}
    for stride in (1, 2):
        model = ResNet(depth=18, width=8, last_stride=stride, input=SMALL).build()
        model.get_submodule("layer4").register_forward_hook(
            lambda _, __, out, stride=stride: sizes.update({stride: tuple(out.shape[2:])})
        )
        model(torch.randn(2, *SMALL.shape))
    assert sizes == {1: (4, 2), 2: (2, 1)}


def foreign(model):
    """Its weights as torchvision stores them: without a neck, with a classifier of 1000 classes."""
    state = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("neck.")}
    width = model.embedding_dim
    return state | {"fc.weight": torch.zeros(1000, width), "fc.bias": torch.zeros(1000)}


@pytest.mark.parametrize("depth", [18, 34, 50])
def test_public_weights_are_recognised_and_begin_with_a_fresh_neck(depth, tmp_path):
    torch.manual_seed(0)
    config = ResNet(depth=depth, width=8)
    model = config.build()
    state = foreign(model)
    assert recognise(state) == config
    torch.save(state, tmp_path / "resnet.pth")
    found = import_weights(tmp_path / "resnet.pth")
    assert all(torch.equal(found.state_dict()[name], value) for name, value in model.state_dict().items())
    smaller = import_weights(tmp_path / "resnet.pth", ResNet(depth=depth, width=8, last_stride=2, input=SMALL))
    assert smaller.input == SMALL


def test_names_are_those_of_torchvision():
    with torch.device("meta"):
        names = ResNet50().build().state_dict()
    wanted = {
        "conv1.weight": [64, 3, 7, 7],
        "bn1.running_mean": [64],
        "layer1.0.conv1.weight": [64, 64, 1, 1],
        "layer1.0.downsample.0.weight": [256, 64, 1, 1],
        "layer1.0.downsample.1.running_var": [256],
        "layer2.0.conv2.weight": [128, 128, 3, 3],
        "layer3.5.bn3.weight": [1024],
        "layer4.2.conv3.weight": [2048, 512, 1, 1],
    }
    assert {name: list(names[name].shape) for name in wanted} == wanted
    assert len([name for name in names if not name.startswith("neck.")]) == 318  # torchvision's 320 less fc


def test_weights_of_another_first_convolution_are_refused(tmp_path):
    state = foreign(ResNet(depth=18, width=8).build()) | {"conv1.weight": torch.zeros(8, 3, 3, 3)}
    with pytest.raises(ModelError, match="first convolution is 3x3"):
        recognise(state)
    del state["layer2.1.conv1.weight"]
    state["conv1.weight"] = torch.zeros(8, 3, 7, 7)
    torch.save(state, tmp_path / "cut.pth")
    with pytest.raises(ModelError, match=r"1 missing \(layer2\.1\.conv1\.weight\)"):
        import_weights(tmp_path / "cut.pth")


def test_the_neck_is_a_norm_without_a_shift():
    torch.manual_seed(1)
    model = ResNet(depth=18, width=8, input=SMALL).build()
    features, embeddings = model(torch.randn(6, *SMALL.shape), both=True)
    wanted = (features - features.mean(0)) / (features.var(0, unbiased=False) + model.neck.eps).sqrt()
    assert torch.allclose(embeddings, wanted, atol=1e-5)
    assert not model.neck.bias.requires_grad
    assert torch.equal(model.eval()(torch.ones(1, *SMALL.shape)), model(torch.ones(1, *SMALL.shape), both=True)[1])


def test_a_network_without_a_neck_gives_its_embeddings_twice():
    model = TinyNet(channels=(4,), units=(0,), embedding_dim=8, input=SMALL).build().eval()
    features, embeddings = model(torch.randn(2, *SMALL.shape), both=True)
    assert torch.equal(features, embeddings)


@pytest.mark.parametrize(
    ("values", "said"),
    [({"depth": 20}, "depth must be one of"), ({"width": 4}, "width must be"), ({"last_stride": 3}, "1 or 2")],
)
def test_values_without_sense_are_refused(values, said):
    with pytest.raises(ValueError, match=said):
        ResNet(**values)
