"""Weights of other projects: by name, by shape, with a sentence when they do not fit, and never by running code."""

import os
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from real_data import SHARED, needs_shared

from angulus.errors import ModelError
from angulus.models import InputSpec, IResNet, MobileFaceNet, TinyNet, import_weights, recognise

CHECKPOINT = SHARED / "mobilefacenet" / "068.ckpt"


def norm_shapes(name, channels):
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (channels,)
    yield f"{name}.num_batches_tracked", ()


def published_iresnet(blocks, embedding_dim=512, grid=7):
    """Names and shapes of insightface's iresnet weights, written from the published files, not from the network."""
    yield "conv1.weight", (64, 3, 3, 3)
    yield from norm_shapes("bn1", 64)
    yield "prelu.weight", (64,)
    inputs = 64
    for stage, (channels, count) in enumerate(zip((64, 128, 256, 512), blocks, strict=True), start=1):
        for index in range(count):
            block = f"layer{stage}.{index}"
            yield from norm_shapes(f"{block}.bn1", inputs)
            yield f"{block}.conv1.weight", (channels, inputs, 3, 3)
            yield from norm_shapes(f"{block}.bn2", channels)
            yield f"{block}.prelu.weight", (channels,)
            yield f"{block}.conv2.weight", (channels, channels, 3, 3)
            yield from norm_shapes(f"{block}.bn3", channels)
            if index == 0:
                yield f"{block}.downsample.0.weight", (channels, inputs, 1, 1)
                yield from norm_shapes(f"{block}.downsample.1", channels)
            inputs = channels
    yield from norm_shapes("bn2", 512)
    yield "fc.weight", (embedding_dim, 512 * grid * grid)
    yield "fc.bias", (embedding_dim,)
    yield from norm_shapes("features", embedding_dim)


def published_mobilefacenet(kernel, embedding_dim=128):
    """Names and shapes of MobileFaceNet_Pytorch's weights."""

    def unit(name, shape, slope=True):
        yield f"{name}.conv.weight", shape
        yield from norm_shapes(f"{name}.bn", shape[0])
        if slope:
            yield f"{name}.prelu.weight", (shape[0],)

    yield from unit("conv1", (64, 3, 3, 3))
    yield from unit("dw_conv1", (64, 1, 3, 3))
    wide = [128] * 5 + [256] * 7 + [512] + [256] * 2
    narrow = [64] * 5 + [128] * 10
    inputs = 64
    for index, (inner, outputs) in enumerate(zip(wide, narrow, strict=True)):
        kernels = {0: (inner, inputs, 1, 1), 3: (inner, 1, 3, 3), 6: (outputs, inner, 1, 1)}
        for place in range(8):
            name = f"blocks.{index}.conv.{place}"
            if place in kernels:
                yield f"{name}.weight", kernels[place]
            elif place in (1, 4, 7):
                yield from norm_shapes(name, outputs if place == 7 else inner)
            else:
                yield f"{name}.weight", (inner,)
        inputs = outputs
    yield from unit("conv2", (512, 128, 1, 1))
    yield from unit("linear7", (512, 1, *kernel), slope=False)
    yield from unit("linear1", (embedding_dim, 512, 1, 1), slope=False)


def random_state(shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.tensor(5) if shape == () else torch.rand(shape, generator=generator) * 0.1 + 0.01
        for name, shape in shapes
    }


IRESNETS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3), 200: (6, 26, 60, 6)}


@pytest.mark.parametrize("depth", IRESNETS)
def test_iresnet_has_the_published_names_and_shapes(depth):
    with torch.device("meta"):
        own = {name: tuple(tensor.shape) for name, tensor in IResNet(depth=depth).build().state_dict().items()}
    assert own == dict(published_iresnet(IRESNETS[depth]))


@pytest.mark.parametrize(("kernel", "width"), [((7, 6), 96), ((7, 7), 112)])
def test_mobilefacenet_has_the_published_names_and_shapes(kernel, width):
    spec = InputSpec(height=112, width=width)
    own = {name: tuple(tensor.shape) for name, tensor in MobileFaceNet(input=spec).build().state_dict().items()}
    assert own == dict(published_mobilefacenet(kernel))


@pytest.mark.parametrize("wrap", ["plain", "module", "backbone"])
def test_iresnet_weights_are_recognised_and_read(tmp_path, wrap):
    state = random_state(published_iresnet(IRESNETS[18], embedding_dim=8, grid=2))
    content = {f"module.{name}": tensor for name, tensor in state.items()} if wrap == "module" else state
    file = tmp_path / "backbone.pth"
    torch.save({"epoch": 3, "state_dict_backbone": content} if wrap == "backbone" else content, file)
    model = import_weights(file)
    assert recognise(state) == IResNet(depth=18, embedding_dim=8, input=InputSpec(height=32, width=32))
    assert not model.training
    assert all(torch.equal(model.state_dict()[name], state[name]) for name in state)


def test_mobilefacenet_weights_are_recognised_and_read(tmp_path):
    state = random_state(published_mobilefacenet((2, 3), embedding_dim=8))
    without_counters = {name: tensor for name, tensor in state.items() if "num_batches" not in name}
    torch.save({"epoch": 1, "net_state_dict": without_counters}, tmp_path / "068.ckpt")
    model = import_weights(tmp_path / "068.ckpt")
    assert model.input == InputSpec(height=32, width=48, std=128.0)
    assert torch.equal(model.state_dict()["blocks.7.conv.3.weight"], state["blocks.7.conv.3.weight"])


def test_iresnet_computes_as_written_out(tmp_path):
    """One block after another with functional calls, from the published names alone."""
    functional = torch.nn.functional
    state = random_state(published_iresnet(IRESNETS[18], embedding_dim=8, grid=1))
    torch.save(state, tmp_path / "weights.pt")
    model = import_weights(
        tmp_path / "weights.pt", IResNet(depth=18, embedding_dim=8, input=InputSpec(height=16, width=16))
    )
    x = images = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))

    def norm(name, x):
        parts = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return functional.batch_norm(x, *parts)

    x = functional.prelu(norm("bn1", functional.conv2d(x, state["conv1.weight"], padding=1)), state["prelu.weight"])
    for stage in range(1, 5):
        for index in range(2):
            name, stride = f"layer{stage}.{index}", 2 - index
            y = functional.conv2d(norm(f"{name}.bn1", x), state[f"{name}.conv1.weight"], padding=1)
            y = functional.prelu(norm(f"{name}.bn2", y), state[f"{name}.prelu.weight"])
            y = norm(f"{name}.bn3", functional.conv2d(y, state[f"{name}.conv2.weight"], stride=stride, padding=1))
            if index == 0:
                x = norm(f"{name}.downsample.1", functional.conv2d(x, state[f"{name}.downsample.0.weight"], stride=2))
            x = x + y
    wanted = norm("features", functional.linear(norm("bn2", x).flatten(1), state["fc.weight"], state["fc.bias"]))
    with torch.no_grad():
        torch.testing.assert_close(model(images), wanted, rtol=1e-4, atol=1e-5)


def test_weights_of_another_network_are_named(tmp_path):
    torch.save(TinyNet().build().state_dict(), tmp_path / "tiny.pt")
    with pytest.raises(ModelError, match=r"no network that is known by its names.*stages\.0\.0\.0\.weight"):
        import_weights(tmp_path / "tiny.pt")
    with pytest.raises(
        ModelError, match=r"another architecture than MobileFaceNetModel: .* missing \(conv1\.conv.*unexpected"
    ):
        import_weights(tmp_path / "tiny.pt", "mobilefacenet")


def test_weights_of_another_size_are_named(tmp_path):
    state = random_state(published_mobilefacenet((2, 3), embedding_dim=8))
    torch.save(state, tmp_path / "small.pt")
    with pytest.raises(ModelError, match=r"linear7\.conv\.weight is \[512, 1, 2, 3\] instead of \[512, 1, 7, 7\]"):
        import_weights(tmp_path / "small.pt", MobileFaceNet(embedding_dim=8))


def test_oblong_iresnet_asks_for_its_size(tmp_path):
    state = random_state(published_iresnet(IRESNETS[18], embedding_dim=8, grid=1))
    state["fc.weight"] = torch.zeros(8, 512 * 6)
    with pytest.raises(ModelError, match="not square"):
        recognise(state)


def test_unknown_depths_and_names_are_refused(tmp_path):
    with pytest.raises(ModelError, match=r"\(2, 2, 2, 3\) blocks"):
        recognise(random_state(published_iresnet((2, 2, 2, 3), embedding_dim=8, grid=1)))
    torch.save(random_state(published_mobilefacenet((1, 1))), tmp_path / "weights.pt")
    with pytest.raises(ModelError, match="no network 'resnet18', known are: tiny"):
        import_weights(tmp_path / "weights.pt", "resnet18")


class _Trap:
    def __reduce__(self):
        return os.mkdir, ("trapped",)


def test_code_in_a_file_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"net_state_dict": _Trap()}, tmp_path / "trap.ckpt")
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(_Trap(), protocol=4))
    for name in ("trap.ckpt", "plain.pkl"):
        with pytest.raises(ModelError, match="refused"):
            import_weights(tmp_path / name)
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint at all", b"PK\x03\x04 cut short"])
def test_damaged_files_are_named(tmp_path, content):
    file = tmp_path / "damaged.pt"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=r"damaged\.pt"):
        import_weights(file)


def test_missing_and_empty_files_are_named(tmp_path):
    with pytest.raises(ModelError, match=r"absent\.pt is missing"):
        import_weights(tmp_path / "absent.pt")
    torch.save({"epoch": 3}, tmp_path / "empty.pt")
    with pytest.raises(ModelError, match="holds no weights by name"):
        import_weights(tmp_path / "empty.pt")


@needs_shared
def test_real_weights_give_the_stored_embeddings_of_real_faces():
    """JPEG crops instead of the originals, float16 in the file: hence a cosine above 0.99, not 1."""
    stored = np.load(SHARED / "lfw_embeddings" / "lfw_mobilefacenet128.npz")
    model = import_weights(CHECKPOINT)
    assert model.input == InputSpec(height=112, width=96, std=128.0)
    chosen = range(0, len(stored["names"]), 660)
    crops = [_photo(stored["names"][index].decode())[:, 8:104] for index in chosen]
    images = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        plain = model(model.input.prepare(images))
        mirrored = model(model.input.prepare(images.flip(3)))
    for found, name in ((plain, "emb"), (mirrored, "emb_flip")):
        wanted = torch.from_numpy(stored[name][list(chosen)]).float()
        assert torch.nn.functional.cosine_similarity(found, wanted).min() > 0.99
        torch.testing.assert_close(found.norm(dim=1), wanted.norm(dim=1), rtol=0.05, atol=0)


def _photo(name):
    """AJ_Cook_0001.jpg -> pixels [112, 112, 3] of lfw112/AJ_Cook/AJ_Cook_0001.jpg"""
    return np.asarray(Image.open(SHARED / "lfw112" / name.rpartition("_")[0] / name).convert("RGB"))
