"""`angulus gallery load`: the people of an exported file."""

from pathlib import Path

from angulus.cli.options import GalleryUse, Usual


def load(gallery: str, file: Path, /, *, keys: GalleryUse = Usual.gallery_use) -> None:
    """Enrol the people of a file that angulus gallery export wrote, all of them or none.

    Parameters
    ----------
    gallery
        The gallery.
    file
        The file.
    """
    from angulus.cli.inputs.deciding.galleries import opened
    from angulus.gallery.exchange import import_people

    with opened(gallery, None, keys) as found:
        print(f"{import_people(found, file):,} people enrolled")
