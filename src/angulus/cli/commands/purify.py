"""`angulus purify`: a noisy set in, a list of what is wrong in it and a model trained without that out."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from angulus.cli.numbers import Count
from angulus.cli.options import Figures, Rule, Said, Trust, Usual, check_output
from angulus.cli.terminal import log_lines


def purify(
    *arguments: str,
    out: Path | None = None,
    subcenters: Annotated[int | None, Count] = None,
    rule: Rule = "subcenter",
    angle: str | None = None,
    rounds: Annotated[int, Count] = 1,
    retrain: Annotated[bool, Parameter(negative="--no-retrain")] = True,
    trust: Trust = Usual.trust,
    said: Said = Usual.said,
    figures: Figures = Usual.figures,
) -> None:
    """Find wrong labels with sub-centers, list them, and train again without them; the same words go on after a stop.

    Parameters
    ----------
    arguments
        A finished run with sub-centers, whose training set is cleaned; or recipes and key=value settings as for train,
        from which such a run is trained first. A folder of images beside them replaces the data.
    out
        Where everything is kept; by default the folder of the run with "_purified" behind its name.
    subcenters
        Centers for each identity in the runs that are trained here; 3 by default. With a finished run it means: train
        its recipe anew with so many.
    rule
        subcenter: the angle to the dominant center; strict: non-dominant centers go as well; nearest: the angle to the
        nearest center of the class, also for runs with one center; combined: all evidence together, also the angles
        to the nearest other class and between the views of an image.
    angle
        Degrees beyond which an image goes, or "auto", which fits two groups to the set. 75 by default, auto for the
        combined rule.
    rounds
        How often; each round trains on what the one before left.
    retrain
        Train a plain run, with one center for each identity, on what is left.
    """
    check_output(figures.json)
    from angulus.cli.inputs.purified_runs import default_folder, degrees, opened, subcenters_asked
    from angulus.cli.inputs.words.run_places import check_run_outside
    from angulus.cli.printing.purified_rounds import print_rounds
    from angulus.config import load
    from angulus.purification import Purification
    from angulus.purification import purify as run_purification

    run, recipes, settings = opened(arguments, subcenters)
    with log_lines(quiet=said.quiet):
        experiment = load(recipes, settings, allow=trust.allow)
    centers, beyond = subcenters_asked(run, subcenters, rule), degrees(angle)
    options = Purification(subcenters=centers, rule=rule, angle=beyond, rounds=rounds, retrain=retrain)
    folder = out or default_folder(experiment, run)
    check_run_outside(experiment, folder)
    try:
        with log_lines(quiet=said.quiet):
            done = run_purification(experiment, folder, options, run=run)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("give the same command again to go on") from None
    print_rounds(done)
    figures.save({"folder": str(folder), **done.figures})
