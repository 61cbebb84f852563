"""`angulus evaluate identify`: is the right person found in a gallery, and are strangers turned away?"""

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from angulus.cli.numbers import Count, Rate
from angulus.cli.options import Computing, Figures, Page, Several, Usual, Views, check_output


def identify(
    probes: Path,
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
    page: Page = Usual.page,
    figures: Figures = Usual.figures,
) -> None:
    """Search each probe in a gallery: rank-k rates (CMC), and TPIR at FPIR where strangers are among the probes.

    Parameters
    ----------
    probes
        Embeddings with labels (.npz, .safetensors, .npy). Without a gallery the first image of each person with two or
        more is the gallery, their other images are known probes, and people with one image are unknown.
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
    check_output(figures.json, page.report)
    from angulus.cli.inputs.search_inputs import search_parts
    from angulus.cli.inputs.verification_inputs import descending
    from angulus.cli.printing.evaluation_pages import search_page
    from angulus.evaluation.rates.identification import DEFAULT_FPIRS, DEFAULT_RANKS, cmc, rate_search
    from angulus.evaluation.report.recommendation import recommended_for_search
    from angulus.evaluation.scores.search import search_gallery
    from angulus.evaluation.uncertainty.search_intervals import search_confidence

    started = time.perf_counter()
    parts = search_parts(probes, gallery, distractors or [], views.views)
    found = search_gallery(
        **{"probes": parts.probes, "gallery": parts.gallery, "distractors": parts.distractors},
        **{"probe_labels": parts.probe_labels, "gallery_labels": parts.gallery_labels, "device": computing.device},
    )
    fpirs = descending(fpir, DEFAULT_FPIRS)
    result = rate_search(found, parts.gallery_labels, fpirs=fpirs, ranks=(1,), name=name or probes.stem)
    result = replace(result, cmc=cmc(found, rank or DEFAULT_RANKS) if result.known else ())
    sure = search_confidence(found, parts.probe_labels, fpirs) if intervals else None
    seconds = round(time.perf_counter() - started, 2)
    notes = parts.notes(found)
    print("\n".join([result.table(), *(f"note: {note}" for note in notes), *(sure.lines() if sure else [])]))
    advice = recommended_for_search(result, sure) if result.points else None
    if advice is not None:
        print(advice.sentence)
    facts = {"probes": str(probes), "gallery": "first images" if gallery is None else str(gallery), "view": parts.view}
    facts["distractors"] = ", ".join(str(path) for path in distractors or []) or "none"
    search_page(page.report, found, result, sure, facts, notes)
    content = {**facts, "seconds": seconds, **result.as_dict(), "notes": list(notes)}
    content["recommended"] = None if advice is None else advice.as_dict()
    figures.save({**content, "intervals": sure.as_dict() if sure else None})
