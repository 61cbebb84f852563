"""Which layout lies at a path, and how it is opened as a source of examples."""

from pathlib import Path
from typing import Literal, get_args

from angulus.data.examples import Fit, Size, Source
from angulus.data.folder import FolderSource
from angulus.data.manifest import open_manifest
from angulus.data.packed import INDEX, open_packed
from angulus.data.parquet import has_images, open_parquet
from angulus.data.rec import open_rec
from angulus.data.stored import Records, StoredSource, without_unreadable
from angulus.data.tar import open_tar
from angulus.errors import DataError

Format = Literal["folder", "rec", "tar", "parquet", "packed", "manifest"]
FORMATS: tuple[Format, ...] = get_args(Format)

_SUFFIXES: dict[str, Format] = {
    ".rec": "rec",
    ".tar": "tar",
    ".parquet": "parquet",
    ".packed": "packed",
    ".csv": "manifest",
}


def open_source(
    path: str | Path,
    *,
    kind: Format | None = None,
    size: Size | None = None,
    fit: Fit = "resize",
    on_unreadable: Literal["error", "skip"] = "error",
) -> Source:
    """The images at a path, whatever the layout.

    Args:
        path: a folder of identities, a .rec, .tar, .parquet or .csv, a folder NAME.packed, or a folder of tar or
            parquet files.
        kind: the layout; None tells it from the path and what lies there.
        size: (height, width) of every image; None leaves them as they are.
        fit: how an image of another size is brought to `size`.
        on_unreadable: "error" raises when a damaged image is read; "skip" decodes every image now and leaves out and
            lists the damaged ones.

    Raises DataError for data that is missing or damaged.
    """
    path = Path(path)
    kind = format_of(path) if kind is None else kind
    if kind == "folder":
        return FolderSource.open(path, size=size, fit=fit, on_unreadable=on_unreadable)
    source = StoredSource(records=_open_records(path, kind), size=size, fit=fit)
    return without_unreadable(source) if on_unreadable == "skip" else source


def format_of(path: Path) -> Format:
    """The layout of what lies at a path. Raises DataError where nothing does, or nothing known."""
    if not path.exists():
        raise DataError(f"there is no data at {path}; expected a folder, .rec, .tar, .parquet, .csv or .packed")
    if path.is_dir():
        return _format_of_folder(path)
    kind = _SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise DataError(f"{path} is of no known kind; expected .rec, .tar, .parquet, .csv, or a folder")
    return "manifest" if kind == "parquet" and not has_images(path) else kind


def format_for(path: Path) -> Format:
    """The layout to write to a path, by its suffix; a folder where there is none."""
    return _SUFFIXES.get(path.suffix.lower(), "folder")


def _format_of_folder(path: Path) -> Format:
    if (path / INDEX).exists():
        return "packed"
    if (path / "train.rec").exists():
        return "rec"
    for kind in ("parquet", "tar"):
        if next(path.glob(f"*.{kind}"), None) is not None:
            return kind
    return "folder"


def _open_records(path: Path, kind: Format) -> Records:
    match kind:
        case "rec":
            return open_rec(path)
        case "tar":
            return open_tar(path)
        case "parquet":
            return open_parquet(path)
        case "packed":
            return open_packed(path)
        case "manifest":
            return open_manifest(path)
        case _:
            raise DataError(f"the layout must be one of {', '.join(FORMATS)}, got {kind!r}")
