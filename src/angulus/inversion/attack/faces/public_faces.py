"""What a thief makes of public faces before the attack: pictures to begin with, and eigenfaces to look among."""

import logging
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from angulus.data import Source, read_images, select
from angulus.errors import ConfigError, DataError
from angulus.inversion.attack.attack_run import embed_pixels
from angulus.inversion.attack.faces.spaces import Eigenfaces, eigenfaces
from angulus.inversion.attack.faces.starts import LinearDecoder, average_face, fitted_decoder
from angulus.inversion.attack.faces.surrogate import unit
from angulus.inversion.attack.frozen_network import attacked
from angulus.inversion.attack.images import at_size
from angulus.inversion.attack.options import InversionOptions
from angulus.inversion.attack.targets import Targets
from angulus.models import EmbeddingModel

log = logging.getLogger(__name__)
SAME_PHOTO = 0.99995
"""A cosine above which a face and a stolen template are of one photo."""
MOST_FACES = 10_000
"""Public faces that are looked at, since eigenfaces hold all of them in float32: 1.3 GB at 112x96."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Help:
    """begins, space: as `invert` takes them.  facts: what is to be said of them, JSON-ready."""

    begins: NDArray[np.uint8] | None = None
    space: Eigenfaces | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def help_of_faces(
    options: InversionOptions,
    model: EmbeddingModel,
    targets: Targets,
    faces: Source | None,
    *,
    device: str | torch.device = "cpu",
) -> Help:
    """What the options ask for. faces: public ones, aligned as the network wants them.

    Raises ConfigError where faces are needed and there are none, DataError where there are too few.
    """
    if options.begin == "noise" and options.space == "pixels":
        return Help()
    if faces is None:
        raise ConfigError(
            "these settings begin with public faces: give a folder of people with --public, or take --begin noise "
            "--space pixels"
        )
    if len(faces) > MOST_FACES:
        log.info("%d of the %d public faces are looked at, drawn at random", MOST_FACES, len(faces))
        faces = select(faces, np.sort(np.random.default_rng(0).permutation(len(faces))[:MOST_FACES]))
    given = embedded(model, faces, device) if targets.templates is not None or options.begin == "decoded" else None
    if given is not None and targets.templates is not None:
        left = without_the_attacked(targets.templates, faces, given)
        faces, given = select(faces, left), given[left]
    size = model.image_input().height, model.image_input().width
    facts: dict[str, Any] = {"public_faces": len(faces)}
    begins = space = None
    if options.begin == "average":
        begins = np.repeat(average_face(photos_of(faces, size))[None], len(targets), axis=0)
    elif options.begin == "decoded":
        decoder = learned_decoder(model, faces, size, given=given, device=device)
        begins, facts["decoder"] = decoder.pictures(targets.directions()), decoder.facts()
    if options.space == "eigenfaces":
        space = eigenfaces(photos_of(faces, size), model.image_input())
        facts["eigenfaces"] = space.facts()
    return Help(begins=begins, space=space, facts=facts)


def without_the_attacked(
    templates: NDArray[np.float32], faces: Source, given: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Rows of the people none of whose faces has an embedding, of `given` [n, d], that is a target's: names can differ.

    Raises DataError where nobody is left.
    """
    labels, goals = np.asarray(faces.labels), unit(templates).T
    theirs = np.unique(labels[(unit(given) @ goals).max(axis=1) > SAME_PHOTO])
    left = np.flatnonzero(~np.isin(labels, theirs))
    if not len(left):
        raise DataError("everybody in the folder of --public is attacked; give faces of other people")
    if len(theirs):
        names = ", ".join(faces.identities[label] for label in theirs[:3])
        log.warning("%d people of --public are attacked by their very photos, and left out (%s)", len(theirs), names)
    return left


def learned_decoder(
    model: EmbeddingModel,
    faces: Source,
    size: tuple[int, int],
    *,
    given: NDArray[np.float32] | None = None,
    device: str | torch.device = "cpu",
) -> LinearDecoder:
    """From templates of a model to pictures of a size (height, width), by public faces. given: their embeddings."""
    found = fitted_decoder(
        embedded(model, faces, device) if given is None else given,
        lambda rows: photos_of(select(faces, rows), size),
        np.asarray(faces.labels),
    )
    log.info("a linear decoder tells %.1f %% of the pixels of people who had no part in it", 100 * found.explained)
    return found


def photos_of(source: Source, size: tuple[int, int]) -> NDArray[np.uint8]:
    """All photos of a source [n, h, w, 3] at a model's size."""
    pictures = read_images(source, np.arange(len(source))).transpose(0, 2, 3, 1)
    return at_size(np.ascontiguousarray(pictures), size)


def embedded(model: EmbeddingModel, source: Source, device: str | torch.device) -> NDArray[np.float32]:
    """Raw embeddings [n, d] of all photos of a source."""
    photos = photos_of(source, (model.image_input().height, model.image_input().width))
    with attacked(model, device):
        return embed_pixels(model, photos, 128, torch.device(device)).numpy()
