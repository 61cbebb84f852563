"""What the streamed strategy makes and keeps: never a matrix of all classes, a stash where it fits."""

import pytest
import torch
from small_heads import batch, head_of
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from angulus.heads import Dense, Streamed
from angulus.margins import AdaCos, AMMSoftmax, ArcFace, L2Softmax, Learned, Margin, MVSoftmax, SphereFace


class Largest(TorchDispatchMode):
    """Notes the largest tensor that any operation gave, views of the inputs included."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0
        self.operation = ""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(tensor, Tensor) and tensor.numel() > self.size:
                self.size, self.operation = tensor.numel(), str(func)
        return out


STREAMED_MARGINS = [
    ArcFace(),
    L2Softmax(scale=Learned(16.0)),
    SphereFace(),
    AMMSoftmax(side="both"),
    MVSoftmax(),
    AdaCos(mode="lagged"),
]


@pytest.mark.parametrize("subcenters", [1, 3])
@pytest.mark.parametrize("margin", STREAMED_MARGINS, ids=lambda margin: margin.kind)
def test_streamed_never_makes_or_keeps_a_matrix_of_all_classes(margin: Margin, subcenters: int) -> None:
    n, classes, dim, chunk = 128, 600, 4, 20
    head = head_of(
        margin, embedding_dim=dim, num_classes=classes, subcenters=subcenters, strategy=Streamed(chunk=chunk)
    )
    embeddings, labels = batch(n=n, dim=dim, classes=classes)
    embeddings.requires_grad_()
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes() // tensor.element_size()
        return tensor

    with Largest() as largest:
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            loss = head(embeddings, labels).loss
        loss.backward()
    allowed = max(n * chunk * subcenters, classes * subcenters * dim)
    assert largest.size <= allowed, largest.operation
    assert sum(kept.values()) < n * classes / 3


def test_the_matrix_of_all_classes_would_be_noticed() -> None:
    head = head_of(ArcFace(), embedding_dim=4, num_classes=600, strategy=Dense())
    with Largest() as largest:
        head(*batch(n=128, dim=4, classes=600)).loss.backward()
    assert largest.size >= 128 * 600


def test_auto_stashes_where_the_buffer_is_no_larger_than_the_gradient_and_fits() -> None:
    from angulus.heads.strategies.problem import Logits, Problem

    problem = Problem(torch.zeros(8, 16), torch.zeros(100, 1, 16), torch.zeros(8, dtype=torch.int64), free=False)
    wide = Problem(torch.zeros(32, 16), torch.zeros(100, 1, 16), torch.zeros(32, dtype=torch.int64), free=False)
    plain = Logits(torch.tensor(1.0), None, None, 1.0)
    emphasised = Logits(torch.tensor(1.0), None, lambda cos: cos, None)
    assert Streamed().keeps(problem, plain) == "cosines"
    assert Streamed(products="bfloat16").keeps(problem, plain) == "products"
    assert Streamed(stash="bfloat16").keeps(problem, plain) == "exponentials"
    assert Streamed(stash="bfloat16").keeps(problem, emphasised) == "cosines"
    assert Streamed().keeps(wide, plain) == "nothing"
    assert Streamed(budget=100).keeps(problem, plain) == "nothing"
    assert Streamed(mode="stash").keeps(wide, plain) == "cosines"
    assert Streamed(budget=3000).keeps(problem, plain) == "nothing"  # 3200 bytes
    assert Streamed(budget=3000, stash="bfloat16").keeps(problem, plain) == "exponentials"
