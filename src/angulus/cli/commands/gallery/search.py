"""`angulus gallery search`: who of the gallery is on a photo, or nobody."""

from pathlib import Path
from typing import Annotated

from angulus.cli.numbers import Count, Rate, Score
from angulus.cli.options import BundleUse, Figures, GalleryUse, Usual
from angulus.errors import ConfigError

FOUND, UNKNOWN, CANNOT_TELL = 0, 1, 3


def search(
    gallery: str,
    /,
    *photos: Path,
    bundle: Path,
    fpir: Annotated[float | None, Rate] = None,
    threshold: Annotated[float | None, Score] = None,
    count: Annotated[int, Count] = 5,
    use: BundleUse = Usual.bundle_use,
    keys: GalleryUse = Usual.gallery_use,
    figures: Figures = Usual.figures,
) -> int:
    """Say who of the gallery is on a photo, or that it is nobody of them.

    For one photo the exit status is 0 for a person of the gallery, 1 for unknown, 3 where it cannot be told; for
    several it is 0.

    Parameters
    ----------
    gallery
        The gallery.
    photos
        Photos to search for.
    bundle
        The bundle that the gallery was made with.
    fpir
        The share of strangers who may be taken for somebody; left out, the gallery's own. The threshold for it moves
        as the gallery grows.
    threshold
        Take this threshold instead.
    count
        How many people above the threshold are named at most.
    """
    from angulus.cli.inputs.deciding.galleries import opened, search_point_of
    from angulus.cli.inputs.deciding.gallery_photos import looked_at
    from angulus.cli.printing.gallery_account import point_line, search_lines
    from angulus.gallery.enrolment import Found
    from angulus.runtime.identification import identify

    if not photos:
        raise ConfigError("name at least one photo: angulus gallery search GALLERY PHOTO --bundle BUNDLE")
    recognizer = use.recognizer(bundle)
    answers = []
    with opened(gallery, recognizer.bundle, keys) as found:
        point = search_point_of(found, recognizer.bundle, fpir=fpir, threshold=threshold)
        print(point_line(point))
        for seen in looked_at(recognizer, photos, crops=use.crops):
            face = seen.face
            hits: list[Found] = [] if face is None else found.search(face.vector[None], count)[0]
            answer = None if face is None else identify(hits, point)
            print("\n".join(search_lines(seen, answer, hits)))
            answers.append((seen, answer))
    named = [{"photo": seen.name, **({} if answer is None else answer.to_dict())} for seen, answer in answers]
    figures.save({"gallery": gallery, "answers": named})
    if len(answers) > 1:
        return FOUND
    decision = "cannot tell" if answers[0][1] is None else answers[0][1].decision
    return {"person": FOUND, "unknown": UNKNOWN}.get(decision, CANNOT_TELL)
