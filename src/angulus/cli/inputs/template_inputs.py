"""Templates from embeddings and IJB's metadata: images found by their names, or taken in order."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from angulus.cli.inputs.search_inputs import common_view
from angulus.cli.inputs.verification_inputs import stored_set
from angulus.embeddings import View
from angulus.errors import EvaluationError
from angulus.evaluation import Templates, pool_templates
from angulus.evaluation.files.ijb_metadata import (
    TemplateImages,
    read_comparisons,
    read_detected_faces,
    read_template_csv,
    read_template_images,
    read_template_pairs,
)
from angulus.evaluation.files.named_images import check_named_once
from angulus.evaluation.scores.template_pairs import TemplatePairs
from angulus.evaluation.scores.templates import WithoutFace


def check_task(pairs: Path | None, gallery: tuple[Path, Path] | None, probes: Path | None) -> None:
    """Raises EvaluationError where it is not said what to compare, or half a search is named."""
    if pairs is None and (gallery is None or probes is None):
        raise EvaluationError("say what to do: --pairs PAIRS, or --gallery G1 G2 --probes P, or both")
    if (gallery is None) != (probes is None):
        raise EvaluationError("a search needs both: --gallery G1 G2 and --probes P")


def pooled_templates(
    embeddings: Path,
    images: Path,
    detector_scores: Path | None,
    *,
    keep_norms: bool,
    view: View | None,
    without_face: WithoutFace = "error",
) -> tuple[Templates, View]:
    """The templates of a set, and the view that was taken."""
    found, listed = stored_set(embeddings), images_of(images)
    view = common_view(view, found)
    reject = without_face == "reject"
    rows = rows_of(listed.names, found.keys, len(found), str(embeddings), missing_too=reject)
    scores, there = None, rows >= 0
    if detector_scores is not None:
        faces = read_detected_faces(detector_scores)
        places = rows_of(listed.names, faces.names, len(faces), str(detector_scores), missing_too=reject)
        there &= places >= 0
        scores = faces.scores[places[there]]
    if not there.any():
        raise EvaluationError(f"{embeddings} has none of the {len(there)} images that {images} lists")
    pooled = pool_templates(
        *(found.combined(view)[rows[there]], listed.templates[there], listed.media[there]),
        **{"keep_norms": keep_norms, "detector_scores": scores, "without_face": without_face},
    )
    without = np.setdiff1d(listed.templates, pooled.ids)
    return replace(pooled, failed=without), view


def images_of(path: Path) -> TemplateImages:
    """The metadata of the images: a list of image, template and medium, or a csv with a column MEDIA_ID."""
    if path.suffix != ".csv":
        return read_template_images(path)
    rows = read_template_csv(path)
    if rows.media is None:
        raise EvaluationError(f"{path} has no column MEDIA_ID; give the metadata that say which medium an image is of")
    return TemplateImages(names=rows.files, templates=rows.templates, media=rows.media)


def template_pairs(pairs: Path, images: Path) -> TemplatePairs:
    """The pairs of templates; "template,template" lines need the metadata csv, which says who is who."""
    if pairs.suffix != ".csv":
        return read_template_pairs(pairs)
    if images.suffix != ".csv":
        raise EvaluationError(f"{pairs} does not say which pairs are genuine; give the metadata csv as --images")
    return read_comparisons(pairs, read_template_csv(images))


def rows_of(
    names: Sequence[str], keys: Sequence[str] | None, count: int, what: str, *, missing_too: bool = False
) -> NDArray[np.int64]:
    """The row of each name: of the key that it equals, with or without ending; without keys, in the order given.

    missing_too: an image that is not there has the row -1, which is an error otherwise.
    """
    if keys is None:
        if len(names) != count:
            raise EvaluationError(
                f"{what} holds {count} images without names and the metadata list {len(names)}; store keys with them"
            )
        return np.arange(count)
    check_named_once(names, keys, what)
    plain = [str(PurePosixPath(key).with_suffix("")) for key in keys]
    check_named_once((str(PurePosixPath(name).with_suffix("")) for name in set(names).difference(keys)), plain, what)
    exact = {key: row for row, key in enumerate(keys)}
    stems = {stem: row for row, stem in enumerate(plain)}
    rows = np.array([exact.get(name, stems.get(str(PurePosixPath(name).with_suffix("")), -1)) for name in names])
    missing = np.flatnonzero(rows < 0)
    if len(missing) and not missing_too:
        raise EvaluationError(
            f"{len(missing)} of the {len(names)} images of the metadata are not in {what}, first"
            f" {names[int(missing[0])]!r}; where these have no face, count them as failures: --without-face reject"
        )
    return rows.astype(np.int64)
