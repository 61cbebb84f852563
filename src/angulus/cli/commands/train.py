"""`angulus train`: recipes and settings in, a run folder out."""

from signal import SIGINT
from typing import Annotated

from angulus.cli.options import Flag, Json, check_output, save_json, split_arguments
from angulus.interruptions import Interruption


def train(
    *arguments: str,
    resume: Annotated[bool, Flag] = False,
    quiet: Annotated[bool, Flag] = False,
    json: Json = None,
) -> None:
    """Train a model from recipes and settings, and verify it on people it has not seen.

    Parameters
    ----------
    arguments
        Recipes (YAML files, or the folder of a run) and key=value settings; `angulus config --schema` lists them all.
    resume
        Go on from the newest checkpoint of this run, or start it where there is none.
    quiet
        Show warnings only.
    json
        Write the figures to this file.
    """
    check_output(json)
    from angulus.cli.inputs.models_and_images import is_run, settings_of_run
    from angulus.cli.terminal import training_progress
    from angulus.config import load

    recipes, settings = split_arguments(arguments)
    runs = [recipe for recipe in recipes if is_run(recipe)]
    if resume and runs:
        settings = [*settings_of_run(runs[-1]), *settings]
    experiment = load(recipes, settings)
    from angulus.training import train as run

    try:
        with training_progress(quiet=quiet) as progress:
            result = run(experiment, resume=resume, progress=progress)
    except KeyboardInterrupt as stop:
        number = stop.number if isinstance(stop, Interruption) else SIGINT
        raise Interruption(*stop.args, how_to_resume(arguments), number=number) from None
    if not result.figures:
        return  # not the first of several processes
    print_figures(result.figures)
    print(f"run folder  {result.folder}\nreport      {result.report}")
    save_json(json, {"folder": str(result.folder), "report": str(result.report), "figures": result.figures})


def how_to_resume(arguments: tuple[str, ...]) -> str:
    import shlex

    words = [word for word in arguments if word != "--resume"]
    return f"go on with: angulus train {shlex.join(words)} --resume"


def print_figures(figures: dict[str, float]) -> None:
    width = max((len(name) for name in figures), default=0)
    for name, value in figures.items():
        print(f"{name:<{width}}  {value:.5g}")
