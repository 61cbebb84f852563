"""`angulus verify`: are the faces on two photos of one person? With the error rates of the answer."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from angulus.cli.numbers import Rate, Score
from angulus.cli.options import BundleUse, Figures, Flag, Said, Usual, check_output
from angulus.cli.terminal import image_progress
from angulus.errors import ConfigError

if TYPE_CHECKING:
    from angulus.runtime import OperatingPoint, Recognizer, SeenPhoto, Verdict

SAME, DIFFERENT, CANNOT_TELL = 0, 1, 3


def verify(
    left: Path | None = None,
    right: Path | None = None,
    /,
    *,
    bundle: Path,
    far: Annotated[float | None, Rate] = None,
    threshold: Annotated[float | None, Score] = None,
    undecided: Annotated[bool, Flag] = False,
    picture: Path | None = None,
    pairs: Path | None = None,
    photos: Path | None = None,
    out: Path | None = None,
    use: BundleUse = Usual.bundle_use,
    said: Said = Usual.said,
    figures: Figures = Usual.figures,
) -> int:
    """Say whether the faces on two photos are of one person: same, different, or cannot tell, and how sure that is.

    The exit status is 0 for the same person, 1 for different people, 3 where it cannot be told and 2 for an error. With
    --pairs it is 0 whatever the answers are.

    Parameters
    ----------
    left
        A photo.
    right
        Another photo.
    bundle
        What angulus export wrote: a folder or a .zip file.
    far
        Take the threshold for this share of strangers that pass, instead of the deployed one.
    threshold
        Take this threshold. A score above it is the same person.
    undecided
        Answer "cannot tell" too where other people's threshold would have decided otherwise.
    picture
        Write a picture of both photos, with the faces that were compared, to this file.
    pairs
        Instead of two photos: a table of pairs, csv with the columns a and b and, where the truth is known, same (1 or
        0).
    photos
        The folder that the names in --pairs are in; left out, the one that the table is in.
    out
        The table of answers for --pairs, csv.
    """
    check_output(figures.json, picture, out)
    from angulus.runtime import point_of

    if (pairs is None) == (left is None or right is None):
        raise ConfigError(
            "give two photos, or --pairs with a table of them: angulus verify a.jpg b.jpg --bundle BUNDLE"
        )
    if pairs is not None and picture is not None:
        raise ConfigError("--picture goes with two photos, not with --pairs")
    if pairs is None and out is not None:
        raise ConfigError("--out goes with --pairs; the answer for two photos is printed, --json writes it to a file")
    recognizer = use.recognizer(bundle)
    point = point_of(recognizer.bundle, far=far, threshold=threshold)
    if pairs is not None:
        folder = pairs.parent if photos is None else photos
        return _many(recognizer, point, pairs, folder, out, use, said, figures, undecided=undecided)
    assert left is not None
    assert right is not None
    return _two(recognizer, point, (left, right), picture, use, figures, undecided=undecided)


def _two(
    recognizer: "Recognizer",
    point: "OperatingPoint",
    photos: tuple[Path, Path],
    picture: Path | None,
    use: BundleUse,
    figures: Figures,
    *,
    undecided: bool,
) -> int:
    from angulus.cli.printing.verdict_account import account
    from angulus.runtime import verify as decide

    seen = _look(recognizer, photos, use)
    verdict = decide(seen[0], seen[1], point, bundle=recognizer.bundle, undecided=undecided)
    print(account(verdict))
    if picture is not None:
        _save_picture(picture, photos, seen)
        print(f"picture  {picture}")
    figures.save(
        {"bundle": str(recognizer.bundle.path), "artefact": recognizer.bundle.artefact.name, **verdict.to_dict()}
    )
    return status_of(verdict)


def status_of(verdict: "Verdict") -> int:
    """The exit status of an answer."""
    return {"same": SAME, "different": DIFFERENT, "cannot tell": CANNOT_TELL}[verdict.decision]


def _look(recognizer: "Recognizer", photos: tuple[Path, ...], use: BundleUse) -> list["SeenPhoto"]:
    """The photos; one that is not there is an error, and not a photo without a face."""
    for photo in photos:
        if not photo.is_file():
            kind = "a folder" if photo.is_dir() else "not there"
            raise ConfigError(f"{photo} is {kind}; name a photo")
    return recognizer.take_crops(photos) if use.crops else recognizer.look_at(photos)


def _save_picture(path: Path, photos: tuple[Path, ...], seen: list["SeenPhoto"]) -> None:
    from angulus.faces.photos import read_photo
    from angulus.runtime.pictures import compared
    from angulus.whole_files import write_beside

    pixels = [read_photo(photo) if one.height else None for photo, one in zip(photos, seen, strict=True)]
    image = compared(seen, pixels)
    write_beside(path, lambda part: image.save(part, "PNG"))


def _many(
    recognizer: "Recognizer",
    point: "OperatingPoint",
    pairs: Path,
    photos: Path,
    out: Path | None,
    use: BundleUse,
    said: Said,
    figures: Figures,
    *,
    undecided: bool,
) -> int:
    from angulus.cli.inputs.deciding.verified_pairs import read_named_pairs, save_answers, verified
    from angulus.cli.printing.verdict_account import rates

    listed = read_named_pairs(pairs)
    with image_progress(quiet=said.quiet) as progress:
        answers = verified(recognizer, point, listed, photos, crops=use.crops, undecided=undecided, progress=progress)
    for line in answers.lines():
        print(line)
    print("\n".join([f"measured before, at threshold {point.threshold:.3f}", *rates(point)]))
    if out is not None:
        save_answers(out, answers)
        print(f"answers  {out}")
    figures.save({"bundle": str(recognizer.bundle.path), **point.to_dict(), **answers.to_dict()})
    return SAME
