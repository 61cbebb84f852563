"""`angulus evaluate`: how well do embeddings, or a model on images, tell people apart? Other protocols by name.

The other protocols (identify, blufr, templates, retrieve, calibrate, compare) lie in files of their own and are
imported when they are asked for.
"""

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from angulus.cli.numbers import Rate
from angulus.cli.options import (
    Edits,
    EmbeddingUse,
    Figures,
    Page,
    Protocol,
    Said,
    Scoring,
    Several,
    Table,
    TwoRounds,
    Usual,
    Views,
    check_output,
)
from angulus.errors import EvaluationError

app = App(
    name="evaluate",
    help="Verify embeddings, or a model on images: accuracy, TAR at FAR, EER, AUC, with thresholds and intervals.\n\n"
    "angulus evaluate embeddings.npz --pairs pairs.txt --protocol mean-centred takes stored embeddings; "
    "angulus evaluate runs/x FOLDER embeds the images first and compares all pairs. Other protocols have names.",
    help_epilogue="",
)
# By name, so that only the command that is asked for is imported.
for _command, _help in {
    "identify": "Search a gallery: rank-k rates (CMC), and TPIR at FPIR where strangers are among the probes.",
    "blufr": "BLUFR on LFW: verification at low FAR and open-set identification over ten trials.",
    "templates": "Compare and search templates, sets of images of one person, as IJB-A, B and C do.",
    "retrieve": "Retrieval and re-identification: Recall@K, mAP, mINP, with the rules of Market-1501 and MSMT17.",
    "calibrate": "Choose the threshold to deploy on one half of the people and try it on the other half.",
    "compare": "Compare two results side by side, or two models on the same pairs with a paired test.",
}.items():
    app.command(f"angulus.cli.commands.evaluate.{_command}:{_command}", name=_command, help=_help)


@app.default
def evaluate(
    what: Path | None = None,
    images: Path | None = None,
    /,
    *,
    pairs: Path | None = None,
    protocol: Protocol = "plain",
    far: Annotated[list[float] | None, Several, Rate] = None,
    intervals: bool | None = None,
    groups: Annotated[list[str] | None, Several] = None,
    calibration: Path | None = None,
    labels: Path | None = None,
    name: str | None = None,
    curves: Annotated[bool, Parameter(negative="--no-curves")] = True,
    views: Views = Usual.views,
    edits: Edits = Usual.edits,
    scoring: Scoring = Usual.scoring,
    use: EmbeddingUse = Usual.embedding_use,
    division: TwoRounds = Usual.two_rounds,
    page: Page = Usual.page,
    table: Table = Usual.table,
    figures: Figures = Usual.figures,
    said: Said = Usual.said,
) -> None:
    """Verify embeddings, or a model on images: accuracy, TAR at FAR, EER, AUC, with thresholds and intervals.

    Parameters
    ----------
    what
        A file of embeddings (.npz, .safetensors, .npy), a folder of them (angulus embed --shard), or a model: the
        folder of a run or of a model, foreign weights (.ckpt, .pt), or a bundle. Left out with --add alone.
    images
        For a model: a folder with one sub-folder of images for each person, another layout (.rec, .tar, .parquet,
        .packed, .csv), or a verification set of insightface (.bin), which brings its pairs.
    pairs
        Which images to compare: LFW's pairs.txt, a CSV a,b,same[,fold], or a trial list (VoxCeleb, Kaldi). Without it,
        all pairs of the labelled set.
    protocol
        How pairs become an accuracy over folds; docs/protocols.md describes the three.
    views.views
        For the plain protocol, which embedding of an image counts: its own, or with its mirror image.
    far
        A false accept rate at which to report the true accept rate; may be given several times.
    intervals
        Intervals from drawing people anew. Left out: those that take seconds; --intervals: all, which may take
        minutes; --no-intervals: none.
    groups
        A column of the embeddings by which FMR and FNMR are broken down at one threshold, that of the middle FAR which
        the set resolves: sex, or ranges of numbers, age=0,20,40, or for listed pairs gap:age=0,5,10, or
        seconds=0,1,2,5 by the shorter recording of a pair. May be repeated.
    calibration
        A threshold that `angulus evaluate calibrate` stored, to show on the page.
    labels
        A .npy or text file with one label a line, in place of the labels stored with the embeddings.
    use.device
        For a model: auto, cpu, cuda or cuda:N. All pairs of stored embeddings are counted on the CPU unless cuda is
        named.
    edits.edits
        For a model and images: lists of changes (csv: drop, relabel, split, merge) to apply to the set.
    name
        What to call this evaluation in the report.
    page.report
        Write an HTML page to this file: which threshold to deploy, curves, and the hardest pairs where images are here.
    curves
        Keep the points of ROC and histogram in the JSON file.
    """
    check_output(figures.json, page.report, table.markdown, scoring.keep_calibration, division.out)
    from angulus.cli.inputs.divided.pairs import added_parts, count_part
    from angulus.cli.inputs.divided.processes import is_further_process, sharing
    from angulus.cli.inputs.trials.scored_trials import check_scoring, read_enrolled, scored
    from angulus.cli.inputs.verification_inputs import compared_by, descending, title_of
    from angulus.cli.inputs.words.known_people import notes_on_known
    from angulus.cli.printing.verification_account import VerificationAccount
    from angulus.evaluation import verify
    from angulus.evaluation.protocols.verification import DEFAULT_FARS
    from angulus.evaluation.report.deployment import middle_resolved_point
    from angulus.evaluation.uncertainty.breakdown_groups import Grouping, break_down
    from angulus.evaluation.uncertainty.calibration import read_calibration

    started = time.perf_counter()
    asked = {"pairs": pairs, "groups": groups, "protocol": protocol != "plain", "edits": edits.edits}
    division.check(scoring=scoring.is_asked_for, **asked)
    if division.is_asked_for and is_further_process():
        return
    account = VerificationAccount(page=page, table=table, figures=figures, curves=curves)
    if division.add:
        calibrated = () if calibration is None else (read_calibration(calibration),)
        division.check_added(what=what, labels=labels, far=far, intervals=intervals is not None, views=views.views)
        result, facts, known = added_parts(division.add, name)
        result = replace(result, notes=(*known, *result.notes))
        account.tell(result, facts, time.perf_counter() - started, calibrated=calibrated)
        return
    if what is None:
        raise EvaluationError("WHAT is missing; angulus evaluate --help says what it is")
    check_scoring(scoring, protocol, images, pairs, calibration)
    calibrated = () if calibration is None else (read_calibration(calibration),)
    named = name or title_of(what, images, pairs)
    fars = descending(far, DEFAULT_FARS)
    if division.part is not None:
        if images is not None:
            raise EvaluationError(
                "--part divides all pairs of stored embeddings; embed the images first: angulus embed"
            )
        division.check_counted(report=page.report, json=figures.json, markdown=table.markdown)
        how = {"labels": labels, "fars": fars, "view": views.views, "intervals": intervals, "device": use.device}
        print(count_part(what, division, **how, name=named))
        return
    divisible = images is None and pairs is None and not scoring.is_asked_for
    if not divisible and is_further_process():
        return
    groupings = [Grouping.parse(text) for text in groups or []]
    listed = None if scoring.enrolment else pairs
    compared = compared_by(what, images, listed, labels, edits, use, said)
    rates: dict[str, Any] = {"fars": fars, "intervals": intervals, "name": named}
    how: dict[str, Any] = {"protocol": protocol, "view": views.views}
    judged = None
    if scoring.is_asked_for:
        judged = scored(compared, read_enrolled(scoring, pairs), scoring, views.views, rates)
        compared, result, how["scores"] = judged.compared, judged.result, judged.scores
    elif divisible:
        with sharing(use.device) as these:
            result = verify(compared.embeddings, costs=True, device=these.device, group=these.group, **rates, **how)
        if not these.is_first:
            return
    else:
        result = verify(compared.embeddings, compared.pairs, costs=True, **rates, **how)
    sets = (compared.embeddings, compared.pairs)
    result = replace(result, notes=(*notes_on_known(compared.embeddings), *result.notes))
    point = middle_resolved_point(result) or result.points[0]
    broken = [break_down(*sets, each, point, **how) for each in groupings]
    seconds = time.perf_counter() - started
    pictures = partial(compared.hardest, result.view)
    account.tell(result, compared.facts, seconds, broken=broken, calibrated=calibrated, galleries=pictures)
    if judged is not None:
        judged.keep(scoring)
