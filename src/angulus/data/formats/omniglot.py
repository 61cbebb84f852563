"""Omniglot: handwritten characters of many alphabets, read straight from the archives of its authors.

Each character was drawn once by each of 20 people, in dark strokes on white, 105 x 105 pixels. An identity is a
character, named "Alphabet/character01". Archives that overlap (small1 and small2) are merged by these names.
Source: Lake, Salakhutdinov, Tenenbaum, Human-level concept learning through probabilistic program induction, 2015.
"""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import Account, Drop, Size, check_size, fit_image
from angulus.data.loading.decoding import decode_image
from angulus.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class OmniglotSource:
    """Drawings held as PNG bytes (a few MB) and decoded when asked for. Build it with `OmniglotSource.open`."""

    labels: NDArray[np.int64]
    identities: list[str]
    keys: list[str]
    contents: list[bytes]
    account: Account
    size: Size | None = None
    invert: bool = False

    @staticmethod
    def open(
        path: str | Path | Sequence[str | Path], *, size: Size | None = None, invert: bool = False
    ) -> "OmniglotSource":
        """Read the archives at `path`: a zip file, several, or a folder that holds them.

        Args:
            path: where the archives are.
            size: (height, width) of every drawing, by antialiased scaling; None leaves 105 x 105.
            invert: True gives bright strokes (255) on black (0), False the original dark on white.

        Raises DataError when there is no archive, one is damaged, or two disagree about a drawing.
        """
        check_size(size)
        archives = _archives(path)
        drawings, repeated = _merge(archives)
        if not drawings:
            raise DataError(f"no drawing (alphabet/character/name.png) in {archives[0]}")
        keys = sorted(drawings)
        names = [key.rsplit("/", 1)[0] for key in keys]
        identities = sorted(set(names))
        position = {name: label for label, name in enumerate(identities)}
        counts = {"images": len(keys), "identities": len(identities)}
        origin = Account(origin=" + ".join(archive.name for archive in archives), **counts)
        drop = Drop.of("the same drawing in two archives", repeated, others=len(repeated))
        return OmniglotSource(
            labels=np.array([position[name] for name in names], dtype=np.int64),
            identities=identities,
            keys=keys,
            contents=[drawings[key] for key in keys],
            account=origin.after(drop, **counts),
            size=size,
            invert=invert,
        )

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, index: int) -> NDArray[np.uint8]:
        """Pixels [height, width, 3] of one drawing, the three channels equal."""
        image = decode_image(self.contents[index], name=self.keys[index])
        ink = 255 - image if self.invert else image
        return ink if self.size is None else fit_image(ink, self.size, "resize", name=self.keys[index])

    def read_bytes(self, index: int) -> bytes:
        """The PNG as it lies in the archive, dark strokes on white."""
        return self.contents[index]

    def stamp(self, index: int, *, times: bool) -> str:
        """Checksum of the drawing and how it is shown; times of change do not exist here."""
        return f"{zlib.crc32(self.contents[index])}:{self.size}:{self.invert}"


def _archives(path: str | Path | Sequence[str | Path]) -> list[Path]:
    paths = [Path(path)] if isinstance(path, str | Path) else [Path(one) for one in path]
    archives: list[Path] = []
    for one in paths:
        if not one.exists():
            raise DataError(f"{one} does not exist; expected Omniglot zip files or their folder")
        archives += sorted(one.glob("*.zip")) if one.is_dir() else [one]
    if not archives:
        raise DataError(f"no zip file in {paths[0] if paths else 'an empty list'}")
    return archives


def _merge(archives: Sequence[Path]) -> tuple[dict[str, bytes], list[str]]:
    drawings: dict[str, bytes] = {}
    repeated: list[str] = []
    for archive in archives:
        for key, content in _drawings(archive).items():
            if key in drawings:
                if drawings[key] != content:
                    raise DataError(f"{archive} has another drawing under {key} than the archives before it")
                repeated.append(key)
            drawings[key] = content
    return drawings, repeated


def _drawings(archive: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(archive) as opened:
            names = [name for name in opened.namelist() if _is_drawing(name)]
            return {_key(name): opened.read(name) for name in names}
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise DataError(f"cannot read {archive}: {error}") from error


def _is_drawing(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() == ".png" and len(path.parts) >= 3 and path.parts[0] != "__MACOSX"


def _key(name: str) -> str:
    # The archive's own top folder (images_background_small1) differs from archive to archive.
    return "/".join(PurePosixPath(name).parts[-3:])
