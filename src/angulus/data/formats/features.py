"""Stored features: a file NAME.npz with the frames of all recordings, one after the other.

    features    [frames, bands]   of any number type; a model's input says what they mean (offset, scale)
    lengths     [n]               frames of each recording
    speakers    [n]               who speaks, names; or `labels` [n], whole numbers
    keys        [n]               names of the recordings (optional)

Reading runs no code from the file: arrays of objects are refused.
"""

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from angulus.array_files import read_arrays
from angulus.data.formats.label_names import check_unique, labelled
from angulus.data.views.sequences import Sequences
from angulus.errors import DataError
from angulus.storage import arrived

SUFFIX = ".npz"


def open_features(path: str | Path, bands: int | None = None) -> Sequences:
    """The features in a file. Raises DataError where it holds none, they contradict each other, or have other bands."""
    path = arrived(path)
    arrays = _arrays(path)
    features, lengths = arrays["features"], arrays["lengths"]
    if features.ndim != 2 or features.dtype.kind not in "uif" or not features.shape[1]:
        raise DataError(f"{path}: features must be numbers [frames, bands], got {features.dtype} {features.shape}")
    if bands is not None and features.shape[1] != bands:
        raise DataError(f"{path} has {features.shape[1]} bands and the model takes {bands}: set model.input.bands")
    if lengths.ndim != 1 or lengths.dtype.kind not in "ui" or not len(lengths) or int(lengths.min()) < 1:
        raise DataError(f"{path}: lengths must be whole numbers from 1 up, one for each recording")
    frames = sum(lengths.tolist())  # whole numbers of Python, which claims of 2^63 frames do not wrap round
    if frames != len(features):
        raise DataError(
            f"{path}: lengths must add up to the {len(features):,} frames of features, got {frames:,}; the file is "
            "damaged"
        )
    if features.dtype.kind == "f" and not _is_finite(features):
        raise DataError(f"{path}: features must be finite in float32, got NaN, infinity or beyond 3.4e38")
    labels, identities = _people(path, arrays, len(lengths))
    keys = [str(key) for key in arrays["keys"].tolist()] if "keys" in arrays else None
    if keys is not None and len(keys) != len(lengths):
        raise DataError(f"{path}: keys must have one entry for each of the {len(lengths):,} recordings")
    keys = keys or [f"{identities[label]}/{row:07d}" for row, label in enumerate(labels.tolist())]
    check_unique(str(path), keys)
    return Sequences(
        values=features,
        ends=np.cumsum(lengths, dtype=np.int64),
        labels=labels,
        identities=identities,
        keys=keys,
        origin=str(path),
    )


def holds_features(path: Path) -> bool:
    """Whether a file looks like stored features, by the names in it."""
    if path.suffix.lower() != SUFFIX or not path.is_file():
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return {"features.npy", "lengths.npy"} <= set(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _is_finite(features: NDArray) -> bool:
    """Whether all values are numbers that a network can be given, which takes float32. Few are looked at at once."""
    most = np.finfo(np.float32).max
    return all(
        bool((np.abs(features[begin : begin + 2**16]) <= most).all()) for begin in range(0, len(features), 2**16)
    )


def _arrays(path: Path) -> dict[str, NDArray]:
    try:
        stored = read_arrays(path)
    except FileNotFoundError:
        raise DataError(f"there are no features at {path}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path} as stored features: {error}") from error
    arrays = {name: stored[name] for name in ("features", "lengths", "speakers", "labels", "keys") if name in stored}
    missing = [name for name in ("features", "lengths") if name not in arrays]
    if missing or not {"speakers", "labels"} & arrays.keys():
        raise DataError(
            f"{path} must hold the arrays features, lengths and speakers (or labels), got {', '.join(arrays) or 'none'}"
        )
    return arrays


def _people(path: Path, arrays: dict[str, NDArray], count: int) -> tuple[NDArray[np.int64], list[str]]:
    name = "speakers" if "speakers" in arrays else "labels"
    values = arrays[name]
    if values.shape != (count,) or values.dtype.kind not in "uiU":
        raise DataError(f"{path}: {name} must have one name or number for each of the {count:,} recordings")
    numbers = None if values.dtype.kind == "U" else [int(value) for value in values]
    names = [str(value) for value in values] if numbers is None else None
    labels, identities = labelled(str(path), numbers, names)
    return np.asarray(labels, dtype=np.int64), list(identities)
