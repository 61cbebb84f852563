"""How many classes a panel has, and what it takes: from sizes alone, so that the same run sums in the same order.

For one class weight of a panel, with N examples and D dimensions:

    bfloat16 products   2 D (the panel) + 4 D (its gradient) + N (4 or 2 for the cosine + 2 for what becomes of it)
    other products      4 D + 4 D + 4 N
"""

from dataclasses import dataclass
from typing import Literal

PanelProducts = Literal["float32", "tf32", "bfloat16"]
Cosines = Literal["float32", "bfloat16"]

# What the buffers of a panel may take: on CUDA 32,768 classes for 1,024 examples of 512 dimensions, since small
# panels wait for launches; on a CPU what stays in its caches.
ROOM, ROOM_CPU = 2**29, 2**23
LARGEST, SMALLEST = 65_536, 256


@dataclass(frozen=True, kw_only=True)
class PanelSize:
    """Bytes for one class weight. panel: its row.  logits: of all examples.  gradient: of its row."""

    panel: int
    logits: int
    gradient: int

    @property
    def total(self) -> int:
        return self.panel + self.logits + self.gradient


def panel_size(examples: int, dim: int, products: PanelProducts, cosines: Cosines) -> PanelSize:
    if products != "bfloat16":
        return PanelSize(panel=4 * dim, logits=4 * examples, gradient=4 * dim)
    return PanelSize(panel=2 * dim, logits=(6 if cosines == "float32" else 2) * examples, gradient=4 * dim)


def chunk_for(
    examples: int, dim: int, subcenters: int, products: PanelProducts, cosines: Cosines, *, on_cuda: bool
) -> int:
    """Classes of a panel: a power of two of them within the room."""
    fitting = (ROOM if on_cuda else ROOM_CPU) // (subcenters * panel_size(examples, dim, products, cosines).total)
    return min(LARGEST, max(SMALLEST, 1 << max(fitting.bit_length() - 1, 0)))


def panel_bytes(
    rows: int, examples: int, dim: int, products: PanelProducts, cosines: Cosines, *, gradient: bool = True
) -> int:
    """What the buffers of a panel of so many class weights take. gradient: whether one of its own is among them."""
    size = panel_size(examples, dim, products, cosines)
    return rows * (size.total if gradient else size.total - size.gradient)
