"""`angulus evaluate templates`: sets of images of one person compared (1:1) and searched (1:N), as in IJB."""

import time
from pathlib import Path
from typing import Annotated, Any

from angulus.cli.numbers import Rate
from angulus.cli.options import Computing, Figures, Flag, Several, Usual, Views, WithoutFace, check_output


def templates(
    embeddings: Path,
    /,
    *,
    images: Path,
    pairs: Path | None = None,
    gallery: Annotated[tuple[Path, Path] | None, Several] = None,
    probes: Path | None = None,
    detector_scores: Path | None = None,
    normalised: Annotated[bool, Flag] = False,
    without_face: WithoutFace = "error",
    far: Annotated[list[float] | None, Several, Rate] = None,
    views: Views = Usual.views,
    computing: Computing = Usual.computing,
    figures: Figures = Usual.figures,
) -> None:
    """Compare and search templates: TAR at FAR over listed pairs, rank-k and TPIR at FPIR in two galleries.

    Parameters
    ----------
    embeddings
        One embedding an image (.npz, .safetensors, .npy), with keys, or in the order of the metadata.
    images
        Which image belongs to which template and medium: ijbc_face_tid_mid.txt, or a metadata csv of IJB-A.
    pairs
        Pairs of templates: ijbc_template_pair_label.txt, or "template,template" lines (.csv, with a metadata csv).
    gallery
        Two galleries, such as ijbc_1N_gallery_G1.csv ijbc_1N_gallery_G2.csv.
    probes
        The probes that are searched in both, such as ijbc_1N_probe_mixed.csv.
    detector_scores
        ijbc_name_5pts_score.txt: images count as much as the detector was sure of them.
    normalised
        Divide each embedding by its norm first, so that norms do not weigh.
    without_face
        What is done with templates that have no embedding, or only such of zeros: an error, or a failure to enrol whose
        pairs and searches count as rejected.
    far
        A false accept rate to report; may be given several times. Left out: 0.1 to 1e-6.
    """
    check_output(figures.json)
    from angulus.cli.inputs.template_inputs import check_task, pooled_templates, template_pairs
    from angulus.cli.inputs.verification_inputs import descending
    from angulus.evaluation import search_two_galleries, verify_templates
    from angulus.evaluation.files.ijb_metadata import read_template_csv
    from angulus.evaluation.protocols.ijb import IJB_FARS

    check_task(pairs, gallery, probes)
    started, device, keep_norms = time.perf_counter(), computing.device, not normalised
    how = {"keep_norms": keep_norms, "view": views.views, "without_face": without_face}
    pooled, view = pooled_templates(embeddings, images, detector_scores, **how)
    content: dict[str, Any] = {"embeddings": str(embeddings), "images": str(images), "view": view}
    content |= {"keep_norms": keep_norms, "without_face": without_face}
    content["detector_scores"] = None if detector_scores is None else str(detector_scores)
    if pairs is not None:
        fars = descending(far, IJB_FARS)
        verified = verify_templates(pooled, template_pairs(pairs, images), fars=fars, device=device)
        print(verified.table())
        content["verification"] = verified.as_dict()
    if gallery is not None and probes is not None:
        parts = [read_template_csv(path).gallery() for path in (probes, *gallery)]
        names = (gallery[0].stem, gallery[1].stem)
        found = search_two_galleries(pooled, parts[0], (parts[1], parts[2]), names=names, device=device)
        print(found.table())
        content["identification"] = found.as_dict()
    figures.save({**content, "seconds": round(time.perf_counter() - started, 2)})
