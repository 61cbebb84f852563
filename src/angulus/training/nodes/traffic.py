"""What passes between the processes of a step, in bytes that one of them sends.

With W processes, n images each, N = W n of all and embeddings of D numbers, rings send

    all-gather of s bytes each        (W - 1) s
    reduce-scatter of S bytes         (W - 1) / W S
    all-reduce of S bytes             2 (W - 1) / W S

A sharded head gathers the unit embeddings (4 D n), lengths (4 n) and labels (8 n), reduces and scatters the gradient
(4 D N), and reduces numbers of each image: its own cosine, the largest rest and the sum of exponentials, 4 N each.
"""

from dataclasses import dataclass

FLOAT, LONG = 4, 8
PER_IMAGE = 3
"""All-reduces of a number for each image of the global batch: own cosine, largest rest, sum of exponentials."""


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Bytes that one process sends in a step."""

    embeddings: float
    embedding_gradient: float
    partition_sums: float
    backbone: float

    @property
    def head(self) -> float:
        return self.embeddings + self.embedding_gradient + self.partition_sums


def gathered_bytes(each: float, world: int) -> float:
    return (world - 1) * each


def scattered_bytes(size: float, world: int) -> float:
    return (world - 1) / world * size


def reduced_bytes(size: float, world: int) -> float:
    return 2 * (world - 1) / world * size


def ranking_bytes(images: int, count: int, world: int) -> float:
    """Of a margin that wants the `count` nearest classes of each image: cosines to whoever ranks the image, and from
    there to all the last cosine and its place. images: of one process."""
    return scattered_bytes(FLOAT * count * images * world, world) + gathered_bytes(2 * FLOAT * images, world)


def traffic_of(world: int, images: int, dim: int, parameters: int) -> Traffic:
    """images: of one process.  parameters: of the network."""
    each = images * (FLOAT * dim + FLOAT + LONG)
    return Traffic(
        embeddings=gathered_bytes(each, world),
        embedding_gradient=scattered_bytes(FLOAT * dim * images * world, world),
        partition_sums=PER_IMAGE * reduced_bytes(FLOAT * images * world, world),
        backbone=reduced_bytes(FLOAT * parameters, world),
    )
