"""`angulus config`: what do these recipes and settings come to, and what may a recipe hold?"""

from typing import Annotated

from angulus.cli.options import Figures, Flag, Trust, Usual, check_output, split_arguments
from angulus.cli.terminal import log_lines


def config(
    *arguments: str,
    schema: Annotated[bool, Flag] = False,
    leave_open: Annotated[bool, Flag] = False,
    trust: Trust = Usual.trust,
    figures: Figures = Usual.figures,
) -> None:
    """Show the recipe that results from files and settings, or everything a recipe may hold.

    What the recipe leaves open is chosen from its data, as a run would choose it, and comments say why.

    Parameters
    ----------
    arguments
        Recipes (YAML files or folders of runs; later ones are laid over earlier ones) and key=value settings.
    schema
        Show every key with its type, its default and what it means instead.
    leave_open
        Do not look at the data: what a run would choose from it stays null.
    figures.json
        Write the resolved recipe to this file as well.
    """
    check_output(figures.json)
    from angulus.cli.printing.recipe_text import annotated, filled_or_open
    from angulus.config import load, to_dict, to_yaml
    from angulus.config import schema as schema_text

    if schema:
        print(schema_text(), end="")
        return
    recipes, settings = split_arguments(arguments)
    with log_lines():
        experiment = load(recipes, settings, allow=trust.allow)
    experiment, opening, choices = filled_or_open(experiment, leave_open=leave_open)
    print(opening)
    print(annotated(to_yaml(experiment), choices), end="")
    figures.save(to_dict(experiment))
