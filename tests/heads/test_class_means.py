import pytest
import torch

from angulus.heads import MarginHead, start_from
from angulus.margins import ArcFace


@pytest.mark.parametrize("subcenters", [1, 3])
def test_weights_become_mean_directions_of_the_same_length(subcenters):
    torch.manual_seed(0)
    head = MarginHead(6, 5, ArcFace(), subcenters=subcenters)
    before = head.weight.detach().clone()
    embeddings = torch.randn(9, 6) * torch.rand(9, 1) * 10
    labels = torch.tensor([0, 0, 0, 2, 2, 4, -1, 4, 4])
    assert start_from(head, embeddings, labels) == 3
    directions = embeddings / embeddings.norm(dim=1, keepdim=True)
    for label in (0, 2, 4):
        mean = directions[labels == label].mean(dim=0)
        cos = torch.nn.functional.cosine_similarity(head.weight[label].reshape(-1, 6), mean[None])
        assert (cos > (0.99 if subcenters > 1 else 1 - 1e-6)).all()
    assert torch.equal(head.weight[[1, 3]], before[[1, 3]])
    assert torch.allclose(head.weight.norm(dim=-1), before.norm(dim=-1), rtol=1e-5)
    if subcenters > 1:
        assert not torch.allclose(head.weight[0, 0], head.weight[0, 1])


def test_weights_are_given_a_length():
    torch.manual_seed(0)
    head = MarginHead(6, 5, ArcFace(), subcenters=3)
    before = head.weight.detach().clone()
    start_from(head, torch.randn(4, 6), torch.tensor([0, 0, 2, 2]), length=1.0)
    assert torch.allclose(head.weight[[0, 2]].norm(dim=-1), torch.ones(2, 3))
    assert torch.equal(head.weight[[1, 3, 4]], before[[1, 3, 4]])


def test_a_started_head_begins_with_a_lower_loss():
    torch.manual_seed(0)
    centers = torch.randn(20, 8)
    labels = torch.arange(20).repeat(5)
    embeddings = centers[labels] + 0.2 * torch.randn(100, 8)
    head = MarginHead(8, 20, ArcFace(scale=16.0, m=0.2))
    before = head(embeddings, labels).loss.item()
    start_from(head, embeddings, labels)
    assert head(embeddings, labels).loss.item() < 0.3 * before


def test_wrong_embeddings():
    head = MarginHead(6, 5, ArcFace())
    with pytest.raises(ValueError, match=r"embeddings must be \[n, 6\], got \[2, 5\]"):
        start_from(head, torch.zeros(2, 5), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="row 1 is not"):
        start_from(head, torch.tensor([[1.0] * 6, [float("nan")] * 6]), torch.tensor([0, 1]))
