"""What does a stored template, or a trained classifier, give away? Attack some people and let recognisers judge.

Each defence is attacked in a folder of its own below `out`, so that an interrupted audit goes on where it was.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from angulus.data import Source
from angulus.errors import ConfigError, EvaluationError
from angulus.evaluation import CalibratedThreshold
from angulus.heads import MarginHead
from angulus.inversion.assessment.acceptance import Faces, calibrated, compare, rates
from angulus.inversion.assessment.defences import DEFENCES, TEMPLATE_ONLY, defended
from angulus.inversion.assessment.frechet import frechet_distance, least_images
from angulus.inversion.assessment.judges import Judge
from angulus.inversion.assessment.people import AuditPeople
from angulus.inversion.attack.attack_run import embed_pixels, invert
from angulus.inversion.attack.faces.public_faces import embedded, help_of_faces, learned_decoder, photos_of
from angulus.inversion.attack.faces.surrogate import SpaceMap, fitted_map
from angulus.inversion.attack.files import InversionFolder
from angulus.inversion.attack.frozen_network import attacked
from angulus.inversion.attack.label_only import average_of_answered, first_answers
from angulus.inversion.attack.options import InversionOptions
from angulus.inversion.attack.targets import Targets
from angulus.models import EmbeddingModel

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Attack:
    """What is attacked: a model, the people, and for a closed set its head with names of its classes.

    through: a thief without the model's gradients, who inverts another network.  public: faces of other people that the
    thief has, for pictures to start from; None: those of the strangers.  device: where images are inverted.
    progress: as `invert` takes it.
    """

    model: EmbeddingModel
    people: AuditPeople
    options: InversionOptions
    head: MarginHead | None = None
    classes: tuple[str, ...] = ()
    step: int = 0
    through: "Surrogate | None" = None
    public: Source | None = None
    device: str | torch.device = "cpu"
    progress: Callable[[int, int | None], None] | None = None
    seed: int = 0

    @property
    def inverted(self) -> EmbeddingModel:
        """The network whose gradients are used."""
        return self.model if self.through is None else self.through.model

    @property
    def faces(self) -> Source:
        """Public faces, none of them of an attacked person."""
        return self.people.strangers if self.public is None else self.public

    @property
    def size(self) -> tuple[int, int]:
        return self.inverted.image_input().height, self.inverted.image_input().width


@dataclass(frozen=True, kw_only=True, eq=False)
class Surrogate:
    """A network that a thief has, with its name."""

    name: str
    model: EmbeddingModel


@dataclass(frozen=True, kw_only=True, eq=False)
class Made:
    """What came out of one attack: pictures uint8 [n, h, w, 3], one for each person, and what is known of it."""

    defence: str
    pictures: NDArray[np.uint8]
    facts: dict[str, Any]


def run_attacks(attack: Attack, defences: Sequence[str], out: Path) -> list[Made]:
    """Invert under each defence, each in its folder `out`/<defence>; finished ones are read, not made again."""
    unknown = [name for name in defences if name not in DEFENCES]
    if unknown:
        raise ConfigError(f"--defences: there is no defence {unknown[0]!r}, known are {', '.join(DEFENCES)}")
    _check_defences(attack, defences)
    photos = photos_of(attack.people.first, attack.size)
    found = []
    for name in dict.fromkeys(defences):
        log.info("attack without defence" if name == "none" else f"attack against the defence {name}")
        if name in ("label-only", "vectors-only"):
            found.append(_label_only(attack) if name == "label-only" else _vectors_only(attack))
        else:
            found.append(_inverted(attack, name, photos, out / name))
    return found


def _check_defences(attack: Attack, defences: Sequence[str]) -> None:
    """Before the first attack, rather than after hours of it."""
    if not defences:
        raise ConfigError("--defences must name at least one, such as none")
    for name in defences:
        if name == "label-only" and attack.head is None:
            raise ConfigError("--defences: label-only is an attack on a classifier's answers; use it with --closed")
        if name in TEMPLATE_ONLY and attack.head is not None:
            raise ConfigError(f"--defences: {name} is about templates, and --closed attacks classes; leave one out")


def audit(
    attack: Attack, made: Sequence[Made], judges: Sequence[Judge], *, fars: tuple[float, ...] = (1e-2, 1e-3)
) -> dict[str, Any]:
    """What the judges say of the attacks, JSON-ready: thresholds, shares accepted, distances of the distributions."""
    people = attack.people
    content: dict[str, Any] = {
        "mode": "closed set" if attack.head is not None else "open set",
        "people": len(people.names),
        "photos": {"other": len(people.others), "strangers": len(people.strangers)},
        "strangers": len(people.strangers.identities),
        "attacks": [{"defence": item.defence, **item.facts} for item in made],
        "judges": [_judged(judge, attack, made, fars) for judge in judges],
    }
    return content


def _inverted(attack: Attack, defence: str, photos: NDArray[np.uint8], out: Path) -> Made:
    """One inversion: of templates in an open set, of classes in a closed one."""
    people = attack.people
    keys = tuple(people.first.keys)
    facts: dict[str, Any] = {}
    if attack.head is None:
        stolen = defended(defence, stolen_templates(attack), attack.options, seed=attack.seed)
        templates = stolen.templates
        if attack.through is not None and templates is not None:
            mapped = learned_map(attack)
            templates, facts = mapped.apply(templates), {"through": attack.through.name, "map": mapped.facts()}
        targets = Targets(identities=people.names, keys=keys, templates=templates)
    else:
        stolen = defended(defence, None, attack.options)
        labels = np.array([attack.classes.index(name) for name in people.names])
        targets = Targets(identities=people.names, keys=keys, labels=labels, head=attack.head, step=attack.step)
    helped = help_of_faces(attack.options, attack.inverted, targets, attack.faces, device=attack.device)
    result = invert(
        *(attack.inverted, targets, out, stolen.options),
        device=attack.device,
        begins=helped.begins,
        space=helped.space,
        originals=list(photos),
        facts={"defence": defence},
        progress=attack.progress,
    )
    pictures = np.stack([InversionFolder.picture(out / row["file"]) for row in result["targets"]])
    return Made(
        defence=defence,
        pictures=pictures,
        facts={
            **{"seconds": result["seconds"], "options": result["options"], "cosine_to_target": result["cosine"]},
            **{"last": result["curves"][-1][-1], **facts, **helped.facts},
        },
    )


def _vectors_only(attack: Attack) -> Made:
    """The decoder alone, on the stolen templates: no network, no gradient."""
    decoder = learned_decoder(attack.model, attack.faces, attack.size, device=attack.device)
    pictures = decoder.pictures(stolen_templates(attack))
    return Made(defence="vectors-only", pictures=pictures, facts={"decoder": decoder.facts()})


def stolen_templates(attack: Attack) -> NDArray[np.float32]:
    """What is stored of each person [n, d]: one embedding, or the mean of several in direction and length."""
    found = embedded(attack.model, attack.people.stolen, attack.device)
    labels = attack.people.stolen.labels
    rows = [found[labels == label] for label in range(len(attack.people.names))]
    if max(map(len, rows)) == 1:
        return np.concatenate(rows)
    lengths = [np.linalg.norm(own, axis=1) for own in rows]
    means = [(own / length[:, None]).mean(axis=0) for own, length in zip(rows, lengths, strict=True)]
    pooled = [mean / np.linalg.norm(mean) * length.mean() for mean, length in zip(means, lengths, strict=True)]
    return np.stack(pooled).astype(np.float32)


def learned_map(attack: Attack) -> SpaceMap:
    """The map from the attacked network's templates to the surrogate's, from public faces."""
    assert attack.through is not None
    public = attack.faces
    given, wanted = (embedded(model, public, attack.device) for model in (attack.model, attack.through.model))
    found = fitted_map(given, wanted, np.asarray(public.labels), seed=attack.seed)
    log.info("the map to %s has a cosine of %.3f on people who had no part in it", attack.through.name, found.cosine)
    return found


def _label_only(attack: Attack) -> Made:
    """The attack of `labels`, with the strangers' photos as the public ones."""
    assert attack.head is not None
    public = photos_of(attack.people.strangers, attack.size)
    with attacked(attack.model, attack.device):
        embeddings = embed_pixels(attack.model, public, 128, torch.device(attack.device))
    labels = np.array([attack.classes.index(name) for name in attack.people.names])
    pictures, counts = average_of_answered(public, first_answers(embeddings, attack.head), labels)
    facts = {"queries": len(public), "people_with_an_answer": int((counts > 0).sum())}
    return Made(defence="label-only", pictures=pictures, facts=facts)


def _judged(judge: Judge, attack: Attack, made: Sequence[Made], fars: tuple[float, ...]) -> dict[str, Any]:
    """One judge: its thresholds, how it does on real photos, and what it accepts of each attack."""
    people = attack.people
    others, strangers = (
        Faces(units=judge.units(photos_of(source, judge.size)), people=numbers_of(source, people.names))
        for source in (people.others, people.strangers)
    )
    stolen = None
    if attack.head is None:
        stolen = Faces(units=judge.units(photos_of(people.first, judge.size)), people=np.arange(len(people.names)))
    thresholds = calibrated(strangers, fars, seed=attack.seed)
    log.info("judged by %s", judge.name)
    return {
        **{"name": judge.name, "is_the_attacked_model": judge.attacked},
        "thresholds": [found.as_dict() for found in thresholds],
        "attacks": [
            {
                "defence": item.defence,
                "rates": _rates(judge.units(item.pictures), stolen, others, strangers, thresholds),
                "frechet": frechet(judge.units(item.pictures), strangers.units),
            }
            for item in made
        ],
    }


def _rates(
    units: NDArray[np.float32],
    stolen: Faces | None,
    others: Faces,
    strangers: Faces,
    thresholds: list[CalibratedThreshold],
) -> list[dict[str, Any]]:
    inverted = Faces(units=units, people=np.arange(len(units)))
    return rates(compare(inverted, stolen, others, strangers), thresholds)


def frechet(inverted: NDArray[np.float32], real: NDArray[np.float32]) -> dict[str, Any]:
    """The Frechet distance of unit embeddings to real faces, and of as many real faces to others; or why not."""
    count, least = len(inverted), least_images(inverted.shape[1])
    if count < least or len(real) < count + least:
        need = f"{least:,} inverted images and {count + least:,} photos of strangers"
        return {"refused": f"{inverted.shape[1]} dimensions need at least {need}; there are {count} and {len(real):,}"}
    try:
        return {
            **{"images": count, "distance": frechet_distance(inverted, real[count:])},
            "of_real_photos": frechet_distance(real[:count], real[count:]),
        }
    except EvaluationError as problem:
        return {"refused": str(problem)}


def numbers_of(source: Source, names: Sequence[str]) -> NDArray[np.int64]:
    """The number of the person in each photo: the place in `names`, or beyond these for people who are not in it."""
    place = {name: number for number, name in enumerate(names)}
    numbers = [place.get(name, len(names) + label) for label, name in enumerate(source.identities)]
    return np.array(numbers)[source.labels]
