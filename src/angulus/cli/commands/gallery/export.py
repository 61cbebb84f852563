"""`angulus gallery export`: people and vectors in a file."""

from pathlib import Path

from angulus.cli.options import GalleryUse, Usual, check_output


def export(gallery: str, out: Path, /, *, keys: GalleryUse = Usual.gallery_use) -> None:
    """Write people and vectors to a file that another gallery of the same bundle reads.

    The file is not encrypted, whatever the gallery is: treat it as you would treat the photos.

    Parameters
    ----------
    gallery
        The gallery.
    out
        The file to write, .jsonl: a line with what the gallery is, then one for each person.
    """
    check_output(out)
    from angulus.cli.inputs.deciding.galleries import opened
    from angulus.gallery.exchange import export_people

    with opened(gallery, None, keys) as found:
        count = export_people(found, out)
    print(f"{'1 person' if count == 1 else f'{count:,} people'}: {out}, not encrypted")
