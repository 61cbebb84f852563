"""`angulus evaluate calibrate`: which threshold to deploy, chosen on one half of the people and tried on the other."""

from pathlib import Path
from typing import Annotated

from angulus.cli.numbers import Count, CountOrNone, Rate
from angulus.cli.options import Figures, Page, Usual, Views, check_output, save_json


def calibrate(
    embeddings: Path,
    /,
    *,
    out: Path,
    pairs: Path | None = None,
    far: Annotated[float | None, Rate] = None,
    gallery_size: Annotated[int | None, Count] = None,
    fpir: Annotated[float | None, Rate] = None,
    seed: Annotated[int, CountOrNone] = 0,
    views: Views = Usual.views,
    page: Page = Usual.page,
    figures: Figures = Usual.figures,
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
    seed
        Which half of the people chooses.
    figures.json
        The same as --out, for other programs.
    """
    check_output(out, page.report, figures.json)
    from angulus.cli.inputs.search_inputs import common_view
    from angulus.cli.inputs.subject_scores import calibrated_on, target_far
    from angulus.cli.inputs.verification_inputs import listed_pairs, stored_set
    from angulus.cli.inputs.words.known_people import notes_on_known
    from angulus.cli.printing.evaluation_pages import calibration_page
    from angulus.evaluation.report.recommendation import of_calibration
    from angulus.evaluation.uncertainty.score_meaning import stored_calibration

    target = target_far(far, gallery_size, fpir)
    found = stored_set(embeddings)
    view = common_view(views.views, found)
    calibrated = calibrated_on(found, listed_pairs(found, pairs), target, gallery_size, fpir, view, seed)
    result, meaning = calibrated.threshold, calibrated.meaning
    notes = (*notes_on_known(found), *calibrated.notes)
    print("\n".join([result.table(), *(f"note: {note}" for note in notes)]))
    print("scores of both kinds do not overlap: no log-likelihood ratio" if meaning is None else meaning.line())
    facts = {"embeddings": str(embeddings), "pairs": "all" if pairs is None else str(pairs), "view": view}
    advice = of_calibration(result, notes)
    print(advice.sentence)
    content = {**stored_calibration(result, meaning, facts), "notes": list(notes), "recommended": advice.as_dict()}
    calibration_page(page.report, embeddings, result, facts, notes)
    for path in (out, figures.json):
        save_json(path, content)
    print(f"threshold stored in {out}")
