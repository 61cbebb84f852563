"""`angulus gallery create`: an empty gallery for the vectors of one bundle."""

from pathlib import Path
from typing import Annotated, Literal

from angulus.cli.numbers import Rate
from angulus.cli.options import GalleryUse, Usual


def create(
    gallery: str,
    /,
    *,
    bundle: Path,
    fpir: Annotated[float, Rate] = 0.01,
    storage: Literal["float16", "int8"] | None = None,
    use: GalleryUse = Usual.gallery_use,
) -> None:
    """Make an empty gallery for the vectors of one bundle.

    Parameters
    ----------
    gallery
        A folder; or postgresql://user@host/database?schema=NAME, or qdrant+http://host:6333/NAME.
    bundle
        What angulus export wrote. The gallery takes no other's vectors.
    fpir
        The share of strangers who may be taken for somebody, which a search aims at as the gallery grows.
    storage
        What is searched: 16 bits a number, or 8 in half of the memory; the best are scored exactly in both.
    """
    from angulus.cli.inputs.deciding.galleries import created

    with created(gallery, bundle, use, fpir=fpir, storage=storage) as made:
        print(f"{gallery}: an empty gallery for vectors of {made.dim} dimensions; a search aims at FPIR {fpir:g}")
        print(f"next: angulus gallery add {gallery} NAME PHOTO ... --bundle {bundle}")
