"""IJB's metadata files, as published: which image belongs to which template and medium, and which templates meet.

    ijbc_face_tid_mid.txt          image template medium                         one image a line, spaces between
    ijbc_template_pair_label.txt   template template label                       label 1 genuine, 0 impostor
    ijbc_name_5pts_score.txt       image x1 y1 ... x5 y5 score                   landmarks in pixels, detector score
    ijbc_1N_gallery_G1.csv, .._G2.csv, ijbc_1N_probe_mixed.csv                   TEMPLATE_ID,SUBJECT_ID,FILENAME,...
    IJB-A search_gallery_N.csv, search_probe_N.csv, verify_metadata_N.csv        ..., FILE,MEDIA_ID,...
    IJB-A verify_comparisons_N.csv, ijbc_11_G1_G2_matches.csv                    template,template   without a header

The first three are the lists that insightface's IJB package adds to the sets; IJB-B's have `ijbb` and S1, S2 in their
names. Errors name file and line.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from angulus.errors import EvaluationError
from angulus.evaluation.files.text_lists import opened
from angulus.evaluation.scores.template_pairs import TemplateGallery, TemplatePairs, subject_pairs
from angulus.text_files import parse_rows

_LINES = 200_000


@dataclass(frozen=True, kw_only=True, eq=False)
class TemplateImages:
    """n images: names, and the template and medium of each, int64 [n]. A name may occur in several templates."""

    names: tuple[str, ...]
    templates: NDArray[np.int64]
    media: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, kw_only=True, eq=False)
class DetectedFaces:
    """n images: names, five landmarks in pixels float32 [n, 5, 2] (x, y) and the detector's score float32 [n]."""

    names: tuple[str, ...]
    landmarks: NDArray[np.float32]
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, kw_only=True, eq=False)
class TemplateRows:
    """The rows of a csv file, one an image: template, subject, file, and medium (None where the file has no column)."""

    templates: NDArray[np.int64]
    subjects: NDArray[np.int64]
    files: tuple[str, ...]
    media: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.files)

    def gallery(self) -> TemplateGallery:
        """Each template once with its subject, as a gallery or a set of probes."""
        ids, first = np.unique(self.templates, return_index=True)
        return TemplateGallery(templates=ids, subjects=self.subjects[first])


def read_template_images(path: str | Path) -> TemplateImages:
    """Read `.._face_tid_mid.txt`."""
    names, numbers = [], []
    for number, fields in _fields(path, 3, "image template medium"):
        names.append(fields[0])
        numbers.append([_whole(path, number, "template", fields[1]), _whole(path, number, "medium", fields[2])])
    templates, media = np.array(numbers, dtype=np.int64).T
    return TemplateImages(names=tuple(names), templates=templates, media=media)


def read_template_pairs(path: str | Path) -> TemplatePairs:
    """Read `.._template_pair_label.txt` in parts: 9 bytes a pair, so that IJB-C's 15.7 million take 141 MB."""
    parts: list[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_]]] = []
    with opened(path) as file:
        first = 1
        while lines := list(islice(file, _LINES)):
            parts.append(_pair_part(path, first, lines))
            first += len(lines)
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    if not columns or not len(columns[0]):
        raise EvaluationError(f"{path} lists no pairs of templates")
    return TemplatePairs(left=columns[0], right=columns[1], same=columns[2])


def read_detected_faces(path: str | Path) -> DetectedFaces:
    """Read `.._name_5pts_score.txt`: name, ten coordinates, score."""
    names, values = [], []
    for number, fields in _fields(path, 12, "image, ten coordinates and score"):
        names.append(fields[0])
        try:
            values.append([float(field) for field in fields[1:]])
        except ValueError:
            raise EvaluationError(
                f"{path}: line {number}: coordinates and score must be numbers, got {' '.join(fields[1:])!r}"
            ) from None
    table = np.array(values, dtype=np.float32)
    bad = np.flatnonzero(~np.isfinite(table).all(axis=1))
    if len(bad):
        raise EvaluationError(
            f"{path}: coordinates and score must be finite, got NaN or infinity for image {names[bad[0]]!r}"
        )
    return DetectedFaces(names=tuple(names), landmarks=table[:, :10].reshape(-1, 5, 2), scores=table[:, 10])


def read_template_csv(path: str | Path) -> TemplateRows:
    """Read a gallery, probe or metadata csv; columns are found by their names, in any order."""
    rows = _csv_rows(path)
    number, header = next(rows, (1, []))
    names = [name.strip().upper() for name in header]
    file_column = next((name for name in ("FILENAME", "FILE") if name in names), None)
    if file_column is None or not {"TEMPLATE_ID", "SUBJECT_ID"} <= set(names):
        raise EvaluationError(
            f"{path}: line {number} must be a header with TEMPLATE_ID, SUBJECT_ID and FILENAME or FILE,"
            f" got {','.join(header)[:80]!r}"
        )
    wanted = ["TEMPLATE_ID", "SUBJECT_ID", *(["MEDIA_ID"] if "MEDIA_ID" in names else [])]
    places = [names.index(name) for name in wanted]
    files, numbers = [], []
    for number, row in rows:
        if len(row) != len(names):
            raise EvaluationError(f"{path}: line {number} must have {len(names)} fields, got {len(row)}")
        pairs = zip(wanted, places, strict=True)
        numbers.append([_whole(path, number, name, row[place].strip()) for name, place in pairs])
        files.append(row[names.index(file_column)].strip())
    if not files:
        raise EvaluationError(f"{path} lists no images")
    columns = np.array(numbers, dtype=np.int64).T
    media = columns[2] if len(wanted) == 3 else None
    found = TemplateRows(templates=columns[0], subjects=columns[1], files=tuple(files), media=media)
    _check_subjects(path, found)
    return found


def read_comparisons(path: str | Path, metadata: TemplateRows) -> TemplatePairs:
    """Read "template,template" lines; a pair is genuine when the metadata give both templates one subject."""
    pairs = []
    for number, row in _csv_rows(path):
        if len(row) != 2:
            raise EvaluationError(f"{path}: line {number} must be 'template,template', got {','.join(row)[:80]!r}")
        pairs.append([_whole(path, number, "template", field.strip()) for field in row])
    if not pairs:
        raise EvaluationError(f"{path} lists no pairs of templates")
    left, right = np.array(pairs, dtype=np.int64).T
    return subject_pairs(left, right, metadata.gallery())


def _pair_part(
    path: str | Path, first: int, lines: list[str]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_]]:
    table = _numbers([line for line in lines if line.strip()])
    usable = table.shape[1] == 3 and bool(np.isin(table[:, 2], (0, 1)).all())
    if not (usable and len(table) and table[:, :2].min() >= 0 and table[:, :2].max() < 10**9):
        # The slow way finds the line and says what is wrong.
        rows = [_pair_fields(path, first + offset, line) for offset, line in enumerate(lines) if line.strip()]
        table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return table[:, 0].astype(np.int32), table[:, 1].astype(np.int32), table[:, 2] == 1


def _numbers(lines: list[str]) -> NDArray[np.int64]:
    """The whole numbers of these lines [n, columns]; no rows where they are no table of such."""
    try:
        return np.loadtxt(lines, dtype=np.int64, ndmin=2, comments=None) if lines else np.empty((0, 3), np.int64)
    except ValueError:
        return np.empty((0, 3), dtype=np.int64)


def _pair_fields(path: str | Path, number: int, line: str) -> list[int]:
    fields = line.split()
    if len(fields) != 3 or fields[2] not in ("0", "1"):
        raise EvaluationError(
            f"{path}: line {number} must be 'template template label' with label 1 or 0, got {line.strip()[:80]!r}"
        )
    return [*(_whole(path, number, "template", field) for field in fields[:2]), int(fields[2])]


def _check_subjects(path: str | Path, rows: TemplateRows) -> None:
    _, first, inverse = np.unique(rows.templates, return_index=True, return_inverse=True)
    bad = np.flatnonzero(rows.subjects[first][inverse] != rows.subjects)
    if len(bad):
        raise EvaluationError(
            f"{path}: a template must belong to one subject, got {rows.subjects[bad[0]]} and"
            f" {rows.subjects[first][inverse][bad[0]]} for template {rows.templates[bad[0]]} (image {bad[0] + 1})"
        )


def _whole(path: str | Path, number: int, name: str, field: str) -> int:
    if not (field.isascii() and field.isdigit() and len(field) < 10):
        raise EvaluationError(f"{path}: line {number}: {name} must be a whole number below 10^9, got {field!r}")
    return int(field)


def _fields(path: str | Path, count: int, form: str) -> Iterator[tuple[int, list[str]]]:
    """(line number, fields) of every line that is not empty; an error when there is none."""
    found = False
    with opened(path) as file:
        for number, line in enumerate(file, start=1):
            fields = line.split()
            if not fields:
                continue
            if len(fields) != count:
                raise EvaluationError(f"{path}: line {number} must be '{form}', got {line.strip()[:80]!r}")
            found = True
            yield number, fields
    if not found:
        raise EvaluationError(f"{path} lists no images")


def _csv_rows(path: str | Path) -> Iterator[tuple[int, list[str]]]:
    with opened(path) as file:
        rows = parse_rows(file, path, EvaluationError)
        yield from ((number, row) for number, row in rows if any(field.strip() for field in row))
