"""Tar shards in the layout of webdataset: the files of an example lie together and differ in their extension.

    000000000.jpg   000000000.cls   000000000.json     cls: the label as text
                                                       json: {"key": ..., "identity": ...}, the names
    id10001-1.wav   id10001-1.spk                      spk: the name of the speaker, as wespeaker writes shards
    id1/v/1.wav.wav id1/v/1.wav.spk                    the same of a key that ends as a file does

The places of all images are found once, by walking the heads of the archive, and then read in any order. Archives of
others need an image or a recording and either a label (`cls`, or "label" in `json`), a name ("identity" in `json`), or
a folder for each identity; a folder around all of these is no part of the names. A key that several archives have
begins with the name of its archive. Only plain archives can be read in any order: unpack compressed ones first.
"""

import json
import logging
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import Source
from angulus.data.formats.byte_ranges import Blob
from angulus.data.formats.label_names import check_unique, labelled, whole_number
from angulus.data.formats.output import Appended, Listing, extension_of
from angulus.data.formats.record_source import StoredSource
from angulus.data.loading.contents import EXAMPLE_EXTENSIONS
from angulus.errors import DataError
from angulus.json_files import parse_json
from angulus.storage import arrived

logger = logging.getLogger(__name__)

_BLOCK, _RECORD = 512, 10240
_MOST_PADDING = 2**20  # bytes after the mark of the end that are looked at


@dataclass(frozen=True, kw_only=True, eq=False)
class TarRecords:
    """The images of one archive or several. Build it with `open_tar`."""

    origin: str
    blobs: Sequence[Blob]
    archive: NDArray[np.int32]
    """[n], which of `blobs` holds the image."""
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    labels: NDArray[np.int64]
    identities: Sequence[str]
    keys: Sequence[str]

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def files(self) -> list[str]:
        """Names of the archives."""
        return [blob.path.name for blob in self.blobs]

    def file_numbers(self) -> NDArray[np.int64]:
        """[n], which archive holds each example."""
        return self.archive.astype(np.int64)

    def read_bytes(self, index: int) -> bytes:
        """One image. Raises DataError when the archive has become shorter."""
        blob = self.blobs[self.archive[index]]
        return blob.read(int(self.offsets[index]), int(self.lengths[index]), what=self.keys[index])

    def stamp(self, index: int, *, times: bool) -> str:
        changed = f":{self.blobs[self.archive[index]].changed}" if times else ""
        return f"{self.lengths[index]}{changed}"


@dataclass
class _Example:
    base: str
    archive: int
    image: tarfile.TarInfo | None = None
    label: tarfile.TarInfo | None = None
    more: tarfile.TarInfo | None = None
    speaker: tarfile.TarInfo | None = None
    about: Mapping[str, Any] = field(default_factory=dict)


def open_tar(path: str | Path) -> TarRecords:
    """Open an archive, or all archives (*.tar) of a folder in the order of their names.

    Raises DataError for a missing, compressed or damaged archive, and for examples without an image or a label.
    """
    path = arrived(path)
    paths = sorted(path.glob("*.tar")) if path.is_dir() else [path]
    if not paths:
        raise DataError(f"{path} holds no archive (*.tar)")
    blobs = [Blob.find(one) for one in paths]
    examples = [example for number, blob in enumerate(blobs) for example in _examples(blob, number)]
    if not examples:
        raise DataError(
            f"{path} holds no image and no recording; expected the layout of webdataset: a.jpg a.cls b.jpg b.cls ..."
        )
    for example in examples:
        example.about = _about(blobs[example.archive], example)
    around = _folder_around(examples)
    keys = [
        str(example.about.get("key") or _key_of(_member(example).name.removeprefix(around))) for example in examples
    ]
    keys = _with_shards(keys, examples, blobs)
    check_unique(str(path), keys)
    labels, identities = labelled(str(path), _numbers(blobs, examples), _names(path, blobs, examples))
    return TarRecords(
        origin=str(path),
        blobs=blobs,
        archive=np.array([example.archive for example in examples], dtype=np.int32),
        offsets=np.array([_member(example).offset_data for example in examples], dtype=np.int64),
        lengths=np.array([_member(example).size for example in examples], dtype=np.int64),
        labels=labels,
        identities=identities,
        keys=keys,
    )


def _key_of(name: str) -> str:
    """The name of a file; without its last ending where the key has one itself ("1.wav.wav")."""
    shorter = name.rpartition(".")[0]
    return shorter if PurePosixPath(shorter).suffix.lower() in EXAMPLE_EXTENSIONS else name


def _with_shards(keys: list[str], examples: Sequence[_Example], blobs: Sequence[Blob]) -> list[str]:
    """Keys that more than one archive has begin with the name of theirs."""
    archives: dict[str, set[int]] = {}
    for key, example in zip(keys, examples, strict=True):
        archives.setdefault(key, set()).add(example.archive)
    return [
        f"{blobs[example.archive].path.stem}/{key}" if len(archives[key]) > 1 else key
        for key, example in zip(keys, examples, strict=True)
    ]


def _examples(blob: Blob, number: int) -> list[_Example]:
    """The examples of an archive, whose files share a name up to the first dot.

    Where that makes two images of one example and a name up to the last dot makes whole examples, these are meant
    ("C._D._Eliot_0001.jpg").
    """
    members = _members(blob)
    try:
        found = _grouped(blob, number, members, lambda name: name.partition("."))
    except DataError:
        try:
            found = _grouped(blob, number, members, lambda name: name.rpartition("."))
        except DataError:
            found = {}
        images = [example for example in found.values() if example.image is not None]
        named = [example for example in images if example.label or example.more or example.speaker]
        if not images or (len(named) < len(images) and (named or not all("/" in one.base for one in images))):
            raise
        if len(images) < len(found):
            raise
    lacking = [example.base for example in found.values() if example.image is None]
    if lacking:
        logger.warning(
            "%s: %d examples without an image or a recording are left out (%s)", blob.path, len(lacking), lacking[0]
        )
    return [example for example in found.values() if example.image is not None]


def _grouped(
    blob: Blob, number: int, members: Sequence[tarfile.TarInfo], split: Callable[[str], tuple[str, str, str]]
) -> dict[str, _Example]:
    found: dict[str, _Example] = {}
    for member in members:
        folder, slash, name = member.name.removeprefix("./").rpartition("/")
        if name.startswith("."):
            continue
        stem, dot, extension = split(name)
        if not stem or not dot:
            continue
        base = f"{folder}{slash}{stem}"
        example = found.setdefault(base, _Example(base, number))
        kind = extension.lower()
        before, _, last = kind.rpartition(".")
        beside = last if not before or f".{before}" in EXAMPLE_EXTENSIONS else ""
        if beside == "cls":
            example.label = member
        elif beside == "json":
            example.more = member
        elif beside == "spk":
            example.speaker = member
        elif f".{last}" in EXAMPLE_EXTENSIONS:
            if example.image is not None:
                raise DataError(f"{blob.path}: {base} has two examples, {example.image.name} and {member.name}")
            example.image = member
    return found


def _members(blob: Blob) -> list[tarfile.TarInfo]:
    try:
        with blob.opened() as file, tarfile.open(fileobj=file, mode="r:") as opened:
            members, end = [], 0
            while (member := opened.next()) is not None:
                if opened.offset <= end:  # a negative size leads back, for ever
                    raise ValueError(f"{member.name} ends before it begins")
                end = opened.offset
                members.append(member)
            end = opened.offset
    except (tarfile.TarError, OSError, EOFError, ValueError, RecursionError, OverflowError, LookupError) as error:
        raise DataError(
            f"cannot read {blob.path} as a plain tar archive: {error}; unpack it first if it is compressed, copy it "
            "again if it is cut short"
        ) from error
    _check_whole(blob, members, end)
    return [member for member in members if member.isreg()]


def _check_whole(blob: Blob, members: Sequence[tarfile.TarInfo], end: int) -> None:
    """Raises DataError for members that the file has no room for and for what is no member in the middle."""
    for member in members:
        if member.issparse() or member.size < 0 or (member.isreg() and member.offset_data + member.size > blob.size):
            raise DataError(
                f"{blob.path}: {member.name} claims {member.size:,} bytes from byte {member.offset_data:,}, and the "
                f"archive has {blob.size:,}; it is cut short or damaged"
            )
    if blob.size < end + _BLOCK and members:
        logger.warning("%s ends without the mark of its end after %s; it may be cut short", blob.path, members[-1].name)
        return
    place, most = end, min(blob.size, end + _MOST_PADDING)
    while place < most:
        block = blob.read(place, min(_BLOCK, most - place), what="the end")
        if block.count(0) < len(block):
            raise DataError(
                f"{blob.path}: at byte {place:,}, after {len(members):,} members, there is neither a member nor the "
                f"end, and the archive has {blob.size:,} bytes; it is damaged, or several archives in one file"
            )
        place += len(block)


def _member(example: _Example) -> tarfile.TarInfo:
    assert example.image is not None
    return example.image


def _about(blob: Blob, example: _Example) -> Mapping[str, Any]:
    if example.speaker is not None:
        name = blob.read(example.speaker.offset_data, example.speaker.size, what=example.speaker.name)
        return {"identity": name.decode("utf-8", "surrogateescape").strip()}
    if example.more is None:
        return {}
    content = blob.read(example.more.offset_data, example.more.size, what=example.more.name)
    try:
        about = parse_json(content)
    except ValueError as error:
        raise DataError(f"{blob.path}: {example.more.name} is no JSON: {error}") from error
    return about if isinstance(about, dict) else {}


def _numbers(blobs: Sequence[Blob], examples: Sequence[_Example]) -> list[int] | None:
    numbers: list[int] = []
    for example in examples:
        blob = blobs[example.archive]
        if example.label is not None:
            text = blob.read(example.label.offset_data, example.label.size, what=example.label.name)
            numbers.append(whole_number(text.strip(), f"{blob.path}: {example.label.name}"))
        elif "label" in example.about:
            numbers.append(whole_number(example.about["label"], f"{blob.path}: {example.base}.json"))
        elif numbers:
            raise DataError(f"{blob.path}: {example.base} has no label (.cls), unlike the examples before it")
        else:
            return None
    return numbers


def _folder_around(examples: Sequence[_Example]) -> str:
    """What all names begin with where folders are the identities and lie in one folder more ("people/"), else ""."""
    if any(example.label or example.more or example.speaker for example in examples):
        return ""
    folders = [_member(example).name.split("/")[:-1] for example in examples]
    depth = min(len(folder) for folder in folders) - 1
    common = 0
    while common < depth and len({folder[common] for folder in folders}) == 1:
        common += 1
    return "".join(f"{part}/" for part in folders[0][:common])


def _names(path: Path, blobs: Sequence[Blob], examples: Sequence[_Example]) -> list[str] | None:
    if all("identity" in example.about for example in examples):
        return [str(example.about["identity"]) for example in examples]
    if any(example.label is not None or "label" in example.about for example in examples):
        return None
    around = _folder_around(examples).removeprefix("./")
    folders = [example.base.removeprefix(around).rpartition("/")[0] for example in examples]
    if all(folders):
        return folders
    bad = examples[folders.index("")]
    raise DataError(
        f"{blobs[bad.archive].path}: {bad.base} has no label; expected {bad.base}.cls with a number, "
        f'{bad.base}.json with "identity", or a folder for each identity'
    )


class TarWriter:
    """Writes one archive, an example after the other."""

    def __init__(self, folder: Path, name: str, source: Source) -> None:
        self.listing = Listing.of(source)
        self.outputs = [name]
        self._path = folder / name
        self._file = Appended(self._path)

    def resume(self, done: int, end: int) -> int:
        self._file.cut(end)
        return done

    def write(self, first: int, images: Sequence[bytes]) -> list[int]:
        return self._file.append([self._example(first + row, image) for row, image in enumerate(images)])

    def finish(self, ends: NDArray[np.uint64], checksums: NDArray[np.uint32]) -> None:
        size = int(ends[-1])
        self._file.cut(size)
        self._file.append([bytes(2 * _BLOCK + -(size + 2 * _BLOCK) % _RECORD)])

    def opened(self) -> Source:
        return StoredSource(records=open_tar(self._path))

    def close(self) -> None:
        self._file.close()

    def _example(self, index: int, image: bytes) -> bytes:
        label = int(self.listing.labels[index])
        about = {"key": self.listing.keys[index], "identity": self.listing.identities[label]}
        files = {
            extension_of(image): image,
            ".cls": str(label).encode(),
            ".json": json.dumps(about).encode(),
        }
        return b"".join(_file(f"{index:09d}{extension}", content) for extension, content in files.items())


def _file(name: str, content: bytes) -> bytes:
    head = tarfile.TarInfo(name)
    head.size = len(content)
    return b"".join([head.tobuf(tarfile.USTAR_FORMAT), content, bytes(-len(content) % _BLOCK)])
