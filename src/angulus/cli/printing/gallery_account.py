"""What `angulus gallery` prints: who was enrolled and what was noticed, who was found, what is kept."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from angulus.errors import BundleError
from angulus.gallery.enrolment import Found as FoundPerson
from angulus.gallery.enrolment import GalleryInfo
from angulus.gallery.gallery import wanted_fpir
from angulus.gallery.people import Person, shown
from angulus.plain_numbers import one_in
from angulus.runtime import Bundle, SeenPhoto

SHOWN = 5

if TYPE_CHECKING:
    from angulus.cli.inputs.deciding.gallery_photos import Enrolled
    from angulus.gallery.gallery import Gallery
    from angulus.runtime.identification import Identification, SearchPoint


def enrolment_lines(one: "Enrolled") -> list[str]:
    """What came of a person."""
    lines = []
    if one.enrolment is None:
        lines.append(f"{one.name} was not enrolled: {one.problem}")
    else:
        done, count = one.enrolment, len(one.enrolment.person.photos)
        came = len(done.photo_ids)
        new = "new" if done.is_new else "more photos"
        lines.append(f"{one.name}: {came} photo{_s(came)} enrolled ({new}, {count} in all)")
        if count > 1:
            lines.append(f"  the photo that is least like the others scores {done.least_alike[1]:.2f} with their mean")
        lines += _few([each.sentence() for each in done.duplicates])
        lines += _few([f"this is {each.sentence()}" for each in done.look_alikes])
    lines += [f"  left out: {photo.name}: {photo.problem}" for photo in one.photos if photo.face is None]
    faces = [(photo.name, photo.face) for photo in one.photos if photo.face is not None]
    return _plain([*lines, *_few([f"{name}: {remark}" for name, face in faces for remark in face.remarks])])


def _plain(lines: Sequence[str]) -> list[str]:
    """Lines whose names and notes, which others wrote, cannot move or colour what a terminal shows."""
    return [shown(line) for line in lines]


def _few(notes: Sequence[str]) -> list[str]:
    """The first notes, and how many more there are."""
    more = (
        [f"  and {len(notes) - SHOWN:,} notes more like the last (--json FILE has all)"] if len(notes) > SHOWN else []
    )
    return [*(f"  note: {note}" for note in notes[:SHOWN]), *more]


def point_line(point: "SearchPoint") -> str:
    """The threshold of a search, and what it does at the gallery's size."""
    size = f"{point.people:,} {'person' if point.people == 1 else 'people'}"
    if point.threshold is None:
        return f"gallery of {size}: no threshold: {point.reason}"
    if point.fpir is None:
        return f"gallery of {size}: threshold {point.threshold:.3f}; how often strangers pass was not measured"
    often = one_in(point.fpir.estimate)
    ends = (
        f"at most {one_in(point.fpir.high)}"
        if point.fpir.low <= 0
        else (f"{one_in(point.fpir.low)} to {one_in(point.fpir.high)}")
    )
    those = "no stranger" if point.fpir.estimate <= 0 else f"{often} strangers"
    return f"gallery of {size}: threshold {point.threshold:.3f}; {those} is taken for somebody (95 %: {ends})"


def search_lines(seen: SeenPhoto, answer: "Identification | None", hits: Sequence[FoundPerson]) -> list[str]:
    """Who is on a photo."""
    if answer is None:
        return _plain([f"{seen.name}: CANNOT TELL: {seen.problem or 'no face was found'}"])
    score = "" if answer.score is None else f"   best score {answer.score:.3f}"
    if answer.decision == "person":
        best = hits[0]
        lines = [f"{seen.name}: {answer.person}   score {best.score:.3f}, photo {best.photo_id} {best.photo_score:.3f}"]
        lines += [f"  also above the threshold: {other.name} {other.score:.3f}" for other in answer.candidates[1:]]
    elif answer.decision == "unknown":
        lines = [f"{seen.name}: UNKNOWN{score}"]
    else:
        lines = [f"{seen.name}: CANNOT TELL: {answer.reason}{score}"]
    face = seen.face
    return _plain([*lines, *(f"  note: {remark}" for remark in (() if face is None else face.remarks))])


def people_line(person: Person) -> str:
    """A person among others."""
    return shown(f"{person.name}: {len(person.photos)} photo{_s(len(person.photos))}, {person.added}")


def person_lines(person: Person) -> list[str]:
    """What is stored of a person."""
    lines = [f"{person.name}, enrolled {person.added}{f': {person.note}' if person.note else ''}"]
    lines += [
        f"  photo {photo.id}  {photo.added}  {f'SHA-256 {photo.digest}' if photo.digest else 'no digest'}"
        f"{f': {photo.note}' if photo.note else ''}"
        for photo in person.photos
    ]
    kept = len(person.template)
    return _plain([*lines, f"  {len(person.photos)} vectors and a template of {kept} numbers each; no photo is kept"])


def person_facts(person: Person) -> dict[str, Any]:
    """The same, JSON-ready."""
    photos = [{"id": one.id, "added": one.added, "digest": one.digest, "note": one.note} for one in person.photos]
    return {"name": person.name, "added": person.added, "note": person.note, "photos": photos}


def info_lines(held: GalleryInfo) -> list[str]:
    """What a gallery holds."""
    rotated = "none" if held.transform is None else str(held.transform.get("name", "some"))
    return _plain(
        [
            f"{held.people:,} {'person' if held.people == 1 else 'people'}, {held.photos:,} photo{_s(held.photos)},"
            f" {held.dim} dimensions, {held.engine}, {held.memory / 1e6:.1f} MB are searched; transform: {rotated}",
            f"artefact {str(held.facts.get('artefact'))[:12]}, a search aims at FPIR {wanted_fpir(held.facts):g}",
        ]
    )


def growth_lines(gallery: "Gallery", bundle: Bundle) -> list[str]:
    """How the threshold moves as the gallery grows."""
    searches = None if bundle.curves is None else bundle.curves.searches
    if searches is None:
        return []
    wanted, lines = wanted_fpir(gallery.facts()), []
    for people in (10, 100, 1_000, 10_000, 100_000):
        try:
            lines.append(f"  {people:>7,} people: threshold {searches.threshold_for(wanted, {1: people}):.3f}")
        except BundleError:
            lines.append(f"  {people:>7,} people: this FPIR cannot be told from the calibration")
            break
    return ["as the gallery grows, with one photo each:", *lines]


def _s(count: int) -> str:
    return "" if count == 1 else "s"
