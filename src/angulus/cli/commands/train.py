"""`angulus train`: recipes and settings in, a run folder out."""

from signal import SIGINT
from typing import Annotated

from angulus.cli.options import Figures, Flag, Said, Trust, Usual, check_output, split_arguments
from angulus.cli.terminal import log_lines, training_progress
from angulus.interruptions import Interruption


def train(
    *arguments: str,
    resume: Annotated[bool, Flag] = False,
    trust: Trust = Usual.trust,
    said: Said = Usual.said,
    figures: Figures = Usual.figures,
) -> None:
    """Train a model from recipes and settings, and verify it on people it has not seen.

    Parameters
    ----------
    arguments
        Recipes (YAML files, or the folder of a run) and key=value settings; `angulus config --schema` lists them all.
        The folder of a run is where its run is kept: to train its recipe anew, say where to with out=FOLDER.
    resume
        Go on from the newest checkpoint of this run, or start it where there is none.
    """
    check_output(figures.json)
    from angulus.cli.inputs.words.resumed_runs import check_resumed
    from angulus.cli.inputs.words.run_places import check_run_outside
    from angulus.cli.printing.diagnosis_account import looked_at
    from angulus.cli.printing.training_result import how_to_resume, print_result
    from angulus.config import load

    recipes, settings = split_arguments(arguments)
    if resume:
        check_resumed(recipes)
    with log_lines(quiet=said.quiet):
        experiment = load(recipes, settings, allow=trust.allow)
    check_run_outside(experiment)
    from angulus.training import train as run

    try:
        with training_progress(quiet=said.quiet) as progress:
            result = run(experiment, resume=resume, progress=progress)
    except KeyboardInterrupt as stop:
        number = stop.number if isinstance(stop, Interruption) else SIGINT
        raise Interruption(*stop.args, how_to_resume(arguments), number=number) from None
    if not result.figures:
        return  # not the first of several processes
    print_result(result.folder, result.figures, result.report)
    print(looked_at(result.folder))
    figures.save({"folder": str(result.folder), "report": str(result.report), "figures": result.figures})
