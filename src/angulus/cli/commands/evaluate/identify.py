"""`angulus evaluate identify`: is the right person found in a gallery, and are strangers turned away?"""

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from angulus.cli.numbers import Count, Rate
from angulus.cli.options import Computing, Division, Figures, Page, Several, Usual, Views, check_output
from angulus.errors import EvaluationError


def identify(
    probes: Path | None = None,
    gallery: Path | None = None,
    /,
    *,
    distractors: Annotated[list[Path] | None, Several] = None,
    fpir: Annotated[list[float] | None, Several, Rate] = None,
    rank: Annotated[list[int] | None, Several, Count] = None,
    intervals: bool = True,
    name: str | None = None,
    views: Views = Usual.views,
    computing: Computing = Usual.computing,
    division: Division = Usual.division,
    page: Page = Usual.page,
    figures: Figures = Usual.figures,
) -> None:
    """Search each probe in a gallery: rank-k rates (CMC), and TPIR at FPIR where strangers are among the probes.

    Parameters
    ----------
    probes
        Embeddings with labels (.npz, .safetensors, .npy). Without a gallery the first image of each person with two or
        more is the gallery, their other images are known probes, and people with one image are unknown. Left out with
        --add alone.
    gallery
        Embeddings with labels; people are the same where their names are (or their numbers, without names).
    distractors
        Embeddings of other people, added to the gallery; may be given several times.
    fpir
        A false positive identification rate at which to report the true positive one; may be given several times.
    rank
        A rank k to report; may be given several times.
    intervals
        Intervals from drawing the probes' people anew.
    name
        What to call this search.
    page.report
        Write an HTML page with the CMC to this file.
    """
    check_output(figures.json, page.report, division.out)
    import numpy as np

    from angulus.cli.inputs.divided.processes import is_further_process
    from angulus.cli.inputs.divided.searches import added_search, count_part, found_by
    from angulus.cli.inputs.verification_inputs import descending
    from angulus.cli.printing.evaluation_pages import search_page
    from angulus.evaluation.rates.identification import DEFAULT_FPIRS, DEFAULT_RANKS, cmc, rate_search
    from angulus.evaluation.report.recommendation import recommended_for_search
    from angulus.evaluation.uncertainty.search_intervals import search_confidence

    started = time.perf_counter()
    division.check()
    if division.is_asked_for and is_further_process():
        return
    if division.add:
        division.check_added(probes=probes, gallery=gallery, distractors=distractors, views=views.views)
        searched = added_search(division.add, name)
    elif probes is None:
        raise EvaluationError("PROBES is missing; angulus evaluate identify --help says what it is")
    elif division.part is not None:
        division.check_counted(fpir=fpir, rank=rank, report=page.report, json=figures.json)
        print(count_part(probes, gallery, distractors or [], views.views, computing.device, division, name))
        return
    else:
        searched = found_by(probes, gallery, distractors or [], views.views, computing.device, name)
    if searched is None:  # another process reports
        return
    found, fpirs = searched.found, descending(fpir, DEFAULT_FPIRS)
    result = rate_search(found, np.arange(searched.people), fpirs=fpirs, ranks=(1,), name=searched.name)
    result = replace(result, cmc=cmc(found, rank or DEFAULT_RANKS) if result.known else ())
    sure = search_confidence(found, searched.labels, fpirs) if intervals else None
    seconds = round(time.perf_counter() - started, 2)
    facts, notes = searched.facts, searched.notes
    print("\n".join([result.table(), *(f"note: {note}" for note in notes), *(sure.lines() if sure else [])]))
    advice = recommended_for_search(result, sure, notes) if result.points else None
    if advice is not None:
        print(advice.sentence)
    search_page(page.report, found, result, sure, facts, notes)
    content = {**facts, "seconds": seconds, **result.as_dict(), "notes": list(notes)}
    content["recommended"] = None if advice is None else advice.as_dict()
    figures.save({**content, "intervals": sure.as_dict() if sure else None})
