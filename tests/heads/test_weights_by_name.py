"""Class weights that another head takes over by the names of the identities."""

import pytest
import torch

from angulus.heads import MarginHead
from angulus.heads.weights_by_name import NamedWeights, take_over
from angulus.margins import ArcFace, L2Softmax

OLD = ["ada", "ben", "cleo", "dan"]


def old_weights(subcenters=1, dim=3):
    generator = torch.Generator().manual_seed(1)
    shape = (4, dim) if subcenters == 1 else (4, subcenters, dim)
    return NamedWeights(OLD, torch.randn(shape, generator=generator), torch.arange(4.0))


@pytest.mark.parametrize("subcenters", [1, 2])
def test_rows_follow_their_names(subcenters):
    head, old = MarginHead(3, 4, L2Softmax(), subcenters), old_weights(subcenters)
    before = head.weight.detach().clone()
    found = take_over(head, ["cleo", "eve", "ada", "both"], old, {"both": ["ben", "dan"]})
    assert torch.equal(head.weight[0], old.weight[2])
    assert torch.equal(head.weight[1], before[1])
    assert torch.equal(head.weight[2], old.weight[0])
    assert head.bias.tolist() == [2.0, 0.0, 0.0, 2.0]
    assert (found.kept, found.merged, found.new, found.dropped) == (("cleo", "ada"), ("both",), ("eve",), ())


@pytest.mark.parametrize("subcenters", [1, 2])
def test_merged_rows_are_the_mean_direction_with_the_mean_length(subcenters):
    head, old = MarginHead(3, 1, ArcFace(), subcenters), old_weights(subcenters)
    take_over(head, ["dan"], old, {"dan": ["dan", "ada"]})
    for center in range(subcenters):
        rows = old.weight.reshape(4, subcenters, 3)[[3, 0], center]
        lengths = rows.norm(dim=1)
        expected = (rows / lengths[:, None]).sum(dim=0)
        expected = expected / expected.norm() * lengths.mean()
        assert torch.allclose(head.weight.reshape(1, subcenters, 3)[0, center], expected, atol=1e-6)


def test_one_old_name_is_a_new_name_for_the_same_row():
    head, old = MarginHead(3, 2, ArcFace()), old_weights()
    found = take_over(head, ["bea", "ada"], old, {"bea": ["ben"]})
    assert torch.equal(head.weight[0], old.weight[1])
    assert found.dropped == ("cleo", "dan")


@pytest.mark.parametrize(
    ("options", "names", "merged", "sentence"),
    [
        ({"embedding_dim": 5}, ["ada"], {}, "embedding_dim must be that of the old class weights, 3, got 5"),
        ({"subcenters": 2}, ["ada"], {}, "subcenters must be those of the old class weights, 1, got 2"),
        ({}, ["ada"], {"ada": ["bem"]}, "'ada' joins 'bem', which is no old identity; did you mean ben?"),
        ({}, ["ada"], {"adda": ["ben"]}, "'adda' is no identity of the training data; did you mean ada?"),
        ({}, ["ada", "eve"], {}, "2 names for 1 classes"),
    ],
)
def test_what_does_not_fit_is_a_sentence(options, names, merged, sentence):
    head = MarginHead(**({"embedding_dim": 3, "num_classes": 1, "margin": ArcFace()} | options))
    before = head.weight.detach().clone()
    with pytest.raises(ValueError, match=sentence.replace("?", r"\?")):
        take_over(head, names, old_weights(), merged)
    assert torch.equal(head.weight, before)
