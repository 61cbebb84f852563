"""Which pairs of rows are more alike than a threshold: all pairs of a set, or of two sets, block by block.

Rows are unit vectors, compared by cosine, or packed hashes, where h of b bits differing is the cosine 1 - 2 h / b of
their signs: one loop serves both. Memory is one block of products and the pairs that are found; time is the number of
pairs times the width (a million images of 512 dimensions: 5e11 pairs, hours on a CPU and minutes on a GPU).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from angulus.evaluation.scores.streaming.shares import Share, blocks_of, check_share

_BLOCKS = {"cpu": 2048, "cuda": 16_384}


@dataclass(frozen=True, kw_only=True, eq=False)
class NearPairs:
    """Pairs (left, right) int64 [p] with their cosine float32 [p], most alike first.

    found: how many were met, of which the list holds the most alike.  compared: how many pairs were looked at.
    """

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    scores: NDArray[np.float32]
    found: int
    compared: int = 0

    def __len__(self) -> int:
        return len(self.left)


def near_pairs(
    rows: NDArray[np.float32] | NDArray[np.uint8],
    others: NDArray[np.float32] | NDArray[np.uint8] | None = None,
    *,
    threshold: float,
    most: int = 1_000_000,
    device: str = "cpu",
    share: Share = (0, 1),
    group: "dist.ProcessGroup | None" = None,
) -> NearPairs:
    """All pairs of `rows` (each once), or of `rows` with `others`, whose cosine is at least `threshold`.

    rows, others: unit vectors float32 [n, d], or packed hashes uint8 [n, bytes].  most: hold at most so many.
    share: (part, parts) looks at the blocks of rows that fall to one part; `together` makes one list of all parts.
    group: processes that share the blocks; all must call this alike, and all get the whole list.
    """
    if group is not None:
        world = dist.get_world_size(group)
        parts: list[NearPairs | None] = [None] * world
        own = near_pairs(
            rows, others, threshold=threshold, most=most, device=device, share=(dist.get_rank(group), world)
        )
        dist.all_gather_object(parts, own, group=group)
        return together([part for part in parts if part is not None], most)
    check_share(share)
    second = rows if others is None else others
    block = block_of(device)
    kept = _Kept(most)
    for top in blocks_of(share, len(rows), block):
        left = _on(rows[top : top + block], device)
        for start in range(top if others is None else 0, len(second), block):
            right = left if others is None and start == top else _on(second[start : start + block], device)
            products = left @ right.T
            kept.compared += products.numel()
            if others is None and start == top:
                products = products.triu(1) - torch.ones_like(products).mul_(4).tril()
                kept.compared -= len(left) * (len(left) + 1) // 2
            found = torch.nonzero(products >= max(threshold, kept.bound) - 1e-6)
            if len(found):
                kept.add(found.cpu().numpy() + np.array([top, start]), products[found[:, 0], found[:, 1]].cpu().numpy())
    return kept.pairs()


def block_of(device: str) -> int:
    """Rows of a block on this device, which parts that add up must share."""
    return _BLOCKS.get(torch.device(device).type, _BLOCKS["cpu"])


def together(parts: Sequence[NearPairs], most: int = 1_000_000) -> NearPairs:
    """The list of all parts as one pass makes it: the most alike first, of equally alike ones the first rows."""
    kept = _Kept(most)
    for part in parts:
        kept.add(np.stack([part.left, part.right], axis=1), part.scores)
    found = kept.pairs()
    return replace(found, found=sum(part.found for part in parts), compared=sum(part.compared for part in parts))


def cosine_of(bits_differing: int, bits: int) -> float:
    """The cosine of two hashes of which so many bits differ."""
    return 1 - 2 * bits_differing / bits


class _Kept:
    """The most alike pairs so far; shortened when there are twice as many as wanted."""

    def __init__(self, most: int) -> None:
        self.most, self.found, self.compared, self.bound = most, 0, 0, -2.0
        self.places: list[NDArray[np.int64]] = []
        self.scores: list[NDArray[np.float32]] = []
        self.held = 0

    def add(self, places: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
        self.places.append(places)
        self.scores.append(scores)
        self.found += len(scores)
        self.held += len(scores)
        if self.held > 2 * self.most:
            self._shorten()

    def _shorten(self) -> None:
        places, scores = np.concatenate(self.places), np.concatenate(self.scores)
        order = np.lexsort((places[:, 1], places[:, 0], -scores))[: self.most]
        self.places, self.scores, self.held = [places[order]], [scores[order]], len(order)
        if len(order) == self.most:
            self.bound = float(scores[order[-1]])

    def pairs(self) -> NearPairs:
        if not self.places:
            nothing = np.empty(0, np.int64)
            return NearPairs(
                left=nothing, right=nothing, scores=np.empty(0, np.float32), found=0, compared=self.compared
            )
        self._shorten()
        left, right = self.places[0].T
        return NearPairs(left=left, right=right, scores=self.scores[0], found=self.found, compared=self.compared)


def _on(rows: NDArray[np.float32] | NDArray[np.uint8], device: str) -> Tensor:
    if rows.dtype == np.uint8:
        bits = np.unpackbits(rows.view(np.uint8), axis=1).astype(np.float32)
        rows = (2 * bits - 1) / np.sqrt(bits.shape[1], dtype=np.float32)
    return torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32)).to(device)
