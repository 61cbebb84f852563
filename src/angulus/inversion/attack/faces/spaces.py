"""Where images are looked for: among all pixels, as published, or among combinations of eigenfaces of public faces.

    I = mean + sum over k of  z_k s_k U_k          U: principal components of the faces, s: their standard deviations

Turk and Pentland, "Eigenfaces for recognition", 1991. z is moved instead of the pixels, and `prior` is how unlikely it
is: the mean over the images of |z|^2 / 2. Whatever it makes is a face, so that no pattern can open the network.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from angulus.errors import DataError
from angulus.inversion.attack.images import as_batch
from angulus.models import InputSpec

SpaceName = Literal["pixels", "eigenfaces"]
COMPONENTS = 512
FEWEST_FACES = 100


class Space(Protocol):
    """What is moved, a leaf tensor, and the images [n, c, h, w] that it stands for, prepared for the network."""

    def variable(self, images: Tensor) -> Tensor: ...

    def images(self, variable: Tensor) -> Tensor: ...

    def prior(self, variable: Tensor) -> Tensor:
        """How unlikely the images are; a scalar."""
        ...


class Pixels:
    """The images themselves."""

    def variable(self, images: Tensor) -> Tensor:
        return images.contiguous(memory_format=torch.channels_last).requires_grad_()

    def images(self, variable: Tensor) -> Tensor:
        return variable

    def prior(self, variable: Tensor) -> Tensor:
        return variable.new_zeros(())


@dataclass(frozen=True, kw_only=True, eq=False)
class Eigenfaces:
    """mean [c h w], basis [k, c h w] with orthogonal rows of length 1, scale [k]; prepared as the network takes images.

    explained: share of the faces' variance.  faces: how many they were.  source: SHA-256 of their pixels.
    """

    mean: Tensor
    basis: Tensor
    scale: Tensor
    shape: tuple[int, int, int]
    explained: float
    faces: int
    source: str

    def variable(self, images: Tensor) -> Tensor:
        """Coordinates [n, k] in standard deviations of the combination that is nearest to each image."""
        offsets = images.flatten(1).to(self.basis) - self.mean
        return (offsets @ self.basis.T / self.scale).requires_grad_()

    def images(self, variable: Tensor) -> Tensor:
        found = self.mean + (variable * self.scale) @ self.basis
        return found.view(-1, *self.shape).contiguous(memory_format=torch.channels_last)

    def prior(self, variable: Tensor) -> Tensor:
        return variable.square().sum(dim=1).mean() / 2

    def to(self, device: torch.device) -> "Eigenfaces":
        mean, basis, scale = (part.to(device) for part in (self.mean, self.basis, self.scale))
        return replace(self, mean=mean, basis=basis, scale=scale)

    def facts(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"components": len(self.scale), "faces": self.faces, "explained": round(self.explained, 4)}

    def digest(self) -> str:
        """Tells the faces that they are of, and how many components: the same on another machine."""
        return f"{len(self.scale)} of {self.source}"


def eigenfaces(faces: NDArray[np.uint8], spec: InputSpec, components: int = COMPONENTS, *, seed: int = 0) -> Eigenfaces:
    """Those of faces uint8 [n, h, w, 3] of the network's size: at most `components`, and one for each two faces.

    All faces are held in float32 at once. Raises DataError for fewer than 100 faces.
    """
    if len(faces) < FEWEST_FACES:
        raise DataError(
            f"eigenfaces need at least {FEWEST_FACES} public faces, got {len(faces)}: give more with --public, or look "
            "among pixels, as with --settings published"
        )
    values = spec.prepare(as_batch(faces)).float().flatten(1)
    mean = values.mean(dim=0)
    values -= mean
    count = min(components, len(faces) // 2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _, lengths, basis = torch.svd_lowrank(values, q=min(count + 16, *values.shape), niter=2)
    whole = float(values.square().sum()) / len(faces)
    if not whole > 1e-6 * values.shape[1]:
        raise DataError(f"eigenfaces need faces that differ, and the {len(faces)} public ones are all alike")
    count = int((lengths[:count] > 1e-5 * lengths[0]).sum())  # the others are rounding
    scale = lengths[:count] / (len(faces) ** 0.5)
    return Eigenfaces(
        mean=mean,
        basis=basis[:, :count].T.contiguous(),
        scale=scale,
        shape=spec.shape,
        explained=float(scale.square().sum()) / whole,
        faces=len(faces),
        source=hashlib.sha256(np.ascontiguousarray(faces).tobytes()).hexdigest(),
    )
