"""`angulus evaluate blufr`: ten trials of verification at low FAR and open-set identification on LFW."""

import time
from pathlib import Path
from typing import Annotated

from angulus.cli.numbers import Count, CountOrNone
from angulus.cli.options import Computing, Figures, Usual, Views, check_output
from angulus.errors import EvaluationError


def blufr(
    embeddings: Path,
    /,
    *,
    trials: Path | None = None,
    draw: Annotated[int, Count] = 10,
    train_people: Annotated[int, CountOrNone] = 1500,
    gallery_people: Annotated[int, Count] = 1000,
    seed: Annotated[int, CountOrNone] = 0,
    views: Views = Usual.views,
    computing: Computing = Usual.computing,
    figures: Figures = Usual.figures,
) -> None:
    """BLUFR on LFW: verification rate at FAR 0.1 % and 0.01 %, and open-set identification, over ten trials.

    Parameters
    ----------
    embeddings
        Embeddings of LFW with labels, and with keys where published trials are used (.npz, .safetensors, .npy).
    trials
        The published trials: blufr_lfw_config.mat (needs scipy), the toolkit's folder of lists, or our .npz. Left out,
        trials of the same kind are drawn; figures are then comparable with each other, not in the last digit with
        published ones.
    draw
        How many trials to draw.
    train_people
        People left out of each drawn trial, as its training set.
    gallery_people
        People in the gallery of each drawn trial.
    seed
        Which trials are drawn.
    """
    check_output(figures.json)
    from angulus.cli.inputs.search_inputs import common_view
    from angulus.cli.inputs.verification_inputs import stored_set
    from angulus.evaluation import evaluate_blufr
    from angulus.evaluation.files.blufr_lists import draw_blufr_trials, read_blufr_trials

    started = time.perf_counter()
    found = stored_set(embeddings)
    if found.labels is None:
        raise EvaluationError(f"BLUFR needs labels, and {embeddings} has none")
    if trials is not None:
        used = read_blufr_trials(trials)
    else:
        people = {"train_people": train_people, "gallery_people": gallery_people}
        used = draw_blufr_trials(found.labels, trials=draw, seed=seed, **people)
    view = common_view(views.views, found)
    result = evaluate_blufr(found, used, view=view, device=computing.device)
    seconds = round(time.perf_counter() - started, 2)
    print(f"{'drawn trials' if trials is None else trials}, view {view}")
    print(result.table())
    made = {"trials_from": "drawn" if trials is None else str(trials), "seed": seed if trials is None else None}
    figures.save({"embeddings": str(embeddings), "view": view, **made, "seconds": seconds, **result.as_dict()})
