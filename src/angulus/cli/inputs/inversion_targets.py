"""Whom an inversion aims at: people of a run, stored embeddings, or images; exactly one of these is named."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from angulus.cli.numbers import Count
from angulus.cli.options import Fit
from angulus.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from angulus.cli.inputs.models_and_images import OpenModel
    from angulus.inversion import Targets
    from angulus.models import EmbeddingModel

    Aims = tuple[Targets, list[NDArray[np.uint8]] | None]

Many = Parameter(consume_multiple=True, negative=())


@Parameter(name="*", group=Group("Whom to make images of (one of these)", sort_key=2))
@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Whom to make images of.

    Parameters
    ----------
    identities
        Closed set: people that the run was trained on, by name.
    first
        Closed set: the first so many classes of the run.
    embeddings
        Open set: a file of embeddings that this model made (.npz, .safetensors, .npy).
    keys
        Only these of the embeddings, or of the images.
    images
        Open set: a folder of images, which are embedded first and shown beside what comes out.
    """

    identities: Annotated[list[str] | None, Many] = None
    first: Annotated[int | None, Count] = None
    embeddings: Path | None = None
    keys: Annotated[list[str] | None, Many] = None
    images: Path | None = None

    def aims(self, named: Path, opened: "OpenModel", fit: Fit, device: str, allow: Collection[str] = ()) -> "Aims":
        """The targets, and for images their pixels. Raises ConfigError unless exactly one kind is named."""
        closed, sources = self.identities is not None or self.first is not None, (self.embeddings, self.images)
        if closed + sum(source is not None for source in sources) != 1:
            raise ConfigError(
                "say what to invert: people of a run (--identities NAME ... or --first 16), stored embeddings "
                "(--embeddings FILE), or images (--images FOLDER); exactly one of these"
            )
        if closed:
            return classes_of(named, self.identities, self.first, allow), None
        if self.embeddings is not None:
            return stored(self.embeddings, self.keys, opened.model), None
        assert self.images is not None
        return of_images(self.images, self.keys, opened.model, opened.fitting(fit), device)


ANYBODY = Wanted()


def classes_of(run: Path, identities: list[str] | None, first: int | None, allow: Collection[str] = ()) -> "Targets":
    """Closed set: the named classes of a run's head, or the first so many."""
    from angulus.cli.inputs.attacked_people import head_of
    from angulus.inversion import class_targets

    if identities is not None and first is not None:
        raise ConfigError("name people with --identities or take the --first of them, not both")
    if first is not None and first < 1:
        raise ConfigError(f"--first must be at least 1, got {first}")
    found = head_of(run, allow)
    return class_targets(found.head, found.names, identities or found.names[:first], step=found.step)


def stored(path: Path, keys: list[str] | None, model: "EmbeddingModel") -> "Targets":
    """Open set: embeddings of a file."""
    from angulus.embeddings import EmbeddingSet
    from angulus.inversion import check_stamp, template_targets
    from angulus.inversion.attack.identity import check_targets

    found = EmbeddingSet.load(path)
    check_targets(found.dim, model.embedding_dim, str(path))
    check_stamp(found, model, str(path))
    return template_targets(found, keys)


def of_images(path: Path, keys: list[str] | None, model: "EmbeddingModel", fit: Fit, device: str) -> "Aims":
    """Open set: images, which are embedded here; with their pixels."""
    from angulus.cli.inputs.models_and_images import open_images
    from angulus.extract import embed
    from angulus.inversion import template_targets

    source = open_images(path, model.image_input(), fit=fit)
    found = embed(model, source, flip=False, device=device)
    targets = template_targets(found, keys)
    place = {key: row for row, key in enumerate(source.keys)}
    return targets, [source.read(place[key]) for key in targets.keys]
