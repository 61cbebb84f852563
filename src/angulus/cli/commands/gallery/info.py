"""`angulus gallery info`: what a gallery holds, and the threshold at its size."""

from pathlib import Path

from angulus.cli.options import Figures, GalleryUse, Usual


def info(
    gallery: str,
    /,
    *,
    bundle: Path | None = None,
    keys: GalleryUse = Usual.gallery_use,
    figures: Figures = Usual.figures,
) -> None:
    """Show what a gallery holds, and the threshold of a search at its size.

    Parameters
    ----------
    gallery
        The gallery.
    bundle
        The bundle that it was made with: to show the threshold, and how it moves as the gallery grows.
    """
    from angulus.cli.inputs.deciding.galleries import opened, search_point_of
    from angulus.cli.printing.gallery_account import growth_lines, info_lines, point_line
    from angulus.runtime import Bundle

    known = None if bundle is None else Bundle(bundle)
    with opened(gallery, known, keys) as found:
        held = found.info()
        print("\n".join(info_lines(held)))
        values = held.as_dict()
        if known is not None:
            point = search_point_of(found, known)
            print(point_line(point))
            print("\n".join(growth_lines(found, known)))
            values |= {"search": point.to_dict()}
    figures.save(values)
