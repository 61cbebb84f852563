"""Rules about the images: how they are prepared, what augmentation leaves, how many there are and of whom."""

from collections.abc import Mapping
from typing import Any

from angulus.diagnosis.findings import Finding
from angulus.diagnosis.records import ENOUGH_PAIRS, FEW_PEOPLE, Record

FAR = 0.35
"""A distance from the statistics that a batch norm remembers, in standard deviations."""
BETTER = 0.7
MIRRORED, LOST = 0.7, 0.5
"""Of what the pixels say about who it is: what mirroring and what augmentation must leave at least."""
LARGEST_TENTH = 0.35
BEHIND = 0.08
FEW_EACH = 4
FEW = 400


def preprocessing(record: Record) -> Finding | None:
    """Another preprocessing fits what the weights of the beginning remember of their images."""
    looks = [look for look in record.start.get("preprocessing", ()) if look.get("distance") is not None]
    if len(looks) < 2:
        return None
    own, least = looks[0], min(look["distance"] for look in looks[1:])
    alike = [look for look in looks[1:] if look["distance"] <= 1.1 * least]
    best = min(alike, key=lambda look: (len(changes(own, look)), look["distance"]))
    if own["distance"] < FAR or best["distance"] > BETTER * own["distance"]:
        return None
    changed = changes(own, best)
    return Finding(
        name="preprocessing",
        title="Images are not prepared as the weights of init expect",
        severity="stops",
        evidence=(
            f"at the first batch norm images lie {own['distance']:.2f} standard deviations from what it remembers; "
            "with "
            f"{', '.join(f'{name} {best[name]}' for name in changed)} it would be {best['distance']:.2f}"
        ),
        advice="set " + ", ".join(f"model.input.{name}={best[name]}" for name in changed),
        keys=tuple(f"model.input.{name}" for name in changed),
    )


def changes(own: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """What of a preprocessing is another."""
    return [name for name in ("colour", "mean", "std") if own[name] != other[name]]


def augmentation(record: Record) -> Finding | None:
    """After augmentation, or a mirror, images of one person are hardly more alike than those of two.

    An area over n pairs is known to 1 / (2 sqrt(n)) or so: a fall of less than twice that means nothing. Below 200
    pairs, which are of few people and depend on each other, of less than three times that.
    """
    pixels = record.start.get("pixels")
    if not pixels or pixels["plain"] < 0.55:
        return None
    signal = pixels["plain"] - 0.5
    chance = (1.5 if pixels["pairs"] < ENOUGH_PAIRS else 1.0) / max(pixels["pairs"], 1) ** 0.5
    kept = {"mirrored": (pixels["mirrored"] - 0.5) / signal, "augmented": (pixels["augmented"] - 0.5) / signal}
    if pixels["flip"] > 0 and kept["mirrored"] < MIRRORED:
        what, key, share = "mirror images are as unlike as other people", "augment.flip=0", kept["mirrored"]
    elif kept["augmented"] < LOST:
        what, key, share = (
            "what augmentation leaves of an image says little about who it is",
            weaker(record),
            kept["augmented"],
        )
    else:
        return None
    if (1 - share) * signal < chance:
        return None
    return Finding(
        name="augmentation",
        title="Augmentation destroys what tells people apart",
        severity="harms",
        evidence=(
            f"{what}: pixel by pixel, images of one class are told from those of two with an area under the ROC curve "
            f"of {pixels['plain']:.2f}, and of {0.5 + share * signal:.2f} once one of them is changed"
        ),
        advice=f"set {key}",
        keys=(key.split("=")[0].split(" ")[0],),
    )


def weaker(record: Record) -> str:
    """The change that is the most likely, or strong."""
    chances = {
        name: record.setting(f"augment.{name}", 0.0) for name in ("erase", "crop", "low_resolution", "photometric")
    }
    strongest = max(chances, key=lambda name: chances[name])
    return f"augment.{strongest} lower than {chances[strongest]:g}"


def long_tail(record: Record) -> Finding | None:
    """A few people have most of the images, and the others are learned less well."""
    amounts, rows = record.start.get("train"), record.stretches
    if not amounts or not rows or amounts["people"] < 20 or amounts["largest_tenth"] < LARGEST_TENTH:
        return None
    behind = [
        row["classes"]["large"]["own"] - row["classes"]["small"]["own"] for row in rows if "small" in row["classes"]
    ]
    if not behind or max(behind) < BEHIND:
        return None
    evened = evening(record)
    return Finding(
        name="long_tail",
        title="A few people have most of the images",
        severity="harms",
        evidence=(
            f"a tenth of the people has {amounts['largest_tenth']:.0%} of the images; own cosines of the quarter with "
            f"the fewest images were behind those of the quarter with the most by up to {max(behind):.2f}"
        ),
        advice=f"set {', or '.join(evened)}" if evened else "add images of those who have few",
        keys=("train.sampling", "data.identities.max_images"),
    )


def evening(record: Record) -> list[str]:
    """What makes people count alike, of what the run does not do yet: people drawn evenly, fewer images at most."""
    sampling = record.setting("train.sampling", "uniform")
    is_even = (sampling.get("name") if isinstance(sampling, Mapping) else sampling) in ("balanced", "pk")
    *_, middle, _, most = record.start["train"]["images_each"]
    cap = int(max(middle, min(30, most // 2)))
    capped = [f"data.identities.max_images={cap}"] if cap < most else []
    return [*([] if is_even else ["train.sampling=balanced"]), *capped]


def few_people(record: Record) -> Finding | None:
    """There is too little to learn from, of a handful of people: told before all that this makes look wrong."""
    amounts = record.start.get("train")
    return too_little(record) if amounts and amounts["people"] < FEW_PEOPLE else None


def few_images(record: Record) -> Finding | None:
    """There is too little to learn from, of more people."""
    amounts = record.start.get("train")
    return too_little(record) if amounts and amounts["people"] >= FEW_PEOPLE else None


def too_little(record: Record) -> Finding | None:
    amounts = record.start["train"]
    if record.setting("init") is not None:
        return None
    each = amounts["images_each"][2]
    if amounts["images"] >= FEW or (each >= FEW_EACH and amounts["people"] >= 25):
        return None
    return Finding(
        name="few_images",
        title="There are too few images to train from scratch",
        severity="harms",
        evidence=f"{amounts['people']} people with {amounts['images']} images, {each:g} of most{held_out_of(record)}",
        advice="start from trained weights (init=FILE), or add people, who count more than images of each",
        keys=("init", "data.path"),
    )


def held_out_of(record: Record) -> str:
    judged = record.judged
    who = "people who are held out have" if record.start.get("held_out") else "verified in folds, people have"
    return f"; {who} an EER of {judged[-1]['held-out/eer']:.1%}" if judged else ""
