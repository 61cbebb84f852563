"""Feature files of MegaFace's development kit: one matrix of OpenCV an image, and JSON lists of paths and identities.

A feature file holds four whole numbers of 32 bits, little-endian (rows, columns, bytes of a row, type of OpenCV: 5 is
CV_32F), then rows x columns numbers of float32, row after row. insightface writes [d, 1], 4 bytes a row. The file lies
at the path of its image plus a suffix that names the algorithm ("Adam_Brody/Adam_Brody_64.png_insightface.bin").
A list is an object with `path`, the images, and `id`, a name or number for each of them.

I. Kemelmacher-Shlizerman et al., The MegaFace Benchmark, CVPR 2016; the layout is that of the kit's matio.py.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.embeddings import EmbeddingSet
from angulus.errors import EvaluationError
from angulus.files import read_regular
from angulus.json_files import read_json

_HEADER = struct.Struct("<4i")
_FLOAT32 = 5


@dataclass(frozen=True, kw_only=True)
class FeatureList:
    """n images: their paths below the folder of features, and their identities as text."""

    paths: tuple[str, ...]
    ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)


def read_feature(path: str | Path) -> NDArray[np.float32]:
    """The embedding in one feature file, float32 [rows x columns]; EvaluationError for a damaged file."""
    try:
        content = read_regular(path)
    except FileNotFoundError:
        raise EvaluationError(f"no feature file at {path}: the file does not exist") from None
    except OSError as problem:
        raise EvaluationError(f"{path} is not a readable feature file: {problem}") from problem
    if len(content) < _HEADER.size:
        raise EvaluationError(f"{path} is cut short: a feature file begins with 16 bytes, got {len(content)}")
    rows, columns, stride, kind = _HEADER.unpack_from(content)
    if kind != _FLOAT32 or min(rows, columns) < 1 or stride not in (4, 4 * columns):
        raise EvaluationError(
            f"{path} must hold a matrix of float32 (header: rows, columns, 4 x columns, 5),"
            f" got {rows}, {columns}, {stride}, {kind}"
        )
    if len(content) != _HEADER.size + 4 * rows * columns:
        raise EvaluationError(
            f"{path} must hold {_HEADER.size + 4 * rows * columns} bytes for {rows} x {columns} numbers,"
            f" got {len(content)}; the file is damaged or cut short"
        )
    return np.frombuffer(content, dtype="<f4", offset=_HEADER.size).astype(np.float32)


def write_feature(path: str | Path, embedding: ArrayLike) -> Path:
    """Write one embedding [d] as a matrix [d, 1], as insightface does; returns its path."""
    path, values = Path(path), np.asarray(embedding, dtype="<f4")
    if values.ndim != 1 or not len(values):
        raise EvaluationError(f"a feature file holds one embedding of shape [dimensions], got {list(values.shape)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_HEADER.pack(len(values), 1, 4, _FLOAT32) + values.tobytes())
    return path


def read_feature_list(path: str | Path) -> FeatureList:
    """Read a list of the kit (`facescrub_features_list.json`, `megaface_features_list.json_1000000_1`)."""
    try:
        content = read_json(path)
    except FileNotFoundError:
        raise EvaluationError(f"no feature list at {path}: the file does not exist") from None
    except (OSError, ValueError) as problem:
        raise EvaluationError(f"{path} is not a readable feature list in JSON: {problem}") from problem
    paths, ids = _listed(path, content, "path"), _listed(path, content, "id")
    if len(paths) != len(ids) or not paths:
        raise EvaluationError(f"{path} must list one id for each path, got {len(paths)} paths and {len(ids)} ids")
    return FeatureList(paths=paths, ids=ids)


def read_features(features: FeatureList, folder: str | Path, *, suffix: str) -> EmbeddingSet:
    """The embeddings of a list: `folder/path + suffix` each; keys are the paths, labels the identities.

    Raises EvaluationError naming the first missing or damaged file, or the first of another length.
    """
    folder = Path(folder)
    first = read_feature(folder / f"{features.paths[0]}{suffix}")
    matrix = np.empty((len(features), len(first)), dtype=np.float32)
    for row, name in enumerate(features.paths):
        values = read_feature(folder / f"{name}{suffix}")
        if len(values) != len(first):
            raise EvaluationError(
                f"all features must have the {len(first)} numbers of the first, got {len(values)} in {name}"
            )
        matrix[row] = values
    return EmbeddingSet(embeddings=matrix, labels=np.array(features.ids), keys=features.paths)


def _listed(path: str | Path, content: Any, name: str) -> tuple[str, ...]:
    values = content.get(name) if isinstance(content, dict) else None
    if not isinstance(values, list) or not all(isinstance(value, str | int) for value in values):
        raise EvaluationError(f"{path} must be a JSON object with the list {name!r} of names or numbers")
    return tuple(str(value) for value in values)
