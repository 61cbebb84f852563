"""`angulus audit labels`: which labels of a set are wrong, as a page that a person can read and act on."""

from pathlib import Path
from typing import Annotated

from angulus.cli.numbers import Count, CountOrNone
from angulus.cli.options import Figures, Fitting, ModelUse, Rule, Said, Trust, Usual, check_output, check_outside
from angulus.cli.terminal import image_progress


def labels(
    model: Path,
    data: Path | None = None,
    /,
    *,
    out: Path,
    rule: Rule = "combined",
    angle: str = "auto",
    groups: Annotated[int, Count] = 3,
    shown: Annotated[int, CountOrNone] = 200,
    fitting: Fitting = Usual.fitting,
    use: ModelUse = Usual.model_use,
    trust: Trust = Usual.trust,
    said: Said = Usual.said,
    figures: Figures = Usual.figures,
) -> None:
    """Find wrong labels, names with two people and people with two names; write a page and a list to edit.

    Parameters
    ----------
    model
        The folder of a run or of a model, or foreign weights (.ckpt, .pt, .pth).
    data
        A set of images by identity, in any layout. Without it the model must be a run with sub-centers, whose
        training set is audited by the centers of its head.
    out
        The folder for index.html, edits.csv and audit.json.
    rule
        combined: all evidence together; subcenter, strict, nearest: as for angulus purify.
    angle
        Degrees beyond which an image goes, or "auto", which is fitted to the set; the page can move it.
    groups
        People that are looked for under one name.
    shown
        Suspicious images on the page, with their photos.
    """
    check_outside(out, data)
    check_output(figures.json)
    from angulus.cli.inputs.audited_sets import of_images, of_run
    from angulus.cli.inputs.purified_runs import degrees
    from angulus.purification import LabelAudit, audit_labels

    options = LabelAudit(rule=rule, angle=degrees(angle) or "auto", groups=groups, shown=shown)
    with image_progress(quiet=said.quiet) as progress:
        named = of_run(model, trust.allow) if data is None else of_images(model, data, fitting.fit, use.network)
        opened, source, whole, centers = named
        how = {"centers": centers, "whole": whole, "device": use.place(), "progress": progress}
        done = audit_labels(opened, source, out, options, **how)
    print(done.figures["sentence"])
    print(f"{out / 'index.html'}\n{done.listed}")
    figures.save({"out": str(out), **done.figures})
