"""`angulus gallery rename`: another name for a person."""

from angulus.cli.options import GalleryUse, Usual


def rename(gallery: str, name: str, other: str, /, *, keys: GalleryUse = Usual.gallery_use) -> None:
    """Give a person another name.

    Parameters
    ----------
    gallery
        The gallery.
    name
        Of the person.
    other
        The new name.
    """
    from angulus.cli.inputs.deciding.galleries import opened

    with opened(gallery, None, keys) as found:
        print(f"{name} is {found.rename(name, other).name} now")
