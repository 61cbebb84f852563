"""`angulus evaluate retrieve`: which images does a query bring up first?"""

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from angulus.cli.numbers import Count
from angulus.cli.options import (
    Division,
    EmbeddingUse,
    Figures,
    Flag,
    Page,
    Said,
    Several,
    Usual,
    Views,
    check_output,
)
from angulus.errors import EvaluationError


def retrieve(
    queries: Path | None = None,
    gallery: Path | None = None,
    /,
    *,
    rule: Literal["plain", "market-1501", "msmt17"] | None = None,
    at: Annotated[list[int] | None, Several, Count] = None,
    precision: Literal["plain", "trapezoid"] = "plain",
    rerank: Annotated[bool, Flag] = False,
    views: Views = Usual.views,
    use: EmbeddingUse = Usual.embedding_use,
    division: Division = Usual.division,
    page: Page = Usual.page,
    figures: Figures = Usual.figures,
    said: Said = Usual.said,
) -> None:
    """Retrieval and re-identification: Recall@K (CMC), mAP, mAP@R, R-precision, mINP.

    Parameters
    ----------
    queries
        Embeddings with labels (.npz, .safetensors, .npy); rules of re-identification need a column named camera. Or a
        model: the folder of a run or of a model, foreign weights (.ckpt, .pt), or a bundle. Left out with
        --add alone.
    gallery
        Embeddings with labels to search in. Left out, each image is searched among all the others. For a model: the
        folder of Market-1501 or MSMT17, whose queries are searched in its gallery, or another set of images, each of
        which is searched among the others.
    rule
        Which gallery images count; docs/protocols.md describes the rules. Left out, that of a known set, or plain.
    at
        A rank K for Recall@K; may be given several times.
    precision
        How mAP is taken: the mean of i / rank, or trapezoids as in Market-1501's own script.
    rerank
        Re-rank by k-reciprocal neighbours (k1 20, k2 6, 0.3 of the original distance).
    page.report
        Write an HTML page with the figures and the CMC to this file.
    """
    check_output(figures.json, page.report, division.out)
    from angulus.cli.inputs.divided.pairs import check_stored
    from angulus.cli.inputs.divided.processes import is_further_process
    from angulus.cli.inputs.divided.retrievals import added_retrieval, count_part, retrieved
    from angulus.cli.inputs.search_inputs import common_view, searched_by
    from angulus.cli.inputs.words.known_people import notes_on_known
    from angulus.cli.printing.evaluation_pages import retrieval_page
    from angulus.evaluation import retrieve as search
    from angulus.evaluation.scores.reranking import Reranking
    from angulus.evaluation.scores.search_tasks import RETRIEVAL_RULES

    started = time.perf_counter()
    division.check(rerank=rerank)
    if (division.is_asked_for or rerank) and is_further_process():
        return
    ranks = tuple(sorted(set(at or (1, 5, 10))))
    if division.add:
        precise = precision != "plain"
        division.check_added(queries=queries, gallery=gallery, rule=rule, precision=precise, views=views.views)
        result, facts, known = added_retrieval(division.add, at=ranks)
    elif queries is None:
        raise EvaluationError("QUERIES is missing; angulus evaluate retrieve --help says what it is")
    elif division.part is not None:
        division.check_counted(at=at, report=page.report, json=figures.json)
        check_stored(queries)
        searched = searched_by(queries, gallery, rule, use, said)
        print(count_part(searched, views.views, form=precision, division=division))
        return
    else:
        searched = searched_by(queries, gallery, rule, use, said)
        view, known = common_view(views.views, *searched.sets), notes_on_known(*searched.sets)
        if rerank:
            how = {"rule": RETRIEVAL_RULES[searched.rule], "view": view, "at": ranks, "form": precision}
            result = search(searched.queries, searched.gallery, **how, reranking=Reranking())
        else:
            result = retrieved(searched, view, at=ranks, form=precision)
        facts = {**searched.facts, "view": view}
    if result is None:  # another process reports
        return
    result = replace(result, notes=(*known, *result.notes))
    seconds = round(time.perf_counter() - started, 2)
    print(result.table())
    retrieval_page(page.report, "parts" if queries is None else queries.stem, result, facts)
    figures.save({**facts, "seconds": seconds, **result.as_dict()})
