"""`angulus evaluate retrieve`: which images does a query bring up first?"""

import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from angulus.cli.numbers import Count
from angulus.cli.options import EmbeddingUse, Figures, Flag, Page, Said, Several, Usual, Views, check_output


def retrieve(
    queries: Path,
    gallery: Path | None = None,
    /,
    *,
    rule: Literal["plain", "market-1501", "msmt17"] | None = None,
    at: Annotated[list[int] | None, Several, Count] = None,
    precision: Literal["plain", "trapezoid"] = "plain",
    rerank: Annotated[bool, Flag] = False,
    views: Views = Usual.views,
    use: EmbeddingUse = Usual.embedding_use,
    page: Page = Usual.page,
    figures: Figures = Usual.figures,
    said: Said = Usual.said,
) -> None:
    """Retrieval and re-identification: Recall@K (CMC), mAP, mAP@R, R-precision, mINP.

    Parameters
    ----------
    queries
        Embeddings with labels (.npz, .safetensors, .npy); rules of re-identification need a column named camera. Or a
        model: the folder of a run or of a model, foreign weights (.ckpt, .pt), or a bundle.
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
    check_output(figures.json, page.report)
    from angulus.cli.inputs.search_inputs import common_view, searched_by
    from angulus.cli.inputs.words.known_people import notes_on_known
    from angulus.cli.printing.evaluation_pages import retrieval_page
    from angulus.evaluation import retrieve as search
    from angulus.evaluation.scores.reranking import Reranking
    from angulus.evaluation.scores.search_tasks import RETRIEVAL_RULES

    started = time.perf_counter()
    searched = searched_by(queries, gallery, rule, use, said)
    view = common_view(views.views, *searched.sets)
    result = search(
        *(searched.queries, searched.gallery),
        **{"rule": RETRIEVAL_RULES[searched.rule], "view": view, "at": tuple(sorted(set(at or (1, 5, 10))))},
        **{"form": precision, "reranking": Reranking() if rerank else None},
    )
    result = replace(result, notes=(*notes_on_known(*searched.sets), *result.notes))
    seconds = round(time.perf_counter() - started, 2)
    print(result.table())
    retrieval_page(page.report, queries.stem, result, {**searched.facts, "view": view})
    figures.save({**searched.facts, "view": view, "seconds": seconds, **result.as_dict()})
