"""Public weights are read into the right network: against oracles written out from the published layer lists."""

import pytest
import torch
from reference.published_networks import Weights, inception_resnet_v1, ir, iresnet, mbf, shapes_for, weights_for

from angulus.errors import ModelError
from angulus.models import (
    IR,
    MBF,
    InceptionResNetV1,
    InputSpec,
    IResNet,
    MagFaceIResNet,
    MBFLarge,
    import_weights,
    recognise,
)
from angulus.models.folding import folded


def square(side, **others):
    return InputSpec(height=side, width=side, **others)


BGR = {"colour": "bgr"}
MAGFACE = {"colour": "bgr", "mean": 0.0, "std": 255.0}


def named(kind, dim, side, colours=None, **others):
    """A config for images of a size, 8 or 24 dimensions."""
    return kind(embedding_dim=dim, input=square(side, **(colours or {})), **others)


# name: oracle, prefix in the file, what must be recognised
CASES = {
    "insightface r18": (lambda w, x: iresnet(w, x, 18, 24), "", named(IResNet, 24, 32, depth=18)),
    "insightface r50": (lambda w, x: iresnet(w, x, 50, 8), "backbone.", named(IResNet, 8, 16, depth=50)),
    "magface r18": (
        lambda w, x: iresnet(w, x, 18, 24, 2e-5),
        "features.module.",
        named(MagFaceIResNet, 24, 32, MAGFACE, depth=18),
    ),
    "adaface ir_18": (lambda w, x: ir(w, x, 18, 24), "model.", named(IR, 24, 32, BGR, depth=18)),
    "adaface ir_50": (lambda w, x: ir(w, x, 50, 8), "model.", named(IR, 8, 16, BGR, depth=50)),
    "cvlface ir_18": (lambda w, x: ir(w, x, 18, 8), "net.", named(IR, 8, 16, depth=18)),
    "mbf": (lambda w, x: mbf(w, x, dim=24), "", named(MBF, 24, 48)),
    "mbf_large": (lambda w, x: mbf(w, x, 4, (2, 8, 12, 4), 24), "_orig_mod.module.", named(MBFLarge, 24, 32)),
    "inception": (lambda w, x: inception_resnet_v1(w, x, 24), "", InceptionResNetV1(embedding_dim=24)),
}


# the same blocks, more often: their names and shapes are enough
DEEPER = {
    "insightface r34": (lambda w, x: iresnet(w, x, 34), "module.", IResNet(depth=34)),
    "insightface r100": (lambda w, x: iresnet(w, x, 100), "", IResNet(depth=100)),
    "insightface r200": (lambda w, x: iresnet(w, x, 200), "student.", IResNet(depth=200)),
    "magface r100": (lambda w, x: iresnet(w, x, 100), "module.features.module.", MagFaceIResNet(depth=100)),
    "adaface ir_101": (lambda w, x: ir(w, x, 100), "module.model.", IR(depth=101)),
    "mbf": (mbf, "backbone.module.", MBF()),
    "mbf_large": (lambda w, x: mbf(w, x, 4, (2, 8, 12, 4)), "net.", MBFLarge()),
}


@pytest.mark.grid
@pytest.mark.parametrize("name", DEEPER)
def test_deeper_networks_are_recognised_and_have_the_published_names_and_shapes(name):
    oracle, prefix, wanted = DEEPER[name]
    state = shapes_for(oracle, wanted.input.shape)
    assert recognise({f"{prefix}{key}": tensor for key, tensor in state.items()}) == wanted
    with torch.device("meta"):
        own = {key: tensor.shape for key, tensor in wanted.build().state_dict().items() if "num_batches" not in key}
    assert own == {key: tensor.shape for key, tensor in state.items()}


@pytest.mark.grid
@pytest.mark.parametrize("name", CASES)
def test_an_import_gives_the_vectors_of_the_published_layers(tmp_path, name):
    oracle, prefix, wanted = CASES[name]
    images = torch.randn(2, *wanted.input.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    state = weights_for(oracle, images)
    content = {f"{prefix}{key}": tensor for key, tensor in state.items()}
    content |= {"head.kernel": torch.ones(2, 2)} if set(prefix.split(".")) - {"module", "_orig_mod", ""} else {}
    content |= {"logits.weight": torch.ones(3, 24)} if name == "inception" else {}
    torch.save({"state_dict": content, "epoch": 3}, tmp_path / "weights.ckpt")
    assert recognise(content) == wanted
    model = import_weights(tmp_path / "weights.ckpt")
    asked = Weights(dict(state))
    expected = oracle(asked, images)
    own = {key for key in model.state_dict() if not key.endswith("num_batches_tracked")}
    assert own == asked.asked == set(state)
    exact = wanted.build().double().eval()
    exact.load_state_dict({**exact.state_dict(), **state})
    with torch.no_grad():
        vectors, single, quick = exact(images), model(images.float()), folded(model)(images.float())
    scale = expected.norm(dim=1, keepdim=True)
    torch.testing.assert_close(vectors / scale, expected / scale, rtol=0, atol=1e-10)
    for found in (single, quick):
        torch.testing.assert_close(found.double() / scale, expected / scale, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (IResNet(depth=18), 24_025_600),
        (IResNet(depth=100), 65_156_160),
        (InceptionResNetV1(), 27_910_327 - 8631 * 513),  # published with the classifier of VGGFace2
    ],
)
def test_parameters_are_as_many_as_published(config, count):
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in config.build().parameters()) == count


def test_a_colour_order_may_be_said(tmp_path):
    state = weights_for(lambda w, x: ir(w, x, 18, 8), torch.zeros(1, 3, 16, 16, dtype=torch.float64))
    torch.save({f"model.{name}": tensor for name, tensor in state.items()}, tmp_path / "weights.pt")
    said = IR(depth=18, embedding_dim=8, input=square(16))
    assert import_weights(tmp_path / "weights.pt").input.colour == "bgr"
    assert import_weights(tmp_path / "weights.pt", said).input.colour == "rgb"


def test_what_is_nearly_known_is_said(tmp_path):
    state = weights_for(lambda w, x: ir(w, x, 18, 8), torch.zeros(1, 3, 16, 16, dtype=torch.float64))
    other = {name: tensor for name, tensor in state.items() if ".res_layer.5." not in name}
    with pytest.raises(ModelError, match=r"IR blocks of another form"):
        recognise(other)
    with pytest.raises(
        ModelError, match=r"no network that is known .*IResNet.*its first weights: odd.*mypackage:MyNet"
    ):
        recognise({"odd": torch.ones(1)})
    broken = {**state, "output_layer.3.weight": torch.ones(8, 512 * 6)}
    with pytest.raises(ModelError, match="not square"):
        recognise(broken)
    assert recognise({**state, "body.1.unknown": torch.ones(1)}) == IR(
        depth=18, embedding_dim=8, input=square(16, **BGR)
    )
