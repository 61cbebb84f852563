"""Which layout lies at a path, and how it is opened as a source of examples."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from angulus.data.examples import Fit, Size, Source
from angulus.data.formats.features import holds_features, open_features
from angulus.data.formats.folder.disk_layouts import check_place
from angulus.data.formats.folder.reader import FolderSource
from angulus.data.formats.folder.writer import FolderWriter
from angulus.data.formats.kaldi import LIST, is_kaldi, open_kaldi
from angulus.data.formats.layout import Layout, holds_files
from angulus.data.formats.manifest.reader import open_manifest
from angulus.data.formats.manifest.writer import ManifestWriter
from angulus.data.formats.packed import INDEX, PackedWriter, open_packed
from angulus.data.formats.parquet.reader import files_at, has_images, is_hub, open_parquet
from angulus.data.formats.parquet.writer import ParquetWriter
from angulus.data.formats.rec.reader import open_rec
from angulus.data.formats.rec.writer import RecWriter
from angulus.data.formats.record_source import Records, StoredSource, without_unreadable
from angulus.data.formats.reid.market1501 import is_market1501, open_market1501
from angulus.data.formats.reid.msmt17 import is_msmt17, open_msmt17
from angulus.data.formats.tar import TarWriter, open_tar
from angulus.data.loading.contents import Content, Pictures, Recordings, content_of
from angulus.errors import DataError
from angulus.storage import arrived

Written = Literal["folder", "rec", "tar", "parquet", "packed", "manifest"]
"""Layouts of encoded examples, which are read and written."""
Format = Literal["folder", "rec", "tar", "parquet", "packed", "manifest", "features", "kaldi", "market1501", "msmt17"]
"""All that is read: stored features, which are decoded already, Kaldi's lists, and sets of re-identification too."""
FORMATS: tuple[Written, ...] = get_args(Written)

# A folder is asked for the layouts in this order.
LAYOUTS: dict[Written, Layout] = {
    "packed": Layout(
        open=open_packed,
        writer=lambda folder, name, source, place: PackedWriter(folder, name, source),
        suffix=".packed",
        is_at=lambda folder: (folder / INDEX).exists(),
    ),
    "rec": Layout(
        open=open_rec,
        writer=lambda folder, name, source, place: RecWriter(folder, name, source),
        suffix=".rec",
        is_at=lambda folder: (folder / "train.rec").exists(),
    ),
    "parquet": Layout(
        open=open_parquet,
        writer=lambda folder, name, source, place: ParquetWriter(folder, name, source),
        suffix=".parquet",
        is_at=is_hub,
    ),
    "tar": Layout(
        open=open_tar,
        writer=lambda folder, name, source, place: TarWriter(folder, name, source),
        suffix=".tar",
        is_at=holds_files(".tar"),
    ),
    "manifest": Layout(
        open=open_manifest,
        writer=lambda folder, name, source, place: ManifestWriter(folder, name, source, place=place),
        suffix=".csv",
    ),
    "folder": Layout(open=None, writer=lambda folder, name, source, place: FolderWriter(folder, name, source)),
}
# Layouts that others write and that are read alone, with what their records are where nothing says it.
_READ: dict[str, tuple[Callable[[Path], Records], Content | None]] = {
    "kaldi": (open_kaldi, Recordings()),
    "market1501": (open_market1501, None),
    "msmt17": (open_msmt17, None),
}
_ARCHIVES = (".zip", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")
_NOT_WRITTEN = frozenset(
    (*_ARCHIVES, ".h5", ".hdf5", ".lmdb", ".tfrecord", ".arrow", ".npz", ".npy", ".safetensors", ".pt", ".pth", ".ckpt")
) | {".json", ".yaml", ".yml", ".txt", ".html", ".jpg", ".jpeg", ".png", ".idx", ".lst"}
_SUFFIXES: dict[str, Written] = {layout.suffix: kind for kind, layout in LAYOUTS.items() if layout.suffix}
_LAYOUTS_IN_WORDS = f"a folder (no suffix), {', '.join(layout.suffix for layout in LAYOUTS.values() if layout.suffix)}"


def open_source(
    path: str | Path,
    *,
    kind: Format | None = None,
    size: Size | None = None,
    fit: Fit = "resize",
    content: Content | None = None,
    on_unreadable: Literal["error", "skip"] = "error",
) -> Source:
    """The images or recordings at a path, whatever the layout.

    Args:
        path: a folder of identities, a .rec, .tar, .parquet or .csv, a folder NAME.packed, or a folder of tar or
            parquet files (or of a folder data with such); a pattern such as data/train-*.parquet.
        kind: the layout; None tells it from the path and what lies there.
        size: (height, width) of every image; None leaves them as they are.
        fit: how an image of another size is brought to `size`.
        content: what the examples are; None tells it from what lies there: images of `size`, or recordings.
        on_unreadable: "error" raises when a damaged example is read; "skip" decodes every one now and leaves out and
            lists the damaged ones.

    Raises DataError for data that is missing or damaged.
    """
    path = arrived(path)
    kind = format_of(path) if kind is None else kind
    check_place(path, kind)
    if kind == "features":
        return open_features(path)
    if kind in LAYOUTS:
        open_records, usual = LAYOUTS[kind].open, None
    elif kind in _READ:
        open_records, usual = _READ[kind]
    else:
        raise DataError(f"the layout must be one of {', '.join(get_args(Format))}, got {kind!r}")
    if open_records is None:
        return FolderSource.open(path, size=size, fit=fit, content=content, on_unreadable=on_unreadable)
    records, pictures = open_records(path), Pictures(size=size, fit=fit)
    source = StoredSource(records=records, content=content or usual or _content_in(records, pictures))
    return without_unreadable(source) if on_unreadable == "skip" else source


def _content_in(records: Records, pictures: Pictures) -> Content:
    """What the first record is; pictures where it cannot be read, which whoever reads it then says."""
    try:
        return content_of(records.read_bytes(0), pictures) if len(records) else pictures
    except DataError:
        return pictures


def format_of(path: Path) -> Format:
    """The layout of what lies at a path. Raises DataError where nothing does, or nothing known."""
    if path.suffix == ".parquet" and "*" in path.name:
        path = files_at(path)[0]
    if not path.exists():
        raise DataError(f"there is no data at {path}; expected a folder, .rec, .tar, .parquet, .csv or .packed")
    if path.name == LIST or is_kaldi(path):
        return "kaldi"
    if is_market1501(path) or is_msmt17(path):
        return "market1501" if is_market1501(path) else "msmt17"
    if path.is_dir():
        return _format_of_folder(path)
    kind = _SUFFIXES.get(path.suffix.lower())
    if kind is None and holds_features(path):
        return "features"
    if kind is None:
        unpack = "; unpack it first" if path.suffix.lower() in _ARCHIVES else ""
        raise DataError(
            f"{path} is of no known kind; expected .rec, .tar, .parquet, .csv, .npz of features, or a folder{unpack}"
        )
    return "manifest" if kind == "parquet" and not has_images(path) else kind


def format_for(path: Path) -> Written:
    """The layout to write to a path, by its suffix; a folder where there is none.

    Raises DataError for the suffix of something that is not written here, such as .zip.
    """
    suffix = path.suffix.lower()
    if suffix in _NOT_WRITTEN:
        raise DataError(
            f"{path}: {suffix} is no layout that is written; there are {_LAYOUTS_IN_WORDS}, or name one with --to"
        )
    return _SUFFIXES.get(suffix, "folder")


def _format_of_folder(path: Path) -> Written:
    return next((kind for kind, layout in LAYOUTS.items() if layout.is_at(path)), "folder")
