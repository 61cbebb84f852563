"""Rules about who is who: wrong labels, classes of two people, people in two classes, verified people trained on."""

from collections.abc import Sequence
from pathlib import PurePath

from angulus.diagnosis.findings import Finding
from angulus.diagnosis.histograms import joined, quantile, share_below
from angulus.diagnosis.records import ENOUGH_PAIRS, Record, Row
from angulus.training.recording.counters import GAP

SEEN_IN_PIXELS = 0.535
TOLD_APART = 0.15
"""An EER of people never seen below which labels mean something, whatever pixels show. Networks that learned shuffled
labels had 0.30 (characters) and 0.38 (drawn faces) on people whose labels were right."""
WRONG_GAP = -0.2
WRONG_SHARE = 0.095
MOST_RIGHT = 0.15
ENOUGH_PROBES = 64
STAYS = 3
"""Stretches over which wrong labels are looked for: in one or two, images that are just being learned look wrong."""
ALIKE, MIXED = 0.8, 0.18
"""Of two classes of one person: their likeness across, as a share of that within; images next to one of the other."""
NEAR_OWN = 0.5
"""An own cosine of half of the classes, below which the network does not know anybody yet."""
ENOUGH_IN_PAIR = 5
PARTED, SPREADS, SMALLER, ENOUGH_IMAGES = 0.15, 4.5, 0.25, 12
"""Of a class of two people: how far its halves part, also in spreads of all classes, and the share of the smaller."""


def labels_random(record: Record) -> Finding | None:
    """Labels cannot be seen in the pixels, nor does the network tell apart people that it does not know."""
    pixels, judged = record.start.get("pixels"), record.judged
    if not pixels or pixels["pairs"] < ENOUGH_PAIRS or pixels["plain"] > SEEN_IN_PIXELS or not judged:
        return None
    if min((row["held-out/eer"] for row in judged if row.get("held-out/eer") is not None), default=0.5) < TOLD_APART:
        return None
    return Finding(
        name="labels_random",
        title="The labels look shuffled",
        severity="stops",
        evidence=(
            f"two images of one person are no more alike than images of two, pixel by pixel (area under the ROC curve "
            f"{pixels['plain']:.2f} over {pixels['pairs']} pairs; aligned faces have 0.6 and more)"
        ),
        advice="check that folders, lists or columns of the data say who is who: angulus data report DATA shows them",
        keys=("data.path",),
    )


def labels_noisy(record: Record) -> Finding | None:
    """Some images stay far from their own class and near another, while most are near their own.

    Where few classes are being learned many images are so for a pass or two and then come home; wrong ones stay.
    """
    found = max((wrong_share(rows) for rows in settled(record.stretches, record.finished)), default=None)
    if found is None or found[0] < WRONG_SHARE:
        return None
    share, first, last = found
    return Finding(
        name="labels_noisy",
        title="Many labels are wrong",
        severity="harms",
        evidence=(
            f"in epochs {first:g} to {last:g} {share:.0%} of the images lay nearer to another class than to their own "
            f"by more than {-WRONG_GAP:g} in cosine, while half of all were near their own"
        ),
        advice="angulus audit labels RUN lists them; or train with head.subcenters=3 and angulus purify RUN",
        keys=("data.identities.edits", "head.subcenters"),
    )


def settled(stretches: Sequence[Row], finished: bool) -> list[Sequence[Row]]:
    """Each three that follow each other of the stretches in which most are right; both where a run ended with two."""
    rows = [row for row in stretches if most_right(row)]
    if finished and len(rows) == 2:
        return [rows]
    return [rows[place : place + STAYS] for place in range(len(rows) - STAYS + 1)]


def most_right(row: Row) -> bool:
    gaps = joined([row], "gap")
    return sum(gaps) >= ENOUGH_PROBES and quantile(gaps, GAP, 0.5) >= MOST_RIGHT


def wrong_share(rows: Sequence[Row]) -> tuple[float, float, float]:
    """The share of clearly wrong examples of some stretches, and their first and last epoch."""
    return share_below(joined(rows, "gap"), GAP, WRONG_GAP), rows[0]["epoch"], rows[-1]["epoch"]


def class_mixed(record: Record) -> Finding | None:
    """Some classes fall into two groups, as no other class does, to a network that knows most of its people.

    One that has just begun spreads the images of any class, the hardest ones' into what is learned and what is not yet.
    """
    own = record.end.get("own")
    if own and own[2] < NEAR_OWN:
        return None
    groups = [group for group in record.end.get("groups", ()) if group["images"] >= 6]
    if len(groups) < 8:
        return None
    values = [apart(group) for group in groups]
    usual = median(values)
    spread = 1.4826 * median([abs(value - usual) for value in values])
    bound = max(PARTED, usual + SPREADS * spread)
    parted = [group for group in groups if apart(group) > bound and is_even(group)]
    if not parted:
        return None
    first, *_ = parted = sorted(parted, key=apart, reverse=True)
    names = ", ".join(record.name_of(group["class"]) for group in parted[:4])
    return Finding(
        name="class_mixed",
        title="Some classes hold two people",
        severity="harms",
        evidence=(
            f"{names}: the images fall into two groups, within which they are more alike than across by "
            f"{first['parted']:.2f} in cosine; for {len(groups)} classes that is {usual:.2f} in the middle"
        ),
        advice="angulus audit labels RUN shows them, and writes edits to part or drop them",
        keys=("data.identities.edits",),
    )


def apart(group: Row) -> float:
    """How far two groups of a class part, less where one is small: a few odd images part from the rest of any class."""
    share = group["smaller"] / group["images"]
    return 4 * share * (1 - share) * group["parted"]


def is_even(group: Row) -> bool:
    """Whether neither group is a few odd images. Of a class of few images any two groups part by chance."""
    return group["images"] >= ENOUGH_IMAGES and group["smaller"] >= SMALLER * group["images"]


def person_split(record: Record) -> Finding | None:
    """Two classes are one person: near to each other, images of one beside those of the other, both hard to learn.

    Class weights alone do not show it: the loss pushes those of one person apart like any others.
    """
    usual, own = record.end.get("nearest"), record.end.get("own")
    if not own or not usual or usual[2] > 0.8 or own[2] < NEAR_OWN:
        return None
    pairs = [pair for pair in record.end.get("pairs", ()) if pair.get("within")]
    alike = [pair for pair in pairs if is_one(pair) and pair["weights"] > usual[2] and max(pair["own"]) <= own[1]]
    if not alike:
        return None
    first, *_ = alike = sorted(alike, key=lambda pair: -pair["across"] / pair["within"])
    names = "; ".join(" and ".join(record.name_of(number) for number in pair["classes"]) for pair in alike[:4])
    return Finding(
        name="person_split",
        title="Some people are in two classes",
        severity="harms",
        evidence=(
            f"{names}: images are nearly as alike across the two ({first['across']:.2f}) as within "
            f"({first['within']:.2f}), {first['mixed']:.0%} of them lie beside one of the other class, and own cosines "
            f"of both are low ({max(first['own']):.2f}; {own[2]:.2f} in the middle)"
        ),
        advice="angulus audit labels RUN shows them, and writes edits that join them",
        keys=("data.identities.edits",),
    )


def is_one(pair: Row) -> bool:
    if min(pair.get("images", (ENOUGH_IN_PAIR,))) < ENOUGH_IN_PAIR:
        return False
    return pair["across"] > ALIKE * pair["within"] and pair["mixed"] >= MIXED


def people_known(record: Record) -> Finding | None:
    """People who are verified were trained on: by name, or because they lie on class weights as trained people do."""
    shared = record.start.get("shared", {})
    named = {name: facts for name, facts in shared.items() if names_that_count(record, name, facts)}
    known = record.end.get("known", {})
    trained = known.get("trained people", {}).get("nearest")
    if trained and record.end["nearest"][2] > trained[0] - 0.25:
        trained = None  # the classes lie so close together that everybody is near to one
    found = [sentence for name, facts in known.items() if (sentence := known_sentence(name, facts, trained))]
    if named:
        name, facts = next(iter(named.items()))
        count = names_that_count(record, name, facts)
        some = ", ".join(facts["names"][: min(3, count)])
        found.insert(
            0,
            f"{count} of {facts['people']} people of {name} have a name that is trained on ({some})",
        )
    if not found:
        return None
    return Finding(
        name="people_known",
        title="People who are verified were trained on",
        severity="stops",
        evidence="; ".join(found),
        advice="leave them out of one of the two (data.identities.exclude_from); angulus data leaks finds copies",
        keys=("data.identities.exclude_from", "data.identities.exclude"),
    )


def names_that_count(record: Record, name: str, facts: Row) -> int:
    """How many names of a verified set that are trained on mean one person: numbers do within one source alone."""
    numbers = facts.get("numbers", facts["shared"] if all(map(str.isdecimal, facts["names"])) else 0)
    data, other = record.setting("data", {}), record.setting("evaluation.also", {}).get(name)
    if name == "held-out" or data.get("numbers_are_names") or is_one_source(data, other):
        return facts["shared"]
    return facts["shared"] - numbers


def is_one_source(data: Row, other: Row | None) -> bool:
    """Whether two sets lie in the same place, or one within the other."""
    if other is None:
        return False
    pairs = [(one, two) for one in places_in(data) for two in places_in(other)]
    return any(one == two or one in two.parents or two in one.parents for one, two in pairs)


def places_in(data: Row) -> list[PurePath]:
    """The paths of a set, and of those that it is made of."""
    parts = [data.get("base"), *(data.get("sets") or {}).values()]
    within = [path for part in parts if part for path in places_in(part)]
    return [*([PurePath(data["path"])] if data.get("path") else []), *within]


def known_sentence(name: str, facts: dict, trained: list[float] | None) -> str | None:
    """How many people of a set lie as near to a class weight as trained people, where there is a gap to the others."""
    if name == "trained people" or not facts or not trained or len(facts["all"]) < 4:
        return None
    bound = trained[0]
    near = [value for value in facts["all"] if value >= bound]
    far = [value for value in facts["all"] if value < bound]
    if not near or len(near) < max(2, 0.02 * facts["people"]):
        return None
    unknown = median(far) if far else 0.0
    if near[len(near) // 2] < trained[1] or (far and bound - unknown < 0.15):
        return None
    some = ", ".join(str(one) for one, _ in facts["highest"][:3])
    return (
        f"{len(near)} of {facts['people']} people of {name} lie as near to a class weight ({near[0]:.2f}) as people "
        f"who are trained on ({bound:.2f} and more), the others at {unknown:.2f} ({some})"
    )


def median(values: list[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]
