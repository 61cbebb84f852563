"""Who is attacked: the names of n people with a class label or a stored template each."""

import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from angulus.embeddings import EmbeddingSet
from angulus.errors import DataError, ModelError
from angulus.heads import MarginHead
from angulus.inversion.attack.identity import ClosedSet, IdentityTerm, OpenSet, check_targets
from angulus.inversion.attack.options import InversionOptions
from angulus.models import EmbeddingModel
from angulus.models.weights import STAMP, fingerprint_of_model

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Targets:
    """n images to make: one for each target.

    identities: whom each shall show.  keys: which image or class it stands for, unique; the name of the file to write.
    templates: float32 [n, d], embeddings to be met (open set).  labels: int64 [n], classes of `head` (closed set).
    step: the training step at which the head's schedules are read.
    """

    identities: tuple[str, ...]
    keys: tuple[str, ...]
    templates: NDArray[np.float32] | None = None
    labels: NDArray[np.int64] | None = None
    head: MarginHead | None = None
    step: int = 0

    def __post_init__(self) -> None:
        if not self.keys:
            raise DataError("there must be at least one target to invert, got none")
        if (self.templates is None) == (self.labels is None):
            raise ValueError("targets are either templates (open set) or labels (closed set)")
        if self.templates is not None and not np.linalg.norm(self.templates, axis=1).all():
            row = int(np.flatnonzero(np.linalg.norm(self.templates, axis=1) == 0)[0])
            raise DataError(f"each template must have a direction, and that of {self.keys[row]!r} is all zeros")
        if len(set(self.keys)) < len(self.keys):
            twice = next(key for key in self.keys if self.keys.count(key) > 1)
            raise DataError(f"each target must have a key of its own, got {twice!r} twice")

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def mode(self) -> str:
        return "open set" if self.templates is not None else "closed set"

    def check(self, model: EmbeddingModel) -> None:
        """Raise ModelError unless templates or class weights have the model's dimension."""
        if self.templates is not None:
            check_targets(self.templates.shape[1], model.embedding_dim, "the set of templates")
        elif self.head is not None and self.head.embedding_dim != model.embedding_dim:
            raise ModelError(
                f"the head's classes have {self.head.embedding_dim} dimensions and the model makes "
                f"{model.embedding_dim}: they belong to different runs"
            )

    def identity_term(self, rows: slice, options: InversionOptions, device: torch.device) -> IdentityTerm:
        """The identity term of some of the targets."""
        if self.templates is not None:
            templates = torch.from_numpy(self.templates[rows].copy()).to(device)
            return OpenSet(targets=templates, distance=options.distance, normalise=options.normalise)
        assert self.labels is not None
        assert self.head is not None
        return ClosedSet(head=self.head, labels=torch.from_numpy(self.labels[rows]).to(device), step=self.step)

    def directions(self) -> NDArray[np.float32]:
        """Where the embeddings of each target point [n, d]: the template, or the weight of the class (the mean of its
        sub-centers)."""
        if self.templates is not None:
            return self.templates
        assert self.labels is not None
        assert self.head is not None
        weight = self.head.weight.detach().float().cpu()[torch.from_numpy(self.labels)]
        return (weight.mean(dim=1) if weight.ndim == 3 else weight).numpy()

    def record(self) -> dict[str, Any]:
        """What a folder remembers, to be told apart from other targets; JSON-ready."""
        values = self.templates if self.templates is not None else self.labels
        assert values is not None
        digest = hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
        return {
            **{"mode": self.mode, "identities": list(self.identities), "keys": list(self.keys)},
            "targets": digest,
        }


def class_targets(head: MarginHead, names: Sequence[str], wanted: Iterable[str], *, step: int = 0) -> Targets:
    """The classes of a head by name. Raises DataError, with the nearest name, for one that it does not have."""
    wanted = tuple(wanted)
    place = {name: label for label, name in enumerate(names)}
    check_known(wanted, list(place), "class of this run")
    labels = np.array([place[name] for name in wanted], dtype=np.int64)
    return Targets(identities=wanted, keys=wanted, labels=labels, head=head, step=step)


def template_targets(stored: EmbeddingSet, keys: Sequence[str] | None = None) -> Targets:
    """The embeddings of a set, or those of some keys. Raises DataError for a key that is not there."""
    names = stored.keys or tuple(f"row {row}" for row in range(len(stored)))
    if keys is not None:
        place = {name: row for row, name in enumerate(names)}
        check_known(keys, list(place), "key of these embeddings")
        stored, names = stored.select([place[key] for key in keys]), tuple(keys)
    if stored.labels is None or stored.identities is None:
        people = tuple(name.rpartition("/")[0] or name for name in names)
    else:
        people = tuple(stored.identities[label] for label in stored.labels)
    return Targets(identities=people, keys=tuple(names), templates=stored.embeddings)


def check_known(wanted: Iterable[str], known: Sequence[str], noun: str) -> None:
    """Raise DataError, with the most similar one, for a name that is not known."""
    import difflib

    names = set(known)
    for name in wanted:
        if name not in names:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {len(known):,}, such as {known[0]!r}"
            raise DataError(f"{name!r} is no {noun}; {hint}")


def check_stamp(stored: EmbeddingSet, model: EmbeddingModel, name: str) -> None:
    """Raise ModelError where the set says which model made it, and it was another one; warn where it does not say."""
    if STAMP not in stored.columns:
        logger.warning(
            "%s does not say which model made it: if it was another one, the pictures show nobody; "
            "`angulus embed --stamp` keeps that",
            name,
        )
        return
    own = fingerprint_of_model(model)
    others = sorted({str(value) for value in stored.columns[STAMP]} - {own})
    if others:
        raise ModelError(
            f"{name} was made by another model (weights {others[0][:12]}, these are {own[:12]}): invert the model that "
            "made it; the embeddings of one model mean nothing to another"
        )
