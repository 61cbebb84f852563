"""From images to embeddings: order, mirroring, modes, and what is refused."""

import numpy as np
import pytest
import torch
from torch import nn

from angulus.errors import DataError, EvaluationError, ModelError
from angulus.extract import embed
from angulus.models import InputSpec


class Average(nn.Module):
    """Mean of the left and right half of each channel; dropout and batch norm would show a wrong mode."""

    def __init__(self):
        super().__init__()
        self.input = InputSpec(height=8, width=6)
        self.embedding_dim = 6
        self.dropout = nn.Dropout(0.5)
        self.weight = nn.Parameter(torch.ones(6))

    def forward(self, images):
        halves = torch.stack([images[..., :3].mean((2, 3)), images[..., 3:].mean((2, 3))], dim=1)
        return self.dropout(halves.flatten(1)) * self.weight


class Photos:
    """Five images in memory as a source."""

    def __init__(self, height=8, width=6, odd_one=None):
        random = np.random.default_rng(0)
        self.images = [random.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(5)]
        if odd_one is not None:
            self.images[odd_one] = self.images[odd_one][:, :4]
        self.labels = np.array([0, 0, 1, 1, 1])
        self.identities = ("Ada", "Bea")
        self.keys = tuple(f"photo {index}" for index in range(5))

    def __len__(self):
        return len(self.images)

    def read(self, index):
        return self.images[index]


def test_embeddings_keep_order_labels_and_keys():
    source, model = Photos(), Average()
    found = embed(model, source, batch_size=2)
    pixels = (np.stack(source.images).astype(np.float64) - 127.5) / 127.5
    expected = np.concatenate([pixels[:, :, :3].mean((1, 2)), pixels[:, :, 3:].mean((1, 2))], axis=1)
    np.testing.assert_allclose(found.embeddings, expected, atol=1e-6)
    np.testing.assert_allclose(found.flipped, np.roll(expected, 3, axis=1), atol=1e-6)
    assert (found.keys, found.identities) == (source.keys, source.identities)
    np.testing.assert_array_equal(found.labels, source.labels)


def test_batches_of_tensors_give_the_same_embeddings():
    source, model = Photos(), Average()
    batch = torch.from_numpy(np.stack(source.images)).permute(0, 3, 1, 2)
    found = embed(model, iter([batch[:3], batch[3:]]), flip=False)
    np.testing.assert_array_equal(found.embeddings, embed(model, source).embeddings)
    assert (found.flipped, found.labels, found.keys) == (None, None, None)


def test_the_model_is_left_as_it_was():
    model = Average().train()
    model.dropout.eval()
    embed(model, Photos())
    assert (model.training, model.dropout.training) == (True, False)
    assert model.weight.requires_grad
    with pytest.raises(ModelError):
        embed(model, Photos(height=9))
    assert model.training


def test_progress_counts_images():
    seen = []
    embed(Average(), Photos(), batch_size=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(2, 5), (4, 5), (5, 5)]


def test_what_is_refused():
    with pytest.raises(DataError, match="at least one image"):
        embed(Average(), [])
    with pytest.raises(DataError, match="batch_size must be at least 1, got 0"):
        embed(Average(), Photos(), batch_size=0)
    with pytest.raises(DataError, match="photo 2"):
        embed(Average(), Photos(odd_one=2))
    with pytest.raises(ModelError, match="112"):
        embed(Average(), Photos(height=112, width=112))
    broken = Average()
    nn.init.constant_(broken.weight, float("nan"))
    with pytest.raises(EvaluationError, match=r'row 0 \("photo 0"\)'):
        embed(broken, Photos())


def flat_network(height=8, width=6):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * height * width, 4))


SPEC = InputSpec(height=8, width=6, mean=100.0, std=50.0)


def test_any_module_and_any_form_of_images_gives_the_same_vectors():
    photos = Photos()
    network = flat_network()
    stacked = np.stack(photos.images)
    first = torch.from_numpy(stacked).permute(0, 3, 1, 2)
    wanted = network((first.float() - 100) / 50).detach().numpy()
    for images in (photos, stacked, first, first.float(), first.numpy(), [first[:2], first[2:]], stacked.astype(float)):
        found = embed(network, images, input=SPEC, batch_size=2)
        np.testing.assert_allclose(found.embeddings, wanted, rtol=1e-5, atol=1e-5)
    assert network.training
    assert embed(network, photos, input=SPEC).keys == photos.keys


def test_a_folder_by_its_path(tmp_path):
    from PIL import Image

    photos = Photos()
    for index, image in enumerate(photos.images):
        person = tmp_path / photos.identities[photos.labels[index]]
        person.mkdir(exist_ok=True)
        Image.fromarray(image).save(person / f"{index}.png")
    for path in (tmp_path, str(tmp_path)):
        found = embed(flat_network(), path, input=SPEC)
        assert np.array_equal(found.labels, photos.labels)
        assert np.allclose(found.embeddings, embed(flat_network(), photos, input=SPEC).embeddings)


def test_recordings_are_no_images(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    (tmp_path / "ada").mkdir()
    soundfile.write(tmp_path / "ada" / "1.wav", np.zeros(8_000, np.int16), 8_000)
    with pytest.raises(DataError, match="takes images, and the set holds recordings"):
        embed(flat_network(), tmp_path, input=SPEC)


@pytest.mark.parametrize(
    ("model", "images", "options", "words"),
    [
        (flat_network(), np.zeros((2, 8, 6, 3), np.uint8), {}, ("Sequential", "prepared", "input=InputSpec(")),
        (flat_network(), np.zeros((2, 8, 6, 3), np.uint8), {"input": (8, 6)}, ("InputSpec", "tuple")),
        (Average(), np.zeros((2, 8, 6, 3), np.uint8), {"input": SPEC}, ("leave input out",)),
        ("runs/x", np.zeros((2, 8, 6, 3), np.uint8), {}, ("nn.Module", "load_model('runs/x')")),
        (nn.Flatten, np.zeros((2, 8, 6, 3), np.uint8), {}, ("nn.Module", "type")),
        (nn.Identity(), np.zeros((2, 8, 6, 3), np.uint8), {"input": SPEC}, ("Identity", "[n, d]", "[2, 3, 8, 6]")),
        (flat_network(), np.zeros((8, 6, 3), np.uint8), {"input": SPEC}, ("[8, 6, 3]", "images[None]")),
        (flat_network(), np.full((2, 8, 6, 3), 0.5), {"input": SPEC}, ("0 to 255", "multiply")),
        (flat_network(), np.linspace(-2.1, 2.6, 288).reshape(2, 8, 6, 3), {"input": SPEC}, ("0 to 255", "-2.1 to 2.6")),
        (flat_network(), torch.full((2, 3, 8, 6), 300.0), {"input": SPEC}, ("before any normalisation", "300")),
        (flat_network(), np.full((2, 8, 6, 3), -1, np.int64), {"input": SPEC}, ("0 to 255", "from -1 to -1")),
        (flat_network(), [torch.full((2, 3, 8, 6), -0.1)], {"input": SPEC}, ("0 to 255", "-0.1")),
        (flat_network(), np.zeros((0, 8, 6, 3), np.uint8), {"input": SPEC}, ("at least one image",)),
        (flat_network().double(), np.zeros((2, 8, 6, 3), np.uint8), {"input": SPEC}, ("torch.float64", ".float()")),
        (flat_network(), "nowhere", {"input": SPEC}, ("nowhere",)),
        (flat_network(), 3, {"input": SPEC}, ("images", "int")),
        (flat_network(), ["a.jpg"], {"input": SPEC}, ("images", "str")),
    ],
)
def test_what_is_wanted_is_said(model, images, options, words):
    with pytest.raises((ModelError, DataError)) as caught:
        embed(model, images, **options)
    assert all(word in str(caught.value) for word in words), caught.value
