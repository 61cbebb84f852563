"""`angulus gallery reissue`: all templates anew with another key."""

from pathlib import Path

from angulus.cli.options import GalleryUse, Usual


def reissue(
    gallery: str,
    /,
    *,
    new_transform_key_file: Path | None = None,
    keys: GalleryUse = Usual.gallery_use,
) -> None:
    """Make all templates anew with another key, without new photos; what was there before compares with nothing then.

    Parameters
    ----------
    gallery
        The gallery.
    new_transform_key_file
        The key of the new transform, 32 bytes or 64 hexadecimal digits; left out, vectors are kept as they are.
    keys.transform_key_file
        The key of the transform that the gallery has now, if any.
    """
    from angulus.cli.inputs.deciding.galleries import opened, rotation_of

    with opened(gallery, None, keys) as found:
        found.reissue(None if new_transform_key_file is None else rotation_of(new_transform_key_file, found.dim))
        print(f"{found.info().people:,} people have new templates")
