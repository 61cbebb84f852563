"""`angulus evaluate calibrate`: which threshold to deploy, chosen on one half of the people and tried on the other."""

from pathlib import Path

from angulus.cli.options import Json, View, check_output, save_json


def calibrate(
    embeddings: Path,
    /,
    *,
    out: Path,
    pairs: Path | None = None,
    far: float | None = None,
    gallery_size: int | None = None,
    fpir: float | None = None,
    views: View | None = None,
    seed: int = 0,
    report: Path | None = None,
    json: Json = None,
) -> None:
    """Choose the threshold to deploy on one half of the people, and try it on the other half.

    Parameters
    ----------
    embeddings
        Embeddings with labels (.npz, .safetensors, .npy).
    out
        The calibration file to write (JSON): the threshold with its intervals, and the log-likelihood ratio of a score.
    pairs
        The pairs to choose from; left out, all pairs of the set.
    far
        The false accept rate to aim at in one comparison, such as 1e-4.
    gallery_size
        In place of --far: how many people are in the gallery that will be searched; with --fpir.
    fpir
        The share of strangers who may be taken for somebody in that gallery.
    views
        Which embedding of an image counts: its own, or with its mirror image (sum, where there is one).
    seed
        Which half of the people chooses.
    report
        Write an HTML page to this file.
    json
        The same as --out, for other programs.
    """
    check_output(out, report, json)
    from angulus.cli.inputs.search_inputs import common_view
    from angulus.cli.inputs.subject_scores import calibrated_on
    from angulus.cli.inputs.verification_inputs import listed_pairs, stored_set
    from angulus.errors import EvaluationError
    from angulus.evaluation.report.page import Sections, write_report
    from angulus.evaluation.uncertainty.calibration import far_of_fpir
    from angulus.evaluation.uncertainty.score_meaning import stored_calibration

    if (far is None) == (gallery_size is None) or (fpir is None) != (gallery_size is None):
        raise EvaluationError("say what to aim at: --far 1e-4, or --gallery-size 10000 --fpir 0.01")
    target = far if far is not None else far_of_fpir(fpir or 0.0, gallery_size or 0)
    found = stored_set(embeddings)
    view = common_view(views, found)
    result, meaning = calibrated_on(found, listed_pairs(found, pairs), target, gallery_size, fpir, view, seed)
    print(result.table())
    print("scores of both kinds do not overlap: no log-likelihood ratio" if meaning is None else meaning.line())
    facts = {"embeddings": str(embeddings), "pairs": "all" if pairs is None else str(pairs), "view": view}
    content = stored_calibration(result, meaning, facts)
    if report is not None:
        write_report(report, f"Calibration: {embeddings.stem}", [], facts=facts, sections=Sections(calibrated=[result]))
        print(f"report  {report}")
    for path in (out, json):
        save_json(path, content)
    print(f"threshold stored in {out}")
