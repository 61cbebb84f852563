"""`angulus gallery remove`: a person, or one photo of a person, for good."""

from angulus.cli.options import GalleryUse, Usual


def remove(gallery: str, name: str, /, *, photo: str | None = None, keys: GalleryUse = Usual.gallery_use) -> None:
    """Remove a person, or one photo of a person, for good: the bytes are overwritten.

    Copies of the gallery that you made elsewhere are yours to remove.

    Parameters
    ----------
    gallery
        The gallery.
    name
        Of the person.
    photo
        The id of one photo, as angulus gallery show prints it; the template is made anew from the others.
    """
    from angulus.cli.inputs.deciding.galleries import opened

    with opened(gallery, None, keys) as found:
        if photo is None:
            found.remove_person(name)
            print(f"{name} is removed")
        elif found.remove_photo(name, photo):
            print(f"photo {photo} of {name} is removed")
        else:
            print(f"photo {photo} was the last of {name}, who is removed")
