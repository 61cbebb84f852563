"""Folders: one sub-folder per identity, its images or its recordings inside, or in folders inside.

    path/Ada_Lovelace/0001.jpg              path/id10001/1zcIwhmdeo4/00001.wav      (the layout of VoxCeleb)
    path/Ada_Lovelace/2019/0002.jpg
    path/Alan_Turing/first.png

The names of the sub-folders, sorted, are the identities; the order of the examples depends on names alone.
"""

import difflib
import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import Account, Drop, Fit, Size
from angulus.data.formats.file_places import example_from_elsewhere, is_elsewhere
from angulus.data.formats.folder.disk_layouts import check_listed
from angulus.data.loading.contents import Content, Pictures, Recordings
from angulus.data.loading.decoding import REMEDY
from angulus.data.parts import part_of
from angulus.devices.processors import usable_cores
from angulus.errors import DataError
from angulus.files import read_regular
from angulus.plain_numbers import counted, with_article
from angulus.storage import Listing, arrived, listing_of

logger = logging.getLogger(__name__)

LISTS_OF_ALIGN = frozenset({"manifest.csv", "without_face.txt", "unreadable.txt", "ignored.txt", "gone.txt"})
_DEEPEST = 16
_Mark = tuple[int, int]  # the disk and the number of a folder, whatever names lead to it
_NEXT = 16  # images of a store that are fetched at once
_PARTS = frozenset(
    {"train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval", "images", "wav"}
)
_LAYOUTS = {
    "image": "expected one sub-folder per identity with its images inside: path/<identity>/<image>.jpg",
    "recording": "expected one sub-folder per speaker with its recordings inside: path/<speaker>/<recording>.wav",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class FolderSource:
    """The examples of a folder, read from disk when asked for. Build it with `FolderSource.open`."""

    root: Path
    labels: NDArray[np.int64]
    identities: list[str]
    keys: list[str]
    account: Account
    content: Content = field(default_factory=Pictures)
    listing: Listing | None = None
    """What the store has below the folder, where it is the place of an address."""

    @staticmethod
    def open(
        path: str | Path,
        *,
        min_images: int = 1,
        exclude: Iterable[str] = (),
        include: Iterable[str] | None = None,
        size: Size | None = None,
        fit: Fit = "resize",
        content: Content | None = None,
        on_unreadable: Literal["error", "skip"] = "error",
        on_empty: Literal["error", "skip"] = "error",
    ) -> "FolderSource":
        """List a folder of identities and choose what to use of it; `account` of the result says what was dropped.

        Args:
            path: the folder that holds the folders of the identities.
            min_images: identities with fewer images are dropped.
            exclude: names of identities to leave out.
            include: names of the only identities to use; None uses all.
            size: (height, width) of every image; None leaves them as they are.
            fit: how an image of another size is brought to `size`: resize, crop (the centre) or error.
            content: what is looked for; None takes images of `size`, or recordings where there is no image.
            on_unreadable: "error" raises when a damaged example is read; "skip" decodes every one now, drops and
                lists the damaged ones.
            on_empty: what a sub-folder without any example is: an error, or dropped and listed.

        Raises DataError when the folder is missing or empty, has another layout, or nothing is left of it.
        """
        if min_images < 1:
            raise DataError(f"min_images must be at least 1, got {min_images}")
        content, found = _looked_for(arrived(path), content, Pictures(size=size, fit=fit))
        images, drops = _choose_names(found, exclude, include)
        images, empty = _without_empty(found, images, on_empty)
        source = _build(found, images, content, [*drops, *empty])
        if on_unreadable == "skip":
            source = _without_unreadable(source)
        return _with_enough(source, min_images)

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, index: int) -> NDArray[Any]:
        """One example, as `content` gives it; DataError names the file when it is damaged."""
        return self.read_into(index, None)

    def read_into(self, index: int, out: NDArray[np.uint8] | None) -> NDArray[Any]:
        """The same, decoded to `out` where it fits."""
        path = self._path(index)
        try:
            encoded = read_regular(path)
        except OSError as error:
            raise DataError(f"cannot read {path}: {error}; {REMEDY}") from error
        return self.content.decode(encoded, name=path, out=out)

    def read_part(self, index: int, share: float, length: int) -> NDArray[Any]:
        """A part of a recording, without reading the rest; see `angulus.data.parts`."""
        if not isinstance(self.content, Recordings):
            return part_of(self.read(index), share, length)
        path = self._path(index)
        return self.content.decode_part(Path(path), share, length, name=path)

    def read_bytes(self, index: int) -> bytes:
        """The file as it is; DataError names it where it cannot be read."""
        path = self._path(index)
        try:
            encoded = read_regular(path)
        except OSError as error:
            raise DataError(f"cannot read {path}: {_gone(error)}") from error
        here = not is_elsewhere(self.root, self.keys[index])
        return encoded if here else example_from_elsewhere(encoded, path, str(self.root))

    def _path(self, index: int) -> str:
        if self.listing is not None:
            self.listing.will_need(self.keys[index + 1 : index + _NEXT])  # of use to whoever reads in order
            return str(self.listing.fetched(self.keys[index]))
        return f"{self.root}/{self.keys[index]}"  # joining with pathlib takes as long as reading a packed image

    def will_need(self, begin: int, end: int) -> None:
        """Have the examples begin..end-1 fetched from the store."""
        if self.listing is not None:
            self.listing.will_need(self.keys[begin:end])

    def stamp(self, index: int, *, times: bool) -> str:
        """Size of the file, with its time of change if `times`, and how it is decoded."""
        if self.listing is not None:
            found = self.listing.files[self.keys[index]]
            return f"{found.size}{f':{found.mark}' if times else ''}:{self.content.stamp()}"
        path = self.root / self.keys[index]
        try:
            status = os.stat(path)
        except OSError as error:
            raise DataError(f"cannot read {path}: {_gone(error)}") from error
        changed = f":{status.st_mtime_ns}" if times else ""
        return f"{status.st_size}{changed}:{self.content.stamp()}"

    def verify(self, *, threads: int | None = None) -> list[tuple[str, str]]:
        """Decode every example and list (key, reason) of those that can't be read."""

        def problem(index: int) -> tuple[str, str] | None:
            try:
                self.read(index)
            except DataError as error:
                return self.keys[index], str(error)
            return None

        with ThreadPoolExecutor(threads or usable_cores()) as pool:
            return [bad for bad in pool.map(problem, range(len(self))) if bad is not None]


@dataclass(frozen=True, kw_only=True)
class _Found:
    root: Path
    noun: str
    extensions: frozenset[str]
    images: Mapping[str, list[str]] = field(default_factory=dict)
    loose: list[str] = field(default_factory=list)  # images beside the identity folders
    directly: list[str] = field(default_factory=list)  # identities with an image that lies in no further folder
    unknown: list[str] = field(default_factory=list)  # not an example by its extension
    listing: Listing | None = None

    @property
    def layout(self) -> str:
        return _LAYOUTS[self.noun]

    def is_example(self, name: str) -> bool:
        return os.path.splitext(name)[1].lower() in self.extensions


def _gone(error: OSError) -> str:
    return f"{error.strerror or error}; it was there when the folder was listed"


def _looked_for(root: Path, content: Content | None, pictures: Pictures) -> tuple[Content, _Found]:
    """The content, and what a folder holds of it; without one recordings where there is no picture."""
    wanted = content or pictures
    found = _scan(root, wanted)
    if content is None and not (any(found.images.values()) or found.loose):
        sound = _scan(root, Recordings())
        if any(sound.images.values()) or sound.loose:
            wanted, found = Recordings(), sound
    _check_layout(found)
    return wanted, found


def _scan(root: Path, content: Content) -> _Found:
    layout = _LAYOUTS[content.noun]
    listing = listing_of(root)
    if listing is not None:
        return _scan_listed(root, listing, content)
    if not root.exists():
        raise DataError(f"{root} does not exist; {layout}")
    if not root.is_dir():
        raise DataError(f"{root} is a file, not a folder; {layout}")
    images: dict[str, list[str]] = {}
    found = _Found(root=root, noun=content.noun, extensions=content.extensions, images=images)
    outer = frozenset(_mark(place.stat()) for place in (root, *root.resolve().parents))
    for entry in _sorted_entries(root):
        if entry.is_dir():
            if _mark(entry.stat()) not in outer:  # a link upwards, in which everybody would be found again
                images[entry.name] = _scan_identity(entry, found, outer)
        elif found.is_example(entry.name):
            found.loose.append(entry.name)
        else:
            found.unknown.append(entry.name)
    return found


def _scan_listed(root: Path, listing: Listing, content: Content) -> _Found:
    """The same of what a store has listed."""
    check_listed(root, listing.files)
    images: dict[str, list[str]] = {}
    found = _Found(root=root, noun=content.noun, extensions=content.extensions, images=images, listing=listing)
    for name in sorted(listing.files):
        top, slash, inner = name.partition("/")
        if any(part.startswith((".", "__MACOSX")) for part in name.split("/")):
            continue
        if slash:
            images.setdefault(top, [])
        if not found.is_example(name):
            found.unknown.append(name)
        elif slash:
            images[top].append(inner)
            if "/" not in inner and found.directly[-1:] != [top]:
                found.directly.append(top)
        else:
            found.loose.append(name)
    for files in images.values():
        files.sort()
    return replace(found, images=dict(sorted(images.items())))


def _scan_identity(folder: "os.DirEntry[str]", found: _Found, outer: frozenset[_Mark]) -> list[str]:
    """Its images by their paths below its folder, those of the folders inside it too; not those of `outer` folders."""
    names: list[str] = []
    outer = outer | {_mark(folder.stat())}
    waiting = [(Path(folder.path), "", frozenset[_Mark]())]
    while waiting:
        place, below, above = waiting.pop()
        for entry in _sorted_entries(place):
            name = f"{below}{entry.name}"
            if entry.is_dir():
                if _mark(entry.stat()) in outer:
                    continue
                waiting += _inner(entry, f"{name}/", above, found.layout)
            elif found.is_example(entry.name):
                names.append(name)
            else:
                found.unknown.append(f"{folder.name}/{name}")
    if any("/" not in name for name in names):
        found.directly.append(folder.name)
    return sorted(names)


def _inner(
    entry: "os.DirEntry[str]", below: str, above: frozenset[_Mark], layout: str
) -> list[tuple[Path, str, frozenset[_Mark]]]:
    """A folder to look into, unless it is a link to one that it lies in."""
    this = _mark(entry.stat())
    if this in above:
        return []
    if len(above) >= _DEEPEST:
        raise DataError(f"{entry.path} lies more than {_DEEPEST} folders deep; {layout}")
    return [(Path(entry.path), below, above | {this})]


def _mark(status: os.stat_result) -> _Mark:
    return status.st_dev, status.st_ino


def _sorted_entries(folder: Path) -> list["os.DirEntry[str]"]:
    with os.scandir(folder) as entries:
        visible = [entry for entry in entries if not entry.name.startswith((".", "__MACOSX"))]
    return sorted(visible, key=lambda entry: entry.name)


def _check_layout(found: _Found) -> None:
    root = found.root
    filled = [name for name, files in found.images.items() if files]
    if filled:
        if not found.directly and (inner := _meant(found, filled)):
            raise DataError(inner)
        return
    if found.loose:
        raise DataError(
            f"{root} holds {counted(len(found.loose), found.noun)} (such as {found.loose[0]}) but no folder of an "
            f"identity; {found.layout}"
        )
    gone = f", only {_by_ending(found.unknown)}" if found.unknown else ""
    if found.images:
        raise DataError(
            f"none of the {len(found.images)} folders in {root} holds {with_article(found.noun)}{gone}; {found.layout}"
        )
    raise DataError(f"{root} is empty (no folder in it{gone}); {found.layout}")


def _meant(found: _Found, filled: Sequence[str]) -> str | None:
    """What to say where the people seem to lie one folder deeper, in parts such as train and val; else None.

    They do where the only folder holds folders alone, or where every folder has the name of a part of a set.
    """
    if len(filled) > 1 and not all(name.lower() in _PARTS for name in filled):
        return None
    inner = {name: sorted({file.partition("/")[0] for file in found.images[name]}) for name in filled}
    first = max(filled, key=lambda name: (len(inner[name]), name))
    if len(inner[first]) < 2 and first.lower() not in _PARTS:
        return None
    people = ", ".join([*inner[first][:2], *(["..."] if len(inner[first]) > 2 else [])])
    return (
        f"the people seem to lie one folder deeper, in {found.root / first} ({people}): did you mean "
        f"data.path={found.root / first}? {found.layout}"
    )


def _by_ending(names: Sequence[str]) -> str:
    """For example: 12 .heic, 3 .gif."""
    endings = Counter(os.path.splitext(name)[1].lower() or "without an ending" for name in names)
    return ", ".join(
        f"{count:,} {ending}" for ending, count in sorted(endings.items(), key=lambda one: (-one[1], one[0]))
    )


def _unknown(names: Sequence[str], noun: str) -> Drop:
    """What was left out because of its ending, and what to do with photos among it."""
    has_heif = noun == "image" and any(name.lower().endswith((".heic", ".heif")) for name in names)
    advice = "; angulus align reads .heic with angulus[heif] and writes .jpg" if has_heif else ""
    endings = f"; {_by_ending(names)}{advice}" if names else ""
    return Drop.of(f"not {with_article(noun)} by its extension{endings}", names, others=len(names))


def _choose_names(
    found: _Found, exclude: Iterable[str], include: Iterable[str] | None
) -> tuple[dict[str, list[str]], list[Drop]]:
    excluded = frozenset(exclude)
    included = None if include is None else frozenset(include)
    for name in sorted(included or ()):
        if name not in found.images:
            close = difflib.get_close_matches(name, found.images, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise DataError(f"data.include: no identity {name} in {found.root}{hint}")
    kept = {
        name: images
        for name, images in found.images.items()
        if name not in excluded and (included is None or name in included)
    }
    by_name = [name for name in found.images if name in excluded]
    unlisted = [name for name in found.images if name not in excluded and name not in kept]
    return kept, [
        _unknown([name for name in found.unknown if name not in LISTS_OF_ALIGN], found.noun),
        Drop.of(f"{found.noun} outside the folders of the identities", found.loose, images=len(found.loose)),
        _drop_identities("excluded by name", by_name, found.images),
        _drop_identities("not among the included names", unlisted, found.images),
    ]


def _drop_identities(reason: str, names: Sequence[str], images: Mapping[str, list[str]]) -> Drop:
    total = sum(len(images[name]) for name in names)
    return Drop.of(reason, names, images=total, identities=len(names))


def _without_empty(
    found: _Found, images: dict[str, list[str]], on_empty: str
) -> tuple[dict[str, list[str]], list[Drop]]:
    empty = [name for name, files in images.items() if not files]
    if empty and on_empty == "error":
        shown = ", ".join(empty[:5]) + (", ..." if len(empty) > 5 else "")
        raise DataError(
            f"{len(empty)} of {len(images)} identities in {found.root} without {with_article(found.noun)}: {shown}; "
            f"add {found.noun}s, remove the folders, or set data.on_empty=skip"
        )
    kept = {name: files for name, files in images.items() if files}
    return kept, [Drop.of(f"no {found.noun} in the folder", empty, identities=len(empty))]


def _build(found: _Found, images: Mapping[str, list[str]], content: Content, drops: Sequence[Drop]) -> FolderSource:
    identities = list(images)
    labels = np.repeat(np.arange(len(images), dtype=np.int64), [len(files) for files in images.values()])
    keys = [f"{name}/{file}" for name, files in images.items() for file in files]
    account = Account(origin=str(found.root), images=len(keys), identities=len(identities), noun=content.noun)
    return FolderSource(
        root=found.root,
        labels=labels,
        identities=identities,
        keys=keys,
        account=account.after(*drops, images=len(keys), identities=len(identities)),
        content=content,
        listing=found.listing,
    )


def _without_unreadable(source: FolderSource) -> FolderSource:
    bad = source.verify()
    for _, reason in bad:
        logger.warning("skipped: %s", reason)
    names = [key for key, _ in bad]
    keep = ~np.isin(source.keys, names)
    lost = [name for label, name in enumerate(source.identities) if not keep[source.labels == label].any()]
    return _keep(
        source,
        keep,
        [
            Drop.of("unreadable", names, images=len(names)),
            Drop.of(f"no readable {source.content.noun} left", lost, identities=len(lost)),
        ],
    )


def _with_enough(source: FolderSource, min_images: int) -> FolderSource:
    counts = np.bincount(source.labels, minlength=len(source.identities))
    few = np.flatnonzero(counts < min_images)
    drop = Drop.of(
        f"fewer than {counted(min_images, source.content.noun)}",
        [source.identities[label] for label in few],
        images=int(counts[few].sum()),
        identities=len(few),
    )
    kept = _keep(source, ~np.isin(source.labels, few), [drop])
    if not len(kept):
        told = "\n".join(kept.account.lines())
        raise DataError(f"nothing is left of {source.root} with min_images={min_images}\n{told}")
    return kept


def _keep(source: FolderSource, keep: NDArray[np.bool_], drops: Sequence[Drop]) -> FolderSource:
    # A source keeps the identities that still have an image, renumbered in the old order.
    present, labels = np.unique(source.labels[keep], return_inverse=True)
    keys = [key for key, wanted in zip(source.keys, keep, strict=True) if wanted]
    return FolderSource(
        root=source.root,
        labels=labels.astype(np.int64),
        identities=[source.identities[label] for label in present],
        keys=keys,
        account=source.account.after(*drops, images=len(keys), identities=len(present)),
        content=source.content,
        listing=source.listing,
    )
