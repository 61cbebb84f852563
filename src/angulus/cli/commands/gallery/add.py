"""`angulus gallery add`: enrol a person from photos, or everybody of a folder."""

from pathlib import Path
from typing import Annotated

from angulus.cli.numbers import Score
from angulus.cli.options import BundleUse, Figures, Flag, GalleryUse, Said, Usual
from angulus.cli.terminal import image_progress
from angulus.errors import ConfigError


def add(
    gallery: str,
    name: str | None = None,
    /,
    *photos: Path,
    bundle: Path,
    people: Path | None = None,
    alike: Annotated[float | None, Score] = None,
    refuse_alike: Annotated[bool, Flag] = False,
    use: BundleUse = Usual.bundle_use,
    keys: GalleryUse = Usual.gallery_use,
    said: Said = Usual.said,
    figures: Figures = Usual.figures,
) -> int:
    """Enrol a person from photos, or everybody of a folder.

    A photo without a face is told and left out. The exit status is 1 where nothing was enrolled.

    Parameters
    ----------
    gallery
        The gallery.
    name
        Of the person: a new one, or one who is there and gets more photos.
    photos
        Photos of the person.
    bundle
        The bundle that the gallery was made with.
    people
        Instead of a name and photos: a folder with one sub-folder of photos for each person.
    alike
        Tell other people whose template scores above this; left out, above the bundle's threshold.
    refuse_alike
        Enrol nobody who looks like somebody else, or whose photo is somebody else's.
    """
    from angulus.cli.inputs.deciding.galleries import opened, people_to_enrol
    from angulus.cli.inputs.deciding.gallery_photos import enrolled
    from angulus.cli.printing.gallery_account import enrolment_lines

    if (people is None) == (name is None or not photos):
        raise ConfigError("give a name and photos (angulus gallery add GALLERY NAME PHOTO ...), or --people FOLDER")
    given = people_to_enrol(people) if people is not None else {str(name): list(photos)}
    recognizer = use.recognizer(bundle)
    with opened(gallery, recognizer.bundle, keys) as found, image_progress(quiet=said.quiet) as progress:
        done = enrolled(
            found,
            recognizer,
            given,
            crops=use.crops,
            alike=alike,
            refuse_alike=refuse_alike,
            progress=progress,
        )
    for one in done:
        print("\n".join(enrolment_lines(one)))
    count = sum(1 for one in done if one.enrolment is not None)
    if len(done) > 1:
        print(f"{count:,} of {len(done):,} people enrolled")
    figures.save({"people": [one.to_dict() for one in done]})
    return 0 if count else 1
