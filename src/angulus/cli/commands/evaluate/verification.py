"""`angulus evaluate`: how well do embeddings, or a model on images, tell people apart? Other protocols by name.

The other protocols (identify, blufr, templates, retrieve, calibrate, compare) lie in files of their own and are
imported when they are asked for.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from angulus.cli.options import EditLists, Fit, Flag, Json, View, check_output, save_json, save_text

if TYPE_CHECKING:
    from angulus.cli.inputs.verification_inputs import Compared
    from angulus.evaluation import VerificationResult

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
    what: Path,
    images: Path | None = None,
    /,
    *,
    pairs: Path | None = None,
    protocol: Literal["plain", "mean-centred", "insightface"] = "plain",
    views: View | None = None,
    far: Annotated[list[float] | None, Parameter(negative=())] = None,
    intervals: bool | None = None,
    groups: Annotated[list[str] | None, Parameter(negative=())] = None,
    calibration: Path | None = None,
    labels: Path | None = None,
    edits: EditLists = (),
    fit: Fit = "auto",
    network: str | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    name: str | None = None,
    report: Path | None = None,
    markdown: Path | None = None,
    json: Json = None,
    curves: Annotated[bool, Parameter(negative="--no-curves")] = True,
    quiet: Annotated[bool, Flag] = False,
) -> None:
    """Verify embeddings, or a model on images: accuracy, TAR at FAR, EER, AUC, with thresholds and intervals.

    Parameters
    ----------
    what
        A file of embeddings (.npz, .safetensors, .npy), or a model: the folder of a run or of a model, or foreign
        weights (.ckpt, .pt).
    images
        For a model: a folder with one sub-folder of images for each person, another layout (.rec, .tar, .parquet,
        .packed, .csv), or a verification set of insightface (.bin), which brings its pairs.
    pairs
        Which images to compare: LFW's pairs.txt, a CSV a,b,same[,fold], or a trial list (VoxCeleb, Kaldi). Without it,
        all pairs of the labelled set.
    protocol
        How pairs become an accuracy over folds; docs/protocols.md describes the three.
    views
        For the plain protocol, which embedding of an image counts: its own, or with its mirror image.
    far
        A false accept rate at which to report the true accept rate; may be given several times.
    intervals
        Intervals from drawing people anew. Left out: those that take seconds; --intervals: all, which may take
        minutes; --no-intervals: none.
    groups
        A column of the embeddings by which FMR and FNMR are broken down at one threshold, that of the middle FAR which
        the set resolves: sex, or ranges of numbers, age=0,20,40, or for listed pairs gap:age=0,5,10. May be repeated.
    calibration
        A threshold that `angulus evaluate calibrate` stored, to show on the page.
    labels
        A .npy or text file with one label a line, in place of the labels stored with the embeddings.
    edits
        For a model and images: lists of changes (csv: drop, relabel, split, merge) to apply to the set.
    fit
        How images of another size are brought to the model's. auto: as the model's run did, or else cut off what is
        too wide or too high, or scale where the shape is the same.
    network
        What foreign weights are of, or "module:Class" of your own network.
    batch_size
        Images per pass: 32 on a CPU, 128 on CUDA, where nothing is said.
    device
        auto, cpu, cuda or cuda:N.
    name
        What to call this evaluation in the report.
    report
        Write an HTML page to this file: which threshold to deploy, curves, and the hardest pairs where images are here.
    markdown
        Write the figures as one Markdown table to this file.
    json
        Write the figures to this file.
    curves
        Keep the points of ROC and histogram in the JSON file.
    quiet
        Show warnings only.
    """
    check_output(json, report, markdown)
    from angulus.cli.inputs.verification_inputs import compared_by
    from angulus.evaluation import verify
    from angulus.evaluation.protocols.verification import DEFAULT_FARS
    from angulus.evaluation.report.comparison_table import markdown_table
    from angulus.evaluation.report.deployment import middle_resolved_point
    from angulus.evaluation.uncertainty.breakdown_groups import Grouping, break_down
    from angulus.evaluation.uncertainty.calibration import read_calibration

    started = time.perf_counter()
    groupings = [Grouping.parse(text) for text in groups or []]
    calibrated = () if calibration is None else (read_calibration(calibration),)
    compared = compared_by(what, images, pairs, labels, fit, network, batch_size, device, quiet, edits)
    title = name or (f"{what.stem} on {(pairs or images or what).stem}" if pairs or images else what.stem)
    fars = tuple(sorted(set(far), reverse=True)) if far else DEFAULT_FARS
    options: dict[str, Any] = {"protocol": protocol, "view": views}
    result = verify(
        compared.embeddings, compared.pairs, fars=fars, name=title, intervals=intervals, costs=True, **options
    )
    point = middle_resolved_point(result) or result.points[0]
    broken = [break_down(compared.embeddings, compared.pairs, each, point, **options) for each in groupings]
    seconds = time.perf_counter() - started
    for shown in (result, *broken, *calibrated):
        print(shown.table())
    figures = {**compared.facts, "seconds": round(seconds, 2), **result.as_dict()}
    if not curves:
        del figures["roc"], figures["histogram"]
    if broken:
        figures["breakdowns"] = [each.as_dict() for each in broken]
    if report is not None:
        write_page(report, title, result, compared, broken, calibrated)
        print(f"report  {report}")
    save_text(markdown, lambda: markdown_table([result]))
    save_json(json, figures)


def write_page(
    path: Path, title: str, result: "VerificationResult", compared: "Compared", broken: Any, calibrated: Any
) -> None:
    """The page of a verification, with the hardest pairs where there are images."""
    from angulus.evaluation.report.page import Sections, write_report

    write_report(
        path,
        f"Verification: {title}",
        [result],
        galleries=compared.hardest(result.view),
        facts={key: str(value) for key, value in compared.facts.items()},
        sections=Sections(breakdowns=broken, calibrated=calibrated),
    )
